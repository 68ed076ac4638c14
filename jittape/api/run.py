"""The one place where a cached tape meets what executes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.execute import GuardFailure, IndexFailure
from jittape.execute import run as sweep
from jittape.passes.evaluate import GuardFailed
from jittape.program import compile_program
from jittape.tape import Tape

prepare = compile_program

__all__ = ["GuardFailed", "HostFailed", "outcome", "prepare", "run"]


class HostFailed(Exception):
    """An instruction raised on these inputs (a singular matrix, an index out of range): the
    user's function decides what that means, so it has to run."""


def run(prepared: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Fresh arrays. Raises GuardFailed where the tape is not valid for these inputs, HostFailed
    where an instruction raised."""
    try:
        out = sweep(prepared, inputs)
    except IndexFailure as e:
        raise HostFailed from e
    except Exception as e:
        if hasattr(e, "jittape_instruction"):
            raise HostFailed from e
        raise
    if type(out) is GuardFailure:
        raise GuardFailed(out.instruction, out.observed)
    return out


def outcome(tape: Tape, failed: GuardFailed) -> tuple[int, Any]:
    """The guard that failed and what it saw, as a key."""
    if tape.signature(failed.instruction).op.name == "guard_true":
        return failed.instruction, bool(failed.observed)
    return failed.instruction, np.ascontiguousarray(failed.observed).tobytes()
