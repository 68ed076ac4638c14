"""The reference: a tape evaluated instruction by instruction with NumPy.

It answers small first calls before the executor is loaded, gives values to pasted stretches of an
open trace, and is what tests and verify mode hold the executor against.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape.ops.declare import Kind, Signature
from jittape.tape import Tape
from jittape.types import FLOAT64

_LARGE = 64  # elements from which on a value that is dead is dropped at once


class GuardFailed(Exception):
    """A guard of the tape does not hold for these inputs."""

    def __init__(self, instruction: int, observed: Any):
        super().__init__(instruction, observed)
        self.instruction = instruction
        self.observed = observed


def evaluate_all(tape: Tape, inputs: Sequence[Any]) -> list[Any]:
    """The values of all value numbers of the tape. Raises GuardFailed at a failing guard."""
    return _sweep(tape, inputs, {})


def _dying(tape: Tape) -> dict[int, list[int]]:
    """For each instruction, the large values that are not used after it."""
    large = tape.sizes >= _LARGE
    if not large.any():
        return {}
    last = np.full(tape.n_values, -1, dtype=np.int64)
    np.maximum.at(last, tape.args, np.repeat(np.arange(len(tape)), np.diff(tape.arg_ptr)))
    last[tape.first :][~large] = -1
    last[tape.outputs] = -1
    dying: dict[int, list[int]] = {}
    for v in np.flatnonzero(last >= 0).tolist():
        dying.setdefault(int(last[v]), []).append(v)
    return dying


def _scalar(x: Any) -> Any:
    """x, a NumPy scalar where it has no axes: Python's operators are quick on these."""
    if isinstance(x, np.ndarray):
        return x if x.ndim else x[()]
    return np.float64(x) if type(x) is float else x


def _plan(sig: Signature) -> tuple[Callable[..., Any], int]:
    """How an instruction is evaluated: function, and number of operands where that is 1 or 2; 0
    for others, and for guards."""
    op = sig.op
    n = len(sig.avals)
    if op.scalar is not None and all(a is FLOAT64 for a in sig.avals):
        return op.scalar, n
    run = functools.partial(op.evaluate, **sig.kwargs) if op.params else op.evaluate
    return run, n if n <= 2 and op.kind is not Kind.GUARD else 0


def _sweep(tape: Tape, inputs: Sequence[Any], dying: dict[int, list[int]]) -> list[Any]:
    values: list[Any] = [_scalar(x) for x in (*inputs, *[c.value for c in tape.consts])]
    plans = {s.id: _plan(s) for s in tape.distinct[0]}
    ptr = tape.arg_ptr
    padded = np.concatenate((tape.args, np.zeros(2, np.int32)))
    left, right = padded[ptr[:-1]].tolist(), padded[ptr[:-1] + 1].tolist()
    rows = zip(tape.sigs.tolist(), left, right, strict=True)
    append = values.append
    done = 0
    with np.errstate(all="ignore"):
        for end in [*sorted(dying), len(tape) - 1]:
            for s, a, b in itertools.islice(rows, end + 1 - done):
                run, n = plans[s]
                if n == 2:
                    append(run(values[a], values[b]))
                elif n == 1:
                    append(run(values[a]))
                else:
                    append(_general(tape, len(values) - tape.first, run, values))
            done = end + 1
            for v in dying.get(end, ()):
                values[v] = None
    return values


def _general(tape: Tape, i: int, run: Callable[..., Any], values: list[Any]) -> Any:
    """The value of instruction i. Raises GuardFailed."""
    operands = [values[v] for v in tape.operands(i)]
    value = run(*operands)
    if tape.signature(i).op.kind is Kind.GUARD and not value:
        raise GuardFailed(i, operands[0])
    return value


def evaluate(tape: Tape, inputs: Sequence[Any]) -> list[np.ndarray]:
    """The outputs of the tape, as fresh arrays. Intermediate values are dropped after their last
    use. Raises GuardFailed."""
    values = _sweep(tape, inputs, _dying(tape))
    return [np.array(values[v], dtype=tape.aval(v).dtype) for v in tape.outputs.tolist()]
