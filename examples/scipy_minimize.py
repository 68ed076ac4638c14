"""scipy.optimize.minimize with exact derivatives: value and gradient together, Hessians,
Hessian-vector products, and nonlinear constraints for SLSQP and trust-constr.

Run: python examples/scipy_minimize.py
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import BFGS, NonlinearConstraint, OptimizeResult, minimize

import jittape


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


START = np.array([1.3, 0.7, 0.8, 1.9, 1.2])


def with_value_and_gradient() -> OptimizeResult:
    """jac=True: fun returns (value, gradient), from one sweep."""
    return minimize(jittape.value_and_grad(rosenbrock), START, jac=True, method="L-BFGS-B")


def with_hessian() -> OptimizeResult:
    """jac and hess are functions of x."""
    return minimize(
        rosenbrock,
        START,
        jac=jittape.grad(rosenbrock),
        hess=jittape.hessian(rosenbrock),
        method="trust-exact",
    )


def with_hessian_vector_products() -> OptimizeResult:
    """hessp(x, v): the Hessian is never formed."""
    return minimize(
        rosenbrock,
        START,
        jac=jittape.grad(rosenbrock),
        hessp=jittape.hvp(rosenbrock),
        method="trust-ncg",
        options={"gtol": 1e-8},
    )


# -- constraints: the point nearest to the origin with x0 x1 >= 1 and x0^2 + x2 = 3 ---------------


def distance(x):
    return np.sum(x**2)


def above(x):
    return x[0] * x[1]


def on_curve(x):
    return x[0] ** 2 + x[2]


INSIDE = np.array([2.0, 1.5, 0.5])


def with_slsqp() -> OptimizeResult:
    """SLSQP takes a NonlinearConstraint with jac for each constraint, or dictionaries."""
    return minimize(
        jittape.value_and_grad(distance),
        INSIDE,
        jac=True,
        method="SLSQP",
        constraints=[
            NonlinearConstraint(above, 1.0, np.inf, jac=jittape.jacobian(above)),
            {"type": "eq", "fun": lambda x: on_curve(x) - 3.0, "jac": jittape.grad(on_curve)},
        ],
        options={"ftol": 1e-14},
    )


def with_trust_constr() -> OptimizeResult:
    """trust-constr also takes hess(x, v): the Hessian of v . constraints(x)."""

    def constraints(x):
        return np.array([above(x), on_curve(x)])

    weighted = jittape.hessian(lambda x, v: np.dot(v, constraints(x)))
    return minimize(
        jittape.value_and_grad(distance),
        INSIDE,
        jac=True,
        hess=jittape.hessian(distance),
        method="trust-constr",
        constraints=NonlinearConstraint(
            constraints, [1.0, 3.0], [np.inf, 3.0], jittape.jacobian(constraints), weighted
        ),
        options={"gtol": 1e-10, "xtol": 1e-12, "barrier_tol": 1e-10},
    )


def with_sparse_constraints(n: int = 60) -> OptimizeResult:
    """A chain x[i]^2 + x[i+1] = 1: its Jacobian is sparse, and is found and swept as such."""

    def chain(x):
        return x[:-1] ** 2 + x[1:]

    return minimize(
        jittape.value_and_grad(lambda x: np.sum((x - 0.3) ** 2)),
        np.full(n, 0.5),
        jac=True,
        hess=BFGS(),
        method="trust-constr",
        constraints=NonlinearConstraint(
            chain,
            1.0,
            1.0,
            jac=jittape.jacobian(chain, sparse=True),
            hess=jittape.hessian(lambda x, v: np.sum(v * chain(x)), sparse=True),
        ),
    )


if __name__ == "__main__":
    for run in (with_value_and_gradient, with_hessian, with_hessian_vector_products, with_slsqp,
                with_trust_constr, with_sparse_constraints):  # fmt: skip
        result = run()
        print(f"{run.__name__:30s} value {result.fun:.3e} after {result.nfev} evaluations")
