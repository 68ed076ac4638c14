"""Verify mode and NaN mode: slow checks of every call, off by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.api.compare import difference, result_difference
from jittape.api.recorded import Recorded
from jittape.config import config
from jittape.errors import NonFiniteError, ReplayMismatchError
from jittape.evaluate import evaluate
from jittape.ops.declare import Kind, signatures
from jittape.tape import Tape


def compare(replayed: Recorded, values: list, fresh: Recorded, inputs: Sequence[Any]) -> None:
    """Raise ReplayMismatchError unless a replay and a fresh trace agree."""
    found = difference(replayed, fresh)
    if found is None:
        want = evaluate(fresh.tape, inputs)
        found = result_difference(fresh.tape, values, want, config.bit_exact)
    if found is not None:
        raise ReplayMismatchError(
            f"{found}. The function depends on something that jittape cannot see; see docs/state.md"
        )


def check_finite(tape: Tape, inputs: Sequence[Any]) -> None:
    """Evaluate instruction by instruction; raise NonFiniteError where the first NaN or inf arises
    that does not come from an argument or a constant."""
    values: list[Any] = [*inputs, *[c.value for c in tape.consts]]
    finite = [bool(np.all(np.isfinite(v))) for v in values]
    with np.errstate(all="ignore"):
        for i, s in enumerate(tape.sigs.tolist()):
            sig = signatures[s]
            numbers = tape.operands(i)
            operands = [values[v] for v in numbers]
            value = sig.op.evaluate(*operands, **sig.kwargs)
            values.append(value)
            ok = sig.op.kind is Kind.GUARD or bool(np.all(np.isfinite(value)))
            finite.append(ok)
            if not ok and all(finite[v] for v in numbers):
                _raise(tape, i, value, operands)


def _raise(tape: Tape, i: int, value: Any, operands: list) -> None:
    sig = tape.signature(i)
    position = tape.position(i)
    bad = "NaN" if np.any(np.isnan(value)) else "inf"
    sweep = "derivative of this line" if position is not None and position.derived else "value"
    inside = ", ".join(np.array2string(np.asarray(x), threshold=4, edgeitems=1) for x in operands)
    raise NonFiniteError(
        f"{position or 'inside a derivative rule'}: the first {bad} arises in instruction {i}, "
        f"{sig.op.name}({inside}) -> {sig.out}, in the {sweep}. Guard the operand (np.where on the "
        "argument, not on the result), or unset jittape.config.debug_nans"
    )
