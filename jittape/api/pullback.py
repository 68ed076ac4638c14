"""vjp: a value, and the function that pulls cotangents back to the arguments.

Called on arrays, vjp keeps tapes as the decorated functions do: the value is replayed, and the
sweep that pulls back is derived once per tape. A pullback holds all that its sweep reads, as it
was: the primals, and the contents of captured arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import Transformed
from jittape.api.gradients import match, split_aux, traced_leaves
from jittape.api.run import GuardFailed, HostFailed, prepare, run, worth_planning
from jittape.api.signature import kept_from_the_second
from jittape.config import config
from jittape.evaluate import evaluate
from jittape.passes.differentiate import reverse
from jittape.passes.simplify import simplify
from jittape.tape import Tape
from jittape.tracing.embed import embed
from jittape.tracing.inner import Inner, differentiable
from jittape.tracing.recorder import close_above, here, open_traces
from jittape.tracing.tracer import Tracer, trace_of
from jittape.types import aval_of


def vjp(fun: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """Value, and the function that pulls cotangents back (reverse mode).

    Returns (out, pullback), or (out, pullback, aux) with has_aux. pullback takes a cotangent of
    the structure and shapes of out and returns a tuple with one entry per primal; it keeps its
    primals, may be called again and again, and is itself differentiable.

    Called again with the same function object (or bound method), its tapes are replayed where they
    are valid; a lambda that is made anew for each call is traced each time.
    """
    name = getattr(fun, "__name__", str(fun))
    if not open_traces():
        known = (_with_aux if has_aux else _without_aux)(fun)
        if known is not None:
            return _replayed(known, name, primals, has_aux)
    level = len(open_traces())
    try:
        return _at_once(fun, name, primals, has_aux)
    finally:
        close_above(level)


def _at_once(fun: Callable, name: str, primals: tuple, has_aux: bool) -> tuple:
    """vjp recorded here and now: on tracers, and where a function is used for the first time."""
    inner, tape, structure, n, restore = _record(fun, name, primals, has_aux)
    # the caller may write to its arrays later on
    operands = [_kept(x) for x in inner.operands]
    if config.debug_nans and not open_traces():
        check_finite(tape, operands)
    values = embed(tape, operands)
    pull = Pulled(tape, len(inner.leaves), n)
    bound = [*operands, *pull.captured(trace_of(operands))]

    def pullback(cotangent: Any) -> tuple:
        given = _cotangents(cotangent, structure, values[:n], name)
        return inner.per_argument(pull(bound, given))

    value = tree.unflatten(structure, values[:n])
    return (value, pullback, restore(values[n:])) if has_aux else (value, pullback)


def _record(
    fun: Callable, name: str, primals: tuple, has_aux: bool
) -> tuple[Inner, Tape, tree.Structure, int, Callable[[Sequence[Any]], Any]]:
    """A trace of fun, its tape, the structure of its result, of how many leaves that is (those of
    aux follow), and what makes aux of its leaves."""
    with Inner(fun, primals, {}, range(len(primals))) as inner:
        out, aux = split_aux(inner.run(), has_aux, name)
        extra, restore = traced_leaves(aux)
        results: list[Any] = []
        structure = tree.flatten(out, results)
        tape = inner.finish([*results, *extra])
    return inner, tape, structure, len(results), restore


def _replayed(known: Transformed, name: str, primals: tuple, has_aux: bool) -> tuple:
    """vjp on arrays, from the cache."""
    primals = tuple(
        tree.tree_map(functools.partial(differentiable, name=name, argnum=i), p)
        for i, p in enumerate(primals)
    )
    recorded, values, inputs = known.answer((primals,), {})
    value, aux = recorded.box(values)
    leaves: list[Any] = []
    structure = tree.flatten(value, leaves)
    pull = recorded.derived
    if pull is None:
        pull = recorded.derived = Pulled(recorded.tape, len(inputs), len(leaves))
    bound = [*map(_kept, inputs), *pull.captured(None)]

    def pullback(cotangent: Any) -> tuple:
        given = _cotangents(cotangent, structure, leaves, name)
        gradients = iter(pull(bound, given))
        return tuple([tree.tree_map(lambda _: next(gradients), p) for p in primals])

    return (value, pullback, aux) if has_aux else (value, pullback)


def _value(has_aux: bool) -> Callable[[Callable], Transformed]:
    """What makes the cached function of one function: primals -> (value, aux)."""

    def make(fun: Callable) -> Transformed:
        name = getattr(fun, "__name__", str(fun))

        def record(primals: tuple) -> Any:
            inner, tape, structure, n, restore = _record(fun, name, primals, has_aux)
            values = embed(tape, inner.operands)
            return tree.unflatten(structure, values[:n]), restore(values[n:])

        return Transformed(fun, record, 0)

    return make


_with_aux = kept_from_the_second(_value(True))
_without_aux = kept_from_the_second(_value(False))


def _kept(x: Any) -> Any:
    """x as it is now, whatever its owner does to it later."""
    return x if isinstance(x, Tracer) or not isinstance(x, np.ndarray) else np.array(x)


def _cotangents(cotangent: Any, structure: Any, values: Sequence[Any], name: str) -> list[Any]:
    """The leaves of a cotangent that are seeds: those of real and complex results."""
    leaves: list[Any] = []
    if tree.flatten(cotangent, leaves) != structure:
        raise TypeError(f"{here()}: the cotangent must have the structure of {name}'s result")
    return [
        match(c, v, "cotangent")
        for c, v in zip(leaves, values, strict=True)
        if v.dtype.kind in "fc"
    ]


class Pulled:
    """The reverse sweep of a tape, as a function of all that it reads.

    n_leaves: inputs of the tape that are differentiated, the first ones. n_results: outputs that
    have cotangents, the first ones.
    """

    def __init__(self, tape: Tape, n_leaves: int, n_results: int):
        lifted, self._live = _lift(tape)
        simple, _ = simplify(lifted)
        seeds = [int(v) for v in simple.outputs[:n_results] if simple.aval(int(v)).inexact]
        swept = reverse(simple, range(n_leaves), seeds=seeds)
        self._tape = swept.replace(outputs=swept.outputs[len(simple.outputs) :].copy())
        self._prepared: Any = None
        self._calls = 0

    def captured(self, trace: Any) -> list[Any]:
        """What captured arrays hold now. In a trace these are its captured arrays, too: a replay
        reads what they hold then."""
        if trace is None:
            return [np.array(a) for a in self._live]
        return [
            Tracer(trace, trace.add_const(a, live=True), aval_of(a), np.array(a))
            for a in self._live
        ]

    def __call__(self, bound: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """One gradient per leaf."""
        operands = [*bound, *cotangents]
        if open_traces() or any(isinstance(x, Tracer) for x in operands):
            return embed(self._tape, operands)
        if config.debug_nans:
            check_finite(self._tape, operands)
        self._calls += 1
        if self._calls > 1 or worth_planning(self._tape):
            if self._prepared is None:
                self._prepared = prepare(self._tape)
            try:
                return [_boxed(v) for v in run(self._prepared, [*map(_boxed, operands)])]
            except (GuardFailed, HostFailed):
                # the value may be NumPy's own, from which a kernel may differ by an ulp; and what
                # an instruction raises is raised below, as itself
                pass
        return [_boxed(v) for v in evaluate(self._tape, operands)]


def check_finite(tape: Tape, operands: Sequence[Any]) -> None:
    """NaN mode; it is imported where it is on."""
    from jittape.api import verify

    verify.check_finite(tape, operands)


def _boxed(v: Any) -> Any:
    return v[()] if type(v) is np.ndarray and v.ndim == 0 else v


def _lift(tape: Tape) -> tuple[Tape, list[np.ndarray]]:
    """The tape with its live constants as further inputs, and these constants."""
    live = [c for c in tape.consts if c.live]
    if not live:
        return tape, []
    rest = [c for c in tape.consts if not c.live]
    n = tape.n_inputs
    number = np.arange(tape.n_values, dtype=np.int32)
    at_live, at_rest = n, n + len(live)
    for k, c in enumerate(tape.consts):
        number[n + k] = at_live if c.live else at_rest
        at_live, at_rest = at_live + c.live, at_rest + (not c.live)
    made = tape.replace(
        inputs=(*tape.inputs, *[c.aval for c in live]),
        consts=(*rest,),
        args=number[tape.args],
        outputs=number[tape.outputs],
    )
    return made, [c.value for c in live]
