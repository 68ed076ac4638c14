"""Fitting with scipy.optimize: least_squares (dense and sparse Jacobians), curve_fit and root.

Run: python examples/scipy_fit.py
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import OptimizeResult, curve_fit, least_squares, root

import jittape

rng = np.random.default_rng(1)
TIMES = np.linspace(0.0, 4.0, 60)
TRUTH = np.array([2.5, 1.3, 0.5])


def decay(t, amplitude, rate, offset):
    return amplitude * np.exp(-rate * t) + offset


DATA = decay(TIMES, *TRUTH) + 0.02 * rng.normal(size=TIMES.shape)


def residuals(p):
    return decay(TIMES, p[0], p[1], p[2]) - DATA


def with_least_squares() -> OptimizeResult:
    """jac is a function of the parameters."""
    return least_squares(residuals, np.ones(3), jac=jittape.jacobian(residuals))


def with_sparse_least_squares(n: int = 200) -> OptimizeResult:
    """A smooth curve through noisy points: each residual knows one or three of the n unknowns."""
    points = np.sin(np.linspace(0, 6, n)) + 0.1 * rng.normal(size=n)

    def both(y):
        return np.concatenate([y - points, 5.0 * (y[2:] - 2 * y[1:-1] + y[:-2])])

    return least_squares(both, np.zeros(n), jac=jittape.jacobian(both, sparse=True))


def with_curve_fit() -> tuple[np.ndarray, np.ndarray]:
    """jac(t, *parameters) -> (points, parameters)."""
    columns = jittape.jacobian(decay, argnums=(1, 2, 3))
    return curve_fit(decay, TIMES, DATA, p0=np.ones(3), jac=lambda *a: np.stack(columns(*a), 1))


def equations(x):
    return np.array([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]])


def with_root() -> OptimizeResult:
    """jac=True: fun returns (equations, Jacobian)."""
    slope = jittape.jacobian(equations)
    return root(lambda x: (equations(x), slope(x)), np.zeros(2), jac=True)


if __name__ == "__main__":
    print("least_squares  ", with_least_squares().x)
    print("sparse         ", with_sparse_least_squares().cost)
    print("curve_fit      ", with_curve_fit()[0])
    print("root           ", with_root().x)
