"""What NumPy callable is recorded by what: the tables behind NumPy's two protocols.

`ufuncs` derives from the op table; `implementations` holds the functions of `jittape.functions`,
which compose ops the way NumPy's own Python code composes ufuncs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from jittape.errors import TraceError
from jittape.ops import declare
from jittape.ops.declare import Case
from jittape.tracing.recorder import here

ufuncs: dict[np.ufunc, declare.Op] = {}


class Composite(NamedTuple):
    """A NumPy function written in ops; enumerated by the tests and the op reference."""

    name: str
    numpy: tuple[Callable, ...]
    run: Callable[..., Any]
    cases: tuple[Case, ...]
    domain: tuple[float, float]
    kinks: str
    differentiable: bool


implementations: dict[Callable, Composite] = {}
composites: list[Composite] = []


def implements(
    *numpy: Callable,
    cases: tuple[Case, ...] = (),
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: str = "",
    differentiable: bool = True,
) -> Callable[[Callable], Callable]:
    """Decorator: the function records these NumPy callables, with their call signature."""

    def register(run: Callable) -> Callable:
        name = getattr(numpy[0], "__name__", run.__name__)
        composite = Composite(
            name, tuple(map(declare.original, numpy)), run, cases, domain, kinks, differentiable
        )
        composites.append(composite)
        for f in map(declare.original, numpy):
            if f in implementations:
                raise ValueError(f"{f} is implemented twice")
            implementations[f] = composite
        return run

    return register


def lookup(func: Callable) -> Callable:
    """The implementation of a NumPy function; raises TraceError where there is none."""
    found = implementation(func)
    if found is None:
        name = getattr(func, "__name__", str(func))
        if isinstance(func, np.ufunc) and name.endswith(" (vectorized)"):
            raise TraceError(
                f"{here()}: ufuncs that np.frompyfunc makes ({name.removesuffix(' (vectorized)')}) "
                "are not recorded by jittape; use np.vectorize"
            )
        # a ufunc does not say where it is from
        home = "numpy" if hasattr(np, name) else "scipy.special"
        name = f"{getattr(func, '__module__', None) or home}.{name}"
        raise TraceError(
            f"{here()}: {name} is not recorded by jittape; write it with the functions of "
            "docs/ops.md, wrap it in jittape.custom_vjp, or pass jittape.stop_gradient(x) if no "
            "derivative should flow through it"
        )
    return found.run


# modules of jittape.functions that are loaded when a function of this part of NumPy first meets a
# tracer and is in none of the modules that are loaded at once
LATE = {
    "numpy": (
        *("calculus", "covariance", "einsum", "fitting", "polynomials", "quantiles", "ranges"),
        *("sets", "statistics"),
    ),
    "numpy.lib.scimath": ("scimath",),
    "numpy.lib._scimath_impl": ("scimath",),  # NumPy 2.1
    "numpy.fft": ("fft",),
    "numpy.linalg": ("linalg", "norm"),
}
_loaded: set[str] = set()


def implementation(func: Callable) -> Composite | None:
    """What records a NumPy function, or None."""
    found = implementations.get(func)
    if found is None:
        part = getattr(func, "__module__", None)
        if part in LATE and part not in _loaded:
            _load(part)
            found = implementations.get(func)
    return found


def _load(part: str) -> None:
    for name in LATE[part]:
        import_module(f"jittape.functions.{name}")
    _loaded.add(part)  # only now: another thread must not take a table for complete that is not


def load_all() -> None:
    """Complete `implementations`, for those who list what there is."""
    for part in LATE:
        _load(part)


# what the user imports -> what is then loaded when a trace opens
_BESIDE = {"cmath": "jittape.functions.cmath", "scipy": "jittape.scipy.patches"}
# calls of these that look for modules which were imported since
arrivals: list[Callable[[], None]] = []
# what the user imports -> what declares the ufuncs that it has
_WITH_UFUNCS = {"scipy.special": "jittape.scipy.special"}


def load_beside() -> None:
    """Let the names of cmath and of SciPy (which is optional, and slow to import) record, where the
    user has imported them by now."""
    for module, ours in _BESIDE.items():
        if module in sys.modules:
            import_module(ours)  # (another thread may be at it: this waits)
    for look in arrivals:
        look()


def load_ufunc(ufunc: np.ufunc) -> bool:
    """Whether this ufunc is in the tables, once they hold those of all that the user imported."""
    for module, ours in _WITH_UFUNCS.items():
        if module in sys.modules:
            import_module(ours)
    return ufunc in ufuncs or ufunc in implementations


def index_table() -> None:
    """Derive `ufuncs` from the op table (called once all ops are declared)."""
    for op in declare.table:
        for f in op.numpy:
            if isinstance(f, np.ufunc):
                ufuncs[f] = op
