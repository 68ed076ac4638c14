"""Exceptions and warnings of jittape. Their texts carry the user's line and a remedy."""

from __future__ import annotations


class JittapeError(Exception):
    """Base class of all errors raised by jittape itself."""


class TraceError(JittapeError, TypeError):
    """An operation could not be recorded; the text names the op, the user's line and the remedy."""


class LeakedTracerError(JittapeError, RuntimeError):
    """A tracer was used after its trace ended, or in another thread's trace."""


class DifferentiationError(JittapeError, NotImplementedError):
    """An op on the path from input to output has no derivative rule for what was asked."""


class ReplayMismatchError(JittapeError, AssertionError):
    """Verify mode found a replay whose result differs from a fresh trace."""


class NonFiniteError(JittapeError, FloatingPointError):
    """NaN mode found the first NaN or inf; the text names the instruction and its source line."""


class JittapeWarning(UserWarning):
    """Base class of the warnings of jittape."""


class ImpureFunctionWarning(JittapeWarning):
    """Two traces of a function differ on equal inputs; it is traced again on each call."""


class RetraceWarning(JittapeWarning):
    """A function is traced again and again; the text names what keeps changing."""


class LostGradientWarning(JittapeWarning):
    """A differentiated value was turned into a Python number; no derivative flows through it."""
