"""Rule 0 for a whole program: any sequence of inputs, each result as if it were the first.

`follow(fun, *calls)` runs value, gradient, directional derivative and (where asked) Hessian of
one program through several calls, twice over, so that the later ones are replayed by the compiled
executor; each is held against plain NumPy and against differences of plain NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from oracle import numeric_jacobian

import jittape
from jittape import check as numbers
from jittape import tree


def follow(
    fun: Callable,
    *calls: tuple,
    hessian: bool = False,
    vmap: bool = False,
    rtol: float = 1e-6,
    atol: float = 1e-7,
) -> None:
    """Raises AssertionError where a derivative or a value of fun is wrong in any of the calls.

    fun: returns a number. calls: tuples of positional arguments; those whose leaves are
    floating-point are differentiated. hessian: second derivatives of the first argument too.
    vmap: also batch the gradient over calls of equal shapes.
    """
    argnums = tuple(i for i, x in enumerate(calls[0]) if _is_real(x))
    both = jittape.value_and_grad(fun, argnums)
    value_only = jittape.jit(fun)
    forward = jittape.jit(lambda args, ts: jittape.jvp(_of(fun, args, argnums), *ts)[1])
    second = (
        jittape.jit(lambda v, *args: jittape.hvp(fun)(args[0], v, *args[1:])) if hessian else None
    )
    expected = [(fun(*args), _differences(fun, args, argnums)) for args in calls]
    for _ in range(3):
        for args, (want, tangent) in zip(calls, expected, strict=True):
            value, grads = both(*args)
            _close(value, want, 1e-12, "value beside the gradient")
            _close(value_only(*args), want, 1e-12, "value")
            xs = tuple(args[i] for i in argnums)
            flat: list[Any] = []
            tree.flatten(xs, flat)
            got: list[Any] = []
            tree.flatten(grads, got)
            assert len(got) == len(flat)
            for g, x in zip(got, flat, strict=True):
                assert np.shape(g) == np.shape(x)
                assert np.asarray(g).dtype == np.result_type(np.asarray(x).dtype, np.float32)
            for vs, slope in tangent:
                vector: list[Any] = []
                tree.flatten(vs, vector)
                along = sum(float(np.sum(g * v)) for g, v in zip(got, vector, strict=True))
                numbers.assert_close(along, slope, rtol, atol, "gradient")
            moved = forward(args, (xs, vs))
            numbers.assert_close(moved, slope, rtol, atol, "forward derivative")
            if second is not None:
                _check_second(fun, second, args, rtol, atol)
    if vmap:
        batch = [np.stack([np.asarray(args[i]) for args in calls]) for i in range(len(calls[0]))]
        grads = jittape.vmap(jittape.grad(fun, argnums))(*batch)
        for k, args in enumerate(calls):
            for g, w in zip(grads, jittape.grad(fun, argnums)(*args), strict=True):
                numbers.assert_close(g[k], w, 1e-9, 1e-11, "vmap of the gradient")


def _is_real(x: Any) -> bool:
    leaves: list[Any] = []
    tree.flatten(x, leaves)
    return all(not isinstance(v, str) and np.asarray(v).dtype.kind == "f" for v in leaves) and bool(
        leaves
    )


def _of(fun: Callable, args: tuple, argnums: tuple[int, ...]) -> Callable:
    def with_these(*xs: Any) -> Any:
        full = list(args)
        for i, x in zip(argnums, xs, strict=True):
            full[i] = x
        return fun(*full)

    return with_these


def _differences(fun: Callable, args: tuple, argnums: tuple[int, ...]) -> list:
    """[(direction, slope)]: three random directions and their slopes by differences."""
    rng = np.random.default_rng(5)
    xs = tuple(args[i] for i in argnums)
    of = _of(fun, args, argnums)
    leaves: list[Any] = []
    tree.flatten(xs, leaves)
    single = any(np.asarray(x).dtype.char == "f" for x in leaves)
    out = []
    for _ in range(3):
        vs = tree.tree_map(lambda x: _like(rng.normal(size=np.shape(x)), x), xs)

        def along(t: float, vs: Any = vs) -> list[np.ndarray]:
            return [np.asarray(of(*_shifted(xs, vs, t)), float)]

        h = 1e-2 if single else 1e-3
        out.append((vs, numbers.difference(along, h)[0]))
    return out


def _like(v: np.ndarray, x: Any) -> Any:
    return (
        float(v) if np.ndim(x) == 0 and isinstance(x, float) else np.asarray(v, np.asarray(x).dtype)
    )


def _shifted(xs: Any, vs: Any, t: float) -> Any:
    flat: list[Any] = []
    tree.flatten(vs, flat)
    moves = iter(flat)
    return tree.tree_map(lambda x: x + np.asarray(t, np.asarray(x).dtype)[()] * next(moves), xs)


def _check_second(fun: Callable, second: Callable, args: tuple, rtol: float, atol: float) -> None:
    x = np.asarray(args[0])
    v = np.random.default_rng(6).normal(size=x.shape)[()]
    g = jittape.grad(fun)

    def along(t: float) -> list[np.ndarray]:
        return [np.asarray(g(args[0] + t * v, *args[1:]))]

    numbers.assert_close(
        second(v, *args), numbers.difference(along, 1e-3)[0], 10 * rtol, 10 * atol, "Hessian"
    )


def _close(got: Any, want: Any, rtol: float, what: str) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype != object and got.shape == want.shape, f"{what}: {got!r}, expected {want!r}"
    rtol = 1e-5 if want.dtype.char == "f" else rtol
    numbers.assert_close(got, want, rtol, rtol, what)


def agree(transformed, fun, sequence, rtol=2e-6):
    """Rule 0 for scalar functions of one argument: for each input of the sequence the cached
    gradient equals that of a fresh trace bit by bit to rounding, and finite differences."""
    for x in sequence:
        cached = transformed(x)
        fresh = jittape.grad(fun)(x)
        np.testing.assert_allclose(cached, fresh, rtol=1e-13, atol=1e-300)
        differences = numeric_jacobian(fun, x)[0][0]
        np.testing.assert_allclose(cached, differences, rtol=rtol, atol=1e-8)


def replays(f, x, n=3):
    """The value now, three times: traced, confirmed, replayed."""
    values = [float(f(x)) for _ in range(n)]
    assert len(set(values)) == 1
    return values[0]
