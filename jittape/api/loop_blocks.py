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
# nanoseconds: of Python, which a loop inside of the sweep (loop_inner.py) does without; of a block;
# and of Python for each core that is swept
PER_LOOP, PER_BLOCK, PER_CORE = 200e3, 4e3, 15e3
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
    swept = bool(parts.moving) and parts.coefficients is None
    per_block = PER_BLOCK + (PER_CORE if swept else 0.0)
    return n * parts.saved - PER_LOOP - per_block * -(-n // _most(parts))


def _most(parts: Fission) -> int:
    return min(max(WORKING_SET // max(parts.nbytes, 1), FEW), MOST)


def _steps(n: int, most: int) -> int:
    """Steps of a block: such that none are left over, which would be a sweep of their own, if a
    few blocks more can do that."""
    least = -(-n // most)
    blocks = next((k for k in range(least, least + 8) if n % k == 0), least)
    return n // blocks


def _plan(body: Body, n: int, saves: bool) -> Any:
    if not pays(body, n, saves):
        return None
    parts = _parts(body, saves)
    assert parts is not None
    key = _steps(n, _most(parts)), saves
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
