"""`x.flat`, `x.view()` and `x.setflags()` of arrays that are traced or hold traced values."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.shape import ravel, to_shape
from jittape.ops import shape as layout
from jittape.ops.declare import signature
from jittape.tracing.buffers import Buffer, holds, traced_handle
from jittape.tracing.captured import Captured
from jittape.tracing.recorder import here, open_traces
from jittape.tracing.tracer import Tracer, tracer_method
from jittape.tracing.views import Reread, layout_flags


def _flat(x: Tracer) -> Any:
    """All elements in row-major order, as a view whatever the layout."""
    x = x._handle
    if x.ndim == 1 or x.size < 2 or layout_flags(x).c_contiguous:
        return ravel(x)
    return Reread(x, signature(layout.reshape, ((x.size,),), (x._aval,)))


def _fill(x: Tracer, values: Any) -> None:
    """x.flat = values, which are repeated as often as it takes."""
    values = as_array(values)
    x[...] = values if values.size == 1 else to_shape(np.resize(values, x.size), x.shape)


Tracer.flat = property(_flat, _fill)  # type: ignore[attr-defined]


class BufferFlat:
    """np.flatiter of a Buffer, for writes of traced values too, or of a captured array, which
    refuses them."""

    def __init__(self, of: np.ndarray):
        self._of = of
        self._plain = np.ndarray.flat.__get__(of)  # type: ignore[attr-defined]

    def __setitem__(self, key: Any, value: Any) -> None:
        if holds(value) or holds(key):
            traced_handle(self._of, (value, key))
        if isinstance(self._of, Tracer):
            self._of.flat[key] = value
        else:
            self._plain[key] = value

    def __getitem__(self, key: Any) -> Any:
        if isinstance(self._of, Tracer):
            return self._of.flat[key]
        found = self._plain[key]
        return found.view(Buffer) if type(found) is Captured else found

    def __iter__(self) -> Any:
        return iter(self._of.flat if isinstance(self._of, Tracer) else self._plain)

    def __next__(self) -> Any:
        return next(self._plain)

    def __len__(self) -> int:
        return self._of.size

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self._of.flat if isinstance(self._of, Tracer) else self._plain, dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def _fill_buffer(x: Buffer, values: Any) -> None:
    if holds(values):
        traced_handle(x, (values,)).flat = values
    else:
        np.ndarray.flat.__set__(x, values)  # type: ignore[attr-defined]


Buffer.flat = property(BufferFlat, _fill_buffer)  # type: ignore[assignment]
Captured.flat = property(
    lambda x: BufferFlat(x) if open_traces() else np.ndarray.flat.__get__(x),  # type: ignore[attr-defined]
    _fill_buffer,
)


@tracer_method("setflags")
def setflags(self: Tracer, write: Any = None, align: Any = None, uic: Any = None) -> None:
    """Accepted, so that results can be locked; locks of traced arrays do not hold."""


@tracer_method("view")
def view(self: Tracer, dtype: Any = None, **keywords: Any) -> Any:
    """x.view() and x.view(np.ndarray); other dtypes are refused."""
    asked = keywords.get("type", dtype)
    if asked is None or asked is np.ndarray or asked == self.dtype:
        return layout.reshape(self, shape=self.shape)
    raise TraceError(
        f"{here()}: a view of a traced {self.dtype} array as {asked} is not recorded; make "
        "complex numbers as x[..., 0] + 1j * x[..., 1], and take z.real and z.imag apart"
    )
