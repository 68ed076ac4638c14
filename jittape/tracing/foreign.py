"""Errors of compiled code that was handed a traced value, completed by what to do about them."""

from __future__ import annotations

from jittape.errors import TraceError

# how C code names what it was given: the class, or the dtype of an array with traced values
_NAMES = ("Tracer", "holds traced values")


def complete(error: BaseException | None, foreign: str | tuple[str, ...]) -> None:
    """Add to an error that names a traced value the user's line, what was called there and the
    remedy. foreign: prefixes of file names that are no user's."""
    if not isinstance(error, (TypeError, ValueError, AttributeError)):
        return
    text = str(error)
    if isinstance(error, TraceError) or not any(name in text for name in _NAMES):
        return
    where, called, step = "", "", error.__traceback__
    while step is not None:
        code, names = step.tb_frame.f_code, step.tb_frame.f_globals
        if not code.co_filename.startswith(foreign):
            where, called = f"{code.co_filename}:{step.tb_lineno}", ""
        elif where and not called:
            called = f"{names.get('__name__', '')}.{code.co_name}"
        step = step.tb_next
    if where and not getattr(error, "__notes__", None):  # not said by an inner trace already
        error.add_note(
            f"{where}: {called or 'what is called here'} hands a traced value to compiled code and "
            "is not recorded by jittape; write it with the functions of docs/ops.md, wrap it in "
            "jittape.custom_vjp, or pass jittape.stop_gradient(x) if no derivative should flow "
            "through it"
        )
