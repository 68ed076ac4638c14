"""Interpolation on regular grids: scipy.interpolate.RegularGridInterpolator on tracers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array, on_tape
from jittape.functions.gather import take
from jittape.tracing.buffers import holds
from jittape.tracing.recorder import here


def fixed(name: str, *knots: Any) -> None:
    """Raise TraceError where the places between which is interpolated are traced."""
    if any(holds([x]) for x in knots):
        raise TraceError(
            f"{here()}: {name} of traced knots is not recorded: only values, and the points at "
            "which it is evaluated, may be traced"
        )


def grid_call(self: Any, xi: Any, method: Any = None, *, nu: Any = None) -> Any:
    """RegularGridInterpolator by multilinear interpolation or the nearest point."""
    method = self.method if method is None else method
    if method not in ("linear", "nearest") or nu is not None:
        raise TraceError(
            f"{here()}: RegularGridInterpolator with method={method!r} is not recorded; use "
            "'linear' or 'nearest'"
        )
    grid = self.grid
    fixed("RegularGridInterpolator", *grid)
    values = on_tape(self.values)
    d = len(grid)
    if isinstance(xi, tuple):
        xi = np.stack(np.broadcast_arrays(*[as_array(p) for p in xi]), axis=-1)
    xi = as_array(xi)
    if xi.ndim == 1:
        xi = np.reshape(xi, (1, -1)) if d > 1 or xi.shape[0] == 1 else np.reshape(xi, (-1, 1))
    if xi.shape[-1] != d:
        raise ValueError(
            f"The requested sample points xi have dimension {xi.shape[-1]} but this "
            f"RegularGridInterpolator has dimension {d}"
        )
    points = [xi[..., k] for k in range(d)]
    outside: Any = False
    corners = []
    for p, g in zip(points, grid, strict=True):
        outside = outside | (p < g[0]) | (p > g[-1])
        at = np.clip(np.searchsorted(g, p) - 1, 0, max(len(g) - 2, 0))
        if len(g) == 1:
            corners.append([(at, None)])
            continue
        g = np.asarray(g, np.float64)
        low = take(g, at)
        share = (p - low) / (take(g, at + 1) - low)
        if method == "nearest":
            corners.append([(np.where(share <= 0.5, at, at + 1), None)])
        else:
            corners.append([(at, 1.0 - share), (at + 1, share)])
    if self.bounds_error and bool(np.any(outside)):
        raise ValueError("One of the requested xi is out of bounds")
    tail = (1,) * (values.ndim - d)
    total: Any = None
    for corner in product(*corners):
        weight: Any = None
        for _, w in corner:
            weight = w if weight is None else weight if w is None else weight * w
        term = values[tuple(at for at, _ in corner)]
        if weight is not None:
            term = term * np.reshape(weight, (*weight.shape, *tail))
        total = term if total is None else total + term
    if not self.bounds_error and self.fill_value is not None:
        total = np.where(np.reshape(outside, (*outside.shape, *tail)), self.fill_value, total)
    missing: Any = False
    for p in points:
        missing = missing | np.isnan(p)
    return np.where(np.reshape(missing, (*missing.shape, *tail)), np.nan, total)
