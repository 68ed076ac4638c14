"""The functions of Python's cmath on tracers; loaded where the user has imported cmath.

Numbers become complex first, as in cmath. What cmath raises at the values traced is raised, and a
guard keeps a replay from going where it might. Results are Python numbers to NumPy's promotion.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.functions.math import close, plain, weak
from jittape.tracing import patches
from jittape.tracing.patches import PatchedMath
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer


def number(x: Any, name: str) -> Any:
    """x as cmath takes it: a complex number."""
    if isinstance(x, Tracer) and x.ndim:
        raise TypeError(
            f"{here()}: cmath.{name} takes a number, not an array; use NumPy's function"
        )
    if isinstance(x, Tracer) and x.dtype.kind == "c":
        return x
    plain_or_real: Any = x
    return plain_or_real + 0j if isinstance(x, Tracer) else complex(x)


def function(name: str, record: Callable) -> Callable:
    """cmath.<name> is `record`, of numbers as cmath takes them."""

    def run(*args: Any) -> Any:
        args = tuple([number(a, name) for a in args])
        if not any(isinstance(a, Tracer) and not a._trace.concrete for a in args):
            # cmath raises where a finite number has no finite result
            bool(np.isfinite(np.abs(record(*args))))
            getattr(cmath, name)(*[plain(a) for a in args])
        return weak(record(*args))

    return run


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _rect(r: Any, phi: Any) -> Any:
    return r * (np.cos(phi) + 1j * np.sin(phi))


def rect(r: Any, phi: Any) -> Any:
    """cmath.rect: the number of this modulus and phase."""
    r, phi = (number(a, "rect").real for a in (r, phi))
    return weak(_rect(r, phi))


def polar(x: Any) -> tuple[Any, Any]:
    """cmath.polar: modulus and phase."""
    x = number(x, "polar")
    return weak(np.abs(x)), weak(np.angle(x))


def isclose(a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> bool:
    """cmath.isclose; its outcome is guarded."""
    return close(number(a, "isclose"), number(b, "isclose"), rel_tol, abs_tol)


def _asked(name: str, ufunc: Any) -> Callable:
    return lambda x: bool(ufunc(number(x, name)))


_RECORDS: dict[str, Callable] = {
    **{n: function(n, getattr(np, n)) for n in "sqrt exp log10 sin cos tan sinh cosh tanh".split()},
    **{f"a{n}": function(f"a{n}", getattr(np, f"arc{n}")) for n in "sin cos tan".split()},
    **{f"a{n}": function(f"a{n}", getattr(np, f"arc{n}")) for n in "sinh cosh tanh".split()},
    "log": function("log", _log),
    "phase": function("phase", np.angle),
    "polar": polar,
    "rect": rect,
    "isclose": isclose,
    **{n: _asked(n, getattr(np, n)) for n in "isnan isinf isfinite".split()},
}
_originals = {name: getattr(cmath, name) for name in _RECORDS}
_stands = {name: PatchedMath(_originals[name], record) for name, record in _RECORDS.items()}

for _name, _stand in _stands.items():
    patches.also(_originals[_name], _stand)
patches.switches.append(
    (lambda: cmath.__dict__.update(_stands), lambda: cmath.__dict__.update(_originals))
)
