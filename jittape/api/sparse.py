"""Sparse Jacobians and Hessians: pattern and colouring from the tape, then compressed sweeps.

All of it happens while recording: what is cached is one program from the arguments to the
nonzeros, and the pattern it belongs to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import Transformed
from jittape.api.gradients import Argnums, pick, scalar
from jittape.api.jacobian import choose_mode, chunks
from jittape.errors import TraceError
from jittape.ops import shape as layout
from jittape.ops.elementwise import converted
from jittape.ops.index import scatter_add, take
from jittape.passes.batch import batch
from jittape.passes.colour import colour_columns, colour_symmetric
from jittape.passes.differentiate import forward, reverse
from jittape.passes.lift import cut, joined_results, read_variables, with_outputs
from jittape.passes.simplify import simplify
from jittape.passes.sparsity import index_values, jacobian_pattern
from jittape.tape import Tape
from jittape.tracing.embed import embed
from jittape.tracing.guards import pin
from jittape.tracing.inner import Inner
from jittape.tracing.recorder import frozen_arrays, here, open_traces
from jittape.tracing.tracer import Tracer

# a reverse sweep costs about this many forward sweeps
REVERSE_COST = 1.5
# beyond this many steps a colouring takes longer than it can save
TOO_LONG = 4_000_000_000


class _Pattern:
    """What a csr_array needs besides its data. A class of its own, so that it is no container."""

    def __init__(self, shape: tuple[int, int], indptr: np.ndarray, indices: np.ndarray):
        self.shape = shape
        self.indptr = indptr
        self.indices = indices


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
        indices = _indices(lifted.tape, lifted.numbers, lifted.operands)
        pattern = jacobian_pattern(lifted.tape, lifted.numbers, roots, indices)
        chosen, colour, count = _colour(pattern, mode)
        if chosen == "forward":
            position = colour[pattern.indices], _row_numbers(pattern)
            values = _by_columns(lifted, roots, colour, count, *position)
        else:
            position = colour[_row_numbers(pattern)], pattern.indices.astype(np.int64)
            values = _by_rows(lifted, roots, colour, count, *position)
        shape = (len(rows), sum(a.size for a in tape.inputs[:n_in]))
        return _assembled(values, pattern, rows, lifted.sources, shape)

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
        above = _Lifted(swept, lifted.numbers, operands, lifted.sources)
        indices = _indices(swept, lifted.numbers, operands)
        pattern = jacobian_pattern(swept, lifted.numbers, gradients, indices)
        pattern = _symmetric(pattern)
        colour, count = colour_symmetric(pattern)
        row, column = _row_numbers(pattern), pattern.indices.astype(np.int64)
        # an entry that shares its place with another is read at the transposed place
        place = row * count + colour[column]
        _, inverse, times = np.unique(place, return_inverse=True, return_counts=True)
        alone = times[inverse] == 1
        position = np.where(alone, colour[column], colour[row]), np.where(alone, row, column)
        values = _by_columns(above, gradients, colour, count, *position)
        n = sum(a.size for a in tape.inputs[:n_in])
        return _assembled(values, pattern, lifted.sources, lifted.sources, (n, n))

    return Sparse(fun, record, argnums, "hessian")


@dataclass(frozen=True)
class _Lifted:
    """A tape whose variables are the values read from its inputs.

    numbers: value numbers of the variables. operands: what the inputs are bound to. sources: for
    each element of the variables, which element of the arguments it is.
    """

    tape: Tape
    numbers: list[int]
    operands: list[Any]
    sources: np.ndarray


def _lift(tape: Tape, n_in: int, operands: Sequence[Any]) -> _Lifted:
    wrt, outputs = range(n_in), tape.outputs.tolist()
    indices = _indices(tape, wrt, operands)
    read = read_variables(tape, wrt, outputs, indices)
    inside = [v for v in read if v >= tape.n_inputs]
    bound = [*operands, *embed(with_outputs(tape, inside), operands)]
    changed, numbers = cut(tape, list(read))
    sources = [s.ravel() for s in read.values()]
    return _Lifted(
        changed, numbers, bound, np.concatenate(sources) if sources else np.zeros(0, np.int64)
    )


def _indices(tape: Tape, wrt: Sequence[int], operands: Sequence[Any]) -> dict[int, np.ndarray]:
    """Concrete indices of the tape, each with a guard that it stays what it is."""
    known, asked = index_values(tape, wrt)
    if asked:
        for v, t in zip(asked, embed(with_outputs(tape, asked), operands), strict=True):
            known[v] = np.asarray(pin(t) if isinstance(t, Tracer) else t)
    return known


def _row_numbers(pattern: Any) -> np.ndarray:
    return np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))


def _symmetric(pattern: Any) -> Any:
    """The union of a square pattern and its transpose."""
    from scipy.sparse import csr_array

    out = csr_array(pattern + pattern.T)
    out.sort_indices()
    return out


def _colour(pattern: Any, mode: str) -> tuple[str, np.ndarray, int]:
    """(mode, colours of columns or rows, how many), by the cheaper mode."""
    rows = int(np.diff(pattern.indptr).max(initial=0))
    columns = int(np.bincount(pattern.indices, minlength=1).max(initial=0))
    best: tuple[float, str, np.ndarray, int] | None = None
    bounds = {"forward": float(rows), "reverse": REVERSE_COST * columns}
    if mode != "auto":
        bounds = {mode: bounds[mode]}
    for kind, bound in sorted(bounds.items(), key=lambda item: item[1]):
        if best is not None and best[0] <= bound:
            break  # the other mode cannot be better
        colour, count = _distance_two(pattern if kind == "forward" else pattern.T.tocsr())
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


def _starts(tape: Tape, values: Sequence[int]) -> np.ndarray:
    """Offsets of these values' elements, counted over all of them; the last is the total."""
    return np.r_[0, np.cumsum([tape.aval(v).size for v in values], dtype=np.int64)].astype(np.int64)


def _by_columns(
    lifted: _Lifted,
    results: Sequence[int],
    colour: np.ndarray,
    count: int,
    sweep: np.ndarray,
    element: np.ndarray,
) -> tuple[Any, np.ndarray]:
    """Forward sweeps, one per colour of the variables' elements.

    sweep, element: of which colour's sweep each nonzero is read, and at which element of the
    results. Returns a vector of values, and where in it each nonzero stands.
    """

    def build(leaves: list[int]) -> Tape:
        tape = with_outputs(lifted.tape, results)
        return forward(tape, [lifted.numbers[k] for k in leaves])

    return _compressed(
        lifted, lifted.numbers, results, colour, count, sweep, element, build, len(results)
    )


def _by_rows(
    lifted: _Lifted,
    results: Sequence[int],
    colour: np.ndarray,
    count: int,
    sweep: np.ndarray,
    element: np.ndarray,
) -> tuple[Any, np.ndarray]:
    """Reverse sweeps, one per colour of the results' elements; else as `_by_columns`."""

    def build(leaves: list[int]) -> Tape:
        return reverse(lifted.tape, lifted.numbers, seeds=[results[k] for k in leaves])

    outputs = len(lifted.tape.outputs)
    return _compressed(
        lifted, results, lifted.numbers, colour, count, sweep, element, build, outputs
    )


def _compressed(
    lifted: _Lifted,
    seeded: Sequence[int],
    read: Sequence[int],
    colour: np.ndarray,
    count: int,
    sweep: np.ndarray,
    element: np.ndarray,
    build: Callable[[list[int]], Tape],
    skip: int,
) -> tuple[Any, np.ndarray]:
    """Sweeps from the values `seeded` to the values `read`, see `_by_columns`.

    Colours that touch the same of the seeded values are swept together, and the others' tangents
    do not exist in that sweep."""
    tape = lifted.tape
    seed_starts, read_starts = _starts(tape, seeded), _starts(tape, read)
    touched = np.zeros((count, len(seeded)), dtype=bool)
    leaf_of = np.repeat(np.arange(len(seeded)), np.diff(seed_starts))
    touched[colour, leaf_of] = True
    read_of = np.searchsorted(read_starts, element, side="right") - 1
    used = np.zeros(count, dtype=bool)
    used[sweep] = True
    place = np.zeros(len(sweep), dtype=np.int64)
    parts: list[Any] = []
    total = 0
    kinds, kind_of = np.unique(touched[used], axis=0, return_inverse=True)
    colours_used = np.flatnonzero(used)
    for k, kind in enumerate(kinds):
        leaves = np.flatnonzero(kind).tolist()
        swept = build(leaves)
        mine = colours_used[kind_of.ravel() == k]
        for low, high in chunks(swept, len(mine), len(leaves)):
            chosen = mine[low:high]
            number = np.full(count, -1, dtype=np.int64)
            number[chosen] = np.arange(len(chosen))
            seeds = []
            for leaf in leaves:
                a = tape.aval(seeded[leaf])
                c = number[colour[seed_starts[leaf] : seed_starts[leaf + 1]]]
                seed = np.zeros((len(chosen), a.size), a.dtype)
                hit = np.flatnonzero(c >= 0)
                seed[c[hit], hit] = 1
                seed = seed.reshape(len(chosen), *a.shape)
                seeds.append(seed)
            values = _swept(swept, lifted.operands, seeds)[skip:]
            # only what nonzeros are read from
            here_ = np.flatnonzero(number[sweep] >= 0)
            for r in np.unique(read_of[here_]).tolist():
                entries = here_[read_of[here_] == r]
                size = int(read_starts[r + 1] - read_starts[r])
                within = number[sweep[entries]] * size + element[entries] - read_starts[r]
                part, moved = _long_axis_last(values[r])
                place[entries] = total + (within if moved is None else moved[within])
                parts.append(part)
                total += size * len(chosen)
    return _joined(parts), place


def _long_axis_last(value: Any) -> tuple[Any, np.ndarray | None]:
    """A value whose long axis has small ones after it, with that axis last, and where each element
    of the value went: the executor computes small axes apart (passes/components.py), and any
    order will do here."""
    shape = value.shape
    if value.ndim < 2 or value.size == 0 or max(shape[:-1]) <= shape[-1]:
        return value, None
    long = shape.index(max(shape))
    perm = (*[d for d in range(len(shape)) if d != long], long)
    moved = np.empty(value.size, np.int64)
    moved[np.arange(value.size).reshape(shape).transpose(perm).ravel()] = np.arange(value.size)
    return layout.transpose(value, perm=perm), moved


def _joined(parts: list[Any]) -> Any:
    """All elements of these values in one vector."""
    dtype = np.result_type(*[v.dtype for v in parts]) if parts else np.dtype(np.float64)
    parts = [converted(v, dtype) for v in parts]
    vectors: list[Any] = []
    for single, run in itertools.groupby(parts, key=lambda v: v.ndim == 0):
        if single:  # thousands of them where scalars are read one by one
            vectors.append(layout.stack(*run))
        else:
            vectors += [layout.reshape(v, shape=(v.size,)) for v in run]
    if not vectors:
        return np.zeros(0)
    return vectors[0] if len(vectors) == 1 else layout.concatenate(*vectors, axis=0)


def _swept(swept: Tape, operands: Sequence[Any], seeds: list[np.ndarray]) -> list[Any]:
    """The outputs at these seeds (their first axis counts sweeps), with that axis in front; a
    single sweep's without it."""
    k = len(seeds[0])
    if k == 1:
        return embed(swept, [*operands, *[_literal(s[0]) for s in seeds]])
    marks = [False] * len(operands) + [True] * len(seeds)
    together, on = batch(swept, marks, k)
    out = embed(together, [*operands, *[_literal(s) for s in seeds]])
    return [
        v if b else layout.broadcast_to(v, shape=(k, *v.shape))
        for v, b in zip(out, on, strict=True)
    ]


def _literal(seed: np.ndarray) -> np.ndarray:
    """The same, marked as what nobody writes to: its zeros and ones may be folded."""
    if seed.ndim:  # numbers are literals anyway
        frozen_arrays[id(seed)] = seed
    return seed


def _assembled(
    values: tuple[Any, np.ndarray],
    pattern: Any,
    rows: np.ndarray,
    columns: np.ndarray,
    shape: tuple[int, int],
) -> tuple[Any, _Pattern]:
    """The nonzeros of the matrix and its pattern, from those of `pattern`.

    For a Jacobian, rows[i] is the row of `pattern` that row i is; for a Hessian (shape of the
    pattern known to be of variables) rows are renamed as the columns are: each entry of `pattern`
    is added to that of its source row and column.
    """
    vector, place = values
    entry = np.arange(len(pattern.indices))
    row = _row_numbers(pattern)
    if rows is columns:
        row = rows[row]
    elif not np.array_equal(rows, np.arange(pattern.shape[0])):
        lengths = np.diff(pattern.indptr)[rows]
        within = np.arange(int(lengths.sum())) - np.repeat(lengths.cumsum() - lengths, lengths)
        entry = np.repeat(pattern.indptr[rows], lengths) + within
        row = np.repeat(np.arange(len(rows)), lengths)
    column = columns[pattern.indices[entry]]
    key = row.astype(np.int64) * shape[1] + column
    if len(key) and (np.diff(key) <= 0).any():
        order = np.argsort(key, kind="stable")
        key, entry = key[order], entry[order]
    first = np.r_[True, key[1:] != key[:-1]] if len(key) else np.zeros(0, bool)
    unique = key[first]
    index = place[entry]
    data = vector
    if len(index) != np.shape(vector)[0] or not np.array_equal(index, np.arange(len(index))):
        data = take(vector, index)
    if len(unique) < len(key):
        data = scatter_add(np.cumsum(first) - 1, data, n=len(unique))
    small = max(*shape, len(unique)) < 2**31 - 1
    kind = np.int32 if small else np.int64
    indptr = np.searchsorted(unique, np.arange(shape[0] + 1, dtype=np.int64) * shape[1])
    return data, _Pattern(shape, indptr.astype(kind), (unique % max(shape[1], 1)).astype(kind))
