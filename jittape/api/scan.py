"""scan: a loop whose body is recorded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import jittape.api.loop_op
import jittape.api.loop_segment  # noqa: F401  # both declare what is recorded here
from jittape import tree
from jittape.api.loop_body import Body, intern, renumbered
from jittape.api.loop_run import choose_save, run_loop
from jittape.ops.index import take
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.captured import reached
from jittape.tracing.embed import result_numbers
from jittape.tracing.patches import recorded
from jittape.tracing.reach import reach_function
from jittape.tracing.recorder import Trace, here
from jittape.tracing.tracer import Tracer, cast, value_of
from jittape.types import Aval, aval, aval_of

REMEDY = (
    "the body of scan is recorded once for all steps, so that its values decide no branch and "
    "become no Python numbers; choose with np.where(condition, a, b), or write a Python loop"
)


def scan(
    f: Callable,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[Any, Any]:
    """A loop of many steps, recorded as one: jax.lax.scan's signature and meaning.

    f(carry, x) -> (carry, y): one step, plain NumPy code; carry keeps its structure, shapes and
    dtypes. init: the first carry. xs: arrays (in nested containers) with an axis of steps in
    front, of which each step gets a row x; or None, and then `length` says how many steps there
    are. reverse: from the last row to the first. progress(done, total) is called about 100 times
    in the course of long sweeps, the reverse sweep included.

    Returns (last carry, ys), ys with the rows y stacked along a first axis.

    Memory for derivatives: the carry before each step, as long as these take no more than
    jittape.config.loop_bytes (256 MiB); beyond that only some of them at a time, and the steps
    between are computed again in the reverse sweep, as often as the bound makes necessary
    (binomial checkpointing, Griewank and Walther 2000).
    Raises TypeError where f changes the carry's structure or shapes, ValueError where lengths
    differ, TraceError where f branches on values.
    """
    name = getattr(f, "__qualname__", str(f))
    f = recorded(f)
    carry: list[Any] = []
    structure = tree.flatten(init, carry)
    carry = [_numeric(x, f"init of scan of {name}") for x in carry]
    rows: list[Any] = []
    row_structure = tree.flatten(xs, rows)
    if xs is None:
        rows, row_structure = [], None
    rows = [_numeric(x, f"xs of scan of {name}") for x in rows]
    n = _length(rows, length, name)
    row_avals = [aval(x.shape[1:], x.dtype) for x in rows]

    for _ in range(3):  # dtypes of the carry may have to be promoted first
        avals = [aval(x.shape, x.dtype) for x in carry]
        samples = [*carry, *[_first_row(x) for x in rows]] if n else None
        own = row_structure if rows else None
        step = _record(f, name, structure, avals, own, row_avals, samples)
        if step.carry == avals:
            break
        carry = [cast(x, a.dtype) for x, a in zip(carry, step.carry, strict=True)]
    else:
        raise TypeError(f"{here()}: scan of {name}: the carry's dtypes keep changing")
    body = step.body
    save = choose_save(body, n)
    final, results, _ = run_loop(body, n, step.fixed, carry, rows, reverse, save, progress)
    final, results = [[_scalar(x) for x in xs] for xs in (final, results)]
    ys = iter(results)
    stacked = [next(ys) if numeric else None for numeric in step.numeric]
    return tree.unflatten(structure, final), tree.unflatten(step.results, stacked)


class _Recorded:
    """A recorded step: its Body, what its fixed inputs are bound to, its results' structure."""

    def __init__(
        self,
        body: Body,
        fixed: list[Any],
        carry: list[Aval],
        results: tree.Structure,
        numeric: list[bool],
    ):
        self.body = body
        self.fixed = fixed
        self.carry = carry
        self.results = results
        self.numeric = numeric


def _record(
    f: Callable,
    name: str,
    structure: tree.Structure,
    avals: Sequence[Aval],
    row_structure: Any,
    row_avals: Sequence[Aval],
    samples: list[Any] | None,
) -> _Recorded:
    trace = Trace(name, concrete=False, remedy=REMEDY)
    trace.samples = samples
    trace.captures = reached(f)
    with np.errstate(all="ignore"), trace:
        tracers = [Tracer(trace, trace.add_input(a), a, None) for a in (*avals, *row_avals)]
        n = len(avals)
        reach_function(f)
        x = tree.unflatten(row_structure, tracers[n:]) if row_avals else None
        out = f(tree.unflatten(structure, tracers[:n]), x)
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(
                f"{here()}: the body of scan, {name}, must return a pair (carry, y), not "
                f"{type(out).__name__}"
            )
        new: list[Any] = []
        if tree.flatten(out[0], new) != structure:
            raise TypeError(f"{here()}: the body of scan, {name}, changes the carry's structure")
        ys: list[Any] = []
        results = tree.flatten(out[1], ys)
        numeric = [y is not None for y in ys]
        new = [_fitted(x, a, k, name) for k, (x, a) in enumerate(zip(new, avals, strict=True))]
        numbers = result_numbers(trace, [*new, *[y for y in ys if y is not None]])
        new_avals = [aval(x.shape, x.dtype) if isinstance(x, Tracer) else aval_of(x) for x in new]
        tape = trace.finish(numbers)
    tape, fixed = hoisted(tape, len(tracers), trace.captured)
    body = intern(simplify(tape)[0], len(fixed), n)
    return _Recorded(body, fixed, new_avals, results, numeric)


def hoisted(tape: Tape, n_own: int, captured: Sequence[Any]) -> tuple[Tape, list[Any]]:
    """The tape with what it captured as its first inputs, and these values: outer tracers, and
    arrays that are read anew at each sweep."""
    live = [k for k, c in enumerate(tape.consts) if c.live]
    inputs = [
        *range(n_own, tape.n_inputs),
        *[tape.n_inputs + k for k in live],
        *range(n_own),
    ]
    out = renumbered(tape, inputs, (), tape.outputs.tolist())
    return out, [*captured, *[tape.consts[k].value for k in live]]


def _scalar(x: Any) -> Any:
    """A 0-d array as NumPy's scalar, as NumPy itself returns it."""
    return x[()] if type(x) is np.ndarray and x.ndim == 0 else x


def _first_row(x: Any) -> Any:
    """What a custom_vjp function in the body may be tried on."""
    value = value_of(x)
    return take(x, np.int64(0)) if value is None else np.asarray(value)[0]


def _numeric(x: Any, what: str) -> Any:
    if isinstance(x, Tracer):
        return x
    if not isinstance(x, (np.ndarray, np.generic, int, float, complex)):
        raise TypeError(f"{here()}: {what} contains {type(x).__name__}; only numbers and arrays do")
    return np.asarray(x)


def _length(rows: Sequence[Any], length: int | None, name: str) -> int:
    if any(x.ndim == 0 for x in rows):
        raise ValueError(f"{here()}: scan of {name}: xs contains a number; it needs a row per step")
    lengths = {int(x.shape[0]) for x in rows}
    if length is not None:
        lengths.add(int(length))
    if len(lengths) != 1:
        raise ValueError(
            f"{here()}: scan of {name}: "
            + (
                f"the lengths differ: {sorted(lengths)}"
                if lengths
                else "give the number of steps as length, or arrays as xs"
            )
        )
    return lengths.pop()


def _fitted(value: Any, a: Aval, k: int, name: str) -> Any:
    """Leaf k of the new carry with the dtype that holds it and the old one."""
    b = value._aval if isinstance(value, Tracer) else aval_of(np.asarray(value))
    if a.shape != b.shape:
        raise TypeError(
            f"{here()}: the body of scan, {name}, changes the shape of leaf {k} of the carry "
            f"from {a.shape} to {b.shape}; a carry keeps its shape"
        )
    traced = isinstance(value, Tracer)
    weak = value._weak if traced else isinstance(value, (int, float, complex))
    dtype = np.result_type(a.dtype, b.dtype)
    if weak and np.result_type(a.dtype, type(np.zeros((), b.dtype).item())) == a.dtype:
        dtype = a.dtype  # a Python number takes the dtype it meets (NEP 50)
    return cast(value if isinstance(value, Tracer) else np.asarray(value), dtype)
