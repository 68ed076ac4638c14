"""What this processor has, as NumPy found it."""

from __future__ import annotations

import functools


@functools.cache
def features() -> dict[str, bool]:
    try:
        from numpy._core._multiarray_umath import __cpu_features__
    except ImportError:
        return {}
    return dict(__cpu_features__)


@functools.cache
def vector_fma() -> bool:
    """Whether there are fused multiply-adds on vectors, which jittape's own exp and tanh need."""
    cpu = features()
    return bool(cpu.get("AVX512_SKX") or (cpu.get("AVX2") and cpu.get("FMA3")))


def wide_vectors() -> bool:
    """Whether there are 32 vector registers of 8 doubles, and masks that cost nothing."""
    return bool(features().get("AVX512_SKX"))
