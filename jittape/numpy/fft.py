"""numpy.fft for traced code: see jittape.numpy."""

from numpy import fft as _fft

from jittape.numpy.stand_ins import stand_in as _stand_in

__all__ = [n for n in dir(_fft) if not n.startswith("_")]
globals().update({n: _stand_in(getattr(_fft, n)) for n in __all__})
