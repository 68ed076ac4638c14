"""The batch rule of each kind of op: how it is done for many operands at once.

A rule gets the operands, those marked in `which` with the batch axis in front, and returns the
output with the batch axis in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from jittape.ops import product, shape
from jittape.ops.declare import Kind, Op, Signature
from jittape.ops.product import matmul, swap_last
from jittape.ops.shape import broadcast_to, reshape, transpose

Rule = Callable[[list[Any], tuple[bool, ...], int, Signature], Any]


def rule_of(sig: Signature) -> Rule:
    """The op's own rule, else its kind's, else a loop over the batch."""
    op = sig.op
    if op.batch is not None:
        return _own
    if op in _BY_OP:
        return _BY_OP[op]
    if op.kind in _BY_KIND:
        return _BY_KIND[op.kind]
    if op.kind is Kind.GUFUNC and core_ranks(op) is not None:
        return _gufunc
    return _looped


def _own(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    assert sig.op.batch is not None
    return sig.op.batch(args, which, size, **sig.kwargs)


def _looped(args: list[Any], which: tuple[bool, ...], size: int, sig: Signature) -> Any:
    from jittape.passes.looped import looped  # it batches derivative rules, hence needs this module

    return looped(*args, inner=sig, which=which)


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
    args = [x if b else spread(x, size) for x, b in zip(args, which, strict=True)]
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
    args = [x if b else spread(x, size) for x, b in zip(args, which, strict=True)]
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


_BY_OP: dict[Op, Rule] = {
    shape.reshape: _reshape,
    shape.transpose: _transpose,
    shape.broadcast_to: _broadcast_to,
    shape.strided_slice: _indexed,
    shape.place: _indexed,
    shape.update: _indexed,
    shape.concatenate: _shifted_axis,
    product.matmul: _matmul,
}
