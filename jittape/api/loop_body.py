"""The body of a loop as a tape of its own, and how a loop's results share one array.

An instruction of the tape has one result. The results of a loop are therefore packed: those of
inexact dtype into one vector, and the integers and bools into another, by a second loop that
computes only these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from jittape.locks import ForkSafeLock
from jittape.ops import shape as layout
from jittape.ops.elementwise import converted
from jittape.passes.activity import needed_for
from jittape.passes.fission import Fission, split
from jittape.passes.simplify import simplify
from jittape.tape import Const, Tape
from jittape.types import Aval, aval


@dataclass(frozen=True, eq=False)
class Body:
    """inputs of the tape: n_fixed values that stay, n_carry values that are handed from step to
    step, and one row of each of the scanned arrays; outputs: the new carry, then one row of each
    result. Compares by identity: bodies are interned by their content."""

    tape: Tape
    n_fixed: int
    n_carry: int

    @property
    def n_rows(self) -> int:
        return self.tape.n_inputs - self.n_fixed - self.n_carry

    @cached_property
    def fixed(self) -> tuple[Aval, ...]:
        return self.tape.inputs[: self.n_fixed]

    @cached_property
    def carry(self) -> tuple[Aval, ...]:
        return self.tape.inputs[self.n_fixed : self.n_fixed + self.n_carry]

    @cached_property
    def rows(self) -> tuple[Aval, ...]:
        return self.tape.inputs[self.n_fixed + self.n_carry :]

    @cached_property
    def results(self) -> tuple[Aval, ...]:
        return tuple(self.tape.aval(v) for v in self.tape.outputs.tolist()[self.n_carry :])

    @cached_property
    def program(self) -> Any:
        from jittape.program import compile_program

        return compile_program(self.tape)

    @cached_property
    def plans(self) -> dict:
        """What `loop_blocks` keeps about loops of this body."""
        return {}

    @cached_property
    def parts(self) -> Fission | None:
        """Of a step, where that is worth it."""
        return split(self.tape, self.n_fixed, self.n_carry, False)

    @cached_property
    def parts_saved(self) -> Fission | None:
        """The same where the carry before each step is kept."""
        return split(self.tape, self.n_fixed, self.n_carry, True)

    @cached_property
    def advance(self) -> Body:
        """The body without its results: what computes carries again."""
        if not self.results:
            return self
        outputs = self.tape.outputs[: self.n_carry]
        tape, _ = simplify(self.tape.replace(outputs=outputs))
        return intern(tape, self.n_fixed, self.n_carry)

    @cached_property
    def exact(self) -> tuple[Body, list[int], list[int]]:
        """What computes the integers and bools alone: the body, and which carries and results of
        this one it has."""
        tape, n = self.tape, self.n_carry
        outs = tape.outputs.tolist()
        results = [k for k, a in enumerate(self.results) if not a.inexact]
        wanted = {k for k, a in enumerate(self.carry) if not a.inexact}
        while True:
            used = needed_for(tape, [outs[k] for k in wanted] + [outs[n + k] for k in results])
            more = wanted | {k for k in range(n) if used[self.n_fixed + k]}
            if more == wanted:
                break
            wanted = more
        carries = sorted(wanted)
        dropped = [self.n_fixed + k for k in range(n) if k not in wanted]
        kept = [outs[k] for k in carries] + [outs[n + k] for k in results]
        smaller = without_inputs(tape, dropped, kept)
        return intern(smaller, self.n_fixed, len(carries)), carries, results


def without_inputs(tape: Tape, dropped: Sequence[int], outputs: Sequence[int]) -> Tape:
    """The tape with these outputs and without inputs that they do not need: what read them reads
    zeros, to be removed as dead code."""
    kept = [v for v in range(tape.n_inputs) if v not in set(dropped)]
    zeros = tuple(
        Const(np.zeros(tape.aval(v).shape, tape.aval(v).dtype), False, tape.aval(v))
        for v in dropped
    )
    return renumbered(tape, kept, list(dropped), outputs, zeros)


def renumbered(
    tape: Tape,
    inputs: Sequence[int],
    removed: Sequence[int],
    outputs: Sequence[int],
    consts: tuple[Const, ...] = (),
) -> Tape:
    """The tape whose inputs are these values, inputs or constants of it, in this order.

    removed: inputs whose place the constants `consts` take.
    """
    inside = set(inputs)
    stay = [v for v in range(tape.n_inputs, tape.first) if v not in inside]
    number = np.empty(tape.n_values, dtype=np.int64)
    for k, v in enumerate([*inputs, *stay, *removed]):
        number[v] = k
    shift = len(inputs) + len(stay) + len(removed) - tape.first
    number[tape.first :] = np.arange(tape.first, tape.n_values) + shift
    return Tape(
        tuple(tape.aval(v) for v in inputs),
        (*[tape.consts[v - tape.n_inputs] for v in stay], *consts),
        tape.sigs.copy(),
        number[tape.args].astype(np.int32),
        number[list(outputs)].astype(np.int32),
        tape.where_code.copy(),
        tape.where_lasti.copy(),
        tape.codes,
    )


_bodies: dict[Any, Body] = {}
_lock = ForkSafeLock()


def intern(tape: Tape, n_fixed: int, n_carry: int) -> Body:
    """The one Body of this content, so that a function traced again has equal instructions."""
    key = (
        tape.inputs,
        tape.sigs.tobytes(),
        tape.args.tobytes(),
        tape.outputs.tobytes(),
        tuple([(c.aval, c.value.tobytes()) for c in tape.consts]),
        n_fixed,
        n_carry,
    )
    with _lock:
        found = _bodies.get(key)
        if found is None:
            found = _bodies[key] = Body(tape, n_fixed, n_carry)
        return found


# -- packing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Packing:
    """The leaves of a packed result: their avals (with all leading axes) and where they start."""

    leaves: tuple[Aval, ...]
    dtype: np.dtype

    @cached_property
    def starts(self) -> list[int]:
        return np.r_[0, np.cumsum([a.size for a in self.leaves], dtype=np.int64)].tolist()

    @property
    def size(self) -> int:
        return self.starts[-1]

    def unpack(self, packed: Any) -> list[Any]:
        """The leaves of a packed vector, recorded."""
        out = []
        for a, start in zip(self.leaves, self.starts, strict=False):
            part = layout.strided_slice(packed, index=((start, 1, a.size),))
            out.append(converted(layout.reshape(part, shape=a.shape), a.dtype))
        return out

    def pack(self, leaves: Sequence[Any]) -> Any:
        """One vector of these values (tracers or arrays), recorded; None is zeros."""
        parts = []
        for x, a in zip(leaves, self.leaves, strict=True):
            if x is None:
                parts.append(np.zeros(a.size, self.dtype))
            else:
                parts.append(converted(layout.reshape(x, shape=(a.size,)), self.dtype))
        if not parts:
            return np.zeros(0, self.dtype)
        return layout.concatenate(*parts, axis=0)


@lru_cache(1024)
def packing(body: Body, length: int, save: int, inexact: bool) -> Packing:
    """Final carry, stacked results, and the carries before each save-th step (save > 0)."""
    carry = [a for a in body.carry if a.inexact == inexact]
    results = [a for a in body.results if a.inexact == inexact]
    leaves = [*carry, *[stacked(a, length) for a in results]]
    if save:
        leaves += [stacked(a, -(-length // save)) for a in carry]
    dtypes = [a.dtype for a in leaves]
    default = np.dtype(np.float64 if inexact else np.int64)
    dtype = np.result_type(*dtypes) if dtypes else default
    if not inexact:
        dtype = np.dtype(np.uint64) if dtype == np.uint64 else np.dtype(np.int64)
    return Packing(tuple(leaves), dtype)


def stacked(a: Aval, n: int) -> Aval:
    """The aval with an axis of n steps in front."""
    return aval((n, *a.shape), a.dtype)
