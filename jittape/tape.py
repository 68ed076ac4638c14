"""The Tape: an immutable, flat record of a program.

Values are numbered: 0..n_inputs-1 are the inputs, then the constants, then one value per
instruction, in order. An instruction is a signature number (op, params and avals, see
`ops.declare.Signature`) and its operands; `args` holds all operands one after another.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from jittape.distinct import distinct
from jittape.ops.declare import Signature, signatures
from jittape.types import Aval


class Const(NamedTuple):
    """A hidden input. live: the array is the user's own and is read anew at each sweep."""

    value: np.ndarray
    live: bool
    aval: Aval


class Position(NamedTuple):
    """Where an instruction comes from: a code object of the user's and an instruction offset."""

    code: Any
    lasti: int

    @property
    def line(self) -> int:
        for start, stop, line in self.code.co_lines():
            if start <= self.lasti < stop and line is not None:
                return line
        return self.code.co_firstlineno

    @property
    def derived(self) -> bool:
        """Whether a derivative rule of this line is meant (offsets are even; rules add 1)."""
        return bool(self.lasti & 1)

    def __str__(self) -> str:
        return f"{self.code.co_filename}:{self.line}"


class Tape:
    """inputs: avals; consts; sigs int32[n]; args int32[m]; outputs int32[k] are value numbers;
    where_code/where_lasti int32[n] say where each instruction was recorded."""

    FIELDS = (
        "inputs", "consts", "sigs", "args", "outputs", "where_code", "where_lasti", "codes",
    )  # fmt: skip

    def __init__(
        self,
        inputs: tuple[Aval, ...],
        consts: tuple[Const, ...],
        sigs: np.ndarray,
        args: np.ndarray,
        outputs: np.ndarray,
        where_code: np.ndarray,
        where_lasti: np.ndarray,
        codes: tuple[Any, ...],
    ):
        self.inputs = inputs
        self.consts = consts
        self.sigs = sigs
        self.args = args
        self.outputs = outputs
        self.where_code = where_code
        self.where_lasti = where_lasti
        self.codes = codes
        for a in (sigs, args, outputs, where_code, where_lasti):
            a.flags.writeable = False

    def replace(self, **changes: Any) -> Tape:
        """This tape with other values of some of FIELDS."""
        return Tape(**{name: getattr(self, name) for name in Tape.FIELDS} | changes)

    def __len__(self) -> int:
        return len(self.sigs)

    @property
    def n_inputs(self) -> int:
        return len(self.inputs)

    @property
    def first(self) -> int:
        """Value number of the first instruction."""
        return len(self.inputs) + len(self.consts)

    @property
    def n_values(self) -> int:
        return self.first + len(self.sigs)

    @cached_property
    def arg_ptr(self) -> np.ndarray:
        """int64[n+1]: operands of instruction i are args[arg_ptr[i]:arg_ptr[i+1]]."""
        used, inverse = self.distinct
        arity = np.array([len(s.avals) for s in used], dtype=np.int64)
        ptr = np.zeros(len(self.sigs) + 1, dtype=np.int64)
        if len(used):
            np.cumsum(arity[inverse], out=ptr[1:])
        return ptr

    @cached_property
    def distinct(self) -> tuple[list[Signature], np.ndarray]:
        """The signatures that occur, and for each instruction which of them it has."""
        ids, inverse = distinct(self.sigs)
        return [signatures[i] for i in ids.tolist()], inverse

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64[n]: number of elements of each instruction's value."""
        used, inverse = self.distinct
        return np.array([s.out.size for s in used], dtype=np.int64)[inverse]

    @cached_property
    def rows(self) -> list[tuple[Signature, list[int]]]:
        """(signature, operands) of each instruction, for those who go through a short tape."""
        args = self.args.tolist()
        found, end = [], 0
        for s in self.sigs.tolist():
            sig = signatures[s]
            start, end = end, end + len(sig.avals)
            found.append((sig, args[start:end]))
        return found

    def operands(self, i: int) -> list[int]:
        """Value numbers of the operands of instruction i."""
        return self.args[self.arg_ptr[i] : self.arg_ptr[i + 1]].tolist()

    def signature(self, i: int) -> Signature:
        return signatures[self.sigs[i]]

    def aval(self, value: int) -> Aval:
        if value < len(self.inputs):
            return self.inputs[value]
        if value < self.first:
            return self.consts[value - len(self.inputs)].aval
        return signatures[self.sigs[value - self.first]].out

    def position(self, i: int) -> Position | None:
        """Where instruction i was recorded, or None where no user code is behind it."""
        c = self.where_code[i]
        return Position(self.codes[c], int(self.where_lasti[i])) if c >= 0 else None

    @property
    def nbytes(self) -> int:
        """Bytes of the tape's own arrays."""
        return sum(a.nbytes for a in (self.sigs, self.args, self.where_code, self.where_lasti))


def assemble(
    inputs: tuple[Aval, ...],
    consts: tuple[Const, ...],
    sigs: np.ndarray,
    args: np.ndarray,
    outputs: np.ndarray,
    where_code: np.ndarray,
    where_lasti: np.ndarray,
    codes: tuple[Any, ...],
) -> Tape:
    """A Tape from arrays in open numbering, as used while it is not yet known how many inputs
    and constants there will be: instructions 0, 1, ...; inputs -2, -4, ...; constants -1, -3, ...
    """
    n_in, n_const = len(inputs), len(consts)

    def close(raw: np.ndarray) -> np.ndarray:
        k = -raw >> 1
        special = np.where(raw & 1, n_in + k, k - 1)
        return np.where(raw >= 0, raw + (n_in + n_const), special).astype(np.int32)

    return Tape(inputs, consts, sigs, close(args), close(outputs), where_code, where_lasti, codes)


def open_numbers(tape: Tape) -> np.ndarray:
    """The open number of each value of a tape (see `assemble`)."""
    k = np.arange(tape.n_values, dtype=np.int64)
    n_in = tape.n_inputs
    raw = k - tape.first
    raw[:n_in] = -2 * k[:n_in] - 2
    raw[n_in : tape.first] = -2 * (k[n_in : tape.first] - n_in) - 1
    return raw
