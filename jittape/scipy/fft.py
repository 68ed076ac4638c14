"""scipy.fft on tracers: numpy.fft's functions, with SciPy's further arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.ops.declare import original
from jittape.scipy.names import functions_of


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


globals().update({name: _recorded(original(getattr(np.fft, name))) for name in functions_of("fft")})
