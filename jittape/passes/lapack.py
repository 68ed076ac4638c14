"""Linear algebra by the loops behind numpy.linalg: which loop, and over which dimensions.

The loops take any strides and copy to LAPACK's order themselves. Where LAPACK fails they fill the
result of that matrix with NaN: the sweep then stops, and NumPy evaluates the instruction again,
so that its own LinAlgError (or its NaN, where the operand holds one) comes out.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from math import prod
from typing import Any

from jittape.ops.declare import Signature
from jittape.passes import kernels
from jittape.passes.views import contiguous_strides

# op -> (gufunc of numpy.linalg, whether it fails by NaN). Several results are packed one after
# another along the last axis, as the ops have them.
GUFUNCS = {
    "solve": ("solve", True),
    "inv": ("inv", True),
    "det": ("det", False),
    "slogdet": ("slogdet", False),
    "cholesky": ("cholesky_lo", True),
    "eigh": ("eigh_lo", True),
    "svd": ("svd_s", True),
}


@cache
def _module() -> Any:
    try:
        return import_module("numpy.linalg._umath_linalg")
    except ImportError:  # a private module: host ops do without it
        return None


def find(s: Signature) -> tuple[Any, int] | None:
    """(gufunc, index of its loop) that computes s, or None."""
    known = GUFUNCS.get(s.op.name)
    char = s.out.dtype.char
    if known is None or any(a.dtype != s.out.dtype for a in s.avals):
        return None
    name = known[0]
    if s.op.name == "eigh" and s.kwargs["upper"]:
        name = "eigh_up"
    gufunc = getattr(_module(), name, None)
    if gufunc is None or not _parsed(gufunc.signature):
        return None
    if gufunc.nout > 1 and char not in "fd":  # results of two dtypes
        return None
    index = kernels.loop_index(gufunc, char * gufunc.nin, char * gufunc.nout)
    return None if index is None else (gufunc, index)


@cache
def _parsed(signature: str) -> tuple[tuple[tuple[str, ...], ...], ...] | None:
    """Names of the core dimensions of each operand and result."""
    sides = signature.replace(" ", "").split("->")
    found = tuple(
        tuple(tuple(filter(None, part.split(","))) for part in re.findall(r"\(([^()]*)\)", side))
        for side in sides
    )
    names = {n for side in found for part in side for n in part}
    return found if names <= {"m", "n", "p"} else None


def core(
    s: Signature, gufunc: Any, strides: list[tuple[int, ...]]
) -> tuple[list[int], list[int], list[int]]:
    """(sizes of the core dimensions, strides over them of operands and results, offsets of the
    results in bytes), for operands with these strides."""
    parsed = _parsed(gufunc.signature)
    assert parsed is not None
    ins, outs = parsed
    sizes: dict[str, int] = {}
    for names, a in zip(ins, s.avals, strict=True):
        sizes.update(zip(names, a.shape[a.ndim - len(names) :], strict=True))
    sizes.setdefault("p", min(sizes.values()))
    order = dict.fromkeys(n for side in parsed for part in side for n in part)
    lines: list[int] = []
    for names, st in zip(ins, strides, strict=True):
        lines += st[len(st) - len(names) :]
    item = s.out.dtype.itemsize
    offsets: list[int] = []
    at = 0
    for names in outs:
        shape = tuple(sizes[n] for n in names)
        offsets.append(at)
        lines += contiguous_strides(shape, item)
        at += prod(shape) * item
    return [sizes[n] for n in order], lines, offsets


def core_rank(gufunc: Any) -> tuple[int, ...]:
    """Core dimensions of each operand."""
    parsed = _parsed(gufunc.signature)
    assert parsed is not None
    return tuple(len(names) for names in parsed[0])


def results_rank(gufunc: Any) -> int:
    """Core dimensions of the result, packed where there are several."""
    parsed = _parsed(gufunc.signature)
    assert parsed is not None
    return 1 if len(parsed[1]) > 1 else len(parsed[1][0])


def fails(s: Signature) -> bool:
    """Whether a failure shows as NaN in the first element of a matrix's result."""
    return GUFUNCS[s.op.name][1]
