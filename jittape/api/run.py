"""The one place where a cached tape meets what executes it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from jittape.evaluate import GuardFailed, evaluate
from jittape.tape import Tape
from jittape.tracing import embed

__all__ = ["GuardFailed", "HostFailed", "outcome", "prepare", "run"]


class HostFailed(Exception):
    """An instruction raised on these inputs (a singular matrix, an index out of range): the
    user's function decides what that means, so it has to run."""

    def __init__(self, instruction: int):
        super().__init__(instruction)
        self.instruction = instruction


_IMPORTING = 0.05  # seconds that importing the planner and llvmlite takes, at least

backend: Any = None  # the module jittape.api.backend, once a Program was planned
_sweep: Any = None


def _load() -> Any:
    """The planner and the executor: a script that differentiates once may never need them."""
    global backend, _sweep
    if backend is None:
        backend = import_module("jittape.api.backend")
        _sweep = backend.run
    return backend


def prepare(tape: Tape) -> Any:
    """The Program of a tape."""
    return _load().compile_program(tape)


def run(prepared: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Fresh arrays. Raises GuardFailed where the tape is not valid for these inputs, HostFailed
    where an instruction raised."""
    try:
        out = _sweep(prepared, inputs)
    except Exception as e:
        at = _raised_at(e)
        if at is None:
            raise
        raise HostFailed(at) from e
    if type(out) is backend.GuardFailure:
        raise GuardFailed(out.instruction, out.observed)
    return out


def _raised_at(e: Exception) -> int | None:
    """The instruction that raised, where it is one of the tape."""
    at = e.instruction if isinstance(e, backend.IndexFailure) else None
    return getattr(e, "jittape_instruction", at)


def resumed(linked: Any, workspace: Any, stopped: list, inputs: Sequence[Any]) -> Any:
    """The results of a sweep that has stopped before its end, for instructions that only Python
    can do; None where the tape is not valid for these inputs, or one of its instructions raised."""
    try:
        out = backend.resume(linked, workspace, stopped, inputs)
    except Exception as e:
        if _raised_at(e) is None:
            raise
        return None
    return None if type(out) is backend.GuardFailure else out


def worth_planning(tape: Tape) -> bool:
    """Whether a single sweep is done sooner by the executor, planning included, than by NumPy.

    Seconds per instruction and element, measured: single numbers are Python's (see evaluate)."""
    sizes = tape.sizes
    elements = sizes.sum()
    by_numpy = len(tape) * 1.5e-6 - np.count_nonzero(sizes == 1) * 1.25e-6 + elements * 1.5e-9
    by_program = len(tape) * 0.5e-6 + elements * 0.2e-9 + 1e-3
    saved = by_numpy - by_program
    if saved <= 0 or (backend is None and saved <= _IMPORTING):
        return False
    return bool(saved > import_module("jittape.execute.library").wait())


def compute(tape: Tape, inputs: Sequence[Any]) -> list[np.ndarray]:
    """The outputs of a tape that is run once. Raises what an instruction raises."""
    if worth_planning(tape):
        out = _load().run(prepare(tape), inputs)
        if type(out) is not backend.GuardFailure:
            return out
        # the branch was taken on NumPy's own value, from which a kernel may differ by an ulp
    return evaluate(tape, inputs)


embed.compute = compute


def outcome(tape: Tape, failed: GuardFailed) -> tuple[int, Any]:
    """The guard that failed and what it saw, as a key."""
    if tape.signature(failed.instruction).op.name == "guard_true":
        return failed.instruction, bool(failed.observed)
    return failed.instruction, np.ascontiguousarray(failed.observed).tobytes()
