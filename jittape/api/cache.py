"""What a transformed function keeps: per key the states it was recorded under, per state tapes.

The tapes of one state are the paths through the function. Each validates itself: it is right
exactly where all its guards hold. Which tape to try after a guard failed with some outcome is told
by a trie over the outcomes (see `paths`), so that known paths are found without tracing.
"""

from __future__ import annotations

import copy
import enum
import functools
import itertools
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from jittape import tree
from jittape.api.paths import Path, Paths
from jittape.api.run import GuardFailed, HostFailed, outcome, prepare, run, worth_planning
from jittape.api.state import State
from jittape.passes.evaluate import evaluate
from jittape.tape import Tape
from jittape.tracing.embed import PastedTracer
from jittape.tracing.tracer import value_of

_clock = itertools.count()
# states kept per key besides the one in use; those that hold large arrays are not kept
_KEPT_STATES = 4
_KEPT_BYTES = 1 << 24


class Answer:
    """The results of a trace, by whatever is quickest: most are known only to be somewhere on
    the tape, for nobody has asked for the values of a derivative while it was recorded."""

    def __init__(self, results: Sequence[Any], inputs: Sequence[Any]):
        # what is known has to be copied while the trace is open and its views can be read
        self._results = [x if _waits(x) else np.array(value_of(x)) for x in results]
        self._inputs = inputs

    def values(self, recorded: Recorded) -> list[np.ndarray]:
        """Fresh arrays. recorded: the tape of the trace, or one that equals it."""
        if any(map(_waits, self._results)) and (
            recorded.is_planned or worth_planning(recorded.tape)
        ):
            try:
                return run(recorded.prepared, self._inputs)
            except (GuardFailed, HostFailed):
                # NumPy's own value, on which the branch was taken, may differ by an ulp; and
                # what an instruction raises is raised again below, as itself
                pass
        return [
            np.array(value_of(x), dtype=recorded.tape.aval(v).dtype)
            for x, v in zip(self._results, recorded.tape.outputs.tolist(), strict=True)
        ]


def _waits(x: Any) -> bool:
    return isinstance(x, PastedTracer) and x.waits


class Recorded:
    """One tape, and how its outputs make up the result.

    confirmed: it may be replayed; before that, the same path has to be traced once more.
    """

    def __init__(self, tape: Tape, structure: tree.Structure, static: dict[int, Any]):
        self.tape = tape
        self.structure = structure
        self.static = static  # result leaves that are no arrays, by position
        self.box = _boxer(tape, structure, static)
        self.one = structure is None and not static and tape.aval(int(tape.outputs[0])).ndim > 0
        self.confirmed = False
        self.volatile: str | None = None  # why it holds for one call only
        self.derived: Any = None  # what vjp makes of the tape
        self.hits = 0
        self.used = next(_clock)
        self._prepared: Any = None

    def detach(self, state: State) -> None:
        """Results that are no arrays and that the function has made itself are copied for each
        call, for the caller may change them; what was there before is handed out as it is."""
        own = {i: x for i, x in self.static.items() if not _shared(x) and state.older(x) is None}
        if not own:
            return
        try:
            models = copied(own, state)
        except Exception as e:  # whatever the classes of these objects raise: no copy, no replay
            kinds = ", ".join(sorted({type(x).__name__ for x in own.values()}))
            self.volatile = f"the result contains {kinds}, which cannot be copied ({e})"
            return
        static, tape, structure = self.static, self.tape, self.structure
        self.box = lambda values: _boxer(tape, structure, {**static, **copied(models, state)})(
            values
        )

    @property
    def is_planned(self) -> bool:
        return self._prepared is not None

    @property
    def prepared(self) -> Any:
        """The planned program: made at the first replay, for many tapes are never replayed."""
        if self._prepared is None:
            self._prepared = prepare(self.tape)
        return self._prepared

    def refusal(self, inputs: Sequence[Any]) -> int | None:
        """The first guard that does not hold (-1: another instruction raised), by the reference
        evaluation; None where the tape is valid for these inputs."""
        try:
            evaluate(self.tape, inputs)
        except GuardFailed as failed:
            return failed.instruction
        except (ArithmeticError, np.linalg.LinAlgError, ValueError, IndexError):
            return -1  # not the path that was recorded
        return None

    @functools.cached_property
    def path(self) -> Path:
        """Its guards: needed once there are several tapes."""
        return Path(self.tape)


class _Memo(dict):
    """For copy.deepcopy: what was there before the function ran is no part of the copy."""

    def __init__(self, state: State):
        super().__init__()
        self._state = state

    def get(self, key: int, default: Any = None) -> Any:
        found = super().get(key, self)
        if found is self:
            found = self._state.older_by_id(key, default)
        return found


def copied(static: dict[int, Any], state: State) -> dict[int, Any]:
    return copy.deepcopy(static, _Memo(state))


def _shared(x: Any) -> bool:
    """Whether nobody minds that two calls return this very object."""
    return isinstance(x, _SHARED)


_SHARED = (int, str, bytes, type(None), type, enum.Enum, FunctionType, BuiltinFunctionType,
           ModuleType, np.dtype, np.ufunc)  # fmt: skip


def _boxer(
    tape: Tape, structure: tree.Structure, static: dict[int, Any]
) -> Callable[[Sequence[np.ndarray]], Any]:
    """box(values) -> the result of the function."""
    scalar = [tape.aval(v).ndim == 0 for v in tape.outputs.tolist()]
    if structure is None and not static:
        return (lambda values: values[0][()]) if scalar[0] else (lambda values: values[0])
    n = len(scalar) + len(static)

    def box(values: Sequence[np.ndarray]) -> Any:
        arrays = iter([v[()] if s else v for v, s in zip(values, scalar, strict=True)])
        leaves = [static[i] if i in static else next(arrays) for i in range(n)]
        return tree.unflatten(structure, leaves)

    if static or structure is None or structure.kind is not tuple:
        return box
    if any(child is not None for child in structure.children):
        return box
    return lambda values: tuple([v[()] if s else v for v, s in zip(values, scalar)])  # noqa: B905


class Search(NamedTuple):
    """What became of looking for a known path. found: the tape that answered, if one did, and
    values: its outputs. failed: the last guard that did not hold. ruled_out: tapes that were not
    tried, for they contradict what was seen."""

    found: Recorded | None = None
    values: Any = None
    failed: tuple[Recorded, int] | None = None
    ruled_out: Sequence[Recorded] = ()


class Variant:
    """The tapes recorded under one state of what the function reads."""

    def __init__(self, state: State):
        self.state = state
        self.tapes: list[Recorded] = []
        self.paths = Paths()
        self.recent: Recorded | None = None  # confirmed, and the last that answered

    def replay(self, inputs: Sequence[Any]) -> Search:
        """Sweep the tapes that may be valid for these inputs until one is."""
        failed: tuple[Recorded, int] | None = None
        tried: set[Recorded] = set()
        candidate = self.recent or self.paths.untried(tried)
        while candidate is not None:
            tried.add(candidate)
            try:
                values = run(candidate.prepared, inputs)
            except GuardFailed as failure:
                failed = candidate, failure.instruction
                candidate = self.paths.following(
                    candidate, *outcome(candidate.tape, failure), tried
                )
            except HostFailed as failure:
                # no tape knows what the user's code does then; others may still hold
                candidate = self.paths.beside(candidate, failure.instruction, tried)
            else:
                candidate.hits += 1
                self.answered(candidate)
                return Search(candidate, values)
        others = [t for t in list(self.tapes) if t.confirmed and t not in tried]
        return Search(failed=failed, ruled_out=others)

    def answered(self, recorded: Recorded) -> None:
        recorded.used = next(_clock)
        self.paths.answered(recorded)
        self.recent = recorded

    def add(self, recorded: Recorded, bound: int) -> None:
        self.tapes.append(recorded)
        self.paths.add(recorded)
        while len(self.tapes) > max(bound, 1):
            oldest = min(self.tapes[:-1], key=lambda t: t.used)
            self.tapes.remove(oldest)
            self.paths.remove(oldest)
            if self.recent is oldest:
                self.recent = None


class Slot:
    """All that is kept for one key.

    impure: why every call traces, or None. match: recognises the key (see signature.matcher).
    """

    def __init__(self, key: Any, match: Callable[[tuple, dict, list], bool]):
        self.key = key
        self.match = match
        self.variants: list[Variant] = []  # the one in use last
        self.impure: str | None = None
        self.self_changes = 0

    def current(self) -> tuple[Variant | None, str]:
        """The variant whose state is what it was, and where there is none what has changed."""
        cause = ""
        for variant in reversed(list(self.variants)):
            if variant.state.valid():
                change = None
            else:
                change = variant.state.changed()
            if change is None:
                if variant is not self.variants[-1]:
                    self._put_last(variant)
                return variant, ""
            cause = cause or change
        return None, cause

    def _put_last(self, variant: Variant) -> None:
        others = [v for v in self.variants if v is not variant]
        self.variants = [*others, variant]

    def add(self, variant: Variant) -> None:
        kept = [v for v in self.variants if v.state.nbytes <= _KEPT_BYTES]
        self.variants = [*kept[-_KEPT_STATES:], variant]
