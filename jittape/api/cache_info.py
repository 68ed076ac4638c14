"""What `f.cache_info()` tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jittape.api.cache import Slot


@dataclass(frozen=True)
class TapeInfo:
    """One tape. confirmed: it is replayed (its path was traced twice, or is known to be pure)."""

    instructions: int
    hits: int
    confirmed: bool
    guards: tuple[str, ...]


@dataclass(frozen=True)
class KeyInfo:
    """What is kept for one key (types and shapes of inputs, values of everything else)."""

    key: str
    states: int
    tapes: tuple[TapeInfo, ...]
    impure: str | None


@dataclass(frozen=True)
class CacheInfo:
    """traces: runs of the Python function. retraces: how often each cause made a trace necessary
    after the first."""

    name: str
    traces: int
    hits: int
    retraces: Mapping[str, int]
    keys: tuple[KeyInfo, ...]

    @property
    def tapes(self) -> int:
        return sum(len(k.tapes) for k in self.keys)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.tapes} tapes, {self.hits} replays, {self.traces} traces"]
        for cause, count in self.retraces.items():
            lines.append(f"  traced again {count} times: {cause}")
        for k in self.keys:
            lines.append(f"  key {k.key}: {k.states} states")
            if k.impure:
                lines.append(f"    impure, traced on each call: {k.impure}")
            for t in k.tapes:
                state = "" if t.confirmed else ", to be traced once more"
                lines.append(f"    {t.instructions} instructions, {t.hits} replays{state}")
                lines += [f"      guard {g}" for g in t.guards]
        return "\n".join(lines)

    __repr__ = __str__


def describe(slots: Iterable[Slot], traces: int, causes: Mapping[str, int], name: str) -> CacheInfo:
    """What `cache_info()` returns for these slots."""
    keys = []
    for slot in list(slots):
        tapes = []
        for variant in list(slot.variants):
            for t in list(variant.tapes):
                guards = tuple([_guard(t.tape, i) for i in t.path.at.tolist()])
                tapes.append(TapeInfo(len(t.tape), t.hits, t.confirmed, guards))
        text = ", ".join(map(str, slot.key[1:]))
        keys.append(KeyInfo(f"({text})", len(slot.variants), tuple(tapes), slot.impure))
    hits = sum(t.hits for k in keys for t in k.tapes)
    return CacheInfo(name, traces, hits, dict(causes), tuple(keys))


def _guard(tape, i: int) -> str:  # type: ignore[no-untyped-def]
    sig = tape.signature(i)
    where = tape.position(i) or "unknown line"
    if sig.op.name == "guard_true":
        return f"{where}: the condition is {sig.params[0]}"
    return f"{where}: the value stays what it was ({sig.avals[0]})"
