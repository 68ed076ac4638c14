"""Loops whose steps are done in blocks where that pays (passes/fission.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.api.loop_body import Body
from jittape.api.loop_parts import build
from jittape.config import config
from jittape.passes.fission import Fission
from jittape.passes.opcodes import MOST_STEPS

PLANNING = 2e7  # nanoseconds that planning takes; sweeps that would have saved as much pay for it
WORKING_SET = 1 << 20  # bytes that a block's values may take
FEW, MOST = 8, MOST_STEPS  # steps of a block
PER_LOOP, PER_BLOCK = 120e3, 15e3  # nanoseconds of Python's time
KEPT = 8  # plans of a body, for as many lengths


def sweep(body: Body, job: Any) -> list[np.ndarray]:
    """Do a job (execute/loop.py), in blocks where that pays."""
    from jittape.execute.blocks import repeat_in_blocks
    from jittape.execute.loop import repeat

    plan = _plan(body, job.n, job.saved is not None) if job.every == 1 else None
    if plan is None:
        return repeat(body.program, job)
    return repeat_in_blocks(plan, body.program, job)


def pays(body: Body, n: int, saves: bool) -> bool:
    """Whether blocks take less time than the loop as it is."""
    parts = None if config.bit_exact or n < FEW else _parts(body, saves)
    return parts is not None and _gain(parts, n) > 0


def _parts(body: Body, saves: bool) -> Fission | None:
    return body.parts_saved if saves else body.parts


def _gain(parts: Fission, n: int) -> float:
    """Nanoseconds of one sweep."""
    return n * parts.saved - PER_LOOP - PER_BLOCK * -(-n // _most(parts))


def _most(parts: Fission) -> int:
    return min(max(WORKING_SET // max(parts.nbytes, 1), FEW), MOST)


def _plan(body: Body, n: int, saves: bool) -> Any:
    if not pays(body, n, saves):
        return None
    parts = _parts(body, saves)
    assert parts is not None
    key = n // -(-n // _most(parts)), saves  # steps of a block
    plans = body.plans
    found = plans.get(key, 0.0)
    if isinstance(found, float):  # what it would have saved so far
        found += _gain(parts, n)
        if found > PLANNING:
            found = build(parts, key[0])
        if len(plans) >= KEPT and key not in plans:
            plans.pop(next(iter(plans)))
        plans[key] = found
    return None if isinstance(found, float) else found
