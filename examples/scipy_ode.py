"""Differential equations with scipy.integrate: stiff solvers with their Jacobian, and a boundary
value problem with fun_jac.

Run: python examples/scipy_ode.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_bvp, solve_ivp

import jittape


def robertson(t, y):
    """Three reactions of very different speeds."""
    slow, fast = 0.04 * y[0], 1e4 * y[1] * y[2]
    square = 3e7 * y[1] ** 2
    return np.array([fast - slow, slow - fast - square, square])


def stiff(method: str = "BDF", sparse: bool = False) -> Any:
    """jac(t, y); `sparse` gives a scipy.sparse matrix, as large systems want it."""
    return solve_ivp(
        robertson,
        (0.0, 1e4),
        [1.0, 0.0, 0.0],
        method=method,
        jac=jittape.jacobian(robertson, argnums=1, sparse=sparse),
        rtol=1e-8,
        atol=1e-10,
    )


# -- Bratu's problem with an unknown parameter: y'' + k exp(y) = 0, y(0) = y(1) = 0, y'(0) = 2 ----


def bratu(x, y, p):
    """x: (m,); y: (2, m); p: (1,)."""
    return np.stack([y[1], -p[0] * np.exp(y[0])])


def ends(ya, yb, p):
    return np.array([ya[0], yb[0], ya[1] - 2.0])


def boundary_value() -> Any:
    """fun_jac gives (n, n, m) and (n, k, m), bc_jac matrices: one point by jacobian, all of them
    by vmap along the last axis."""
    points = jittape.vmap(
        jittape.jacobian(bratu, argnums=(1, 2)), in_axes=(0, 1, None), out_axes=-1
    )
    return solve_bvp(
        bratu,
        ends,
        np.linspace(0, 1, 11),
        np.stack([np.linspace(0, 1, 11) * np.linspace(1, 0, 11), np.linspace(1, -1, 11)]),
        p=[1.0],
        fun_jac=points,
        bc_jac=jittape.jacobian(ends, argnums=(0, 1, 2)),
        tol=1e-8,
    )


if __name__ == "__main__":
    for method in ("BDF", "Radau"):
        out = stiff(method)
        print(method, out.y[:, -1], "with", out.njev, "Jacobians")
    out = boundary_value()
    print("bratu", out.message, "k =", out.p[0])
