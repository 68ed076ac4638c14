"""Every problem once in its small size: the derivative is checked, then timed.

`pytest benches --benchmark-disable` runs each once, as CI does; `pytest benches` measures.
"""

import functools
import json

import numpy as np
import pytest

from . import report, validity
from .control import modules_missing
from .problem import TOLERANCE, Problem, direction, error, flat, leaves
from .problems import PLACES, load

CASES = [(name, size) for name in PLACES for size in load(name).small]
LIBRARIES = ("jittape", "jittape gradient", "hand numpy", "hand numba", "numba primal")

# How many leading arguments are differentiated, where the reference is a gradient and the primal
# stays analytic for complex input: there the reference itself is checked.
GRADIENTS = {
    "call": 1,
    "chain": 1,
    "chain_trig": 1,
    "net": 1,
    "nbody": 1,
    "gmm": 4,
    "lstm": 2,
    "det": 1,
    "lse": 1,
    "lanes": 1,
}


@functools.cache
def prepared(name: str, size: str) -> tuple[Problem, tuple, object]:
    problem = load(name)
    inputs = problem.inputs(size)
    return problem, inputs, problem.reference(*inputs)


def cases():
    for name, size in CASES:
        for library in LIBRARIES:
            if library in load(name).variants:
                marks = [pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")]
                yield pytest.param(name, size, library, marks=marks, id=f"{name}-{size}-{library}")


@pytest.mark.parametrize(("name", "size", "library"), list(cases()))
def test_derivative(benchmark, name, size, library):
    missing = modules_missing(library)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    problem, inputs, expected = prepared(name, size)
    run = problem.factory(library)(*inputs)
    result = run()
    if library in ("jittape", "hand numpy", "hand numba"):
        assert error(result, expected) <= TOLERANCE
    else:
        assert np.isfinite(flat(result)).all()
    again = benchmark(run)
    if library in ("jittape", "hand numpy", "hand numba"):
        assert error(again, expected) <= TOLERANCE


@pytest.mark.parametrize(("name", "size"), CASES)
def test_primal(benchmark, name, size):
    problem, inputs, _ = prepared(name, size)
    value = benchmark(lambda: problem.primal(*inputs))
    known = problem.known.get(size)
    assert np.isfinite(flat(value)).all()
    if known is not None and known.value is not None:
        assert error(value, known.value) <= TOLERANCE


def shifted(tree, along):
    """The nest of arrays with each entry moved by a small imaginary multiple of `along`."""
    if isinstance(tree, dict):
        return {key: shifted(tree[key], along) for key in sorted(tree)}
    return tree + 1e-100j * along(tree.size).reshape(tree.shape)


@pytest.mark.parametrize(("name", "size"), [case for case in CASES if case[0] in GRADIENTS])
def test_reference_against_complex_step(name, size):
    problem, inputs, expected = prepared(name, size)
    count = GRADIENTS[name]
    total = sum(leaf.size for leaf in leaves(list(inputs[:count])))
    ahead = iter(direction(total))

    def along(n):
        return np.array([next(ahead) for _ in range(n)])

    moved = [shifted(part, along) for part in inputs[:count]]
    measured = np.sum(np.imag(problem.primal(*moved, *inputs[count:]))) / 1e-100
    assert error(measured, flat(expected) @ direction(total)) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "size"), [(n, s) for n in PLACES for s, k in load(n).known.items() if k.directional]
)
def test_reference_against_published_values(name, size):
    problem = load(name)
    if size not in problem.small:
        pytest.skip("a full size: the report checks it")
    gradient = flat(prepared(name, size)[2])
    assert error(gradient @ direction(gradient.size), problem.known[size].directional) <= TOLERANCE


def test_report(tmp_path):
    """The report itself, with workers, check, rounds and tables, on the smallest problem."""
    out = str(tmp_path)
    asked = ["--problems", "call", "--libraries", "jittape,hand", "--rounds", "1"]
    assert report.main([*asked, "--seconds", "0.01", "--out", out]) == 0
    text = (tmp_path / "report.md").read_text()
    rows = json.loads((tmp_path / "report.json").read_text())
    assert "### call 10, 1 thread(s)" in text
    assert {row["library"] for row in rows} == {"jittape", "hand numpy", "primal"}
    assert all(row["steady"] > 0 for row in rows if not row["trouble"])
    assert not next(row for row in rows if row["library"] == "hand numpy")["trouble"]


@pytest.mark.parametrize("kind", ["bare", "typical", "method"])
def test_validity(benchmark, kind):
    """Call overhead with state outside the function; the differences are the check's cost."""
    jittape = pytest.importorskip("jittape")
    x = validity.point()
    g = jittape.grad(validity.functions()[kind])
    assert error(g(x), validity.expected(x)) <= TOLERANCE
    assert error(benchmark(g, x), validity.expected(x)) <= TOLERANCE
