"""grad, value_and_grad, jvp and jit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import Transformed
from jittape.api.signature import kept_from_the_second
from jittape.passes.differentiate import forward, reverse
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.embed import embed
from jittape.tracing.inner import Inner
from jittape.tracing.patches import recorded
from jittape.tracing.recorder import here, open_traces
from jittape.tracing.tracer import Tracer

Argnums = int | tuple[int, ...]


def optional_function(transform: Callable) -> Callable:
    """Lets a transform be used as decorator with and without arguments."""

    @functools.wraps(transform)
    def decorator(fun: Callable | None = None, /, *args: Any, **options: Any) -> Any:
        if fun is None:
            return lambda f: decorator(f, *args, **options)
        if not callable(fun):
            raise TypeError(
                f"{here()}: {transform.__name__} takes a function, not {type(fun).__name__}"
            )
        made = transform(recorded(fun), *args, **options)
        if isinstance(made, Transformed):
            made.made_by = (decorator, args, options)  # what pickle needs
        return made

    return decorator


def pick(argnums: Argnums, args: tuple, name: str) -> tuple[int, ...]:
    """argnums as non-negative numbers; raises TypeError where such an argument is missing."""
    out = []
    for i in (argnums,) if isinstance(argnums, (int, np.integer)) else argnums:
        k = i + len(args) if i < 0 else i
        if not 0 <= k < len(args):
            raise TypeError(
                f"{here()}: {name} is differentiated with respect to argument {i}, but was called "
                f"with {len(args)} positional arguments; pass that argument by position"
            )
        out.append(int(k))
    return tuple(out)


@optional_function
def grad(
    fun: Callable, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False
) -> Transformed:
    """Gradient of a scalar-valued function.

    fun: plain NumPy code; its value has one element (float32 or float64), or is a pair
    (value, aux) with has_aux. argnums: position(s) of the differentiated arguments, which may be
    nested containers of numbers and arrays; integers there are promoted to float64.
    holomorphic: fun takes complex arguments to a complex number and is complex differentiable; the
    gradient is f'(z), where that of a real fun is df/dx - i df/dy (both as in JAX).

    Returns a function of the same arguments that gives the gradient in the structure, shapes and
    dtypes of the argument (a tuple of them where argnums is a tuple), or (gradient, aux).
    Raises TypeError for bool, object or string arguments and for a complex, bool or non-scalar
    result (a real one, or a real argument, where holomorphic is asked for), and
    DifferentiationError where fun turns out not to be holomorphic.
    """
    return _gradient(fun, argnums, has_aux, holomorphic, with_value=False)


@optional_function
def value_and_grad(
    fun: Callable, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False
) -> Transformed:
    """As `grad`, but returns (value, gradient), or ((value, aux), gradient) with has_aux."""
    return _gradient(fun, argnums, has_aux, holomorphic, with_value=True)


def _gradient(
    fun: Callable, argnums: Argnums, has_aux: bool, holomorphic: bool, with_value: bool
) -> Transformed:
    name = getattr(fun, "__name__", str(fun))

    def record(*args: Any, **kwargs: Any) -> Any:
        with Inner(fun, args, kwargs, pick(argnums, args, name)) as inner:
            value, aux = split_aux(inner.run(), has_aux, name)
            value = scalar(value, name, holomorphic)
            extra, restore = traced_leaves(aux)
            # Simplified first: a value read many times has one adjoint, placed once.
            tape, _ = simplify(inner.finish([value, *extra]))
        wrt = range(len(inner.leaves))
        swept = reverse(tape, wrt, seeds=[int(tape.outputs[0])])
        if holomorphic:
            check_holomorphic(tape, swept, len(inner.leaves), name)
        out = embed(swept, [*inner.operands, value.dtype.type(1)])
        aux = restore(out[1 : 1 + len(extra)])
        per_argument = inner.per_argument(out[1 + len(extra) :])
        gradient = per_argument if isinstance(argnums, (tuple, list)) else per_argument[0]
        if with_value:
            return ((out[0], aux) if has_aux else out[0]), gradient
        return (gradient, aux) if has_aux else gradient

    return Transformed(fun, record, argnums)


def split_aux(out: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    """(value, aux) of what the function returned; TypeError where has_aux asks for a pair."""
    if not has_aux:
        return out, None
    if not (isinstance(out, tuple) and len(out) == 2):
        raise TypeError(f"{here()}: with has_aux=True, {name} must return a pair (value, aux)")
    return out


def check_holomorphic(tape: Tape, swept: Tape, n_in: int, name: str) -> None:
    """Raises unless a tape's sweep (its last inputs are the seeds) gives complex derivatives by
    its first n_in inputs."""
    from jittape.api.holomorphic import require_complex, require_linear

    require_complex(tape.inputs[:n_in], name, "an argument")
    require_complex([tape.aval(int(v)) for v in tape.outputs[:1]], name, "the result")
    require_linear(swept, range(tape.n_inputs, swept.n_inputs), name)


def scalar(value: Any, name: str, holomorphic: bool = False) -> Any:
    """A result of one element as a 0-d value; raises TypeError for anything else."""
    if not isinstance(value, (Tracer, np.ndarray, np.generic, int, float, complex)):
        raise TypeError(
            f"{here()}: {name} returned {type(value).__name__}; grad needs one real number - "
            "use has_aux=True for further results"
        )
    value = value if isinstance(value, Tracer) else np.asarray(value)
    if value.dtype.kind != "f" and not holomorphic:
        if value.dtype.kind in "iu" and not isinstance(value, Tracer):
            value = value.astype(np.float64)
        else:
            raise TypeError(
                f"{here()}: {name} returned {value.dtype}; grad needs a real floating-point result"
                " - use holomorphic=True, jacobian, or vjp with a cotangent of your own"
            )
    if value.size != 1:
        raise TypeError(
            f"{here()}: {name} returned an array of shape {value.shape}; grad needs one number - "
            "use jacobian, or sum the result"
        )
    return value.reshape(()) if value.ndim else value


def traced_leaves(x: Any) -> tuple[list[Any], Callable]:
    """The tracers among the leaves of x, and a function that puts others in their place."""
    leaves: list[Any] = []
    structure = tree.flatten(x, leaves)
    where = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tracer)]

    def restore(values: Any) -> Any:
        full = list(leaves)
        for i, v in zip(where, values, strict=True):
            full[i] = v
        return tree.unflatten(structure, full)

    return [leaves[i] for i in where], restore


@optional_function
def jit(fun: Callable) -> Transformed:
    """The values of fun, replayed from its cached tape. Same arguments, results and errors."""
    return Transformed(fun, fun)


def jvp(fun: Callable, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """Value and directional derivative (forward mode).

    primals: tuple of the positional arguments; tangents: tuple of the same structure and shapes.
    Returns (out, tangent_out), both in the structure of fun's result.
    """
    pushed = None if open_traces() else _pushforwards(fun)
    return (pushed or _pushforward(fun))(tuple(primals), tuple(tangents))


def _pushforward(fun: Callable) -> Transformed:
    name = getattr(fun, "__name__", str(fun))

    def record(primals: tuple, tangents: tuple) -> Any:
        directions: list[Any] = []
        tangent_structure = tree.flatten(tangents, directions)
        with Inner(fun, primals, {}, range(len(primals))) as inner:
            results: list[Any] = []
            structure = tree.flatten(inner.run(), results)
            tape = inner.finish(results)
        if tangent_structure != tree.flatten(primals, []):
            raise TypeError(f"{here()}: jvp of {name}: tangents must have the structure of primals")
        directions = [match(t, x, "tangent") for t, x in zip(directions, inner.leaves, strict=True)]
        swept = forward(tape, range(len(inner.leaves)))
        out = embed(swept, [*inner.operands, *directions])
        n = len(results)
        tangent = iter(out[n:])
        full = [
            next(tangent) if tape.aval(v).inexact else np.zeros(tape.aval(v).shape)
            for v in tape.outputs.tolist()
        ]
        return tree.unflatten(structure, out[:n]), tree.unflatten(structure, full)

    return Transformed(fun, record, (0, 1))


_pushforwards = kept_from_the_second(_pushforward)


def match(t: Any, x: Any, what: str) -> Any:
    """A tangent or cotangent brought to the dtype of its value; raises where shapes differ."""
    shape = np.shape(x) if not isinstance(x, Tracer) else x.shape
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    t = t if isinstance(t, Tracer) else np.asarray(t)
    if t.shape != shape:
        raise ValueError(f"{here()}: a {what} has shape {t.shape}, its value has {shape}")
    return t if t.dtype == dtype else t.astype(dtype)
