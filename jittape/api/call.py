"""Calling a transformed function: recorded on tracers, served from cached programs on arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.passes.evaluate import GuardFailed, evaluate
from jittape.tape import Tape
from jittape.trace.embed import new_input, result_numbers
from jittape.trace.recorder import Trace, open_traces
from jittape.trace.tracer import Tracer

_STATIC = (int, bool, str, bytes, type(None))


class _Recorded:
    """One tape of a function at one key, and how its outputs make up the result."""

    __slots__ = ("tape", "structure", "static")

    def __init__(self, tape: Tape, structure: tree.Structure, static: dict[int, Any]):
        self.tape = tape
        self.structure = structure
        self.static = static  # result leaves that are no arrays, by position

    def result(self, values: Sequence[np.ndarray]) -> Any:
        arrays = iter(values)
        n = len(values) + len(self.static)
        leaves = [self.static[i] if i in self.static else next(arrays) for i in range(n)]
        leaves = [v[()] if type(v) is np.ndarray and v.ndim == 0 else v for v in leaves]
        return tree.unflatten(self.structure, leaves)


class Transformed:
    """A function that differentiates (or batches, or just replays) another.

    record(*args, **kwargs) does the work on tracers: it opens inner traces, transforms their
    tapes and pastes them into the trace around it.
    differentiated(args) -> which leaves of the arguments must be inputs, ints included.
    """

    def __init__(self, fun: Callable, record: Callable, argnums: int | tuple[int, ...] = ()):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self._record = record
        self._argnums = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
        self._cache: dict[Any, list[_Recorded]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if open_traces():
            return self._record(*args, **kwargs)
        leaves: list[Any] = []
        structure = tree.flatten((args, kwargs), leaves)
        must = self._positions(args)
        dynamic = [i in must or is_dynamic(x) for i, x in enumerate(leaves)]
        inputs = [_as_input(x) for x, d in zip(leaves, dynamic, strict=True) if d]
        key = (structure, tuple(map(_key, leaves, dynamic)))
        found = self._cache.setdefault(key, [])
        for recorded in found:
            try:
                return recorded.result(evaluate(recorded.tape, inputs))
            except GuardFailed:
                continue
        recorded = self._trace(structure, leaves, dynamic)
        found.append(recorded)
        return recorded.result(evaluate(recorded.tape, inputs))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _positions(self, args: tuple) -> set[int]:
        """Leaf numbers of the differentiated arguments."""
        if not self._argnums:
            return set()
        must: set[int] = set()
        position = 0
        for i, a in enumerate(args):
            leaves: list[Any] = []
            tree.flatten(a, leaves)
            if i in self._argnums or i - len(args) in self._argnums:
                must.update(range(position, position + len(leaves)))
            position += len(leaves)
        return must

    def _trace(self, structure: Any, leaves: list[Any], dynamic: list[bool]) -> _Recorded:
        trace = Trace(getattr(self.fun, "__qualname__", str(self.fun)))
        with np.errstate(all="ignore"), trace:
            traced = [new_input(trace, x) if d else x for x, d in zip(leaves, dynamic, strict=True)]
            args, kwargs = tree.unflatten(structure, traced)
            out = self._record(*args, **kwargs)
            results: list[Any] = []
            out_structure = tree.flatten(out, results)
            static = {
                i: x
                for i, x in enumerate(results)
                if not isinstance(x, (Tracer, np.ndarray, np.generic, float, complex))
            }
            numeric = [x for i, x in enumerate(results) if i not in static]
            tape = trace.finish(result_numbers(trace, numeric))
        return _Recorded(tape, out_structure, static)


def is_dynamic(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic, float, complex)) and (
        not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind in "fciub"
    )


def _as_input(x: Any) -> np.ndarray:
    return np.asarray(x)


def _key(x: Any, dynamic: bool) -> Any:
    if dynamic:
        if isinstance(x, (np.ndarray, np.generic)):
            return x.shape, x.dtype
        return type(x)
    if isinstance(x, _STATIC):
        return type(x), x
    return _Identity(x)


class _Identity:
    """A key that is the object itself, held alive."""

    __slots__ = ("object",)

    def __init__(self, object: Any):
        self.object = object

    def __hash__(self) -> int:
        return id(self.object)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Identity) and other.object is self.object
