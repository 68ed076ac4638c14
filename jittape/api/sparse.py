"""Sparse Jacobians and Hessians: pattern and colouring from the tape, then compressed sweeps.

All of it happens while recording: what is cached is one program from the arguments to the
nonzeros, and the pattern it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import Transformed
from jittape.api.compressed import Lifted, by_columns, by_rows
from jittape.api.directions import choose_mode
from jittape.api.gradients import Argnums, pick, scalar
from jittape.api.nonzeros import assembled, row_numbers
from jittape.errors import TraceError
from jittape.passes.colour import colour_columns, colour_symmetric
from jittape.passes.differentiate import reverse
from jittape.passes.lanes import Shapes, colour_lanes
from jittape.passes.lift import cut, joined_results, read_variables, with_outputs
from jittape.passes.one_lane import lane_pattern
from jittape.passes.simplify import simplify
from jittape.passes.sparsity import index_values, jacobian_pattern
from jittape.tape import Tape
from jittape.tracing.embed import embed
from jittape.tracing.guards import pin
from jittape.tracing.inner import Inner
from jittape.tracing.recorder import here, open_traces
from jittape.tracing.tracer import Tracer

# a reverse sweep costs about this many forward sweeps
REVERSE_COST = 1.5
# beyond this many steps a colouring takes longer than it can save
TOO_LONG = 4_000_000_000


class Sparse(Transformed):
    """A function whose result is a scipy.sparse.csr_array; `record` gives nonzeros and pattern."""

    def __init__(self, fun: Callable, record: Callable, argnums: Argnums, what: str):
        super().__init__(fun, record, argnums)
        self._what = what

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if open_traces():
            raise TraceError(
                f"{here()}: {self._what}(sparse=True) gives a scipy.sparse matrix, which cannot be "
                "traced; call it on arrays, or use sparse=False inside of a transformed function"
            )
        from scipy.sparse import csr_array

        data, pattern = super().__call__(*args, **kwargs)
        # copies, because a csr_array may be changed in place
        parts = (data, pattern.indices.copy(), pattern.indptr.copy())
        return csr_array(parts, shape=pattern.shape)


def sparse_jacobian(fun: Callable, argnums: Argnums, mode: str) -> Sparse:
    """See `jittape.jacobian`."""
    name = getattr(fun, "__name__", str(fun))

    def record(*args: Any, **kwargs: Any) -> Any:
        with Inner(fun, args, kwargs, pick(argnums, args, name)) as inner:
            results: list[Any] = []
            tree.flatten(inner.run(), results)
            tape, _ = simplify(inner.finish(results))
        n_in = len(inner.leaves)
        outputs = tape.outputs.tolist()
        choose_mode(mode, tape.inputs[:n_in], [tape.aval(v) for v in outputs], name)
        lifted = _lift(tape, n_in, inner.operands)
        roots, rows = joined_results(lifted.tape, lifted.tape.outputs.tolist())
        pattern = _pattern(lifted, roots)
        of_rows, of_columns = (_shapes(lifted.tape, values) for values in (roots, lifted.numbers))
        chosen, colour, count = _colour(pattern, mode, of_rows, of_columns)
        if chosen == "forward":
            position = colour[pattern.indices], row_numbers(pattern)
            values = by_columns(lifted, roots, colour, count, *position)
        else:
            position = colour[row_numbers(pattern)], pattern.indices.astype(np.int64)
            values = by_rows(lifted, roots, colour, count, *position)
        shape = (len(rows), sum(a.size for a in tape.inputs[:n_in]))
        return assembled(values, pattern, rows, lifted.sources, shape)

    return Sparse(fun, record, argnums, "jacobian")


def sparse_hessian(fun: Callable, argnums: Argnums) -> Sparse:
    """See `jittape.hessian`."""
    name = getattr(fun, "__name__", str(fun))

    def record(*args: Any, **kwargs: Any) -> Any:
        with Inner(fun, args, kwargs, pick(argnums, args, name)) as inner:
            value = scalar(inner.run(), name)
            tape, _ = simplify(inner.finish([value]))
        n_in = len(inner.leaves)
        lifted = _lift(tape, n_in, inner.operands)
        swept = reverse(lifted.tape, lifted.numbers, seeds=lifted.tape.outputs.tolist())
        gradients = swept.outputs[1:].tolist()
        operands = [*lifted.operands, value.dtype.type(1)]
        above = Lifted(swept, lifted.numbers, operands, lifted.sources)
        pattern = _symmetric(_pattern(above, gradients))
        shapes = _shapes(swept, lifted.numbers)
        colour, count = colour_lanes(pattern, shapes, shapes, colour_symmetric)
        row, column = row_numbers(pattern), pattern.indices.astype(np.int64)
        # an entry that shares its place with another is read at the transposed place
        place = row * count + colour[column]
        _, inverse, times = np.unique(place, return_inverse=True, return_counts=True)
        alone = times[inverse] == 1
        position = np.where(alone, colour[column], colour[row]), np.where(alone, row, column)
        values = by_columns(above, gradients, colour, count, *position)
        n = sum(a.size for a in tape.inputs[:n_in])
        return assembled(values, pattern, lifted.sources, lifted.sources, (n, n))

    return Sparse(fun, record, argnums, "hessian")


def _lift(tape: Tape, n_in: int, operands: Sequence[Any]) -> Lifted:
    wrt, outputs = range(n_in), tape.outputs.tolist()
    indices = _indices(tape, wrt, operands)
    read = read_variables(tape, wrt, outputs, indices)
    inside = [v for v in read if v >= tape.n_inputs]
    bound = [*operands, *embed(with_outputs(tape, inside), operands)]
    changed, numbers = cut(tape, list(read))
    sources = [s.ravel() for s in read.values()]
    return Lifted(
        changed, numbers, bound, np.concatenate(sources) if sources else np.zeros(0, np.int64)
    )


def _pattern(lifted: Lifted, results: Sequence[int]) -> Any:
    """Which elements of these values depend on which of the variables', as a csr_array of bool."""
    found = lane_pattern(lifted.tape, lifted.numbers, results)
    if found is not None:
        return found
    indices = _indices(lifted.tape, lifted.numbers, lifted.operands)
    return jacobian_pattern(lifted.tape, lifted.numbers, results, indices)


def _indices(tape: Tape, wrt: Sequence[int], operands: Sequence[Any]) -> dict[int, np.ndarray]:
    """Concrete indices of the tape, each with a guard that it stays what it is."""
    known, asked = index_values(tape, wrt)
    if asked:
        for v, t in zip(asked, embed(with_outputs(tape, asked), operands), strict=True):
            known[v] = np.asarray(pin(t) if isinstance(t, Tracer) else t)
    return known


def _symmetric(pattern: Any) -> Any:
    """The union of a square pattern and its transpose."""
    from scipy.sparse import csr_array

    out = csr_array(pattern + pattern.T)
    out.sort_indices()
    return out


def _shapes(tape: Tape, values: Sequence[int]) -> list[tuple[int, ...]]:
    return [tape.aval(v).shape for v in values]


def _colour(
    pattern: Any, mode: str, rows_of: Shapes, columns_of: Shapes
) -> tuple[str, np.ndarray, int]:
    """(mode, colours of columns or rows, how many), by the cheaper mode. rows_of, columns_of:
    shapes of the arrays whose elements they are."""
    rows = int(np.diff(pattern.indptr).max(initial=0))
    columns = int(np.bincount(pattern.indices, minlength=1).max(initial=0))
    best: tuple[float, str, np.ndarray, int] | None = None
    bounds = {"forward": float(rows), "reverse": REVERSE_COST * columns}
    if mode != "auto":
        bounds = {mode: bounds[mode]}
    for kind, bound in sorted(bounds.items(), key=lambda item: item[1]):
        if best is not None and best[0] <= bound:
            break  # the other mode cannot be better
        if kind == "forward":
            colour, count = colour_lanes(pattern, rows_of, columns_of, _distance_two)
        else:
            turned = pattern.T.tocsr()
            colour, count = colour_lanes(turned, columns_of, rows_of, _distance_two)
        cost = count * (1.0 if kind == "forward" else REVERSE_COST)
        if best is None or cost < best[0]:
            best = cost, kind, colour, count
    assert best is not None
    return best[1:]


def _distance_two(pattern: Any) -> tuple[np.ndarray, int]:
    lengths = np.diff(pattern.indptr).astype(np.int64)
    if int((lengths**2).sum()) > TOO_LONG:
        n = pattern.shape[1]
        return np.arange(n), n
    return colour_columns(pattern)
