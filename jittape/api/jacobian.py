"""jacobian, hessian and hvp: many directions swept together.

The pushforward (or pullback) of all directions is one batched tape: what does not depend on the
direction is computed once, and the rest has the directions as its batch axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import Transformed
from jittape.api.directions import choose_mode, chunks
from jittape.api.gradients import Argnums, check_holomorphic, match, optional_function, pick, scalar
from jittape.ops import shape as layout
from jittape.ops.reduce import broadcast_to
from jittape.passes.batch import batch
from jittape.passes.differentiate import forward, reverse
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.embed import embed
from jittape.tracing.inner import Inner
from jittape.tracing.recorder import here
from jittape.types import Aval


@optional_function
def jacobian(
    fun: Callable,
    argnums: Argnums = 0,
    *,
    mode: str = "auto",
    sparse: bool = False,
    holomorphic: bool = False,
) -> Any:
    """All first derivatives of an array-valued function.

    fun: plain NumPy code; arguments and result may be nested containers of numbers and arrays.
    mode: "forward" (one sweep per input element), "reverse" (one per output element) or "auto"
    (the cheaper). All sweeps of a mode run as one batched program, in chunks of bounded memory.

    Returns a function of the same arguments. Its result has the structure of fun's result, with
    each leaf replaced by the structure of the argument (a tuple of these where argnums is a
    tuple), of blocks of shape (*result leaf, *argument leaf): the layout of jax.jacobian.
    sparse: one scipy.sparse.csr_array instead, whose rows are the elements of all result leaves
    and whose columns are those of all argument leaves, one after another in row-major order; the
    pattern comes from the tape, and columns (or rows) of one colour are swept together.
    holomorphic: arguments and results are complex, and fun is complex differentiable; the blocks
    are df/dz.

    Raises TypeError for bool, object or string arguments, for an integer or bool result, and where
    both argument and result are complex, unless holomorphic is asked for; then
    DifferentiationError where fun turns out not to be. ValueError for an unknown mode, and for
    holomorphic together with sparse.
    """
    if holomorphic and sparse:
        raise ValueError(
            f"{here()}: there is no sparse jacobian with holomorphic=True; leave one out"
        )
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"{here()}: mode must be 'auto', 'forward' or 'reverse', not {mode!r}")
    name = getattr(fun, "__name__", str(fun))
    if sparse:
        from jittape.api.sparse import sparse_jacobian

        return sparse_jacobian(fun, argnums, mode)

    def record(*args: Any, **kwargs: Any) -> Any:
        with Inner(fun, args, kwargs, pick(argnums, args, name)) as inner:
            results: list[Any] = []
            structure = tree.flatten(inner.run(), results)
            tape, _ = simplify(inner.finish(results))
        n_in = len(inner.leaves)
        ins, outs = tape.inputs[:n_in], [tape.aval(v) for v in tape.outputs.tolist()]
        chosen = choose_mode(mode, ins, outs, name, holomorphic)
        sweep = _by_rows if chosen == "reverse" else _by_columns
        blocks = sweep(tape, inner.operands, n_in, name if holomorphic else None)
        nested = []
        for row in blocks:
            per_argument = inner.per_argument(row)
            nested.append(per_argument if isinstance(argnums, (tuple, list)) else per_argument[0])
        return tree.unflatten(structure, nested)

    return Transformed(fun, record, argnums)


def basis(avals: Sequence[Aval], start: int, stop: int) -> list[np.ndarray]:
    """Unit directions start..stop of the space that these avals make up, one array per aval."""
    out, before = [], 0
    for a in avals:
        unit = np.zeros((stop - start, a.size), a.dtype)
        k = np.arange(max(start, before), min(stop, before + a.size))
        unit[k - start, k - before] = 1
        out.append(unit.reshape(stop - start, *a.shape))
        before += a.size
    return out


def sweep_together(
    swept: Tape, operands: Sequence[Any], directions: Sequence[Aval], n_values: int
) -> list[Any]:
    """A pushforward or pullback tape at all unit directions.

    swept: inputs are bound to operands, then one input per aval in `directions`; outputs from
    n_values on are the results, which come back with the directions in front.
    """
    total = sum(a.size for a in directions)
    marks = [False] * len(operands) + [True] * len(directions)
    parts: list[list[Any]] = []
    for start, stop in chunks(swept, total, len(directions)):
        together, on = batch(swept, marks, stop - start)
        values = embed(together, [*operands, *basis(directions, start, stop)])[n_values:]
        parts.append(
            [
                v if b else broadcast_to(v, shape=(stop - start, *v.shape))
                for v, b in zip(values, on[n_values:], strict=True)
            ]
        )
    if len(parts) == 1:
        return parts[0]
    if not parts:
        outs = [swept.aval(int(v)) for v in swept.outputs[n_values:]]
        return [np.zeros((0, *a.shape), a.dtype) for a in outs]
    return [layout.concatenate(*column, axis=0) for column in zip(*parts, strict=True)]


def _rows(x: Any, start: int, stop: int) -> Any:
    """x[start:stop] as an op."""
    if (start, stop) == (0, x.shape[0]):
        return x
    rest = tuple((0, 1, n) for n in x.shape[1:])
    return layout.strided_slice(x, index=((start, 1, stop - start), *rest))


def _by_rows(
    tape: Tape, operands: Sequence[Any], n_in: int, holomorphic: str | None
) -> list[list[Any]]:
    """Blocks [result][argument leaf] by reverse sweeps, one per result element. holomorphic: the
    name of a function that has to be so."""
    outs = [tape.aval(v) for v in tape.outputs.tolist()]
    swept = reverse(tape, range(n_in), seeds=tape.outputs.tolist())
    if holomorphic is not None:
        check_holomorphic(tape, swept, n_in, holomorphic)
    if sum(a.size for a in outs) == 1:  # a scalar: nothing to batch
        seeds = [np.ones(a.shape, a.dtype) for a in outs]
        rows = embed(swept, [*operands, *seeds])[len(outs) :]
        rows = [layout.reshape(r, shape=(1, *r.shape)) for r in rows]
    else:
        rows = sweep_together(swept, operands, outs, len(outs))
    blocks, before = [], 0
    for a in outs:
        blocks.append(
            [
                layout.reshape(_rows(r, before, before + a.size), shape=(*a.shape, *r.shape[1:]))
                for r in rows
            ]
        )
        before += a.size
    return blocks


def _by_columns(
    tape: Tape, operands: Sequence[Any], n_in: int, holomorphic: str | None
) -> list[list[Any]]:
    """Blocks [result][argument leaf] by forward sweeps, one per argument element; see _by_rows."""
    ins = tape.inputs[:n_in]
    outs = [tape.aval(v) for v in tape.outputs.tolist()]
    swept = forward(tape, range(n_in))
    if holomorphic is not None:
        check_holomorphic(tape, swept, n_in, holomorphic)
    columns = sweep_together(swept, operands, ins, len(outs))
    blocks = []
    for column, out in zip(columns, outs, strict=True):
        row, before = [], 0
        for a in ins:
            part = _rows(column, before, before + a.size)
            moved = layout.transpose(part, perm=(*range(1, part.ndim), 0))
            row.append(layout.reshape(moved, shape=(*out.shape, *a.shape)))
            before += a.size
        blocks.append(row)
    return blocks


@optional_function
def hessian(
    fun: Callable, argnums: Argnums = 0, *, sparse: bool = False, holomorphic: bool = False
) -> Any:
    """All second derivatives, by forward over reverse sweeps.

    Returns a function of the same arguments. For a scalar-valued fun of one array of shape s its
    result has shape (*s, *s); in general it has the structure of jacobian(jacobian(fun)), which is
    that of jax.hessian. sparse: a symmetric scipy.sparse.csr_array, for scalar-valued functions;
    holomorphic: d2f/dz2; see `jacobian`. Raises as `jacobian` does.
    """
    if sparse and not holomorphic:
        from jittape.api.sparse import sparse_hessian

        return sparse_hessian(fun, argnums)
    rows = jacobian(fun, argnums, mode="reverse", sparse=sparse, holomorphic=holomorphic)
    return jacobian(rows, argnums, mode="forward", holomorphic=holomorphic)


@optional_function
def hvp(fun: Callable, argnums: Argnums = 0) -> Transformed:
    """Hessian-vector products of a scalar-valued function, without the Hessian.

    Returns h(x, v, *rest, **kwargs): the directional derivative of grad(fun)(x, *rest) along v,
    which has the structure and shapes of x, as has the result. v stands right behind the
    differentiated argument, as scipy.optimize.minimize calls hessp(x, p, *args); where argnums is
    a tuple, behind the last of them, and is a tuple itself. One sweep forward over reverse, at a
    small multiple of the gradient's cost.
    Raises TypeError where v has another structure than x, ValueError where shapes differ.
    """
    name = getattr(fun, "__name__", str(fun))
    several = isinstance(argnums, (tuple, list))
    numbers: tuple[int, ...] = tuple(argnums) if isinstance(argnums, (tuple, list)) else (argnums,)
    if any(i < 0 for i in numbers):
        raise ValueError(f"{here()}: hvp takes argument numbers counted from the front")
    place = max(numbers) + 1

    def record(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= place:
            raise TypeError(
                f"{here()}: hvp of {name} takes the vector as argument {place}, right behind the "
                f"differentiated argument, but was called with {len(args)} arguments"
            )
        vector = args[place] if several else (args[place],)
        args = (*args[:place], *args[place + 1 :])
        with Inner(fun, args, kwargs, pick(argnums, args, name)) as inner:
            value = scalar(inner.run(), name)
            tape, _ = simplify(inner.finish([value]))
        n_in = len(inner.leaves)
        directions: list[Any] = []
        structure = tree.flatten(vector, directions)
        if structure != tree.flatten(tuple(args[i] for i in numbers), []):
            raise TypeError(
                f"{here()}: hvp of {name}: the vector (argument {place}) must have the structure "
                "of the differentiated argument"
            )
        directions = [
            match(t, x, "vector of hvp") for t, x in zip(directions, inner.leaves, strict=True)
        ]
        backward = gradient_tape(tape, n_in)
        swept = forward(backward, range(n_in))
        seed = value.dtype.type(1)
        out = embed(swept, [*inner.operands, seed, *directions])
        per_argument = inner.per_argument(out[n_in:])
        return per_argument if several else per_argument[0]

    return Transformed(fun, record, (*numbers, place))


def gradient_tape(tape: Tape, n_in: int) -> Tape:
    """The reverse sweep of a scalar tape (inputs: those of tape, the seed), gradients only."""
    swept = reverse(tape, range(n_in), seeds=[int(tape.outputs[0])])
    return swept.replace(outputs=swept.outputs[1:].copy())
