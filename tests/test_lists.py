"""Lists of traced numbers where NumPy takes lists of numbers, in plain NumPy code."""

import numpy as np
import pytest
from numpy import exp as imported_exp
from sequences import follow

M = np.array([[1.0, 2.0], [3.0, -1.0]])

PROGRAMS = {
    "ufunc": lambda a, b: np.exp([a, b]).sum() + np.hypot([a, 1.0], [b, a]).sum(),
    "imported": lambda a, b: imported_exp([a, b])[1],
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


def test_a_stand_in_is_what_it_stands_for():
    import jittape

    seen = []

    def fun(x):
        seen.append((isinstance(np.exp, np.ufunc), np.exp == original, np.exp.nin, np.add.identity))
        return np.exp(x)

    original = np.exp
    jittape.grad(fun)(1.0)
    assert seen == [(True, True, 1, 0)]
    assert np.exp is original and np.linalg.norm.__module__ == "numpy.linalg"
