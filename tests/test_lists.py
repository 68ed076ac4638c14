"""Lists of traced numbers where NumPy takes lists of numbers, in plain NumPy code."""

import warnings

import numpy as np
import pytest
from numpy import clip as imported_clip
from numpy import exp as imported_exp
from oracle import assert_same
from sequences import follow

import jittape
from jittape.ops.declare import Case
from jittape.tracing import dispatch

M = np.array([[1.0, 2.0], [3.0, -1.0]])

PROGRAMS = {
    "ufunc": lambda a, b: np.exp([a, b]).sum() + np.hypot([a, 1.0], [b, a]).sum(),
    "imported": lambda a, b: imported_exp([a, b])[1] + imported_clip([a, b], 0.5, a)[0],
    "clip": lambda a, b: np.clip([a, b, 3.0], 0.5, 1.5).sum() * np.round([a, b], 1)[0],
    "transpose": lambda a, b: (
        np.transpose([[a, b], [b * b, 2.0]])[1, 0] * np.trace([[a, 1], [1, b]])
    ),
    "take": lambda a, b: np.take([a, b, a * b], [2, 0]).sum() + np.polyval([a, b, 1.0], b),
    "fft": lambda a, b: abs(np.fft.fft([a, b, a * b])[1]),
    "keyword": lambda a, b: np.flip(m=[a, b, 1.0])[1] + np.kron([a, b], [1.0, b]).sum(),
    "reduce": lambda a, b: np.maximum.reduce([a, b, 0.1]) + np.logaddexp.reduce([a, b, a * b]),
    "accumulate": lambda a, b: np.multiply.accumulate([a, b, a])[2],
    "outer": lambda a, b: np.multiply.outer([a, b], [b, a, 1.0]).sum(axis=0)[1],
    "norm": lambda a, b: np.linalg.norm([a, b, a * b]) + np.linalg.det([[a, 1.0], [b, a]]),
    "solve": lambda a, b: np.linalg.solve([[a, 1.0], [b, -a]], [1.0, b])[0],
    "buffer": lambda a, b: (np.ones(2) * [a, b] + np.arange(2) / [b, a]).sum(),
    "fromiter": lambda a, b: np.fromiter((v * v for v in (a, b)), float).sum(),
    "ndenumerate": lambda a, b: sum((i + 1) * v for (i,), v in np.ndenumerate(np.array([a, b]))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_lists(name):
    follow(PROGRAMS[name], (1.3, 0.7), (0.4, 1.9))


def _functions():
    """Dispatched functions of NumPy whose first case starts with an array that can be a list."""
    dispatch.load_all()
    homes = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}
    for f, about in dispatch.implementations.items():
        home = homes.get(getattr(f, "__module__", None) or "")
        if home is None or not about.cases or not hasattr(f, "_implementation"):
            continue
        if getattr(home, f.__name__, None) is not f:
            continue
        case: Case = about.cases[0]
        first, *rest = case.args or (None,)
        if isinstance(first, tuple) and first and all(type(n) is int for n in first):
            first = np.linspace(0.5, 1.0, int(np.prod(first))).reshape(first)
        if isinstance(first, np.ndarray) and first.ndim and first.dtype.kind == "f":
            rest = [
                np.linspace(0.6, 0.9, int(np.prod(q))).reshape(q)
                if isinstance(q, tuple) and all(type(n) is int for n in q)
                else q
                for q in rest
            ]
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # np.trapz
                    f(list(first), *rest, **case.kwargs)
            except (AttributeError, TypeError, ValueError):
                continue  # NumPy itself takes no list here, or a list of something else
            yield pytest.param(home, f.__name__, first, rest, case.kwargs, id=f.__name__)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("home", "name", "x", "rest", "options"), list(_functions()))
def test_functions_take_lists_of_traced_values(home, name, x, rest, options):
    def fun(x):
        return getattr(home, name)(list(x), *rest, **options)

    want, replayed = fun(x), jittape.jit(fun)
    for _ in range(3):
        assert_same(replayed(x), want, 1e-12, "value")


def test_a_stand_in_is_what_it_stands_for():
    seen = []

    def fun(x):
        seen.append((isinstance(np.exp, np.ufunc), np.exp == original, np.exp.nin, np.add.identity))
        return np.exp(x)

    original = np.exp
    jittape.grad(fun)(1.0)
    assert seen == [(True, True, 1, 0)]
    assert np.exp is original and np.linalg.norm.__module__ == "numpy.linalg"
