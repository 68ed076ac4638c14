"""numpy.linalg for traced code: see jittape.numpy."""

from numpy import linalg as _linalg

from jittape.numpy.stand_ins import stand_in as _stand_in

__all__ = [n for n in dir(_linalg) if not n.startswith("_")]
globals().update({n: _stand_in(getattr(_linalg, n)) for n in __all__})
