"""The batch rule of each kind of op: how it is done for many operands at once.

A rule gets the operands, those marked in `which` with the batch axis in front, and returns the
output with the batch axis in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Op, Signature
from jittape.ops.elementwise import add
from jittape.ops.product import matmul, swap_last
from jittape.ops.reduce import broadcast_to
from jittape.ops.shape import reshape, transpose

Rule = Callable[[list[Any], tuple[bool, ...], int, Signature], Any]


def rule_of(sig: Signature) -> Rule | None:
    """The op's own rule, else its kind's, else None."""
    op = sig.op
    if op.batch is not None:
        return _own
    if op.name in BY_NAME:
        return BY_NAME[op.name]
    if op.kind in _BY_KIND:
        return _BY_KIND[op.kind]
    if op.kind is Kind.GUFUNC and core_ranks(op) is not None:
        return _gufunc
    return None


def _own(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    assert sig.op.batch is not None
    return sig.op.batch(args, which, size, **sig.kwargs)


def align(
    args: Sequence[Any],
    which: Sequence[bool],
    core: Sequence[int] | None = None,
) -> list[Any]:
    """The operands with the batch axis where broadcasting meets it: axes of length 1 are put
    behind it, up to the largest rank. core: how many trailing axes of each do not broadcast."""
    core = core or (0,) * len(args)
    ranks = [x.ndim - b - c for x, b, c in zip(args, which, core, strict=True)]
    rank = max(ranks, default=0)
    out = []
    for x, b, own in zip(args, which, ranks, strict=True):
        if b and own < rank:
            x = reshape(x, shape=(x.shape[0], *(1,) * (rank - own), *x.shape[1:]))
        out.append(x)
    return out


def spread(x: Any, size: int) -> Any:
    """An unbatched operand repeated along a batch axis in front."""
    return broadcast_to(x, shape=(size, *x.shape))


def _elementwise(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    return sig.op(*align(args, which), **sig.kwargs)


def _shifted_axes(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    return sig.op(*args, axes=tuple(a + 1 for a in sig.kwargs["axes"]))


def _shifted_axis(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    args = _all_batched(args, which, size)
    return sig.op(*args, **{**sig.kwargs, "axis": sig.kwargs["axis"] + 1})


_BY_KIND: dict[Kind, Rule] = {
    Kind.ELEMENTWISE: _elementwise,
    Kind.REDUCE: _shifted_axes,
    Kind.ACCUMULATE: _shifted_axis,
}


# -- layout ----------------------------------------------------------------------------------------


def _reshape(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    return reshape(args[0], shape=(size, *sig.out.shape))


def _transpose(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    return transpose(args[0], perm=(0, *(p + 1 for p in sig.kwargs["perm"])))


def _broadcast_to(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    (x,) = args
    missing = sig.out.ndim - (x.ndim - 1)
    if missing:
        x = reshape(x, shape=(size, *(1,) * missing, *x.shape[1:]))
    return broadcast_to(x, shape=(size, *sig.out.shape))


def _indexed(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    """slice, place and update: the whole batch axis is selected in front."""
    args = _all_batched(args, which, size)
    params = {**sig.kwargs, "index": ((0, 1, size), *sig.kwargs["index"])}
    if "shape" in params:
        params["shape"] = (size, *params["shape"])
    return sig.op(*args, **params)


# -- products --------------------------------------------------------------------------------------


def _matmul(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    """Folded into one large product where one operand is a single matrix, else batched."""
    a, b = args
    if which == (True, False) and b.ndim == 2:
        rows = prod(a.shape[:-1])
        flat = matmul(reshape(a, shape=(rows, a.shape[-1])), b)
        return reshape(flat, shape=(*a.shape[:-1], b.shape[-1]))
    if which == (False, True) and a.ndim == 2 and b.ndim == 3 and b.shape[-1] == 1:
        flat = matmul(reshape(b, shape=b.shape[:-1]), swap_last(a))
        return reshape(flat, shape=(size, a.shape[0], 1))
    return matmul(*align(args, which, (2, 2)))


def core_ranks(op: Op) -> tuple[int, ...] | None:
    """How many core axes each operand of a gufunc has; None where the kernel is no gufunc."""
    signature = getattr(op.kernel, "signature", None)
    if not isinstance(op.kernel, np.ufunc) or signature is None:
        return None
    operands = signature.split("->")[0].strip("()").split("),(")
    return tuple(len([d for d in core.split(",") if d]) for core in operands)


def _gufunc(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    core = core_ranks(sig.op)
    assert core is not None and len(core) == len(args)
    return sig.op(*align(args, which, core), **sig.kwargs)


def _leading(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    """Ops that work along their last axis."""
    return sig.op(*args, **sig.kwargs)


# -- gather and scatter ----------------------------------------------------------------------------

# Where the indices are the same for all elements, the batch axis goes behind the indexed one, so
# that whole rows are read; else the indexed axis and the batch axis become one.


def _behind(x: Any, k: int) -> Any:
    """The batch axis moved behind the first k axes that follow it."""
    return x if k == 0 else transpose(x, perm=(*range(1, k + 1), 0, *range(k + 1, x.ndim)))


def _in_front(x: Any, k: int) -> Any:
    """The batch axis brought back from behind the first k axes."""
    return x if k == 0 else transpose(x, perm=(k, *range(k), *range(k + 1, x.ndim)))


def _offset(idx: Any, n: int, size: int) -> Any:
    """Batched row numbers of n rows as row numbers of size * n rows."""
    start = np.arange(size, dtype=np.int64).reshape(size, *(1,) * (idx.ndim - 1)) * n
    return add(idx, start)


def _merged(x: Any) -> Any:
    """The batch axis and the one behind it made one."""
    return reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))


def _all_batched(args: list[Any], which: tuple[bool, ...], size: int) -> list[Any]:
    return [x if b else spread(x, size) for x, b in zip(args, which, strict=True)]


def _take(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    x, idx = args
    if not which[0]:
        return sig.op(x, idx)
    if not which[1]:
        return _in_front(sig.op(_behind(x, 1), idx), idx.ndim)
    return sig.op(_merged(x), _offset(idx, x.shape[1], size))


def _scatter_add(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    idx, v = args
    n = sig.kwargs["n"]
    if not which[0]:
        return _in_front(sig.op(idx, _behind(v, idx.ndim), n=n), 1)
    idx, v = _all_batched(args, which, size)
    out = sig.op(_offset(idx, n, size), v, n=n * size)
    return reshape(out, shape=(size, n, *out.shape[1:]))


def _write_rows(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    """put and scatter_add_to: operands (rows, indices, values)."""
    x, idx, v = args
    if not which[1]:
        x = _behind(x if which[0] else spread(x, size), 1)
        v = _behind(v if which[2] else spread(v, size), idx.ndim)
        return _in_front(sig.op(x, idx, v, **sig.kwargs), 1)
    x, idx, v = _all_batched(args, which, size)
    out = sig.op(_merged(x), _offset(idx, x.shape[1], size), v, **sig.kwargs)
    return reshape(out, shape=x.shape)


def _stack(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    return _in_front(sig.op(*_all_batched(args, which, size)), 1)


BY_NAME: dict[str, Rule] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "slice": _indexed,
    "place": _indexed,
    "update": _indexed,
    "add_at": _indexed,
    "concatenate": _shifted_axis,
    "stack": _stack,
    "take": _take,
    "scatter_add": _scatter_add,
    "put": _write_rows,
    "scatter_add_to": _write_rows,
    "matmul": _matmul,
    "argsort": _leading,
}
