"""NumPy's namespace for traced code: `import jittape.numpy as np` changes nothing else.

jittape follows NumPy's own protocols, so that plain `import numpy as np` code is recorded without
this module. It is for what those protocols cannot reach: creation functions and functions that
NumPy does not dispatch (array, asarray, vectorize, r_, c_, ...), and lists of traced values given
to any function (np.exp([t1, t2])). On plain arrays every name gives NumPy's own result; names
that need nothing are NumPy's own objects.
"""

from __future__ import annotations

from typing import Any

import numpy as _numpy

from jittape.functions import helpers as _helpers
from jittape.numpy.stand_ins import stand_in as _stand_in
from jittape.tracing.dispatch import load_all as _load_all

_load_all()  # what stands in for a name depends on whether its function is recorded
# everything public, also what NumPy loads on first use
__all__ = [n for n in dir(_numpy) if not n.startswith("_")]
for _n in __all__:
    if _n not in ("linalg", "fft"):
        globals()[_n] = _stand_in(getattr(_numpy, _n))

vectorize = _helpers.vectorize
ndenumerate = _helpers.ndenumerate
r_ = _helpers.Rows()
c_ = _helpers.Columns()

from jittape.numpy import fft as fft  # noqa: E402
from jittape.numpy import linalg as linalg  # noqa: E402

del _n


def __getattr__(name: str) -> Any:
    return getattr(_numpy, name)
