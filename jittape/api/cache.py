"""What a transformed function keeps: per key the states it was recorded under, per state tapes.

The tapes of one state are the paths through the function. Each validates itself: it is right
exactly where all its guards hold. Which tape to try after a guard failed with some outcome is told
by a trie over the outcomes (see `paths`), so that known paths are found without tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jittape.api.paths import Paths
from jittape.api.recorded import Recorded, clock
from jittape.api.run import GuardFailed, HostFailed, outcome, run, worth_planning
from jittape.api.state import State
from jittape.tracing.embed import PastedTracer
from jittape.tracing.tracer import value_of

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
        recorded.used = next(clock)
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
