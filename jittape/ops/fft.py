"""Discrete Fourier transforms along one axis, with NumPy's `norm`.

Cotangents are transposed without conjugation. The matrix of fft is symmetric, so that fft and ifft
are their own transposes; rfft and irfft are each other's, up to the weights of the bins that
stand for two. Transforms over several axes are one after another, as NumPy's own are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.types import Aval, aval

# A scaled transform and its transpose share their factor: that of "backward" forwards is that of
# "forward" backwards.
OTHER_WAY = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


_SAMPLE = np.array([[1.0 + 2j, 0.5, -1j], [0.3, 1.0, 2.0]])


def complex_of(dtype: Any) -> np.dtype:
    return np.result_type(dtype, np.complex64)


def real_of(dtype: np.dtype) -> np.dtype:
    return np.zeros(0, dtype).real.dtype


def _shifted(args: list[Any], op: Op, params: dict[str, Any]) -> Any:
    return op(*args, **{**params, "axis": params["axis"] + 1})


def _transform(name: str, infer: Any, evaluate: Any, params: tuple[str, ...], **rest: Any) -> Op:
    op = Op(name=name, kind=Kind.HOST, infer=infer, evaluate=evaluate, params=params, **rest)
    op.batch = lambda args, which, size, **params: _shifted(args, op, params)
    return declare(op)


def _fft_infer(x: Aval, axis: int, norm: str, inverse: bool) -> Aval:
    if x.dtype.kind != "c":
        raise TypeError(f"the op fft takes complex numbers, not {x.dtype}")
    if x.shape[axis] < 1:
        raise ValueError(f"Invalid number of FFT data points ({x.shape[axis]}) specified.")
    return x


def _fft(x: Any, axis: int, norm: str, inverse: bool) -> np.ndarray:
    run = np.fft.ifft if inverse else np.fft.fft
    return run(x, axis=axis, norm=norm)  # type: ignore[arg-type]


fft: Op = _transform(
    "fft",
    _fft_infer,
    _fft,
    ("axis", "norm", "inverse"),
    vjp=lambda g, out, x, axis, norm, inverse: (fft(g, axis=axis, norm=norm, inverse=inverse),),
    linear=True,
    cases=(
        Case((_SAMPLE,), {"axis": 1, "norm": "backward", "inverse": False}),
        Case((_SAMPLE,), {"axis": 0, "norm": "ortho", "inverse": True}),
        Case((_SAMPLE,), {"axis": 1, "norm": "forward", "inverse": True}),
    ),
    doc="discrete Fourier transform of complex numbers, or its inverse",
)


def bin_weights(n: int, axis: int, ndim: int, dtype: np.dtype, inner: float) -> np.ndarray:
    """1 for the bins of a real transform of length n that stand for themselves, `inner` for
    those that stand for their conjugate too; along `axis`."""
    weights = np.full(n // 2 + 1, inner, dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return weights.reshape(tuple(-1 if i == axis else 1 for i in range(ndim)))


def _rfft_infer(x: Aval, axis: int, norm: str) -> Aval:
    if x.dtype.kind != "f":
        raise TypeError(f"the op rfft takes real numbers, not {x.dtype}")
    n = x.shape[axis]
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    shape = tuple(n // 2 + 1 if i == axis else k for i, k in enumerate(x.shape))
    return aval(shape, complex_of(x.dtype))


def _rfft_vjp(g: Any, out: Any, x: Any, axis: int, norm: str) -> tuple:
    n = x.shape[axis]
    weights = bin_weights(n, axis, x.ndim, x.dtype, 0.5)
    return (irfft(np.conjugate(g) * weights, axis=axis, norm=OTHER_WAY[norm], n=n),)


rfft: Op = _transform(
    "rfft",
    _rfft_infer,
    lambda x, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    ("axis", "norm"),
    vjp=_rfft_vjp,
    linear=True,
    cases=(
        Case(((2, 5),), {"axis": 1, "norm": "backward"}),
        Case(((4, 2),), {"axis": 0, "norm": "forward"}),
    ),
    doc="the first half of the Fourier transform of real numbers",
)


def _irfft_infer(x: Aval, axis: int, norm: str, n: int) -> Aval:
    if x.dtype.kind != "c" or x.shape[axis] != n // 2 + 1:
        raise TypeError(f"the op irfft takes {n // 2 + 1} complex numbers, not {x}")
    shape = tuple(n if i == axis else k for i, k in enumerate(x.shape))
    return aval(shape, real_of(x.dtype))


def _irfft_vjp(g: Any, out: Any, x: Any, axis: int, norm: str, n: int) -> tuple:
    weights = bin_weights(n, axis, x.ndim, g.dtype, 2.0)
    return (np.conjugate(rfft(g, axis=axis, norm=OTHER_WAY[norm])) * weights,)


irfft: Op = _transform(
    "irfft",
    _irfft_infer,
    lambda x, axis, norm, n: np.fft.irfft(x, n=n, axis=axis, norm=norm),
    ("axis", "norm", "n"),
    vjp=_irfft_vjp,
    linear=True,
    cases=(
        Case((np.array([[1.0, 1j, 2 - 1j]]),), {"axis": 1, "norm": "backward", "n": 4}),
        Case((np.array([[1.0, 1j, 2 - 1j]]),), {"axis": 1, "norm": "ortho", "n": 5}),
    ),
    doc="the n real numbers that have this first half of a Fourier transform",
)
