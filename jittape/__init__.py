"""jittape: derivatives of plain NumPy functions, from a flat tape and compiled sweeps."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from jittape import functions as _functions  # noqa: F401  (NumPy's functions on tracers)
from jittape import tracing as _tracing  # noqa: F401  (loads the op table)
from jittape.api.gradients import grad, jit, jvp, value_and_grad
from jittape.api.pullback import vjp
from jittape.config import config, set_num_threads

if TYPE_CHECKING:
    from jittape.api.checkpoint import checkpoint
    from jittape.api.custom import custom_vjp, register_ufunc, stop_gradient
    from jittape.api.inspect import trace
    from jittape.api.jacobian import hessian, hvp, jacobian
    from jittape.api.scan import scan
    from jittape.api.vmap import vmap
    from jittape.check import check_grads

# names that many scripts never use are imported when they are asked for
_LATER = {
    "check_grads": "check",
    "checkpoint": "api.checkpoint",
    "custom_vjp": "api.custom",
    "hessian": "api.jacobian",
    "hvp": "api.jacobian",
    "jacobian": "api.jacobian",
    "register_ufunc": "api.custom",
    "scan": "api.scan",
    "stop_gradient": "api.custom",
    "trace": "api.inspect",
    "vmap": "api.vmap",
}

__all__ = [
    "check_grads",
    "checkpoint",
    "config",
    "custom_vjp",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "register_ufunc",
    "scan",
    "set_num_threads",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> object:
    if name in _LATER:
        found = getattr(_import_module(f"jittape.{_LATER[name]}"), name)
        globals()[name] = found
        return found
    if name in ("numpy", "scipy"):
        return _import_module(f"jittape.{name}")
    raise AttributeError(f"module 'jittape' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, "numpy", "scipy"})
