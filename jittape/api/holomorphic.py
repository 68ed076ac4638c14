"""Complex derivatives on request: is the function holomorphic?

A derivative f'(z) with one complex number for df/dz exists only where f is complex differentiable.
Then the sweep is linear over the complex numbers in its seed; elsewhere the sweep itself takes
real or imaginary parts or conjugates of what follows from the seed, because the rules of abs,
real, conjugate, ... do. That is seen on the tape, for all inputs at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jittape.errors import DifferentiationError
from jittape.passes.activity import depends_on
from jittape.tape import Tape
from jittape.tracing.recorder import here
from jittape.types import Aval


def require_complex(avals: Iterable[Aval], name: str, what: str) -> None:
    """Raises TypeError unless all are complex."""
    for a in avals:
        if a.dtype.kind != "c":
            raise TypeError(
                f"{here()}: {name}: holomorphic=True takes complex arguments and results, but "
                f"{what} is {a.dtype}; convert it (x.astype(complex)), or leave holomorphic out"
            )


def require_linear(swept: Tape, seeds: Sequence[int], name: str) -> None:
    """Raises DifferentiationError where a sweep is not linear over the complex numbers in its
    seeds (input numbers), naming the line of the function that it comes from."""
    found = _first_bent(swept, seeds)
    if found is not None:
        op, line = found
        raise DifferentiationError(
            f"{line or here()}: {name} is not holomorphic here (its derivative takes `{op}`): "
            "leave holomorphic=True out and return real values, or use jvp along 1 and 1j"
        )


def _first_bent(tape: Tape, seeds: Sequence[int]) -> tuple[str, Any] | None:
    on = depends_on(tape, seeds)
    used, inverse = tape.distinct
    for k, sig in enumerate(used):
        body = sig.kwargs.get("body")
        suspect = body is not None or sig.op.name == "conjugate"
        if not suspect and (sig.out.dtype.kind == "c" or not sig.out.inexact):
            continue
        for i in (inverse == k).nonzero()[0].tolist():
            operands = tape.operands(i)
            hot = [j for j, v in enumerate(operands) if on[v]]
            if not hot or sig.out.size == 0:
                continue
            if body is not None:
                inner = _first_bent(body.tape, hot)
                if inner is not None:
                    return inner[0], inner[1] or tape.position(i)
            elif sig.op.name == "conjugate" or any(sig.avals[j].dtype.kind == "c" for j in hot):
                return sig.op.name, tape.position(i)
    return None
