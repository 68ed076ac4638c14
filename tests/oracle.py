"""What every derivative test is held against.

`check(fun, *args)` is the whole oracle: the value equals NumPy's (and its dtype and shape), the
cached tape replayed with fresh inputs equals a fresh trace, forward equals reverse equals finite
differences (or the complex step), to second order.

    from oracle import check, check_value, fresh_inputs, numeric_jacobian

    def test_tanh():
        check(np.tanh, np.array([0.1, -0.4]), analytic=True)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import jittape
from jittape import check as numbers
from jittape import tree


def check(
    fun: Callable,
    *args: Any,
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    analytic: bool = False,
    others: tuple | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    value_rtol: float = 1e-14,
) -> None:
    """Hold jittape's value and derivatives of fun(*args) against NumPy and the numeric oracle.

    args: positional arguments (nested containers allowed); floating-point and complex leaves are
    differentiated, all others (ints, bools, None, strings) are passed through unchanged.
    order: 0 checks values only, 1 and 2 derivatives as well. modes: as in jittape.check_grads.
    analytic: fun is complex-analytic in its real arguments and NumPy evaluates it on complex
    ones: first derivatives are also compared with the complex step, to rounding error.
    others: a second set of arguments for the replay; by default `fresh_inputs(args)`.
    rtol, atol: of derivatives, as in jittape.check_grads. value_rtol: of values (float64).
    """
    others = fresh_inputs(args) if others is None else others
    check_value(fun, *args, others=others, rtol=value_rtol)
    if order < 1:
        return
    jittape.check_grads(fun, args, order=order, modes=modes, rtol=rtol, atol=atol)
    if analytic:
        _check_complex_step(fun, args)
    _check_replay(fun, args, others, modes)


def check_value(
    fun: Callable, *args: Any, others: tuple | None = None, rtol: float = 1e-14
) -> None:
    """jit(fun) equals NumPy's value, dtype and shape: at the first call, at a second call with
    other inputs (where a wrong tape would show), and at the first inputs again."""
    others = fresh_inputs(args) if others is None else others
    replayed = jittape.jit(fun)
    for x in (args, others, args):
        assert_same(replayed(*x), plain(fun, *x), rtol, "value")


def plain(fun: Callable, *args: Any) -> Any:
    """NumPy's own answer, floating-point warnings off."""
    with np.errstate(all="ignore"):
        return fun(*args)


def assert_same(got: Any, want: Any, rtol: float, what: str) -> None:
    """Equal structures, shapes, dtypes and (within rtol, 1e-6 for float32) numbers."""
    got_leaves: list[Any] = []
    want_leaves: list[Any] = []
    assert tree.flatten(got, got_leaves) == tree.flatten(want, want_leaves), f"{what}: structure"
    for a, b in zip(got_leaves, want_leaves, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, NumPy gives {b.dtype}"
        assert a.dtype != object, f"{what}: an object array"
        if b.dtype.kind in "fc":
            bound = max(rtol, 1e-6) if b.dtype.char in "fFe" else rtol
            scale = float(np.max(abs(b[np.isfinite(b)]), initial=0.0))
            numbers.assert_close(a, b, bound, bound * scale, what)
        else:
            np.testing.assert_array_equal(a, b, err_msg=what)


def fresh_inputs(args: Any, amount: float = 0.01) -> Any:
    """The same structure with every floating-point leaf moved a little, elements differently, so
    that a replay is not at the recording point. Zeros stay zero."""
    rng = np.random.default_rng(7)

    def move(x: Any) -> Any:
        dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
        if dtype.kind not in "fc":
            return x
        moved = np.asarray(x) * (1 + amount * rng.uniform(0.2, 1.0, np.shape(x)))
        moved = np.asarray(moved, dtype)
        return moved[()] if isinstance(x, (np.generic, np.ndarray)) else moved.item()

    return tree.tree_map(move, args)


def numeric_jacobian(fun: Callable, *args: Any) -> list[list[np.ndarray]]:
    """Jacobians by extrapolated differences: [result][leaf], each of shape result + leaf."""
    flat, leaves = numbers.flatten_function(fun, args)
    outputs = plain(flat, *leaves)
    jac = [[np.zeros(np.shape(y) + np.shape(x)) for x in leaves] for y in outputs]
    for k, x in enumerate(leaves):
        for index in np.ndindex(np.shape(x)):
            d = [np.zeros(np.shape(y)) for y in leaves]
            d[k][index] = 1.0
            for row, column in zip(jac, numbers.numeric_tangent(flat, leaves, d), strict=True):
                row[k][(..., *index)] = column
    return jac


def _check_complex_step(fun: Callable, args: tuple) -> None:
    flat, leaves = numbers.flatten_function(fun, args)
    forward = jittape.jit(lambda xs, ts: jittape.jvp(flat, tuple(xs), tuple(ts))[1])
    single = any(np.asarray(x).dtype.char in "fe" for x in leaves)
    for where, d in numbers.directions(leaves):
        with np.errstate(all="ignore"):
            want = numbers.complex_step(flat, leaves, d)
        tangents = [t.astype(np.asarray(x).dtype) for t, x in zip(d, leaves, strict=True)]
        for got, w in zip(forward(leaves, tangents), want, strict=True):
            bound = 1e-4 if single else 1e-11
            numbers.assert_close(got, w, bound, bound, f"complex step by {where}")


def _check_replay(fun: Callable, args: tuple, others: tuple, modes: Sequence[str]) -> None:
    """Derivatives from the tape cached at args, at other inputs, equal those of a fresh trace."""
    flat, leaves = numbers.flatten_function(fun, args)
    moved = numbers.flatten_function(fun, others)[1]
    outputs = plain(flat, *leaves)
    weights = numbers.random_like(outputs, 3)
    tangents = numbers.random_like(leaves, 4)

    def reverse(xs: Any, ws: Any) -> Any:
        return jittape.vjp(flat, *xs)[1](list(ws))

    def forward(xs: Any, ts: Any) -> Any:
        return jittape.jvp(flat, tuple(xs), tuple(ts))

    for mode, sweep, extra in (("reverse", reverse, weights), ("forward", forward, tangents)):
        if mode not in modes:
            continue
        cached = jittape.jit(sweep)
        cached(leaves, extra)
        assert_same(cached(moved, extra), jittape.jit(sweep)(moved, extra), 1e-13, f"{mode} replay")


def scipy_before(*version: int) -> bool:
    """Whether the installed SciPy is older: scipy_before(1, 16)."""
    import scipy

    return tuple(int(n) for n in scipy.__version__.split(".")[: len(version)]) < version
