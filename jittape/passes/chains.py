"""The order of a loop's instructions: what reads a result follows it, where it can.

A row of the scalar sweep hands its result to the next one in a register (execute/threaded.py), and
takes longer over what comes through memory. Straight programs are left as they were recorded: they
gain little.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jittape.passes.classify import LANES, SCALAR
from jittape.passes.schedule import Schedule


def in_chains(s: Schedule) -> Schedule:
    """A schedule of one stretch in another order; as it is where instructions write to arrays or
    stop, whose place matters."""
    order = s.order.tolist()
    if any(s.infos[s.info[i]].kind not in (SCALAR, LANES) for i in order):
        return s
    tape = s.tape
    readers: dict[int, list[int]] = {i: [] for i in order}
    missing: dict[int, int] = {}  # operands that are still to be computed; without what is done
    for i in order:
        sources = {int(s.root[v]) - tape.first for v in tape.operands(i)}
        sources = {k for k in sources if k in readers}
        missing[i] = len(sources)
        for k in sources:
            readers[k].append(i)
    out: list[int] = []
    following: list[int] = []
    while missing:
        i = next((k for k in following if not missing[k]), next(iter(missing)))
        del missing[i]
        out.append(i)
        following = readers[i]
        for k in following:
            missing[k] -= 1
    return replace(s, order=np.array(out, s.order.dtype))
