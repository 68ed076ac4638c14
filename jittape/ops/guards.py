"""Guards: instructions without a value that say what the recording depended on."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Op, declare
from jittape.types import BOOL


def _equal_bytes(x: Any, expected: bytes) -> np.bool_:
    return np.bool_(np.ascontiguousarray(x).tobytes() == expected)


guard_true = declare(
    Op(
        name="guard_true",
        kind=Kind.GUARD,
        infer=lambda x, expected: BOOL,
        evaluate=lambda x, expected: np.bool_(bool(x) == expected),
        params=("expected",),
        doc="the branch taken: bool(x) is what it was (the comparison made, not its negation)",
    )
)


guard_equal = declare(
    Op(
        name="guard_equal",
        kind=Kind.GUARD,
        infer=lambda x, expected: BOOL,
        evaluate=_equal_bytes,
        params=("expected",),
        doc="the bytes of x are what they were, where Python was given its value",
    )
)
