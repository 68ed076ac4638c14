"""Laying out and filling the new tape into which rule templates are pasted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from jittape.distinct import distinct, present
from jittape.ops.declare import Signature, signatures
from jittape.passes.template import Template
from jittape.tape import Const, Tape, assemble, open_numbers
from jittape.types import Aval


def groups(
    tape: Tape, active: np.ndarray
) -> Iterator[tuple[Signature, int, np.ndarray, np.ndarray]]:
    """(signature, mask of active operands, instructions, their operands[k, arity]) for all
    instructions with an active output, one group per distinct signature and mask."""
    used, inverse = tape.distinct
    on = np.flatnonzero(active[tape.first :])
    on = on[np.argsort(inverse[on], kind="stable")]
    kinds = inverse[on]
    cuts = np.flatnonzero(np.diff(kinds)) + 1
    for members in np.split(on, cuts):
        if not len(members):
            continue
        sig = used[inverse[members[0]]]
        operands = tape.args[tape.arg_ptr[members][:, None] + np.arange(len(sig.avals))]
        for mask, chosen in _masks(active[operands]):
            yield sig, mask, members[chosen], operands[chosen]


def _masks(on: np.ndarray) -> Iterator[tuple[int, np.ndarray | slice]]:
    """The distinct rows of on[k, arity] as bit masks, each with the rows that are equal to it."""
    arity = on.shape[1]
    if on.all():
        yield (1 << arity) - 1, slice(None)
        return
    packed = np.packbits(on, axis=1, bitorder="little")
    if arity <= 8:
        values, which = distinct(packed[:, 0])
        masks = values.tolist()
    else:  # the operands of a concatenate
        rows = [row.tobytes() for row in packed]
        known = {row: k for k, row in enumerate(dict.fromkeys(rows))}
        which = np.array([known[row] for row in rows])
        masks = [int.from_bytes(row, "little") for row in known]
    for k, mask in enumerate(masks):
        yield mask, np.flatnonzero(which == k)


class Builder:
    """A tape under construction: that of `tape` with more inputs and instructions.

    All numbers are open numbers (see tape.assemble). New instructions come after the old ones
    when `keep` is the identity, or in between (`keep[i]`: new index of old instruction i, or -1
    where it is dropped: then `old` is to be told what stands in its place).
    inputs: avals of the old inputs, where they change.
    """

    def __init__(
        self,
        tape: Tape,
        new_inputs: Sequence[Aval],
        keep: np.ndarray,
        total: int,
        inputs: Sequence[Aval] | None = None,
    ):
        self.tape = tape
        self.inputs = (*(tape.inputs if inputs is None else inputs), *new_inputs)
        self.consts = list(tape.consts)
        self._literals: dict[tuple, int] = {}
        self.old = open_numbers(tape)
        self.old[tape.first :] = keep
        self.sigs = np.full(total, -1, dtype=np.int32)
        self.where_code = np.full(total, -1, dtype=np.int32)
        self.where_lasti = np.full(total, -1, dtype=np.int32)
        self._fills: list[tuple[np.ndarray, np.ndarray]] = []
        self._kept = np.flatnonzero(keep >= 0)
        if len(tape):
            at = keep[self._kept]
            self.sigs[at] = tape.sigs[self._kept]
            self.where_code[at] = tape.where_code[self._kept]
            self.where_lasti[at] = tape.where_lasti[self._kept]

    def new_input(self, k: int) -> int:
        """Number of the k-th new input."""
        return -2 * (len(self.tape.inputs) + k) - 2

    def const(self, const: Const) -> int:
        key = (id(const.value), const.live)
        if not const.live:
            key = (const.value.tobytes(), const.aval)  # type: ignore[assignment]
        found = self._literals.get(key)
        if found is None:
            self.consts.append(const)
            found = self._literals[key] = -2 * len(self.consts) + 1
        return found

    def zeros(self, aval: Aval) -> int:
        return self.const(Const(np.zeros(aval.shape, aval.dtype), False, aval))

    def put(
        self,
        at: np.ndarray,
        sig: Signature,
        operands: Sequence[np.ndarray | int],
        where: np.ndarray,
    ) -> None:
        """Instructions of this signature at these new indices. where: old instructions they
        stem from, -1 where none."""
        self.sigs[at] = sig.id
        matrix = np.empty((len(at), len(operands)), dtype=np.int64)
        for j, column in enumerate(operands):
            matrix[:, j] = column
        self._fills.append((at, matrix))
        if len(self.tape):
            known = where >= 0
            self.where_code[at] = np.where(known, self.tape.where_code[where], -1)
            self.where_lasti[at] = np.where(known, self.tape.where_lasti[where] | 1, -1)

    def paste(
        self,
        template: Template,
        base: np.ndarray,
        arguments: Sequence[np.ndarray | int | None],
        where: np.ndarray,
    ) -> list[np.ndarray | int]:
        """Paste the template once for each entry of base (index of its first instruction).

        arguments: numbers for each argument of the rule. Returns the numbers of the outputs.
        """
        tape = template.tape
        numbers: list[np.ndarray | int] = []
        for s in template.slots:
            argument = arguments[s]
            assert argument is not None
            numbers.append(argument)
        numbers += [self.const(c) for c in tape.consts]
        for t, (sig, operands) in enumerate(tape.rows):
            at = base + t
            self.put(at, sig, [numbers[v] for v in operands], where)
            numbers.append(at)
        return [numbers[v] for v in tape.outputs.tolist()]

    def finish(self, outputs: Sequence[int] | np.ndarray) -> Tape:
        arities = np.zeros(int(self.sigs.max(initial=-1)) + 1, dtype=np.int64)
        found = present(self.sigs)
        arities[found] = [len(signatures[s].avals) for s in found.tolist()]
        ptr = np.zeros(len(self.sigs) + 1, dtype=np.int64)
        np.cumsum(arities[self.sigs], out=ptr[1:])
        args = np.empty(int(ptr[-1]), dtype=np.int64)
        tape = self.tape
        if len(tape):
            kept = self._kept
            at = ptr[self.old[tape.first + kept]]
            counts = np.diff(tape.arg_ptr)[kept]
            within = np.arange(int(counts.sum())) - np.repeat(counts.cumsum() - counts, counts)
            source = np.repeat(tape.arg_ptr[kept], counts) + within
            args[np.repeat(at, counts) + within] = self.old[tape.args[source]]
        for at, matrix in self._fills:
            args[ptr[at][:, None] + np.arange(matrix.shape[1])] = matrix
        return assemble(
            self.inputs,
            tuple(self.consts),
            self.sigs,
            args,
            np.asarray(outputs, dtype=np.int64),
            self.where_code,
            self.where_lasti,
            tape.codes,
        )
