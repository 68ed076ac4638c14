"""The reference: a tape evaluated instruction by instruction with NumPy.

It answers small first calls before the executor is loaded, gives values to pasted stretches of an
open trace, and is what tests and verify mode hold the executor against.
"""

from __future__ import annotations

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
    last = np.full(tape.n_values, -1, dtype=np.int64)
    np.maximum.at(last, tape.args, np.repeat(np.arange(len(tape)), np.diff(tape.arg_ptr)))
    last[tape.first :][tape.sizes < _LARGE] = -1
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


def _plan(sig: Signature) -> tuple[Callable[..., Any], dict[str, Any], bool]:
    """How an instruction is evaluated: function, keywords, whether it is a guard."""
    op = sig.op
    if op.scalar is not None and all(a is FLOAT64 for a in sig.avals):
        return op.scalar, {}, False
    return op.evaluate, sig.kwargs, op.kind is Kind.GUARD


def _sweep(tape: Tape, inputs: Sequence[Any], dying: dict[int, list[int]]) -> list[Any]:
    values: list[Any] = [_scalar(x) for x in (*inputs, *[c.value for c in tape.consts])]
    plans = {s.id: _plan(s) for s in tape.distinct[0]}
    args = tape.args.tolist()
    ptr = tape.arg_ptr.tolist()
    with np.errstate(all="ignore"):
        for i, s in enumerate(tape.sigs.tolist()):
            run, kwargs, guard = plans[s]
            operands = [values[v] for v in args[ptr[i] : ptr[i + 1]]]
            value = run(*operands, **kwargs)
            if guard and not value:
                raise GuardFailed(i, operands[0])
            values.append(value)
            for v in dying.get(i, ()):
                values[v] = None
    return values


def evaluate(tape: Tape, inputs: Sequence[Any]) -> list[np.ndarray]:
    """The outputs of the tape, as fresh arrays. Intermediate values are dropped after their last
    use. Raises GuardFailed."""
    values = _sweep(tape, inputs, _dying(tape))
    return [np.array(values[v], dtype=tape.aval(v).dtype) for v in tape.outputs.tolist()]
