"""Names of NumPy that record while a trace is open are the originals again when it has closed."""

import cmath
import pickle
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from numpy import zeros
from oracle import check, check_value

import jittape
from jittape.tracing import captured
from jittape.tracing.patches import Patched
from jittape.tracing.recorder import open_traces

X = np.array([0.5, -1.5, 2.0, 0.25])


def squares(a):
    return np.sum(a * a)


def test_nothing_is_left_behind():
    assert not isinstance(np.zeros, Patched)
    jittape.grad(lambda x: squares(np.array([x[0], 1.0])))(X)

    def fails(x):
        y = np.zeros(2)
        y[0] = x[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jittape.grad(fails)(X)
    assert not open_traces()
    assert not isinstance(np.zeros, Patched)
    assert not isinstance(zeros, Patched)
    assert type(np.zeros(2)) is np.ndarray
    check_value(lambda x: x * 2, X)


def test_other_threads_see_plain_arrays():
    inside, done = threading.Event(), threading.Event()
    kinds = []

    def other():
        inside.wait(20)
        kinds.append(type(np.zeros(2)))
        kinds.append(type(np.array([1.0])))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def f(x):
        y = np.zeros(2)
        inside.set()
        assert done.wait(20)
        y[0] = x[0]
        return squares(y)

    jittape.grad(f)(X)
    thread.join()
    assert kinds == [np.ndarray, np.ndarray]


def test_patched_names_pass_for_the_originals():
    seen = {}

    def f(x):
        seen["name"] = np.zeros.__name__
        seen["equal"] = np.zeros == PLAIN_ZEROS and hash(np.zeros) == hash(PLAIN_ZEROS)
        seen["pickled"] = pickle.loads(pickle.dumps(np.zeros)) == PLAIN_ZEROS
        return x[0]

    jittape.grad(f)(X)
    assert seen == {"name": "zeros", "equal": True, "pickled": True}


PLAIN_ZEROS = np.zeros
HELD = np.ones(3)


def test_interrupts_anywhere_leave_everything_usable():
    """KeyboardInterrupt raised at each line of the machinery in turn."""
    import linecache
    import sys

    def f(x):
        y = np.zeros(2)
        y[0] = x[0] * x[1]
        u = HELD[1:].copy()
        u[0] = x[1]
        return squares(y) + squares(u)

    def interrupted(at):
        count = 0

        def tracer(frame, event, arg):
            nonlocal count
            if "jittape/tracing" not in frame.f_code.co_filename:
                return None
            if event == "line":
                count += 1
                code = frame.f_code
                if count == at and code.co_name not in ("__exit__", "closed", "_restore"):
                    # leaving a `with` is a line to a tracer, though no interrupt comes there
                    line = linecache.getline(code.co_filename, frame.f_lineno)
                    if not line.strip().startswith("with "):
                        raise KeyboardInterrupt
            return tracer

        sys.settrace(tracer)
        try:
            jittape.grad(f)(X)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    hits = 0
    for at in range(1, 600):
        hits += interrupted(at)
        assert not open_traces(), at
        assert not isinstance(np.zeros, Patched), at
        assert type(HELD) is np.ndarray and not captured._standing and not captured._views, at
    assert hits > 30
    other = threading.Thread(target=jittape.grad(f), args=(X,), daemon=True)
    other.start()
    other.join(60)
    assert not other.is_alive()  # no lock is held
    slope = [2 * X[0] * X[1] ** 2, 2 * X[0] ** 2 * X[1] + 2 * X[1], 0, 0]
    assert jittape.grad(f)(X).tolist() == slope


HELPERS = types.ModuleType("helpers")
exec(
    compile(
        """
from math import sqrt as root
from numpy import empty, zeros

def simulate(p):
    u = zeros(3)
    u[0] = p
    for i in range(1, 3):
        u[i] = u[i - 1] * p + root(p)
    return u.sum()

class Model:
    def __init__(self, p):
        self.p = p

    def run(self):
        out = empty(3)
        out[:] = self.p
        return out @ out
""",
        "helpers.py",
        "exec",
    ),
    HELPERS.__dict__,
)
TABLE = {"simulate": HELPERS.simulate}
HOLDER = types.SimpleNamespace(model=HELPERS.Model, parts=[HELPERS.simulate])


@pytest.mark.parametrize(
    "f",
    [
        lambda p: HELPERS.simulate(p),
        lambda p: HELPERS.Model(p).run(),
        lambda p: TABLE["simulate"](p),
        lambda p: HOLDER.model(p).run() * sum(part(p) for part in HOLDER.parts),
        lambda p: getattr(HELPERS, "simulate")(p),  # noqa: B009
    ],
)
def test_names_that_other_modules_import_record(f):
    original = HELPERS.zeros
    check(f, 1.3)
    assert HELPERS.zeros is original is np.zeros


def test_names_of_other_modules_outside_of_the_cache():
    value, pullback = jittape.vjp(lambda p: HELPERS.Model(p).run(), 1.5)
    assert (value, pullback(1.0)) == (6.75, (9.0,))
    carry, _ = jittape.scan(lambda c, _: (HELPERS.simulate(c) * 0.1, c), 1.5, None, length=2)
    once = HELPERS.simulate(1.5) * 0.1
    assert carry == pytest.approx(HELPERS.simulate(once) * 0.1, rel=1e-14)


def test_stand_ins_outlive_imports_made_while_tracing(monkeypatch):
    """What an imported module took for NumPy's own is restored, and jittape's own names are not."""

    def imports(x):
        module = types.ModuleType("imported_meanwhile")
        module.zeros = np.zeros
        monkeypatch.setitem(sys.modules, "imported_meanwhile", module)
        return np.sum(x * x)

    def windows(x):
        return (
            np.sum(np.lib.stride_tricks.as_strided(x, (3, 2), (8, 8)) ** 2) + cmath.exp(x[0]).real
        )

    for _ in range(2):
        jittape.grad(imports)(X)
        assert not isinstance(sys.modules["imported_meanwhile"].zeros, Patched)
        np.testing.assert_allclose(
            jittape.grad(windows)(X), 2 * X * [1, 2, 2, 1] + [np.exp(X[0]), 0, 0, 0]
        )
        monkeypatch.delitem(sys.modules, "imported_meanwhile")


def test_a_program_of_no_instructions_needs_none():
    """In a process that has recorded nothing before."""
    code = """
import numpy as np, jittape
f = jittape.jit(np.copy)
assert all((f(np.ones(3)) == 1.0).all() for _ in range(5))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
