"""vmap: one program for a batch, from a function of a single element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import Transformed
from jittape.api.gradients import optional_function
from jittape.errors import TraceError
from jittape.ops.reduce import broadcast_to
from jittape.ops.shape import transpose
from jittape.passes.batch import BRANCH_REMEDY, batch
from jittape.tracing.embed import embed, result_numbers
from jittape.tracing.recorder import Trace, here
from jittape.tracing.tracer import Tracer, value_of
from jittape.tracing.views import snapshot
from jittape.types import aval

_NUMERIC = (Tracer, np.ndarray, np.generic, int, float, complex)


@optional_function
def vmap(fun: Callable, in_axes: Any = 0, out_axes: Any = 0) -> Transformed:
    """fun for a whole batch of arguments at once.

    in_axes: which axis of each argument is the batch: an int for all, or a tuple or list with one
    entry per positional argument; an entry is an int, None (the argument is the same for all
    elements), or a container of these shaped like the argument (or like an outer part of it).
    out_axes: where the batch axis stands in each result, likewise; None needs a result that does
    not depend on the batch. Of keyword arguments, arrays are batched along their first axis, and
    0-d numbers and everything else pass through.

    fun is recorded once, without values: an `if`, `while`, int() or float() on a batched value
    raises TraceError (write np.where); one on an argument with in_axes None or on a captured
    value is as usual. Raises ValueError where batch sizes differ or an axis does not exist,
    TypeError where in_axes does not fit the arguments.
    """
    name = getattr(fun, "__qualname__", str(fun))
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if not (in_axes is None or isinstance(in_axes, (int, tuple))):
        raise TypeError(
            f"{here()}: vmap of {name}: in_axes must be an int, None, or a tuple with an entry per "
            f"positional argument, not {type(in_axes).__name__}"
        )

    def record(*args: Any, **kwargs: Any) -> Any:
        leaves: list[Any] = []
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ValueError(
                f"{here()}: vmap of {name}: in_axes has {len(in_axes)} entries, but there are "
                f"{len(args)} positional arguments"
            )
        structure = tree.flatten((args, kwargs), leaves)
        axes = prefix_leaves(in_axes, args, f"vmap of {name}: in_axes")
        n_positional = len(axes)
        axes += [0 if np.ndim(_shaped(x)) else None for x in leaves[n_positional:]]
        size, operands = _split(leaves, axes, name)
        trace = Trace(name, concrete=False, remedy=BRANCH_REMEDY)
        trace.of_batch = True
        with np.errstate(all="ignore"), trace:
            traced = list(leaves)
            for i, x in operands.items():
                a = aval(x.shape[1:], x.dtype)
                traced[i] = Tracer(trace, trace.add_input(a), a, None)
            first = [value_of(x) for x in operands.values()]
            if size and not any(v is None for v in first):
                trace.samples = [v[0] for v in first]
            full_args, full_kwargs = tree.unflatten(structure, traced)
            results: list[Any] = []
            out_structure = tree.flatten(fun(*full_args, **full_kwargs), results)
            mine = [i for i, x in enumerate(results) if _of(trace, x)]
            tape = trace.finish(result_numbers(trace, [results[i] for i in mine]))
        marks = [True] * len(operands) + [False] * len(trace.captured)
        together, on = batch(tape, marks, size)
        values = embed(together, [*operands.values(), *trace.captured])
        for i, value, b in zip(mine, values, on, strict=True):
            results[i] = value if b else broadcast_to(value, shape=(size, *value.shape))
        wanted = prefix_leaves(
            out_axes, tree.unflatten(out_structure, results), f"vmap of {name}: out_axes"
        )
        batched = set(mine)
        for i, (x, axis) in enumerate(zip(results, wanted, strict=True)):
            results[i] = _place(x, axis, i in batched, size, name)
        return tree.unflatten(out_structure, results)

    return Transformed(fun, record)


def prefix_leaves(prefix: Any, full: Any, what: str) -> list[int | None]:
    """One axis per leaf of `full`; `prefix` has its structure, or ends earlier."""
    out: list[int | None] = []

    def walk(p: Any, x: Any) -> None:
        if p is None or isinstance(p, (int, np.integer)) and not isinstance(p, bool):
            leaves: list[Any] = []
            tree.flatten(x, leaves)
            out.extend([None if p is None else int(p)] * len(leaves))
            return
        mine, theirs = tree.children(p), tree.children(x)
        if mine is None or theirs is None or mine[0] != theirs[0] or len(mine[1]) != len(theirs[1]):
            raise TypeError(
                f"{here()}: {what} must be ints or None in (an outer part of) the structure of "
                f"the values, but {p!r} meets {type(x).__name__}"
            )
        for a, b in zip(mine[1], theirs[1], strict=True):
            walk(a, b)

    walk(prefix, full)
    return out


def _shaped(x: Any) -> Any:
    """x where it has a shape, else a number."""
    return x if isinstance(x, (Tracer, np.ndarray)) else 0


def _of(trace: Trace, x: Any) -> bool:
    return isinstance(x, Tracer) and x._trace is trace


def _split(
    leaves: Sequence[Any], axes: Sequence[int | None], name: str
) -> tuple[int, dict[int, Any]]:
    """The batch size, and the batched leaves with the batch axis in front, by position."""
    operands: dict[int, Any] = {}
    sizes: dict[int, int] = {}
    for i, (x, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            continue
        if not isinstance(x, _NUMERIC):
            raise TypeError(
                f"{here()}: vmap of {name}: an argument of type {type(x).__name__} has no axis "
                f"{axis}; give it in_axes None"
            )
        x = x if isinstance(x, Tracer) else np.asarray(x)
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(
                f"{here()}: vmap of {name}: in_axes asks for axis {axis} of an argument of shape "
                f"{x.shape}; give it in_axes None if it is the same for all elements"
            )
        sizes.setdefault(x.shape[axis], i)
        operands[i] = snapshot(move_axis(x, axis % x.ndim, 0))
    if len(sizes) != 1:
        raise ValueError(
            f"{here()}: vmap of {name}: "
            + (
                f"the batch axes have different sizes {sorted(sizes)}"
                if sizes
                else "no argument is batched; in_axes must not be None for all of them"
            )
        )
    return next(iter(sizes)), operands


def move_axis(x: Any, source: int, target: int) -> Any:
    """np.moveaxis for one axis."""
    if source == target:
        return x
    perm = [i for i in range(x.ndim) if i != source]
    perm.insert(target, source)
    return transpose(x, perm=tuple(perm))


def _place(x: Any, axis: int | None, batched: bool, size: int, name: str) -> Any:
    if axis is None:
        if batched:
            raise ValueError(
                f"{here()}: vmap of {name}: a result with out_axes None depends on the batch; "
                "give it the position of its batch axis"
            )
        return x
    if not isinstance(x, _NUMERIC):
        if x is None:
            return x
        raise TraceError(
            f"{here()}: vmap of {name}: the function returned {type(x).__name__}, which cannot be "
            "batched; return arrays and numbers, or give it out_axes None"
        )
    if not batched:
        x = x if isinstance(x, Tracer) else np.asarray(x)
        x = broadcast_to(x, shape=(size, *x.shape))
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"{here()}: vmap of {name}: out_axes asks for axis {axis} of a result of shape "
            f"{x.shape}"
        )
    return move_axis(x, 0, axis % x.ndim)
