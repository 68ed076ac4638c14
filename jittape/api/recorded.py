"""One recorded tape: the program planned from it, the path of its guards, and how its outputs make
up the result of the user's function.
"""

from __future__ import annotations

import copy
import enum
import functools
import itertools
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.run import GuardFailed, prepare
from jittape.api.state import State
from jittape.evaluate import evaluate
from jittape.ops.declare import Kind, signatures
from jittape.tape import Tape

clock = itertools.count()  # what was used later has a higher number


class Path:
    """The guards of one tape in order. at: their instructions; told: their signatures, which
    include the outcome; asked: where in the user's code they were asked."""

    __slots__ = ("at", "told", "asked")

    def __init__(self, tape: Tape):
        used, inverse = tape.distinct
        kinds = np.array([s.op.kind is Kind.GUARD for s in used], dtype=bool)
        self.at = np.flatnonzero(kinds[inverse]) if len(used) else np.zeros(0, np.intp)
        self.told = tape.sigs[self.at]
        # codes are numbered in the order in which a trace meets them, another in each
        codes = np.array([*map(id, tape.codes), 0], np.int64)
        self.asked = codes[tape.where_code[self.at]] + tape.where_lasti[self.at]

    def __len__(self) -> int:
        return len(self.at)

    def outcome(self, k: int) -> Any:
        """What guard k expects to see."""
        return signatures[int(self.told[k])].params[0]

    def parting(self, other: Path) -> int:
        """The first guard at which two paths differ; the length of the shorter where none does."""
        n = min(len(self), len(other))
        differ = np.flatnonzero((self.told[:n] != other.told[:n]) | self._elsewhere(other, n))
        return int(differ[0]) if len(differ) else n

    def asks_the_same(self, other: Path, k: int) -> bool:
        """Whether guard k of both is one question that was answered differently."""
        if k >= min(len(self), len(other)) or self._elsewhere(other, k + 1)[k]:
            return False
        a, b = signatures[int(self.told[k])], signatures[int(other.told[k])]
        return a.op is b.op and a.avals == b.avals

    def _elsewhere(self, other: Path, n: int) -> np.ndarray:
        return self.asked[:n] != other.asked[:n]


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
        self.used = next(clock)
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
    """Copies of these leaves; what was there before the function ran is shared."""
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
