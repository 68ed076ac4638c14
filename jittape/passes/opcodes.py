"""What the planner and compiled code both know: opcodes of the scalar sweep (execute/threaded.py),
and the size of recurrences (execute/recurrence.py).

A row is four int32: opcode (with an extra number from bit EXTRA on), then target and operands as
byte offsets into the arena, unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Of a recurrence x <- A x + b: numbers x, and steps of a block. A, b and x of each step stand in
# lines of one array, which start at different places of a page: a step reads all of them, and
# places that are alike share a few lines of the cache.
MOST_CARRIED = 6
MOST_STEPS = 4096
SPACING = 8 * MOST_STEPS + 320  # bytes from a line to the next

EXTRA = 10
CODE = (1 << EXTRA) - 1

# Single float64 elements. Up to LAST all have one row: (target, operands).
ADD, SUBTRACT, MULTIPLY, DIVIDE, AMUL, NEGATIVE, SQRT, SQUARE = range(8)
EXP, LOG, SIN, COS, TANH, ABSOLUTE = range(8, 14)
GREATER, LESS, GREATER_EQUAL, LESS_EQUAL, EQUALS, NOT_EQUAL, RECIPROCAL = range(14, 21)

SCALAR: dict[Any, int] = {
    (np.add, "dd"): ADD, (np.subtract, "dd"): SUBTRACT, (np.multiply, "dd"): MULTIPLY,
    (np.divide, "dd"): DIVIDE, ("amul", "dd"): AMUL, (np.negative, "d"): NEGATIVE,
    (np.sqrt, "d"): SQRT, (np.square, "d"): SQUARE, (np.exp, "d"): EXP, (np.log, "d"): LOG,
    (np.sin, "d"): SIN, (np.cos, "d"): COS, (np.tanh, "d"): TANH, (np.absolute, "d"): ABSOLUTE,
    (np.greater, "dd"): GREATER, (np.less, "dd"): LESS, (np.greater_equal, "dd"): GREATER_EQUAL,
    (np.less_equal, "dd"): LESS_EQUAL, (np.equal, "dd"): EQUALS, (np.not_equal, "dd"): NOT_EQUAL,
    (np.reciprocal, "d"): RECIPROCAL,
}  # fmt: skip
LIBM = (EXP, LOG, SIN, COS, TANH)  # the C library's, within an ulp of NumPy's
UNARY = (NEGATIVE, SQRT, SQUARE, *LIBM, ABSOLUTE, RECIPROCAL)

WHERE = 32  # target, condition; second row: (x, y)
MOVE = 33  # target, source, bytes
GUARD = 34  # (expected truth, bool, instruction)
EQUAL = 35  # bitwise equality: (bytes, value, instruction); second row: (low, high)
CALL1, CALL2, CALL3 = 36, 37, 38  # extra: which kernel; CALL3's third operand in a second row
LOAD = 39  # from a large input: (target, slot, bytes); second row: (offset, 64 bits)
COPY = 40  # of an array: (target, bytes, slot); second row: (offset)
ZERO = 41  # (target, bytes)
STORE = 42  # MOVE into an array
SET = 43  # extra: bytes; (target, low, high)
END = 44  # of a stretch

# Of loops (passes/loops.py). FETCH: from a stream to the arena (target, offset of the stream's
# address and stride in `base`, bytes); PUT: from the arena (source, the same); of 8 bytes, and of
# others. FETCHES, PUTS: two of 8 bytes, of which the second has a second row. REPEAT: count down a
# word of `base` and jump back: (its offset, bytes)
FETCH, PUT, REPEAT, FETCHES, PUTS = 22, 24, 26, 27, 28
TWICE = {FETCH: FETCHES, PUT: PUTS}

# Short lines of float64. The operands' layouts: all elements (v) or one for all (s). Lines of up
# to 4, 8 and 16 elements have opcodes of their own; the others' extra is the number of eights.
WIDTHS = (4, 8, 16)
_LINES = [ADD, SUBTRACT, MULTIPLY, DIVIDE, AMUL]
_LINES1 = [NEGATIVE, SQRT, SQUARE, ABSOLUTE, RECIPROCAL]
COPIED = -1  # pseudo opcode: the operand itself
LINES: dict[tuple[Any, str], int] = {}
for _op in _LINES:
    for _layout in ("vv", "sv", "vs"):
        LINES[_op, _layout] = len(LINES)
for _op in [*_LINES1, COPIED]:
    LINES[_op, "v"] = len(LINES)
LINES[COPIED, "s"] = len(LINES)

LINE = 48  # the opcode of any length; then those of the WIDTHS
SHORT = {width: LINE + (k + 1) * len(LINES) for k, width in enumerate(WIDTHS)}

# Two rows as one, both of single elements or lines of one width: the second opcode is not read.
# The last entry says which operand of the second row is the first row's target: 2, 3 or (0)
# neither; UNSEEN is added where nothing else reads it, so that it is not stored.
# Operands that may change places do, so that it is 2 where it can be.
UNSEEN = 4
PAIRED = (ADD, SUBTRACT, MULTIPLY, AMUL, NEGATIVE)
COMMUTING = (ADD, MULTIPLY, AMUL)
PAIRS: dict[tuple[int, int, int], int] = {}
for _op in PAIRED:
    for _second in PAIRED:
        for _from in (0, 2, 3, 6, 7) if _second == SUBTRACT else (0, 2, 6):
            PAIRS[_op, _second, _from] = len(PAIRS)
PAIR = {  # by width, 1 for single elements: the opcode of the first of PAIRS
    width: LINE + 4 * len(LINES) + k * len(PAIRS) for k, width in enumerate((1, *WIDTHS))
}

# Rows of single elements hand their result to the next row in a register, too: what that row reads
# there need not come through memory, which takes longer than the operation. The last entry says
# which word of the row (a pair has eight) that operand has.
HANDING = (*range(ABSOLUTE + 1), RECIPROCAL)
HELD: dict[tuple[int, int], int] = {}
HELD_PAIRS: dict[tuple[int, int, int, int], int] = {}


_next = PAIR[16] + len(PAIRS)
for _op in HANDING:
    for _word in (2, 3) if _op in (SUBTRACT, DIVIDE) else (2,):
        HELD[_op, _word] = _next + len(HELD)
_next += len(HELD)
for _op, _second, _from in PAIRS:
    _words = [2, 3] if _op == SUBTRACT else [2]
    if _from and _second != NEGATIVE:
        _words.append(9 - _from % UNSEEN)  # the second row's other operand
    for _word in _words:
        HELD_PAIRS[_op, _second, _from, _word] = _next + len(HELD_PAIRS)
OPCODES = _next + len(HELD_PAIRS)
assert OPCODES <= CODE

# What may be paired: opcode -> (opcode of single elements, width)
PAIRABLE: dict[int, tuple[int, int]] = {k: (k, 1) for k in PAIRED}
for (_op, _layout), _k in LINES.items():
    if _op in PAIRED and "s" not in _layout:
        PAIRABLE |= {SHORT[_width] + _k: (_op, _width) for _width in WIDTHS}
