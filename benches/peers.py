"""The peers, imported only when asked for, each set up the way its own experts do."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .problem import Run


def jax_modules() -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    return jax, jnp


def jax_run(function: Callable, *args: Any) -> Run:
    """jit, data on the device beforehand, results waited for."""
    jax, jnp = jax_modules()
    args = jax.tree.map(jnp.asarray, args)
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*args))


def torch_leaf(array: np.ndarray) -> Any:
    import torch

    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def torch_run(loss: Callable, leaves: list, compiled: bool = False) -> Run:
    """autograd.grad with respect to the leaves; no .grad accumulation to pay for."""
    import torch

    function = torch.compile(loss, dynamic=False) if compiled else loss
    return lambda: torch.autograd.grad(function(*leaves), leaves)


def autograd_numpy() -> Any:
    import autograd.numpy as anp

    return anp


def casadi_run(function: Any, *arrays: np.ndarray) -> Run:
    """A CasADi function called through its buffer interface, which is its fast one.

    Arrays are given in CasADi's column order; results come as their stored values, flat.
    """
    buffer, trigger = function.buffer()
    given = [np.array(a, dtype=np.float64).ravel() for a in arrays]
    for i, array in enumerate(given):
        if array.size != function.nnz_in(i):
            raise ValueError(f"argument {i}: {array.size} values for {function.nnz_in(i)} places")
        buffer.set_arg(i, memoryview(array))
    results = [np.zeros(function.nnz_out(i)) for i in range(function.n_out())]
    for i, array in enumerate(results):
        buffer.set_res(i, memoryview(array))

    def run() -> list[np.ndarray]:
        trigger()
        return results

    run.keep = (buffer, given)  # type: ignore[attr-defined]
    return run
