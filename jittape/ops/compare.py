"""Tests of numbers, and logical and bitwise ufuncs: no derivative flows through them."""

from __future__ import annotations

import numpy as np

from jittape.ops.declare import Case
from jittape.ops.elementwise import elementwise

_INTS = (
    Case((np.array([5, 3, 8]), np.array([1, 2, 0]))),
    Case((np.array([[5], [3]]), 6), name="broadcast"),
)
_BITS = (*_INTS, Case((np.array([True, False]), np.array([True, True])), name="bool"))

isnan = elementwise(np.isnan)
isinf = elementwise(np.isinf)
isfinite = elementwise(np.isfinite)
signbit = elementwise(np.signbit)
logical_xor = elementwise(np.logical_xor)
bitwise_and = elementwise(np.bitwise_and, cases=_BITS)
bitwise_or = elementwise(np.bitwise_or, cases=_BITS)
bitwise_xor = elementwise(np.bitwise_xor, cases=_BITS)
invert = elementwise(
    np.invert, cases=(Case((np.array([5, 3, 8]),)), Case((np.array([True, False]),)))
)
left_shift = elementwise(np.left_shift, cases=_INTS)
right_shift = elementwise(np.right_shift, cases=_INTS)
bitwise_count = elementwise(np.bitwise_count, cases=(Case((np.array([5, 3, 8]),)),))
gcd = elementwise(np.gcd, cases=_INTS)
lcm = elementwise(np.lcm, cases=_INTS)
