"""Where a tracer is asked for a bare number: what asked, and whether a derivative gets lost.

Python and C code that take a float call `__float__`, and what they do with the number is not
recorded. A comparison or a message needs no derivative; for `float(x)` a warning is due; and when
the number goes into an array or a function that jittape does not see, that is an error.
"""

from __future__ import annotations

import ast
import builtins
import dis
import linecache
import math
import os
import re
import sys
import warnings
from typing import Any

import numpy as np

from jittape.errors import LostGradientWarning, TraceError
from jittape.ops.declare import signatures
from jittape.tracing.files import FOREIGN, INNER, users_frame
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer

# what makes a bare number on purpose
_CONVERSIONS = (float, complex, int, bool, np.float64, np.float32, np.complex128, np.complex64)
# what follows where the number is only looked at
_LOOKED_AT = {"COMPARE_OP", "FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONTAINS_OP"}
_UNKNOWN = object()
UNSEEN = (
    "whose writes jittape does not see: it was made by compiled code that is not recorded "
    "(np.ndarray(4), a method of SciPy's), or is held by an object that jittape does not look "
    "into; write to a copy that np.array(...) makes inside of the traced function"
)
# instructions that write to an array, or to a part of one
_STORES = ("STORE_SUBSCR", "STORE_SLICE")
_STANDARD = os.path.dirname(os.__file__) + os.sep


def carries(t: Tracer) -> bool:
    """Whether a derivative that is being taken flows through t."""
    trace = t._trace
    if not trace.differentiated or not t._aval.inexact:
        return False
    needed = {t._id}
    sigs, args = [rows.tolist() for rows in trace.all_packed()[:2]]
    end = len(args)
    for i in range(len(sigs) - 1, -1, -1):
        sig = signatures[sigs[i]]
        start = end - len(sig.avals)
        if i in needed and sig.carries_derivative:
            needed.update(n for n, a in zip(args[start:end], sig.avals, strict=True) if a.inexact)
        end = start
    return any(n < 0 and n % 2 == 0 for n in needed)


def _refusal(t: Tracer, text: str) -> TraceError:
    """The error, also kept: C code may drop it (scipy.optimize.brentq does)."""
    error = TraceError(text)
    t._trace.refused.append(error)
    return error


def told(t: Tracer) -> None:
    """Warn or raise where the bare value of t would lose a derivative unnoticed."""
    frame = users_frame(sys._getframe(2))
    if frame is None:
        return
    op, following = _instructions(frame)
    if op in _STORES:
        raise _refusal(t, _unseen(frame))
    if not carries(t):
        return
    if not op.startswith("CALL") and op != "PRECALL":
        return  # formatting with %
    callee = _callee(frame)
    if callee is not _UNKNOWN and not any(callee is c for c in _CONVERSIONS):
        name = getattr(callee, "__qualname__", None) or str(callee)
        module = getattr(callee, "__module__", None)
        full = f"{module}.{name}" if module and module != "builtins" else name
        remedies = [f"call it as {m.__name__}.{name}" for m in (math, np) if hasattr(m, name)]
        remedies += ["use NumPy's function of that purpose", "wrap it in jittape.custom_vjp"]
        raise _refusal(
            t,
            f"{here()}: {full} takes the bare value of a traced number, so that its derivative "
            f"would be lost: {', '.join(remedies)}, or pass jittape.stop_gradient(x) converted "
            "with float()",
        )
    if following in _LOOKED_AT:
        return
    text = (
        "a differentiated value is turned into a Python number; no derivative flows through what "
        "is computed from that number. Use the value itself, or float(jittape.stop_gradient(x)) "
        "if this is meant"
    )
    warnings.warn_explicit(
        text,
        LostGradientWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _instructions(frame: Any) -> tuple[str, str]:
    """The name of the instruction that runs in this frame, and of the one that uses its result."""
    found = ""
    for ins in dis.get_instructions(frame.f_code):
        if ins.offset <= frame.f_lasti:  # below a call of Python code lasti is in the caches after
            found = ins.opname
        elif not (ins.opname == "CACHE" or ins.opname.startswith("LOAD_") or ins.opname == "CALL"):
            return found, ins.opname
    return found, ""


def _callee(frame: Any) -> Any:
    """What is called at this moment in this frame."""
    call = _expression(frame)
    if call is None:
        return _guess(frame)
    return _looked_up(call.func, frame) if isinstance(call, ast.Call) else _UNKNOWN


def _expression(frame: Any) -> ast.expr | None:
    """What is computed at this moment in this frame, or the target that is written to, read from
    its source line; None where there is none to read."""
    code = frame.f_code
    for k, position in enumerate(code.co_positions()):  # noqa: B007
        if 2 * k == frame.f_lasti:
            break
    else:
        return None
    first, last, start, stop = position
    if first is None or last is None or start is None or stop is None:
        return None
    lines = [
        linecache.getline(code.co_filename, n, frame.f_globals).encode()
        for n in range(first, last + 1)
    ]
    if not all(lines):
        return None
    lines[-1] = lines[-1][:stop]
    lines[0] = lines[0][start:]
    try:
        return ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except SyntaxError:
        return None


def _unseen(frame: Any) -> str:
    """The error for a traced value that this frame writes to an array of which we know nothing."""
    target = _expression(frame)
    name = f"{ast.unparse(target.value)!r}, " if isinstance(target, ast.Subscript) else ""
    return f"{here()}: a traced value is written to {name}an array {UNSEEN}"


def _looked_up(node: ast.expr, frame: Any) -> Any:
    if isinstance(node, ast.Name):
        for scope in (frame.f_locals, frame.f_globals, vars(builtins)):
            if node.id in scope:
                return scope[node.id]
    if isinstance(node, ast.Attribute):
        owner = _looked_up(node.value, frame)
        if owner is not _UNKNOWN:
            return getattr(owner, node.attr, ast.unparse(node))
    return ast.unparse(node)


def _guess(frame: Any) -> Any:
    """Without the source: float if the code mentions no function that takes numbers."""
    scope = {**vars(builtins), **frame.f_globals}
    for name in frame.f_code.co_names:
        value = scope.get(name)
        if (
            callable(value)
            and not isinstance(value, type)
            and getattr(value, "__module__", "")
            in (
                "math",
                "numpy",
            )
        ):
            return value
    return float


def refuse_array(t: Tracer) -> TraceError:
    """The error for C code that asks for an ndarray."""
    called = _foreign_call()
    if called:
        return TraceError(
            f"{here()}: {called} needs plain NumPy arrays and is not recorded by jittape; write it "
            "with NumPy, wrap the call in jittape.custom_vjp, or pass jittape.stop_gradient(x) if "
            "no derivative should flow through it"
        )
    frame = users_frame(sys._getframe(2))
    if frame is not None and _instructions(frame)[0] in _STORES:
        return TraceError(_unseen(frame))
    return TraceError(
        f"{here()}: a traced array is handed to code that needs a plain NumPy array: a list of "
        "traced values where an array is meant (wrap it in np.array), or compiled code (wrap that "
        "in jittape.custom_vjp)"
    )


def _foreign_call() -> str:
    """The function of SciPy that the user's code called at this moment, or ""."""
    frame: Any = sys._getframe(2)
    called = None
    while frame is not None and frame.f_code.co_filename.startswith(FOREIGN):
        called = None if frame.f_code.co_filename.startswith(INNER) else frame
        frame = frame.f_back
    if called is None:
        return ""
    return f"{called.f_globals.get('__name__')}.{called.f_code.co_qualname}"


def explain(error: BaseException) -> None:
    """Add a note to an exception of compiled code, or of SciPy, that was handed a traced value: its
    own text speaks of types that the user has never seen."""
    tb = error.__traceback__
    user: Any = None
    foreign: Any = None
    handed = re.search(r"\b(not|got) '?\w*Tracer", str(error)) is not None
    while tb is not None:
        frame = tb.tb_frame
        if not _is_foreign(frame):
            user, foreign = tb, None
        elif not frame.f_code.co_filename.startswith(INNER):
            foreign = foreign or frame
            handed = handed or any(isinstance(v, Tracer) for v in frame.f_locals.values())
        tb = tb.tb_next
    if user is None or not handed:
        return
    where = f"{user.tb_frame.f_code.co_filename}:{user.tb_lineno}"
    called = "compiled code"
    if foreign is not None:
        called = f"{foreign.f_globals.get('__name__')}.{foreign.f_code.co_qualname}"
    error.add_note(
        f"{where}: {called} was called with traced values, and is not recorded by jittape; write "
        "it with NumPy, wrap the call in jittape.custom_vjp, or pass jittape.stop_gradient(x) if "
        "no derivative should flow through it"
    )


def _is_foreign(frame: Any) -> bool:
    """Whether a frame is of NumPy's, SciPy's, the standard library's or our code. Cython's frames
    have no file."""
    name = frame.f_code.co_filename
    module = frame.f_globals.get("__name__") or ""
    standard = name.startswith(_STANDARD) and "site-packages" not in name
    return standard or name.startswith(FOREIGN) or module.startswith("scipy.")
