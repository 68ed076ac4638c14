"""Parts of jittape.scipy are loaded when a name of SciPy first meets a tracer, not before."""

import subprocess
import sys
from importlib import import_module
from operator import attrgetter

import numpy as np
import pytest

pytest.importorskip("scipy")
from jittape.scipy import names, patches

MODULES = [m for m in names.MODULES if not m.startswith("scipy._")]
LOADED = """
import sys
def loaded():
    heavy = "jittape.scipy.", "jittape.ops.special", "jittape.ops.gamma"
    light = "jittape.scipy.names", "jittape.scipy.patches"
    return sorted(m for m in sys.modules if m.startswith(heavy) and m not in light)
"""


def run(code):
    """This code in a process that has recorded nothing before."""
    subprocess.run([sys.executable, "-c", LOADED + code], check=True)


@pytest.mark.parametrize("row", names.FUNCTIONS, ids=lambda row: f"{row.module} {row.part}")
def test_parts_have_the_functions_of_the_list(row):
    if row.module.startswith("scipy._"):
        pytest.importorskip(row.module)  # (another version of SciPy has it elsewhere)
    import_module(row.module)
    for name in row.names:
        assert callable(patches.recorder(row.part, name)), name
    assert len(set(row.names)) == len(row.names)


@pytest.mark.parametrize("row", names.METHODS, ids=lambda row: f"{row.module} {row.owner}")
def test_parts_have_the_methods_of_the_list(row):
    owner = attrgetter(row.owner)(import_module(row.module))
    for method, record in row.names.items():
        assert callable(getattr(owner, method)), method
        assert callable(patches.recorder(row.part, record)) or not patches.has(row.needs), record


def test_parts_are_named_by_the_list():
    """A part that no row names would never be loaded."""
    import pkgutil

    import jittape.scipy

    found = {m.name for m in pkgutil.iter_modules(jittape.scipy.__path__)}
    grids = "grids"  # a piece of interpolate
    assert {names.home(m) for m in found - {"names", "patches", grids}} <= set(names.PARTS)


def test_a_gradient_without_scipy_in_it_loads_no_part():
    run(f"""
import numpy as np, jittape
import {", ".join(MODULES)}
f = lambda x: np.sum(np.sin(x) * x)
for _ in range(3):
    jittape.grad(f)(np.ones(3)), jittape.jit(f)(np.ones(3))
assert not loaded(), loaded()
assert scipy.special.logsumexp(np.zeros(2)) == np.log(2)
assert not loaded(), loaded()
""")


@pytest.mark.parametrize(
    ("imports", "body", "part"),
    [
        ("from scipy.special import erf as g", "g(x)", "special"),
        ("import scipy.special as s; table = {'g': [s.erf]}", "table['g'][0](x)", "special"),
        ("from scipy.special import logsumexp as g", "g(x)", "special"),
        ("import scipy.special as s; held = [s]", "held[0].softmax(x)[0]", "special"),
        ("import scipy.special as s", "s.xlogy.outer(x, x)", "special"),
        ("from scipy.stats import norm; N = norm(0.0, 2.0)", "N.logpdf(x)", "stats"),
        ("from scipy.stats import norm; bound = norm.logcdf", "bound(x)", "special"),
        ("import scipy.sparse as sp; A = sp.eye(3).tocsr()", "A @ x", "sparse"),
        ("import scipy.signal as sg", "sg.hilbert(x).imag", "fft"),
        ("", "__import__('scipy.special', fromlist=['erf']).erf(x)", "special"),
    ],
)
def test_what_meets_a_tracer_is_loaded(imports, body, part):
    """By whatever name, in this thread or another, the first call and the second."""
    run(f"""
import threading
import numpy as np, jittape
{imports}
f = lambda x: np.sum({body})
x, h = np.array([0.3, 0.9, 1.6]), 1e-6
slope = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(3)]
assert not loaded(), loaded()
found = []
def work():
    found.extend([jittape.grad(f)(x) for _ in range(2)])
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
work()
assert len(found) == 6
for g in found:
    np.testing.assert_allclose(g, slope, rtol=1e-6, atol=1e-8)
assert "jittape.scipy.{part}" in loaded(), loaded()
""")


def test_parts_that_are_loaded_while_tracing_keep_no_stand_ins():
    """Nor do ops that are declared then have other kernels than those declared before."""
    run(f"""
import gc
import numpy as np, jittape
import {", ".join(MODULES)}
from importlib import import_module
from jittape.ops.declare import table
from jittape.scipy import names
from jittape.tracing.patches import Patched
def f(x):
    for part in names.PARTS:
        import_module(part)
    return np.sum(x * x)
jittape.grad(f)(np.ones(3))
assert len(loaded()) >= 10
for op in table:
    assert not any(isinstance(k, Patched) for k in (op.kernel, op.evaluate, *op.numpy)), op.name
mine = [m for n, m in sys.modules.items() if n.startswith(("jittape.scipy.", "jittape.ops."))]
for module in mine:
    for name, value in vars(module).items():
        cells = [c.cell_contents for c in getattr(value, "__closure__", None) or ()]
        assert not any(isinstance(v, Patched) for v in (value, *cells)), (module, name)
g = jittape.grad(lambda x: np.sum(scipy.fft.fft(x).real * scipy.special.gammaln(x)))
np.testing.assert_allclose(g(np.array([1.0, 2.0])), [-3 * np.euler_gamma, np.euler_gamma - 1])
""")


def test_a_ufunc_of_scipy_is_known_before_it_is_met():
    run("""
import numpy as np, jittape, scipy.special
try:
    jittape.register_ufunc(scipy.special.erf, [np.cos])
except ValueError as e:
    assert "already has a derivative" in str(e)
else:
    raise AssertionError
""")


def test_the_originals_are_back_after_a_trace():
    import scipy.special
    import scipy.stats

    import jittape

    before = scipy.special.softmax, vars(scipy.stats.rv_continuous)["logpdf"]
    jittape.grad(lambda x: np.sum(scipy.stats.norm.logpdf(x)))(np.ones(2))
    assert (scipy.special.softmax, vars(scipy.stats.rv_continuous)["logpdf"]) == before
    assert scipy.special.softmax is before[0]


def test_a_module_of_scipy_that_does_not_fit_warns_once():
    run("""
import warnings
import numpy as np, scipy.interpolate, scipy.special, jittape
from jittape.errors import JittapeWarning
del scipy.interpolate.interp1d
f = lambda x: np.sum(scipy.special.softmax(x) * x)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    first = jittape.grad(f)(np.arange(3.0))
    again = jittape.grad(lambda x: np.sin(x))(0.0)
assert [w.category for w in seen] == [JittapeWarning], seen
assert "does not fit this version of scipy.interpolate" in str(seen[0].message)
assert again == 1.0 and np.isfinite(first).all()
""")
