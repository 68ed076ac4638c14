"""The one place where a cached tape meets what executes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.config import config, listeners
from jittape.execute import GuardFailure, IndexFailure, choose, threads
from jittape.execute import run as sweep
from jittape.passes.evaluate import GuardFailed, evaluate
from jittape.program import compile_program
from jittape.tape import Tape
from jittape.trace import embed

prepare = compile_program


def _set_threads(n: int) -> None:
    threads.set_num_threads(n or threads.limit())


def _set_exact(exact: bool) -> None:
    choose.exact = exact


listeners.update(threads=_set_threads, bit_exact=_set_exact)
if config.threads:
    _set_threads(config.threads)
if config.bit_exact:
    _set_exact(True)

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


def compute(tape: Tape, inputs: Sequence[Any]) -> list[np.ndarray]:
    """The outputs of a tape that is run once: by NumPy where that is done before a Program would
    be planned (and Numba loaded), else by the executor. Raises what an instruction raises."""
    elements = tape.sizes.sum()
    by_numpy = len(tape) * 1.5e-6 + elements * 1.5e-9
    by_program = len(tape) * 0.6e-6 + elements * 0.5e-9 + 1e-3
    if "jittape.execute.kernels" not in sys.modules:
        by_program += 0.5
    if by_numpy > by_program:
        out = sweep(compile_program(tape), inputs)
        if type(out) is not GuardFailure:
            return out
        # the branch was taken on NumPy's own value, from which a kernel may differ by an ulp
    return evaluate(tape, inputs)


embed.compute = compute


def outcome(tape: Tape, failed: GuardFailed) -> tuple[int, Any]:
    """The guard that failed and what it saw, as a key."""
    if tape.signature(failed.instruction).op.name == "guard_true":
        return failed.instruction, bool(failed.observed)
    return failed.instruction, np.ascontiguousarray(failed.observed).tobytes()
