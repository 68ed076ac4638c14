"""Whose code a file is: jittape's own, NumPy's, SciPy's, or the user's."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Python-level functions of NumPy and SciPy (np.mean of a list, ...) are not the user's code either
_SITE = os.path.dirname(os.path.dirname(np.__file__)) + os.sep
SCIPY = _SITE + "scipy" + os.sep
INNER = (PACKAGE, _SITE + "numpy" + os.sep)
FOREIGN = (*INNER, SCIPY)
# parts of NumPy that are written in NumPy, and record as a user's code does
WRITTEN_IN_NUMPY = _SITE + os.path.join("numpy", "polynomial") + os.sep


def users_frame(frame: Any) -> Any:
    """The nearest frame, from this one outwards, whose code is the user's; None where there is
    none."""
    while frame is not None and frame.f_code.co_filename.startswith(FOREIGN):
        frame = frame.f_back
    return frame
