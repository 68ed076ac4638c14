"""The instructions of the machine in execute/strips.py, and how code for it is written."""

from __future__ import annotations

from dataclasses import dataclass

# The machine's instructions; the number is the place in this list. The accumulator is `acc`, the
# operand `m`. Truth is all bits of a lane. An instruction may load the accumulator from another
# operand first, and store it afterwards: see `words`.
CODES = (
    "load",  # acc = m
    "load_bool",  # from and to bytes
    "store_bool",
    "add",  # acc + m
    "subtract",
    "subtract_from",  # m - acc
    "multiply",
    "amul",
    "divide",
    "divide_into",
    "maximum",
    "minimum",
    "negative",
    "square",
    "double",
    "sqrt",
    "absolute",
    "reciprocal",
    "exp",
    "tanh",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_not",
    "number",  # truth to 1.0 or 0.0
    "where",  # acc ? m : second operand
    "sum",  # onto the operand, an accumulator of the block
)
NUMBER = {name: k for k, name in enumerate(CODES)}
HEADER = 5  # words before the code: inputs, results, accumulators, lines, length of the code
MAX_OPERANDS = 120
# An instruction is a word: its number in 8 bits, then in FIELD bits each its operand, the second
# one, and what is loaded before and stored after it, counted from 1 (0: none).
FIELD = 13


@dataclass(eq=False)
class Line:
    """A strip in the machine's own memory."""


def words(rows: list[tuple[str, int, int]]) -> list[int]:
    """The code of (name, operand, second operand), operands counted from 1; loads and stores are
    joined to what they stand beside."""
    found: list[list[int]] = []  # number and the four fields
    loaded = 0
    for name, a, b in rows:
        if name == "load":
            loaded = a
            continue
        if name != "store":
            found.append([NUMBER[name], a, b, loaded, 0])
        elif loaded or found[-1][4]:
            found.append([NUMBER["load"], loaded or found[-1][4], 0, 0, a])
        else:
            found[-1][4] = a
        loaded = 0
    return [
        number | sum(x << (8 + FIELD * k) for k, x in enumerate(fields))
        for number, *fields in found
    ]


def place_lines(rows: list, first: int) -> tuple[dict[int, int], int]:
    """Lines by their lifetimes to numbers from `first` on, and how many there are."""
    last = {id(a): k for k, (_, *ops) in enumerate(rows) for a in ops if isinstance(a, Line)}
    found: dict[int, int] = {}
    free: list[int] = []
    count = 0
    for k, (_, *ops) in enumerate(rows):
        for a in ops:
            if isinstance(a, Line) and id(a) not in found:
                if free:
                    found[id(a)] = free.pop()
                else:
                    found[id(a)] = first + count
                    count += 1
        for a in {id(a) for a in ops if isinstance(a, Line)}:
            if last[a] == k:
                free.append(found[a])
    return found, count
