"""Where two recordings of one function differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.api.recorded import Recorded
from jittape.tape import Const, Tape


def difference(a: Recorded, b: Recorded) -> str | None:
    """None where replaying either gives the same; else the first difference in words, with the
    user's line."""
    found = tape_difference(a.tape, b.tape)
    if found is not None:
        return found
    if a.structure != b.structure:
        return "the result has another structure"
    if a.static.keys() != b.static.keys():
        return "the result has other types"
    for i, x in a.static.items():
        if type(x) is not type(b.static[i]) or (_comparable(x) and x != b.static[i]):
            return f"the result contains {x!r} at first and {b.static[i]!r} then"
    return None


def _comparable(x: Any) -> bool:
    return type(x) in (int, bool, str, bytes, type(None))


def tape_difference(a: Tape, b: Tape) -> str | None:
    """The first difference of two tapes in words; None where they are the same program."""
    if a.inputs != b.inputs:
        return "the arguments differ in type"
    n = min(len(a), len(b))
    unequal = np.flatnonzero(a.sigs[:n] != b.sigs[:n])
    if len(unequal):
        i = int(unequal[0])
        return f"{_line(a, i)}: {a.signature(i)} at first, {b.signature(i)} then"
    if len(a) != len(b):
        longer = a if len(a) > len(b) else b
        return f"{_line(longer, n)}: {longer.signature(n).op.name} is recorded only once"
    changed = [
        k for k, (p, q) in enumerate(zip(a.consts, b.consts, strict=False)) if not same_const(p, q)
    ]
    if changed:
        used = set(a.args.tolist())
        k = next((k for k in changed if a.n_inputs + k in used), changed[0])
        users = np.flatnonzero(a.args == a.n_inputs + k)
        where = ""
        if len(users):
            i = int(np.searchsorted(a.arg_ptr, users[0], side="right")) - 1
            where = f"{_line(a, i)}: "
        return f"{where}{_short(a.consts[k])} is used at first, {_short(b.consts[k])} then"
    if len(a.consts) != len(b.consts):
        return "another number of constants is used"
    if not np.array_equal(a.args, b.args):
        at = int(np.flatnonzero(a.args != b.args)[0])
        i = int(np.searchsorted(a.arg_ptr, at, side="right")) - 1
        return f"{_line(a, i)}: {a.signature(i).op.name} has other operands"
    if not np.array_equal(a.outputs, b.outputs):
        return "other values are returned"
    return None


def same_const(p: Const, q: Const) -> bool:
    """Whether two constants hold the same bits."""
    if p.aval is not q.aval:
        return False
    return p.value is q.value or p.value.tobytes() == q.value.tobytes()


def _line(tape: Tape, i: int) -> str:
    return str(tape.position(i) or "inside a derivative rule")


def _short(c: Const) -> str:
    text = np.array2string(np.asarray(c.value), threshold=6, edgeitems=2, separator=", ")
    return text if len(text) <= 80 else text[:77] + "..."


def result_difference(tape: Tape, got: list, want: list, exact: bool) -> str | None:
    """Where results of a replay differ from a fresh trace's; None where they agree (to rounding,
    for the executor may fuse: bit by bit with `exact`)."""
    for k, (x, y) in enumerate(zip(got, want, strict=True)):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape == y.shape and x.dtype == y.dtype:
            if x.tobytes() == y.tobytes():
                continue
            if not exact and x.dtype.kind in "fc":
                eps = np.finfo(x.dtype).eps
                finite = np.abs(y[np.isfinite(y)])
                scale = finite.max(initial=0.0)
                if np.allclose(x, y, rtol=1e4 * eps, atol=1e4 * eps * scale, equal_nan=True):
                    continue
            elif np.array_equal(x, y):
                continue
        v = int(tape.outputs[k])
        where = f" ({_line(tape, v - tape.first)})" if v >= tape.first else ""
        return f"result {k}{where} is {_text(x)} in the replay, {_text(y)} in a fresh trace"
    return None


def _text(x: np.ndarray) -> str:
    return np.array2string(x, threshold=6, edgeitems=2, separator=", ")
