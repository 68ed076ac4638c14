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

from jittape.config import config
from jittape.ops.declare import Signature
from jittape.passes import kernels
from jittape.passes.views import contiguous_strides

# op -> (gufunc of numpy.linalg, whether it fails by NaN, number of results). Several results are
# packed one after another along the last axis, as the ops have them; of complex matrices they have
# two dtypes.
GUFUNCS = {
    "solve": ("solve", True, 1),
    "inv": ("inv", True, 1),
    "det": ("det", False, 1),
    "slogdet": ("slogdet", False, 2),
    "cholesky": ("cholesky_lo", True, 1),
    "eigh": ("eigh_lo", True, 2),
    "svd": ("svd_s", True, 3),
}


SMALL = 100  # rows up to which a factor's cotangent is computed row by row, not by products


@cache
def _module() -> Any:
    try:
        return import_module("numpy.linalg._umath_linalg")
    except ImportError:  # a private module: host ops do without it
        return None


def known(s: Signature) -> bool:
    """Whether there is a loop or a kernel for s."""
    return own(s) is not None or find(s) is not None


def own(s: Signature) -> str | None:
    """jittape's own kernel for s, or None."""
    if config.bit_exact or any(a.dtype.char != "d" for a in s.avals):
        return None
    if s.op.name == "cholesky_pullback" and s.out.shape[-1] <= SMALL:
        return "factor_back"
    both = loop("inv", "d", 1), loop("det", "d", 1)
    return "cofactors" if s.op.name == "cofactor" and None not in both else None


def loop(name: str, char: str, nout: int) -> tuple[Any, int] | None:
    """(gufunc, index) of the loop for operands and results of this one dtype."""
    gufunc = getattr(_module(), name, None)
    if gufunc is None or gufunc.nout != nout or not _parsed(gufunc.signature):
        return None
    index = kernels.loop_index(gufunc, char * gufunc.nin, char * nout)
    return None if index is None else (gufunc, index)


def find(s: Signature) -> tuple[Any, int] | None:
    """(gufunc, index of its loop) that computes s, or None."""
    known = GUFUNCS.get(s.op.name)
    char = s.out.dtype.char
    if known is None or any(a.dtype != s.out.dtype for a in s.avals):
        return None
    name, _, nout = known
    if s.op.name == "eigh" and s.kwargs["upper"]:
        name = "eigh_up"
    return loop(name, char, nout)


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
