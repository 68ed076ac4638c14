"""jittape: derivatives of plain NumPy functions, from a flat tape and compiled sweeps."""

from jittape import functions as _functions  # noqa: F401  (NumPy's functions on tracers)
from jittape import trace as _trace  # noqa: F401  (loads the op table)
from jittape.api.checkpoint import checkpoint
from jittape.api.custom import custom_vjp, register_ufunc, stop_gradient
from jittape.api.gradients import grad, jit, jvp, value_and_grad, vjp
from jittape.api.inspect import trace
from jittape.api.jacobian import hessian, hvp, jacobian
from jittape.api.scan import scan
from jittape.api.vmap import vmap
from jittape.check import check_grads
from jittape.config import config

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
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
