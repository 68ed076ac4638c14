"""Derivatives held against numbers: Ridders' extrapolated differences and the complex step.

The differences are C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in
Engineering Software 4 (1982), element by element. The complex step is Squire and Trapp, "Using
complex variables to estimate derivatives of real functions", SIAM Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.gradients import jit, jvp
from jittape.api.pullback import vjp

_MODES = {"forward": "forward", "reverse": "reverse", "fwd": "forward", "rev": "reverse"}
_ROWS = 5  # of the tableau of differences
_MANY = 32  # leaves with more elements are checked along sampled directions


def check_grads(
    fun: Callable,
    args: tuple | list | Any,
    *,
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Check the derivatives of `fun` at `args` against extrapolated finite differences.

    args: the positional arguments, nested containers allowed; their real and complex
    floating-point leaves are differentiated, all else is passed through. order: up to which order
    (the second is the derivative of jittape's own first, in all combinations of the modes).
    modes: "forward" and "reverse", or one of them. rtol, atol: by default 1e-6 and 1e-7 for
    float64; wider where a leaf or result is float32. Differences are always taken in float64.

    Raises AssertionError that names the worst element; ValueError for an unknown mode.
    """
    wanted = []
    for mode in (modes,) if isinstance(modes, str) else modes:
        if mode not in _MODES:
            raise ValueError(f"check_grads: modes are 'forward' and 'reverse', not {mode!r}")
        wanted.append(_MODES[mode])
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    flat, leaves = flatten_function(fun, args)
    name = getattr(fun, "__name__", str(fun))
    _check(flat, leaves, order, tuple(wanted), rtol, atol, name)


def flatten_function(fun: Callable, args: tuple) -> tuple[Callable, list[Any]]:
    """(flat, leaves): flat takes the floating-point leaves of args and returns the list of the
    floating-point leaves of fun's result."""
    everything: list[Any] = []
    structure = tree.flatten(args, everything)
    where = [i for i, x in enumerate(everything) if _kind(x) in "fc"]

    def flat(*leaves: Any) -> list[Any]:
        full = list(everything)
        for i, x in zip(where, leaves, strict=True):
            full[i] = x
        results: list[Any] = []
        tree.flatten(fun(*tree.unflatten(structure, full)), results)
        return [x for x in results if _kind(x) in "fc"]

    return flat, [everything[i] for i in where]


def _kind(x: Any) -> str:
    return x.dtype.kind if hasattr(x, "dtype") else np.asarray(x).dtype.kind


def _wide(x: Any) -> np.ndarray:
    """x in double precision, as a fresh array."""
    x = np.asarray(x)
    return np.array(x, np.complex128 if x.dtype.kind == "c" else np.float64)


def difference(f: Callable[[float], list[Any]], h: float) -> list[np.ndarray]:
    """df/dt at t = 0 of a function of one real number with a list of results.

    Central differences at h, h/2, h/4, ... extrapolated to 0; of the whole tableau each element
    takes the entry that agrees best with its neighbours.
    """
    best: list[np.ndarray] = []
    error: list[np.ndarray] = []
    previous: list[list[np.ndarray]] = []
    with np.errstate(all="ignore"):
        for row in range(_ROWS):
            up, down = f(h), f(-h)
            line = [[(_wide(a) - _wide(b)) / (2 * h) for a, b in zip(up, down, strict=True)]]
            for k in range(1, row + 1):
                w = 4.0**k
                line.append(
                    [
                        (w * a - b) / (w - 1)
                        for a, b in zip(line[k - 1], previous[k - 1], strict=True)
                    ]
                )
            if not row:
                best = list(line[0])
                error = [np.full(a.shape, np.inf) for a in best]
            for k in range(1, row + 1):
                for i, a in enumerate(line[k]):
                    e = np.maximum(abs(a - line[k - 1][i]), abs(a - previous[k - 1][i]))
                    better = e <= error[i]
                    better |= ~np.isfinite(best[i]) & np.isfinite(a)
                    best[i] = np.where(better, a, best[i])
                    error[i] = np.where(better, e, error[i])
            previous = line
            h /= 2
    return best


def numeric_tangent(
    flat: Callable, leaves: Sequence[Any], direction: Sequence[np.ndarray], shorter: float = 1.0
) -> list[np.ndarray]:
    """Directional derivative of flat(*leaves) by extrapolated differences, in double precision.

    shorter: divides the step, which is 2 % of the largest number that moves.
    """
    wide = [_wide(x) for x in leaves]
    moved = [abs(x)[d != 0] for x, d in zip(wide, direction, strict=True)]
    scale = max([float(m.max()) for m in moved if m.size], default=1.0)
    size = max([float(abs(d).max()) for d in direction if d.size], default=1.0) or 1.0
    h = 0.02 * max(scale, 0.2) / size / shorter

    def along(t: float) -> list[Any]:
        return flat(*[(x + t * d)[()] for x, d in zip(wide, direction, strict=True)])

    return difference(along, h)


def complex_step(
    flat: Callable, leaves: Sequence[Any], direction: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Directional derivative of an analytic function of real leaves, to rounding error."""
    h = 1e-150
    moved = [(_wide(x) + 1j * h * d)[()] for x, d in zip(leaves, direction, strict=True)]
    return [np.imag(y) / h for y in flat(*moved)]


def directions(leaves: Sequence[Any]) -> list[tuple[str, list[np.ndarray]]]:
    """Named directions: each element of each leaf (sampled where there are many), and i times it
    where the leaf is complex."""
    rng = np.random.default_rng(0)
    shapes = [np.shape(x) for x in leaves]
    out = []
    for k, x in enumerate(leaves):
        size = int(np.size(x))
        picked = range(size) if size <= _MANY else np.sort(rng.choice(size, 12, replace=False))
        for flat_index in picked:
            for unit in (1.0, 1j) if _kind(x) == "c" else (1.0,):
                d = [np.zeros(s, complex if _kind(y) == "c" else float)
                     for s, y in zip(shapes, leaves, strict=True)]  # fmt: skip
                index = tuple(int(i) for i in np.unravel_index(flat_index, shapes[k]))
                d[k][index] = unit
                where = f"leaf {k} element {index}" if shapes[k] else f"leaf {k}"
                out.append((where + (" imaginary part" if unit == 1j else ""), d))
    return out


def random_like(leaves: Sequence[Any], seed: int) -> list[np.ndarray]:
    """Fixed random arrays of the shapes and dtypes of these leaves."""
    rng = np.random.default_rng(seed)
    out = []
    for x in leaves:
        shape, dtype = np.shape(x), x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
        value = rng.uniform(0.5, 1.5, shape)
        if dtype.kind == "c":
            value = value + 1j * rng.uniform(0.5, 1.5, shape)
        out.append(np.asarray(value).astype(dtype))
    return out


def pairing(a: Sequence[Any], b: Sequence[Any]) -> float:
    """The real pairing of cotangents and tangents: Re sum a b (JAX's convention, no conjugate)."""
    return float(sum(np.sum(np.real(_wide(x) * _wide(y))) for x, y in zip(a, b, strict=True)))


def assert_close(got: Any, want: Any, rtol: float, atol: float, what: str) -> None:
    """Raises AssertionError naming the worst element; NaN equals NaN and inf equals inf."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise AssertionError(f"{what}: shape {got.shape}, expected {want.shape}")
    with np.errstate(all="ignore"):
        excess = abs(got - want) - (atol + rtol * abs(want))
        equal = (got == want) | ((got != got) & (want != want))
        bad = ~(equal | (excess <= 0))
    if not bad.any():
        return
    excess = np.where(bad, np.where(np.isnan(excess), np.inf, excess), -np.inf)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
    raise AssertionError(
        f"{what}: worst at element {index}: got {got[index]!r}, expected {want[index]!r} "
        f"({int(bad.sum())} of {bad.size} elements off; rtol {rtol:g}, atol {atol:g})"
    )


def _check(
    flat: Callable,
    leaves: list[Any],
    order: int,
    modes: tuple[str, ...],
    rtol: float | None,
    atol: float | None,
    name: str,
) -> None:
    if order < 1 or not leaves:
        return
    replayed = jit(flat)
    outputs = replayed(*leaves)
    single = any(np.asarray(x).dtype.char in "fFe" for x in (*leaves, *outputs))
    bounds = (
        (2e-3 if single else 1e-6) if rtol is None else rtol,
        (2e-3 if single else 1e-7) if atol is None else atol,
    )
    weights = random_like(outputs, 1)
    forward = jit(lambda xs, ts: jvp(flat, tuple(xs), tuple(ts))[1])
    reverse = jit(lambda xs, ws: vjp(flat, *xs)[1](list(ws)))
    pulled = reverse(leaves, weights) if "reverse" in modes else None
    if pulled is not None:
        for x, g in zip(leaves, pulled, strict=True):
            if np.shape(x) != np.shape(g) or np.asarray(x).dtype != np.asarray(g).dtype:
                raise AssertionError(
                    f"reverse derivative of {name}: {np.asarray(g).dtype}{np.shape(g)} for an "
                    f"argument {np.asarray(x).dtype}{np.shape(x)}"
                )
    for where, d in directions(leaves):
        tangents = [np.asarray(t, np.asarray(x).dtype) for t, x in zip(d, leaves, strict=True)]
        pushed = forward(leaves, tangents) if "forward" in modes else []

        def compare(
            numeric: list[np.ndarray],
            where: str = where,
            d: list[np.ndarray] = d,
            pushed: Any = pushed,
        ) -> None:
            for k, (got, want) in enumerate(zip(pushed, numeric[: len(pushed)], strict=True)):
                what = f"forward derivative of {name}, result {k} by {where}"
                assert_close(got, want, *bounds, what)
            if pulled is not None:
                what = f"reverse derivative of {name} by {where}, weighted sum of results"
                assert_close(pairing(pulled, d), pairing(weights, numeric), *bounds, what)

        try:
            compare(numeric_tangent(replayed, leaves, d))
        except AssertionError as error:
            # a kink or a jump nearby lies between the points of the differences: nearer ones
            # leave it out, and a derivative that is wrong stays wrong
            for shorter in (1e2, 1e4):
                try:
                    compare(numeric_tangent(replayed, leaves, d, shorter))
                    break
                except AssertionError:
                    continue
            else:
                raise error from None
    if order < 2:
        return
    bounds = (bounds[0] * 5, bounds[1] * 5)
    if "reverse" in modes:

        def pullback(*xs: Any) -> list[Any]:
            ws = [w.astype(_result_type(w, xs)) for w in weights]
            return list(vjp(flat, *xs)[1](ws))

        _check(pullback, leaves, order - 1, modes, *bounds, f"reverse derivative of {name}")
    if "forward" in modes:
        tangents = random_like(leaves, 2)

        def pushforward(*xs: Any) -> list[Any]:
            ts = [t.astype(x.dtype) for t, x in zip(tangents, xs, strict=True)]
            return jvp(flat, tuple(xs), tuple(ts))[1]

        _check(pushforward, leaves, order - 1, modes, *bounds, f"forward derivative of {name}")


def _result_type(weight: np.ndarray, xs: Sequence[Any]) -> np.dtype:
    """Double precision where the leaves were widened for the differences."""
    wide = any(x.dtype.char in "dD" for x in xs)
    return np.result_type(weight.dtype, np.float64) if wide else weight.dtype
