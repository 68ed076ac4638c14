"""Simplify: fewer instructions for the same numbers.

In one pass forward: constant folding (literals only, never the user's live arrays), algebra that
is exact in floating point (never x * 0 -> 0 or x - x -> 0), and common subexpressions across the
forward and the reverse sweep. Then dead code, backward. Loops over flat arrays throughout.
"""

from __future__ import annotations

import math

import numpy as np

from jittape.compiled import fast
from jittape.ops.declare import Kind, Signature, by_name, signature
from jittape.tape import Const, Tape

# What a signature allows, as bits.
COMMUTES, GUARDS, OPAQUE, SPLAT = 1, 2, 4, 8
# Operand k may stand for the result where the other one is a literal 1 (or 0).
ONE_FIRST, ONE_SECOND, ZERO_SECOND = 16, 32, 64
FACTOR, IDENTITY, TWICE = 256, 512, 1024
FOLD_BYTES = 4096
COMMUTING = ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "equal")


def traits(s: Signature) -> tuple[int, int]:
    """(bits, another signature): multiply(x, x) for what may be a square, and multiply for an
    annihilating product by a literal."""
    name, kind = s.op.name, s.op.kind
    bits, other = 0, -1
    if kind is Kind.GUARD:
        return GUARDS, -1
    if kind is Kind.HOST:
        return OPAQUE, -1
    if kind is Kind.LAYOUT:
        bits |= SPLAT
        if s.avals[0] is s.out and name in ("reshape", "broadcast_to"):
            bits |= IDENTITY
        if name == "transpose" and list(s.params[0]) == list(range(s.out.ndim)):
            bits |= IDENTITY
        if name == "slice" and all(
            (i[0], i[1]) == (0, 1) and i[2] == n
            for i, n in zip(s.params[0], s.avals[0].shape, strict=True)
        ):
            bits |= IDENTITY
    if kind is not Kind.ELEMENTWISE:
        return bits, other
    first = s.avals[0] is s.out
    second = len(s.avals) == 2 and s.avals[1] is s.out
    if len(s.avals) == 2 and s.avals[0] is s.avals[1] and name in COMMUTING:
        bits |= COMMUTES
    if name in ("multiply", "amul"):
        bits |= (ONE_FIRST if second else 0) | (ONE_SECOND if first else 0)
    if name == "amul":
        other = _sig("multiply", s.avals)
        bits |= FACTOR if other >= 0 else 0
    if name == "divide" and first:
        bits |= ONE_SECOND
    if name == "subtract" and first:
        bits |= ZERO_SECOND
    if name == "power" and len(s.avals) == 2 and first:
        other = _sig("multiply", (s.avals[0], s.avals[0]))
        bits |= (TWICE | ONE_SECOND) if other >= 0 else 0
    if name == "cast" and first:
        bits |= IDENTITY
    return bits, other


def _sig(name: str, avals: tuple) -> int:
    op = by_name.get(name)
    if op is None:
        return -1
    try:
        return signature(op, (), avals).id
    except TypeError:
        return -1


def simplify(tape: Tape) -> tuple[Tape, np.ndarray]:
    """The simplified tape, and for each of its instructions which one of `tape` it was."""
    n = len(tape)
    if n == 0:
        return tape, np.arange(0)
    used, inverse = tape.distinct
    first = tape.first
    found = [traits(s) for s in used]
    bits = np.array([f[0] for f in found], np.int32)
    other = np.array([f[1] for f in found], np.int32)
    value = np.full(tape.n_values, np.nan)
    literal = np.zeros(tape.n_values, np.bool_)
    for k, c in enumerate(tape.consts):
        if not c.live:
            literal[tape.n_inputs + k] = c.aval.nbytes <= FOLD_BYTES
            if c.aval.size and c.aval.dtype.kind == "f" and c.aval.nbytes <= FOLD_BYTES:
                flat = np.ravel(c.value)
                if c.aval.size == 1 or (flat == flat[0]).all():
                    value[tape.n_inputs + k] = flat[0]
    folded = fold(tape, used, inverse, bits, literal, value)
    sigs = tape.sigs.astype(np.int32)
    args = tape.args.copy()
    args.flags.writeable = True
    rep = np.arange(tape.n_values, dtype=np.int32)
    size = 1 << max(4, (2 * n - 1).bit_length())
    table = np.full(size, -1, np.int32)
    keep = np.zeros(n, np.bool_)
    outputs = tape.outputs.copy()
    fast(rewrite, n)(
        first, sigs, args, tape.arg_ptr, bits[inverse], other[inverse], value, rep, table, size,
        outputs, keep,
    )  # fmt: skip
    return rebuild(tape, sigs, args, outputs, keep, folded)


def fold(tape, used, inverse, bits, literal, value) -> dict[int, Const]:
    """Instructions on literals only, evaluated: instruction -> literal."""
    n, first = len(tape), tape.first
    nbytes = np.array([s.out.nbytes for s in used], np.int64)
    may = ((bits & (GUARDS | OPAQUE)) == 0) & (nbytes <= FOLD_BYTES)
    if not literal.any():
        return {}
    fast(literals, n)(first, tape.args, tape.arg_ptr, may[inverse], literal)
    folded: dict[int, Const] = {}
    values: dict[int, np.ndarray] = {}
    for i in np.flatnonzero(literal[first:]).tolist():
        s = used[inverse[i]]
        ops = [
            values[v] if v >= first else tape.consts[v - tape.n_inputs].value
            for v in tape.operands(i)
        ]
        with np.errstate(all="ignore"):
            out = np.array(s.op.evaluate(*ops, **s.kwargs), s.out.dtype)
        values[first + i] = out
        folded[i] = Const(out, False, s.out)
        if out.size and out.dtype.kind == "f" and (out == out.flat[0]).all():
            value[first + i] = out.flat[0]
    return folded


def literals(first, args, ptr, may, literal):
    for i in range(len(may)):
        if may[i] and ptr[i + 1] > ptr[i]:
            all_literal = True
            for k in range(ptr[i], ptr[i + 1]):
                if not literal[args[k]]:
                    all_literal = False
            literal[first + i] = all_literal


def rewrite(first, sigs, args, ptr, bits, other, value, rep, table, size, outputs, keep):
    """Algebra and common subexpressions forward, dead code backward. Compiled for long tapes.

    rep: value -> value that stands for it; value: literal (all elements equal), or NaN.
    """
    n = len(sigs)
    for i in range(n):
        lo = ptr[i]
        hi = ptr[i + 1]
        for k in range(lo, hi):
            args[k] = rep[args[k]]
        b = bits[i]
        v = first + i
        if b & 4:
            continue
        if hi - lo == 1:
            if b & 512:
                rep[v] = args[lo]
                continue
            if b & 8 and value[args[lo]] == value[args[lo]]:
                value[v] = value[args[lo]]
        elif hi - lo == 2:
            x = value[args[lo]]
            y = value[args[lo + 1]]
            if b & 16 and x == 1.0:
                rep[v] = args[lo + 1]
                continue
            if b & 32 and y == 1.0:
                rep[v] = args[lo]
                continue
            if b & 64 and y == 0.0 and math.copysign(1.0, y) > 0.0:
                rep[v] = args[lo]
                continue
            if b & 1024 and y == 2.0:
                sigs[i] = other[i]
                args[lo + 1] = args[lo]
            elif b & 256 and ((x - x == 0.0 and x != 0.0) or (y - y == 0.0 and y != 0.0)):
                sigs[i] = other[i]
                b |= 1 if b & 16 and b & 32 else 0
            if b & 1 and args[lo] > args[lo + 1]:
                swap = args[lo]
                args[lo] = args[lo + 1]
                args[lo + 1] = swap
        h = sigs[i] * 1000003
        for k in range(lo, hi):
            h = ((h ^ args[k]) * 2654435761) & 0xFFFFFFFF
        h = (h ^ (h >> 15)) & (size - 1)
        while table[h] >= 0:
            j = table[h]
            same = sigs[j] == sigs[i] and ptr[j + 1] - ptr[j] == hi - lo
            if same:
                for k in range(hi - lo):
                    if args[ptr[j] + k] != args[lo + k]:
                        same = False
                        break
            if same:
                break
            h = (h + 1) & (size - 1)
        if table[h] >= 0:
            rep[v] = first + table[h]
        else:
            table[h] = i
    for k in range(len(outputs)):
        outputs[k] = rep[outputs[k]]
        if outputs[k] >= first:
            keep[outputs[k] - first] = True
    for j in range(n):
        i = n - 1 - j
        if bits[i] & 2 and rep[first + i] == first + i:
            keep[i] = True
        if keep[i]:
            for k in range(ptr[i], ptr[i + 1]):
                if args[k] >= first:
                    keep[args[k] - first] = True


def rebuild(tape, sigs, args, outputs, keep, folded) -> tuple[Tape, np.ndarray]:
    """The kept instructions as a tape; folded ones become literals."""
    first, n_in = tape.first, tape.n_inputs
    fold_at = np.array(sorted(i for i in folded if keep[i]), np.int64)
    keep[fold_at] = False
    origin = np.flatnonzero(keep)
    user = np.repeat(keep, np.diff(tape.arg_ptr))
    new_args = args[user]
    consts = list(tape.consts)
    used = np.zeros(tape.n_values, np.bool_)
    used[new_args] = True
    used[outputs] = True
    number = np.full(tape.n_values, -1, np.int64)
    number[:n_in] = np.arange(n_in)
    kept_consts: list[Const] = []
    memo: dict = {}
    wanted = [(n_in + k, c) for k, c in enumerate(consts)]
    wanted += [(first + i, folded[i]) for i in fold_at.tolist()]
    for v, c in wanted:
        if not used[v]:
            continue
        key = (c.aval, c.value.tobytes()) if not c.live and c.aval.nbytes <= FOLD_BYTES else v
        at = memo.get(key)
        if at is None:
            at = memo[key] = n_in + len(kept_consts)
            kept_consts.append(c)
        number[v] = at
    number[first + origin] = n_in + len(kept_consts) + np.arange(len(origin))
    made = tape.replace(
        consts=tuple(kept_consts),
        sigs=np.ascontiguousarray(sigs[origin]),
        args=number[new_args].astype(np.int32),
        outputs=number[outputs].astype(np.int32),
        where_code=tape.where_code[origin].copy(),
        where_lasti=tape.where_lasti[origin].copy(),
    )
    return made, origin
