"""Calling a transformed function: recorded on tracers, served from cached programs on arrays."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jittape import tree
from jittape.api.cache import Answer, Search, Slot, Variant
from jittape.api.quick import MISS, quick
from jittape.api.reach import Reach, written_beside
from jittape.api.recorded import Recorded
from jittape.api.run import GuardFailed, HostFailed, run
from jittape.api.signature import Call, is_dynamic, matcher
from jittape.api.state import State
from jittape.config import config
from jittape.errors import ImpureFunctionWarning, RetraceWarning, TraceError
from jittape.locks import ForkSafeLock
from jittape.tape import Tape
from jittape.tracing.captured import Named
from jittape.tracing.embed import new_input, result_numbers
from jittape.tracing.lost import explain
from jittape.tracing.patches import reach
from jittape.tracing.reach import reach_function
from jittape.tracing.recorder import Trace, close_above, here, open_traces
from jittape.tracing.tracer import Tracer

if TYPE_CHECKING:
    from jittape.api.cache_info import CacheInfo

__all__ = ["Transformed", "is_dynamic"]

_lock = ForkSafeLock()
_COMPARED = 4  # unconfirmed tapes that a new one is held against
_RECENT = 4  # keys that are recognised without building the key of a call


class _Inserted(NamedTuple):
    """What became of a new tape. equal: the tape that it confirmed. impure: where it differs from a
    tape that is valid too. refused: the guard by which another tape was not."""

    equal: Recorded | None = None
    impure: str = ""
    refused: str = ""


def _at_guard(recorded: Recorded, instruction: int) -> str:
    return f"the branch or value at {recorded.tape.position(instruction) or 'an unknown line'}"


def _compare() -> Any:
    """The comparison of tapes, which no first call needs."""
    from jittape.api import compare

    return compare


def _verify() -> Any:
    """The checks of the debugging modes, which are off by default."""
    from jittape.api import verify

    return verify


class Transformed:
    """A function that differentiates (or batches, or just replays) another.

    record(*args, **kwargs) does the work on tracers: it opens inner traces, transforms their
    tapes and pastes them into the trace around it. argnums: positions of the differentiated
    arguments, all leaves of which are inputs of the tape, ints included.

    The user's function runs at most once per call: at the first call of a key and state, at the
    second (is it a function of its arguments?), and where no known path is right.
    """

    def __init__(self, fun: Callable, record: Callable, argnums: int | tuple[int, ...] = ()):
        self.__name__ = str(fun)  # a partial has none
        functools.update_wrapper(self, fun, updated=())
        for name, value in getattr(fun, "__dict__", {}).items():
            if not name.startswith("_") and not hasattr(type(self), name):
                setattr(self, name, value)
        self.fun = fun
        self.made_by: tuple[Callable, tuple, dict[str, Any]] | None = None
        self._record = record
        self._namespaces: tuple[dict, ...] = ()  # of the modules whose code may run
        self._argnums = tuple(argnums) if isinstance(argnums, (tuple, list)) else (argnums,)
        self._forget()

    def _forget(self) -> None:
        self._slots: dict[Any, Slot] = {}
        self._recent: list[Slot] = []
        self._last: Slot | None = None
        self._quick: Callable[[tuple, dict], Any] | None = None
        self._trusted = False  # a second trace has been equal to a first
        self._causes: Counter[str] = Counter()
        self._traces = 0
        self._warned: set[type] = set()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        quickest = self._quick
        if quickest is not None:
            found = quickest(args, kwargs)
            if found is not MISS:
                return found
        if open_traces():
            return self._record(*args, **kwargs)
        slot = self._last
        if slot is not None and config.plain:
            inputs: list[Any] = []
            if slot.match(args, kwargs, inputs) and slot.variants:
                variant = slot.variants[-1]
                recent = variant.recent
                if recent is not None and variant.state.valid():
                    try:
                        values = run(recent.prepared, inputs)
                    except (GuardFailed, HostFailed):
                        return self._call(args, kwargs)  # other tapes are tried there
                    recent.hits += 1
                    self._quick = quick(slot, variant, recent)
                    return recent.box(values)
        return self._call(args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        from jittape.api.pickling import reduce

        return reduce(self)

    def cache_info(self) -> CacheInfo:
        """What is cached: tapes with their guards and hits, traces and what caused them."""
        from jittape.api.cache_info import describe

        return describe(self._slots.values(), self._traces, self._causes, self.__name__)

    def tapes(self) -> list[Tape]:
        """The tapes that are cached, of all keys and states."""
        return [t.tape for s in self._slots.values() for v in s.variants for t in v.tapes]

    def cache_clear(self) -> None:
        """Forget all tapes, and what was found out about the function."""
        with _lock:
            self._forget()

    # -- all but the quickest path --------------------------------------------------------------

    def _call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        recorded, values, _ = self.answer(args, kwargs)
        return recorded.box(values)

    def answer(
        self, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[Recorded, list[np.ndarray], list[Any]]:
        """A tape that is valid for this call, its outputs, fresh, and its inputs."""
        call, slot, inputs = self._find(args, kwargs)
        if slot.impure is not None:
            call = call or self._taken_apart(args, kwargs)
            fresh, answer = self._trace(call, written_beside(Reach(self._roots(call))))
            return fresh, answer.values(fresh), inputs
        variant, cause = slot.current()
        search = Search()
        if variant is not None:
            search = variant.replay(inputs)
            recorded = search.found
            if recorded is not None:
                if config.debug_nans:
                    _verify().check_finite(recorded.tape, inputs)
                if config.verify:
                    fresh, _ = self._trace(
                        call or self._taken_apart(args, kwargs), variant.state.captures
                    )
                    _verify().compare(recorded, search.values, fresh, inputs)
                return recorded, search.values, inputs
        call = call or self._taken_apart(args, kwargs)
        if search.failed is not None:
            cause = _at_guard(*search.failed)
        fresh, values = self._recorded_call(call, slot, variant, cause, search)
        return fresh, values, inputs

    def _taken_apart(self, args: tuple, kwargs: dict[str, Any]) -> Call:
        return Call(args, kwargs, self._argnums)

    def _find(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Call | None, Slot, list]:
        """The slot of this call's key, and the inputs of its tapes."""
        for slot in reversed(self._recent):
            inputs: list[Any] = []
            if slot.match(args, kwargs, inputs):
                self._last = slot
                return None, slot, inputs
        call = self._taken_apart(args, kwargs)
        found = self._slots.get(call.key)
        if found is None:
            made = Slot(call.key, matcher(call))
            with _lock:
                while len(self._slots) >= max(config.max_keys, 1):
                    del self._slots[next(iter(self._slots))]
                found = self._slots.setdefault(call.key, made)
        with _lock:
            self._recent = [*[s for s in self._recent if s is not found][1 - _RECENT :], found]
        self._last = found
        return call, found, call.inputs

    def _recorded_call(
        self, call: Call, slot: Slot, variant: Variant | None, cause: str, search: Search
    ) -> tuple[Recorded, list[np.ndarray]]:
        """Trace, answer from the trace, and keep what may be replayed later."""
        if variant is None:
            state = State(self._roots(call))
        else:
            state = variant.state
        self._namespaces = state.namespaces
        fresh, answer = self._trace(call, state.captures)
        if config.debug_nans:
            _verify().check_finite(fresh.tape, call.inputs)
        changed = None if state.valid() else state.changed()
        if changed is not None:
            slot.self_changes += 1
            if slot.self_changes > 1:
                self._impure(slot, f"it changes what it reads itself: {changed}")
            return fresh, answer.values(fresh)
        slot.self_changes = 0
        fresh.detach(state)
        if fresh.volatile is not None:  # valid for this call only
            self._note_retrace(call, fresh.volatile)
            return fresh, answer.values(fresh)
        with _lock:
            if variant is None:
                variant, _ = slot.current()  # another thread may have been quicker
            if variant is None:
                variant = Variant(state)
                slot.add(variant)
            found = self._insert(variant, fresh, call.inputs, search)
        if found.impure:
            self._impure(slot, found.impure)
        elif found.equal is None:
            self._note_retrace(call, cause or found.refused)
        # an equal tape may have been planned already
        if found.equal is not None:
            fresh.derived = found.equal.derived
        return fresh, answer.values(found.equal or fresh)

    def _insert(self, variant: Variant, fresh: Recorded, inputs: list, search: Search) -> _Inserted:
        """Add a tape, or confirm the one it equals. A tape that differs although its guards hold
        for these inputs means that the function is impure."""
        refused = ""
        unconfirmed = 0
        for old in reversed(variant.tapes):
            found = _compare().difference(old, fresh)
            if found is None:
                old.confirmed = self._trusted = True
                if not variant.state.opaque:  # all it reads is known: one check is enough
                    for t in variant.tapes:
                        t.confirmed = True
                if old in search.ruled_out:
                    variant.paths.stray(old)
                variant.answered(old)
                variant.state.recorded(self.fun, old.tape)
                return _Inserted(equal=old)
            if not old.confirmed and unconfirmed < _COMPARED:
                unconfirmed += 1
                guard = old.refusal(inputs)
                if guard is None:
                    return _Inserted(impure=found)
                if not refused and guard >= 0:
                    refused = _at_guard(old, guard)
        fresh.confirmed = self._trusted and not variant.state.opaque
        variant.add(fresh, config.max_tapes)
        variant.state.recorded(self.fun, fresh.tape)
        if fresh.confirmed:
            variant.answered(fresh)
        return _Inserted(refused=refused)

    def _roots(self, call: Call) -> list[tuple[Any, str]]:
        """What the function's world is searched from (see api.reach)."""
        objects = [(x, f"argument of type {type(x).__name__}") for x in call.static_objects()]
        return [(self.fun, "the function"), *objects]

    def _trace(self, call: Call, captures: Sequence[Named]) -> tuple[Recorded, Answer]:
        level = len(open_traces())
        try:
            return self._traced(call, captures)
        except (TypeError, ValueError, AttributeError) as e:
            if not isinstance(e, TraceError):
                explain(e)
            raise
        finally:
            close_above(level)

    def _traced(self, call: Call, captures: Sequence[Named]) -> tuple[Recorded, Answer]:
        self._traces += 1
        trace = Trace(getattr(self.fun, "__qualname__", str(self.fun)))
        trace.captures = captures
        with np.errstate(all="ignore"), trace:
            reach_function(self.fun)
            for namespace in self._namespaces:
                reach(namespace)
            leaves = [
                new_input(trace, x) if d else x
                for x, d in zip(call.leaves, call.dynamic, strict=True)
            ]
            args, kwargs = call.rebuilt(leaves)
            out = self._record(*args, **kwargs)
            results: list[Any] = []
            structure = tree.flatten(out, results)
            static = {
                i: x
                for i, x in enumerate(results)
                if not isinstance(x, (Tracer, np.ndarray, np.generic, float, complex))
            }
            numeric = [x for i, x in enumerate(results) if i not in static]
            tape = trace.finish(result_numbers(trace, numeric))
            answer = Answer(numeric, call.inputs)
        recorded = Recorded(tape, structure, static)
        if trace.volatile is not None:
            recorded.volatile = f"an exception: {trace.volatile}"
        return recorded, answer

    # -- what the user is told -------------------------------------------------------------------

    def _note_retrace(self, call: Call, cause: str) -> None:
        if not cause:
            cause = self._key_change(call)
        if not cause:
            return  # the first trace of all
        self._causes[cause] += 1
        total = sum(self._causes.values())
        if total > config.max_retraces and RetraceWarning not in self._warned:
            self._warned.add(RetraceWarning)
            often, count = self._causes.most_common(1)[0]
            warnings.warn(
                f"{here()}: {self.__name__} was traced {total} times; what keeps changing is "
                f"{often} ({count} times). Each trace costs a run of the Python code; see "
                f"{self.__name__}.cache_info()",
                RetraceWarning,
                stacklevel=5,
            )

    def _key_change(self, call: Call) -> str:
        """Which part of the key is new, compared with the key before."""
        keys = [k for k in list(self._slots) if k != call.key]
        if not keys:
            return ""
        before, now = keys[-1], call.key
        if len(before) != len(now) or before[0] != now[0]:
            return "the structure of the arguments"
        for i, (a, b) in enumerate(zip(before[1:], now[1:], strict=True)):
            if a != b:
                kind = "shape or dtype" if call.dynamic[i] else "value"
                return f"the {kind} of argument leaf {i} (a {type(call.leaves[i]).__name__})"
        return ""

    def _impure(self, slot: Slot, why: str) -> None:
        slot.impure = why
        for variant in slot.variants:
            variant.recent = None  # no call answers from it any more
        slot.variants = []
        if ImpureFunctionWarning not in self._warned:
            self._warned.add(ImpureFunctionWarning)
            warnings.warn(
                f"{here()}: {self.__name__} gives different traces for equal arguments and is "
                f"therefore traced on each call: {why}. Pass random numbers, clocks and counters "
                "as arguments to have it cached",
                ImpureFunctionWarning,
                stacklevel=4,
            )
