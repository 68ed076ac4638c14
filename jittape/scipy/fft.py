"""scipy.fft on tracers: numpy.fft's functions, with SciPy's further arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.scipy import dct  # noqa: F401  (its names record, too)
from jittape.scipy.patches import stand_in

_NAMES = """
fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn fftshift ifftshift
""".split()


def _recorded(function: Callable) -> Callable:
    @functools.wraps(function)
    def call(
        x: Any,
        *args: Any,
        overwrite_x: bool = False,
        workers: Any = None,
        plan: None = None,
        **kwargs: Any,
    ) -> Any:
        return function(x, *args, **kwargs)

    return call


stand_in("scipy.fft", {name: _recorded(getattr(np.fft, name)) for name in _NAMES})
