"""What a tape was recorded under, and the check, on every call, that it still holds.

The check compares by identity, in C: for each namespace that was read one `itemgetter` and one
`all(map(is_, ...))`. Where an identity changed, values decide (a global rebound to an equal
number), and the new objects are remembered.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable
from operator import attrgetter, is_, itemgetter
from typing import Any

import numpy as np

from jittape.api.direct import direct_arrays
from jittape.api.reach import Reach, written_beside
from jittape.bits import SMALL, same_bits
from jittape.tape import Tape
from jittape.tracing.patches import Patched

_code = attrgetter("__code__")
_defaults = attrgetter("__defaults__")
_contents = attrgetter("cell_contents")
_OFTEN = 8  # calls after which the check is worth being compiled
_MOST_TERMS = 200


class Watch:
    """One group of things read together: get(source) yields them, expected is what they were."""

    __slots__ = ("get", "source", "expected", "labels", "reads")

    def __init__(
        self,
        get: Callable,
        source: Any,
        expected: tuple,
        labels: tuple[str, ...],
        reads: tuple[tuple[Any, str], ...],
    ):
        self.get = get
        self.source = source
        self.expected = expected
        self.labels = labels
        self.reads = reads  # the same as expressions: (object, what follows its name)

    def terms(self, name: Callable[[Any], str]) -> list[str]:
        found = {
            r[1] + str(id(r[0])): (r, e) for r, e in zip(self.reads, self.expected, strict=True)
        }
        return [f"{name(x)}{text} is {name(e)}" for (x, text), e in found.values()]


class State:
    """Everything that functions can read besides their arguments, as it was when recorded.

    valid(): nothing has changed (about a microsecond). changed(): what has, in words, after
    accepting new objects of equal value; None where nothing has.
    """

    def __init__(self, roots: list[tuple[Any, str]]):
        reach = Reach(roots)
        self.opaque = reach.opaque
        self.truncated = reach.truncated
        self.known = {id(a) for a, _ in reach.arrays}
        self.nbytes = sum(a.nbytes for a, _ in reach.arrays)
        self.captures = written_beside(reach)
        self._held = reach
        found = {id(f.__globals__): f.__globals__ for f, _ in reach.functions}
        self.namespaces = tuple(found.values())  # of the code that may run
        self._calls = 0
        self.watches = tuple(_watches(reach))
        self.shadows = tuple((m.keys().isdisjoint, frozenset(n)) for m, n in reach.shadows.values())
        self._checks = _contents_checks(reach)
        self.contents = tuple([(same, label) for _, same, label in self._checks])
        self._direct: set[int] | None = None

    def older(self, x: Any) -> Any:
        """x, if it could be reached when the state was looked at: it was there before; or None."""
        return self.older_by_id(id(x), None)

    def older_by_id(self, number: int, default: Any) -> Any:
        return self._held.met(number, default)

    def recorded(self, fun: Any, tape: Tape) -> None:
        """A tape of this state is going to be replayed: arrays that all tapes read live, and
        nothing else reads, need no comparison (see api.direct)."""
        if not self._held.arrays or self._direct == set():
            return
        direct = direct_arrays(fun, self._held, tape)
        direct = direct if self._direct is None else direct & self._direct
        if direct != self._direct:
            self._direct = direct
            self.contents = tuple([(s, label) for x, s, label in self._checks if x not in direct])
            self.regenerate()

    def regenerate(self) -> None:
        """Forget the generated check."""
        self.__dict__.pop("valid", None)
        self._calls = 0

    def valid(self) -> bool:
        self._calls += 1
        if self._calls == _OFTEN:
            self.valid = generated(self)  # type: ignore[method-assign]
        try:
            for w in self.watches:
                if not all(map(is_, w.get(w.source), w.expected)):
                    return False
        except (KeyError, AttributeError, ValueError):
            return False  # deleted
        for disjoint, names in self.shadows:
            if not disjoint(names):
                return False
        for same, _ in self.contents:
            if not same():
                return False
        return True

    def changed(self) -> str | None:
        """What has changed, in words; None where all values are what they were."""
        for w in self.watches:
            try:
                now = tuple([original(x) for x in w.get(w.source)])
            except (KeyError, AttributeError, ValueError) as e:
                return f"{e} was deleted"
            for a, b, label in zip(now, w.expected, w.labels, strict=True):
                if not same_value(a, b):
                    return label
            w.expected = now
            self.regenerate()  # what was generated compares with the old objects
        for disjoint, names in self.shadows:
            if not disjoint(names):
                return f"one of {', '.join(sorted(names))} was hidden by a new name"
        for same, label in self.contents:
            if not same():
                return f"the contents of {label}"
        return None


def generated(state: State) -> Callable[[], bool]:
    """The check as one Python expression: for the few things a function reads, half the time of
    the loop over watches."""
    names: dict[str, Any] = {}

    def name(x: Any) -> str:
        names[f"x{len(names)}"] = x
        return f"x{len(names) - 1}"

    terms = []
    for w in state.watches:
        terms += w.terms(name)
    terms += [f"{name(disjoint)}({name(absent)})" for disjoint, absent in state.shadows]
    terms += [f"{name(same)}()" for same, _ in state.contents]
    if len(terms) > _MOST_TERMS:
        return functools.partial(State.valid, state)
    if not terms:
        return lambda: True
    arguments = ", ".join(f"{n}={n}" for n in names)
    text = (
        f"def valid({arguments}):\n    try:\n        return {' and '.join(terms)}\n"
        "    except (KeyError, AttributeError, ValueError):\n        return False\n"
    )
    exec(compile(text, "<jittape validity>", "exec"), names)
    return names["valid"]


def _watches(reach: Reach) -> list[Watch]:
    out = []
    for namespace, names, label in reach.dicts.values():
        out.append(_named(itemgetter, namespace, names, f"{label}."))
    for x, names, _ in reach.attributes.values():
        if isinstance(x, type):
            out.append(_named(itemgetter, vars(x), names, f"{x.__name__}."))
        else:
            out.append(_named(attrgetter, x, names, f"{type(x).__name__} object's "))
    if reach.cells:
        cells, values, labels = zip(*reach.cells, strict=True)
        reads = tuple([(c, ".cell_contents") for c in cells])
        out.append(Watch(functools.partial(map, _contents), cells, values, labels, reads))
    if reach.functions:
        functions, labels = zip(*reach.functions, strict=True)
        for get, attribute, what in (
            (_code, ".__code__", "code"),
            (_defaults, ".__defaults__", "default arguments"),
        ):
            text = tuple(f"the {what} of {n}" for n in labels)
            values = tuple(map(get, functions))
            reads = tuple([(f, attribute) for f in functions])
            out.append(Watch(functools.partial(map, get), functions, values, text, reads))
    return out


def _named(getter: Callable, source: Any, names: dict[str, Any], prefix: str) -> Watch:
    keys = tuple(names)
    if len(keys) == 1:
        keys *= 2  # a getter of one name would not give a tuple
    expected = tuple([original(names[k]) for k in keys])
    form = "[{!r}]" if getter is itemgetter else ".{}"
    reads = tuple([(source, form.format(k)) for k in keys])
    return Watch(getter(*keys), source, expected, tuple(prefix + k for k in keys), reads)


# -- contents --------------------------------------------------------------------------------


def _contents_checks(reach: Reach) -> list[tuple[int, Callable[[], bool], str]]:
    """(id of the object, whether its contents are what they were, its label)"""
    checks = []
    for x, label in reach.containers:
        checks.append((id(x), _container_check(x), label))
    for a, label in reach.arrays:
        checks.append((id(a), _array_check(a), label))
    checks += [(0, same, label) for same, label in reach.predicates]
    return checks


def _container_check(x: Any) -> Callable[[], bool]:
    if isinstance(x, bytearray):
        text = bytes(x)
        return lambda: x == text
    if isinstance(x, (dict, types.MappingProxyType)):
        keys, values, n = tuple(x.keys()), tuple(x.values()), len(x)

        def same_dict() -> bool:
            return len(x) == n and (
                (all(map(is_, x.values(), values)) and all(map(is_, x.keys(), keys)))
                or (
                    all(map(same_value, x.keys(), keys))
                    and all(map(same_value, x.values(), values))
                )
            )

        return same_dict
    if isinstance(x, set):
        elements = frozenset(x)
        return lambda: x == elements
    items, n = tuple(x), len(x)
    return lambda: len(x) == n and (all(map(is_, x, items)) or all(map(same_value, x, items)))


def _array_check(a: np.ndarray) -> Callable[[], bool]:
    shape = a.shape
    if a.dtype.kind == "O":
        items = a.ravel().tolist()
        return lambda: a.shape == shape and all(map(is_, a.ravel().tolist(), items))
    dtype = a.dtype
    if a.nbytes <= SMALL:
        text = a.tobytes()
        return lambda: a.tobytes() == text and a.shape == shape and a.dtype == dtype
    copy = np.array(a, order="K")
    return lambda: a.shape == shape and a.dtype == dtype and same_bits(a, copy)


def original(x: Any) -> Any:
    """x, or what it stands in for while a trace is open in some thread."""
    return x.original if isinstance(x, Patched) else x


def same_value(a: Any, b: Any) -> bool:
    """Whether nothing that is computed from a could differ from what is computed from b."""
    if a is b:
        return True
    if isinstance(a, Patched) or isinstance(b, Patched):
        return original(a) is original(b)
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is float:
        return a == b and math.copysign(1.0, a) == math.copysign(1.0, b) or (a != a and b != b)
    if kind in (int, bool, str, bytes, frozenset, range):
        return bool(a == b)
    if kind is complex:
        return same_value(a.real, b.real) and same_value(a.imag, b.imag)
    if issubclass(kind, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same_value, a, b))
    if kind is types.MethodType:
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    return False
