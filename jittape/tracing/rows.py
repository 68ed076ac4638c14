"""The rows of an open trace: its instructions, appended one by one or pasted as arrays.

What is appended goes to plain lists, because appending to one takes a tenth of the time that
`array.array` takes; full lists are packed into arrays. The place of an instruction in the user's
code is one number, too: the start given to the code object plus the offset in its bytecode.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any

import numpy as np

from jittape.tape import Position

FULL = 1 << 16  # rows that are kept in lists; above, an instruction takes 16 bytes and not 100


class Rows:
    """sigs, args, where: the last rows, from number `base` on; parts: those before, packed.

    codes: the user's code objects, starts: where the places of each begin.
    """

    __slots__ = ("sigs", "args", "where", "base", "parts", "codes", "starts", "_end")

    def __init__(self) -> None:
        self.sigs: list[int] = []
        self.args: list[int] = []
        self.where: list[int] = []
        self.base = 0
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.codes: list[Any] = []
        self.starts: list[int] = []
        self._end = 0

    @property
    def count(self) -> int:
        """How many there are. (No __len__: an empty trace would be false.)"""
        return self.base + len(self.sigs)

    def add_code(self, code: Any) -> int:
        """The start of this code object's places."""
        start = self._end
        self.codes.append(code)
        self.starts.append(start)
        self._end += len(code.co_code) + 2  # offsets are even; what rules derive is odd
        return start

    def pack(self) -> None:
        """Turn the lists into arrays."""
        if self.sigs:
            lists = self.sigs, self.args, self.where
            self.parts.append((_packed(lists[0]), _packed(lists[1]), _packed(lists[2])))
            self.base += len(self.sigs)
            for rows in lists:
                rows.clear()

    def append_arrays(self, sigs: np.ndarray, args: np.ndarray, where: np.ndarray) -> None:
        """Paste instructions."""
        self.pack()
        self.parts.append((sigs, args, where))
        self.base += len(sigs)

    def all_packed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """int32 arrays of all signatures, operands and places."""
        self.pack()
        if not self.parts:
            nothing = np.zeros(0, np.int32)
            return nothing, nothing, nothing
        if len(self.parts) > 1:
            sigs, args, where = zip(*self.parts, strict=True)
            self.parts = [(np.concatenate(sigs), np.concatenate(args), np.concatenate(where))]
        return self.parts[0]

    def places(self, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(number in `codes`, offset) of places, both -1 where there is none."""
        if not self.starts:  # of a rule: no code of the user's
            nowhere = np.full(len(where), -1, np.int32)
            return nowhere, nowhere
        starts = np.array([*self.starts, 0], np.int32)
        number = (np.searchsorted(starts[:-1], where, side="right") - 1).astype(np.int32)
        return number, np.where(number >= 0, where - starts[number], -1).astype(np.int32)

    def position(self, number: int) -> Position | None:
        """Where the instruction of this number was recorded."""
        if number < 0:
            return None
        if number >= self.base:
            place = self.where[number - self.base]
        else:
            first = 0
            for _, _, where in self.parts:
                if number - first < len(where):
                    place = int(where[number - first])
                    break
                first += len(where)
        if place < 0:
            return None
        k = bisect_right(self.starts, place) - 1
        return Position(self.codes[k], place - self.starts[k])


def _packed(numbers: list[int]) -> np.ndarray:
    return np.frombuffer(struct.pack(f"{len(numbers)}i", *numbers), np.int32)
