"""Compressed sweeps: one direction per colour, all of them in as few programs as can be.

The nonzeros of a sparse matrix stand somewhere in the results of these sweeps; where is found
here, and `nonzeros` puts them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape.api.directions import chunks
from jittape.ops import shape as layout
from jittape.ops.reduce import broadcast_to
from jittape.passes.batch import batch
from jittape.passes.differentiate import forward, reverse
from jittape.passes.lift import with_outputs
from jittape.tape import Tape
from jittape.tracing.embed import embed
from jittape.tracing.recorder import frozen_arrays


@dataclass(frozen=True)
class Lifted:
    """A tape whose variables are the values read from its inputs.

    numbers: value numbers of the variables. operands: what the inputs are bound to. sources: for
    each element of the variables, which element of the arguments it is.
    """

    tape: Tape
    numbers: list[int]
    operands: list[Any]
    sources: np.ndarray


def _starts(tape: Tape, values: Sequence[int]) -> np.ndarray:
    """Offsets of these values' elements, counted over all of them; the last is the total."""
    return np.r_[0, np.cumsum([tape.aval(v).size for v in values], dtype=np.int64)].astype(np.int64)


def by_columns(
    lifted: Lifted,
    results: Sequence[int],
    colour: np.ndarray,
    count: int,
    sweep: np.ndarray,
    element: np.ndarray,
) -> tuple[list[Any], np.ndarray]:
    """Forward sweeps, one per colour of the variables' elements.

    sweep, element: of which colour's sweep each nonzero is read, and at which element of the
    results. Returns values, and where among their elements (counted over all of them) each
    nonzero stands.
    """

    def build(leaves: list[int]) -> Tape:
        tape = with_outputs(lifted.tape, results)
        return forward(tape, [lifted.numbers[k] for k in leaves])

    return _compressed(
        lifted, lifted.numbers, results, colour, count, sweep, element, build, len(results)
    )


def by_rows(
    lifted: Lifted,
    results: Sequence[int],
    colour: np.ndarray,
    count: int,
    sweep: np.ndarray,
    element: np.ndarray,
) -> tuple[list[Any], np.ndarray]:
    """Reverse sweeps, one per colour of the results' elements; else as `by_columns`."""

    def build(leaves: list[int]) -> Tape:
        return reverse(lifted.tape, lifted.numbers, seeds=[results[k] for k in leaves])

    outputs = len(lifted.tape.outputs)
    return _compressed(
        lifted, results, lifted.numbers, colour, count, sweep, element, build, outputs
    )


def _compressed(
    lifted: Lifted,
    seeded: Sequence[int],
    read: Sequence[int],
    colour: np.ndarray,
    count: int,
    sweep: np.ndarray,
    element: np.ndarray,
    build: Callable[[list[int]], Tape],
    skip: int,
) -> tuple[list[Any], np.ndarray]:
    """Sweeps from the values `seeded` to the values `read`, see `by_columns`.

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
    return parts, place


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


def _swept(swept: Tape, operands: Sequence[Any], seeds: list[np.ndarray]) -> list[Any]:
    """The outputs at these seeds (their first axis counts sweeps), with that axis in front; a
    single sweep's without it."""
    k = len(seeds[0])
    if k == 1:
        return embed(swept, [*operands, *[_literal(s[0]) for s in seeds]])
    marks = [False] * len(operands) + [True] * len(seeds)
    together, on = batch(swept, marks, k)
    out = embed(together, [*operands, *[_literal(s) for s in seeds]])
    return [v if b else broadcast_to(v, shape=(k, *v.shape)) for v, b in zip(out, on, strict=True)]


def _literal(seed: np.ndarray) -> np.ndarray:
    """The same, marked as what nobody writes to: its zeros and ones may be folded."""
    if seed.ndim:  # numbers are literals anyway
        frozen_arrays[id(seed)] = seed
    return seed
