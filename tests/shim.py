# ruff: noqa
"""Until jittape.functions has landed."""

import numpy as np
from jittape.ops.declare import by_name as B
from jittape.trace.tracer import Tracer
from jittape.trace.dispatch import implementations, implements


def _red(op):
    def run(x, axis=None, keepdims=False):
        nd = len(x.shape)
        axes = (
            tuple(range(nd))
            if axis is None
            else ((axis % nd,) if isinstance(axis, int) else tuple(a % nd for a in axis))
        )
        r = B[op](x, axes=axes)
        if keepdims:
            r = B["reshape"](r, shape=tuple(1 if d in axes else n for d, n in enumerate(x.shape)))
        return r

    return run


if np.sum not in implementations:
    implements(np.sum)(_red("sum"))
    implements(np.max)(_red("reduce_max" if "reduce_max" in B else "max"))

    def getitem(self, key):
        if not isinstance(key, tuple):
            key = (key,)
        if Ellipsis in key:
            raise NotImplementedError
        idx = []
        shape = []
        d = 0
        for k in key:
            if k is None:
                shape.append(1)
                continue
            n = self.shape[d]
            d += 1
            if isinstance(k, slice):
                a, b, s = k.indices(n)
                c = len(range(a, b, s))
                idx.append((a, s, c))
                shape.append(c)
            else:
                idx.append((k % n, 1, 1))
        for n in self.shape[d:]:
            idx.append((0, 1, n))
            shape.append(n)
        return B["reshape"](B["slice"](self, index=tuple(idx)), shape=tuple(shape))

    Tracer.__getitem__ = getitem
    Tracer.T = property(lambda s: B["transpose"](s, perm=tuple(range(len(s.shape)))[::-1]))
    Tracer.reshape = lambda s, *shape: B["reshape"](s, shape=shape)
    Tracer.__matmul__ = lambda a, b: B["matmul"](a, b)
