"""Simplify: fewer instructions for the same numbers.

Constant folding (literals only, never the user's live arrays), algebra that is exact in floating
point (never x * 0 -> 0 or x - x -> 0), common subexpressions across the forward and the reverse
sweep, then dead code. Array code, but for the search of common subexpressions.
"""

from __future__ import annotations

import numpy as np

from jittape.compiled import fast
from jittape.ops.declare import Kind, Signature, by_name, signature
from jittape.passes.activity import spread_back
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
    bits, other = bits[inverse], other[inverse]
    rep = algebra(tape, sigs, args, bits, other, value)
    merge(tape, sigs, args, bits, rep)
    outputs = rep[tape.outputs]
    keep = alive(tape, args, bits, rep, outputs)
    return rebuild(tape, sigs, args, outputs, keep, folded)


def fold(
    tape: Tape,
    used: list[Signature],
    inverse: np.ndarray,
    bits: np.ndarray,
    literal: np.ndarray,
    value: np.ndarray,
) -> dict[int, Const]:
    """Instructions on literals only, evaluated: instruction -> literal."""
    first = tape.first
    nbytes = np.array([s.out.nbytes for s in used], np.int64)
    may = ((bits & (GUARDS | OPAQUE)) == 0) & (nbytes <= FOLD_BYTES)
    if not literal.any():
        return {}
    _all_literal(tape, may[inverse], literal)
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


_ROUNDS = 8  # after which a loop over the instructions is taken


def _all_literal(tape: Tape, may: np.ndarray, literal: np.ndarray) -> None:
    """Set literal[v] for instructions that may be folded and have literals as operands."""
    first, ptr = tape.first, tape.arg_ptr
    may = may & (ptr[1:] > ptr[:-1])
    others = np.zeros(len(tape.args) + 1, np.int64)
    for _ in range(_ROUNDS):
        np.cumsum(~literal[tape.args], out=others[1:])
        new = may & (others[ptr[1:]] == others[ptr[:-1]])
        if np.array_equal(new, literal[first:]):
            return
        literal[first:] = new
    fast(literals, len(tape))(first, tape.args, ptr, may, literal)


def literals(
    first: int, args: np.ndarray, ptr: np.ndarray, may: np.ndarray, literal: np.ndarray
) -> None:
    """As `_all_literal`, instruction by instruction. Compiled for long tapes."""
    for i in range(len(may)):
        if may[i]:
            all_literal = True
            for k in range(ptr[i], ptr[i + 1]):
                if not literal[args[k]]:
                    all_literal = False
            literal[first + i] = all_literal


def algebra(
    tape: Tape,
    sigs: np.ndarray,
    args: np.ndarray,
    bits: np.ndarray,
    other: np.ndarray,
    value: np.ndarray,
) -> np.ndarray:
    """What stands for each value, by identities that are exact in floating point; changes the
    signatures and operands of squares and of annihilating products by a literal.

    value: literal (all elements equal), or NaN.
    """
    first, ptr = tape.first, tape.arg_ptr
    arity = np.diff(ptr)
    rep = np.arange(tape.n_values, dtype=np.int32)
    some = (bits & OPAQUE) == 0
    one = np.flatnonzero(some & (arity == 1) & (bits & (IDENTITY | SPLAT) != 0))
    while True:  # what has the elements of a literal: mostly nothing, for it would be folded
        known = value[args[ptr[one]]]
        new = one[(known == known) & np.isnan(value[first + one])]
        if not len(new):
            break
        value[first + new] = value[args[ptr[new]]]
    one = one[bits[one] & IDENTITY != 0]
    rep[first + one] = args[ptr[one]]

    rules = ONE_FIRST | ONE_SECOND | ZERO_SECOND | TWICE | FACTOR
    two = np.flatnonzero(some & (arity == 2) & (bits & rules != 0))
    p, q = args[ptr[two]], args[ptr[two] + 1]
    x, y, b = value[p], value[q], bits[two]
    second = (b & ONE_FIRST != 0) & (x == 1)
    plus_zero = (y == 0) & ~np.signbit(y)
    leading = ~second & ((b & ONE_SECOND != 0) & (y == 1) | (b & ZERO_SECOND != 0) & plus_zero)
    rep[first + two[second]] = q[second]
    rep[first + two[leading]] = p[leading]
    rest = ~(second | leading)
    square = rest & (b & TWICE != 0) & (y == 2)
    sigs[two[square]] = other[two[square]]
    args[ptr[two[square]] + 1] = p[square]
    factor = (np.isfinite(x) & (x != 0)) | (np.isfinite(y) & (y != 0))
    plain = two[rest & ~square & (b & FACTOR != 0) & factor]
    sigs[plain] = other[plain]
    both = bits[plain] & (ONE_FIRST | ONE_SECOND) == ONE_FIRST | ONE_SECOND
    bits[plain[both]] |= COMMUTES
    while True:
        further = rep[rep]
        if np.array_equal(further, rep):
            return rep
        rep = further


def merge(
    tape: Tape, sigs: np.ndarray, args: np.ndarray, bits: np.ndarray, rep: np.ndarray
) -> None:
    """Common subexpressions: the first of equal instructions stands for the others."""
    n = len(tape)
    size = 1 << max(4, (2 * n - 1).bit_length())
    commutes, opaque = (bits & COMMUTES) != 0, (bits & OPAQUE) != 0
    fast(by_table, n, by_dict)(
        tape.first, sigs, args, tape.arg_ptr, commutes, opaque, rep, np.full(size, -1, np.int32),
        size,
    )  # fmt: skip


def by_dict(
    first: int,
    sigs: np.ndarray,
    args: np.ndarray,
    ptr: np.ndarray,
    commutes: np.ndarray,
    opaque: np.ndarray,
    rep: np.ndarray,
    table: np.ndarray,
    size: int,
) -> None:
    """As `by_table`, in Python."""
    known: dict = {}
    stands, operands = rep.tolist(), args.tolist()
    ends = ptr.tolist()
    rows = zip(sigs.tolist(), ends, ends[1:], commutes.tolist(), opaque.tolist(), strict=False)
    for v, (s, lo, hi, may_swap, skip) in enumerate(rows, first):
        if hi - lo == 2:
            x, y = stands[operands[lo]], stands[operands[lo + 1]]
            if x > y and may_swap:
                x, y = y, x
            operands[lo] = x
            operands[lo + 1] = y
            key = (s, x, y)
        else:
            operands[lo:hi] = [stands[a] for a in operands[lo:hi]]
            key = (s, *operands[lo:hi])
        if stands[v] != v:
            stands[v] = stands[stands[v]]
        elif not skip:
            stands[v] = known.setdefault(key, v)
    rep[:] = stands
    args[:] = operands


def by_table(
    first: int,
    sigs: np.ndarray,
    args: np.ndarray,
    ptr: np.ndarray,
    commutes: np.ndarray,
    opaque: np.ndarray,
    rep: np.ndarray,
    table: np.ndarray,
    size: int,
) -> None:
    """With open addressing; compiled for long tapes."""
    for i in range(len(sigs)):
        lo = ptr[i]
        hi = ptr[i + 1]
        for k in range(lo, hi):
            args[k] = rep[args[k]]
        if commutes[i] and args[lo] > args[lo + 1]:
            swap = args[lo]
            args[lo] = args[lo + 1]
            args[lo + 1] = swap
        v = first + i
        if rep[v] != v:
            rep[v] = rep[rep[v]]
            continue
        if opaque[i]:
            continue
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


def alive(
    tape: Tape, args: np.ndarray, bits: np.ndarray, rep: np.ndarray, outputs: np.ndarray
) -> np.ndarray:
    """bool[n]: which instructions an output needs, or a guard."""
    first, n = tape.first, len(tape)
    wanted = np.zeros(tape.n_values, np.bool_)
    wanted[outputs] = True
    wanted[first:] |= (bits & GUARDS != 0) & (rep[first:] == np.arange(first, first + n))
    return spread_back(tape.replace(args=args), np.ones(n, np.bool_), wanted)[first:]


def rebuild(
    tape: Tape,
    sigs: np.ndarray,
    args: np.ndarray,
    outputs: np.ndarray,
    keep: np.ndarray,
    folded: dict[int, Const],
) -> tuple[Tape, np.ndarray]:
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
