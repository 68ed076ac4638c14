"""scipy.integrate's rule of Simpson on traced samples. (trapezoid, cumulative_trapezoid,
cumulative_simpson and romb record as the NumPy code that they are.)"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.creation import as_array


def simpson(y: Any, x: Any = None, *, dx: float = 1.0, axis: int = -1) -> Any:
    """The integral of samples by Simpson's composite rule, for irregular spacing; with an even
    number of points the last interval by Cartwright's correction (2017, equation 8). As
    scipy.integrate.simpson.

    y: any shape; x: None, (n,) or the shape of y. Raises ValueError where they do not match.
    """
    y = np.moveaxis(as_array(y), axis, -1)
    n = y.shape[-1]
    if x is None:
        h: Any = np.full(max(n - 1, 0), float(dx))
    else:
        x = as_array(x)
        if x.ndim > 1:
            x = np.moveaxis(x, axis, -1)
        if x.shape[-1] != n:
            raise ValueError("If given, length of x along axis must be the same as y.")
        h = np.diff(x, axis=-1)
    if n == 2:
        return 0.5 * h[..., 0] * (y[..., 0] + y[..., 1])
    even = n - (n + 1) % 2  # an odd number of points
    a, b = h[..., 0 : even - 1 : 2], h[..., 1 : even - 1 : 2]
    total, product = a + b, a * b
    ratio = _over(a, b)
    weights = (
        (2.0 - _over(np.ones_like(ratio), ratio)),
        total * _over(total, product),
        2.0 - ratio,
    )
    parts = y[..., 0 : even - 2 : 2], y[..., 1 : even - 1 : 2], y[..., 2:even:2]
    result = np.sum(total / 6.0 * sum(w * p for w, p in zip(weights, parts, strict=True)), axis=-1)
    if even == n:
        return result
    a, b = h[..., -2], h[..., -1]
    last = _over(2 * b**2 + 3 * a * b, 6 * (a + b))
    before = _over(b**2 + 3.0 * a * b, 6 * a)
    third = _over(b**3, 6 * a * (a + b))
    return result + last * y[..., -1] + before * y[..., -2] - third * y[..., -3]


def _over(p: Any, q: Any) -> Any:
    """p / q, and 0 where q is 0."""
    null = q == 0
    return np.where(null, 0.0, p / np.where(null, 1.0, q))
