"""The order of a group's kernels: what can continue a run of the strip machine does so."""

from __future__ import annotations

from typing import Any

from jittape.passes.strips import MAX_RUN, key, recognise


def hoisted(body: list) -> list:
    """The kernels of a group with those that break off from a run, because others stand between,
    put at its end where all that they read is there. Nothing in a group overwrites what another
    of its kernels reads: values of one group have places of their own."""
    made: dict[Any, int] = {}  # value -> run or single kernel that gives it
    runs: list[list] = []
    last: dict[int, int] = {}  # dims -> run that can be continued
    for m in body:
        name = recognise(m.kernel, m.steps) if m.data is None else None
        reads = [made[key(a)] for a in m.args[:-1] if key(a) in made]
        at = last.get(m.dims, -1) if name is not None else -1
        near = at >= 0 and (at == len(runs) - 1 or at in reads)
        if near and max(reads, default=-1) <= at and len(runs[at]) < MAX_RUN:
            runs[at].append(m)
        else:
            at = len(runs)
            runs.append([m])
            if name is not None:
                last[m.dims] = at
        made[key(m.args[-1])] = at
    return [m for run in runs for m in run]
