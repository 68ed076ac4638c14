"""numpy.fft for traced code: see jittape.numpy."""

from numpy import fft as _fft

from jittape.tracing.dispatch import implementations as _implementations

__all__ = [n for n in dir(_fft) if not n.startswith("_")]


def _fill() -> None:
    from jittape.numpy import _accept_lists

    for name in __all__:
        found = getattr(_fft, name)
        traced = callable(found) and not isinstance(found, type) and found in _implementations
        globals()[name] = _accept_lists(found) if traced else found


_fill()
