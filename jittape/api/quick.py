"""The quickest way through a call: one closure that knows the tape which answered last.

It serves calls with the key, state and path of the one before, and gives MISS for all others,
which then go the general way (see api.call). Everything that such a call looks at is in its cells,
and what its two forms share is written out in both: a call is a tenth of the time there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.api import run
from jittape.api.cache import Slot, Variant
from jittape.api.recorded import Recorded
from jittape.config import config
from jittape.tracing.recorder import anywhere

MISS = object()
_ndarray = np.ndarray


def quick(slot: Slot, variant: Variant, recorded: Recorded) -> Callable[[tuple, dict], Any] | None:
    """f(args, kwargs) -> the result of `recorded`, or MISS. None where its constants have to be
    copied before each sweep."""
    linked = recorded.prepared.linked
    if linked is None or linked.refresh:
        return None
    match, box, state, one = slot.match, recorded.box, variant.state, recorded.one
    enter, take, put = linked.enter, linked.pool.pop, linked.pool.append
    workspace, resumed = linked.workspace, run.resumed

    def general(args: tuple, kwargs: dict) -> Any:
        inputs: list[Any] = []
        if (
            anywhere
            or variant.recent is not recorded
            or not config.plain
            or not match(args, kwargs, inputs)
            or not state.valid()
        ):
            return MISS
        try:
            ws = take()
        except IndexError:
            ws = workspace()
        try:
            out = enter(inputs, ws.words)
            if type(out) is list:
                out = resumed(linked, ws, out, inputs)
                if out is None:
                    return MISS
        finally:
            put(ws)
        recorded.hits += 1
        return out[0] if one else box(out)

    array = getattr(match, "array", None)
    if array is None:
        return general
    shape, dtype = array

    def of_array(args: tuple, kwargs: dict) -> Any:
        if anywhere or kwargs or len(args) != 1:
            return MISS
        (x,) = args
        if (
            type(x) is not _ndarray
            or x.dtype is not dtype
            or x.shape != shape
            or variant.recent is not recorded
            or not config.plain
            or not state.valid()
        ):
            return MISS
        try:
            ws = take()
        except IndexError:
            ws = workspace()
        try:
            out = enter(args, ws.words)
            if type(out) is list:
                out = resumed(linked, ws, out, args)
                if out is None:
                    return MISS
        finally:
            put(ws)
        recorded.hits += 1
        return out[0] if one else box(out)

    return of_array
