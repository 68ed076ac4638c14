"""The key of a call: what of its arguments a tape is specialised to.

Arrays and floating-point numbers are inputs of the tape: of them only type, shape and dtype count.
Everything else is part of the key: numbers, strings and the like by value, other objects by
identity (held alive). Differentiated arguments are inputs whatever their type.
"""

from __future__ import annotations

import enum
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape import tree
from jittape.tracing.captured import Captured
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer

_BY_VALUE = (
    int, bool, str, bytes, type(None), type(Ellipsis), range, frozenset, np.dtype,
)  # fmt: skip
_EXACT_MODULES = ("fractions", "decimal")  # by name: importing them takes milliseconds
_NUMBERS = (float, complex)
_ndarray = np.ndarray


def is_dynamic(x: Any) -> bool:
    """Whether an argument leaf becomes an input of the tape."""
    if type(x) in _NUMBERS:
        return True
    if isinstance(x, Tracer):
        return False  # a leaked one
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind in "fciub"
    return isinstance(x, _NUMBERS)


def is_value(x: Any) -> bool:
    """Whether x is keyed by its value, not by its identity."""
    kind = type(x)
    return kind in _BY_VALUE or kind.__module__ in _EXACT_MODULES


class Identity:
    """A key that is the object itself, held alive."""

    __slots__ = ("object",)

    def __init__(self, object: Any):
        self.object = object

    def __hash__(self) -> int:
        return id(self.object)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Identity) and other.object is self.object

    def __repr__(self) -> str:
        return f"object {type(self.object).__name__} at {id(self.object):#x}"


def kept_from_the_second(make: Callable[[Any], Any], bound: int = 256) -> Callable[[Any], Any]:
    """found(x) is make(x), kept, if x was asked for before, and None the first time.

    By identity, for x need not be hashable; bound methods, which are made anew by each look-up,
    by that of their parts. A function that is used once, such as a lambda that closes over the
    batch of the day, is not held alive.
    """
    kept: dict[tuple[int, ...], tuple[Any, Any]] = {}
    seen: dict[tuple[int, ...], list[weakref.ref]] = {}

    def found(x: Any) -> Any:
        parts = (x.__func__, x.__self__) if type(x) is types.MethodType else (x,)
        key = tuple(map(id, parts))
        made = kept.get(key)
        if made is not None:
            return made[1]
        before = seen.pop(key, None)
        if before is None or any(r() is not p for r, p in zip(before, parts, strict=True)):
            try:
                refs = [weakref.ref(p, lambda _: seen.pop(key, None)) for p in parts]
            except TypeError:
                pass  # it cannot be watched: kept from the first time on
            else:
                seen[key] = refs
                return None
        while len(kept) >= bound:
            kept.pop(next(iter(kept)), None)
        kept[key] = (parts, make(x))  # holds the parts, so that no id is used twice
        return kept[key][1]

    return found


def leaf_key(x: Any, dynamic: bool) -> Any:
    """What a tape is specialised to of one leaf."""
    if dynamic:
        if isinstance(x, (np.ndarray, np.generic)):
            if type(x).__module__.startswith("numpy.ma") or type(x) is getattr(np, "matrix", None):
                raise TypeError(
                    f"{here()}: {type(x).__name__} arguments are not supported: jittape knows "
                    "plain arrays only - pass np.asarray(x), or x.filled(...) for masked arrays"
                )
            return x.shape, x.dtype
        return type(x)
    if is_value(x) or isinstance(x, enum.Enum):
        return type(x), x
    if type(x) is slice:
        return slice, leaf_key(x.start, False), leaf_key(x.stop, False), leaf_key(x.step, False)
    return Identity(x)


class Call:
    """The arguments of one call, taken apart."""

    __slots__ = ("structure", "leaves", "dynamic", "inputs", "key")

    def __init__(self, args: tuple, kwargs: dict[str, Any], argnums: tuple[int, ...]):
        leaves: list[Any] = []
        self.structure = tree.flatten((args, kwargs), leaves)
        must = _differentiated(args, argnums)
        # a trace of another thread may capture one of them at this moment
        leaves = [x.view(_ndarray) if type(x) is Captured else x for x in leaves]
        self.leaves = leaves
        self.dynamic = [i in must or is_dynamic(x) for i, x in enumerate(leaves)]
        self.inputs = [_input(x) for x, d in zip(leaves, self.dynamic, strict=True) if d]
        structure = self.structure, tree.details(self.structure)
        self.key = (structure, *map(leaf_key, leaves, self.dynamic))

    def rebuilt(self, leaves: list[Any]) -> tuple[tuple, dict[str, Any]]:
        """Arguments of this structure."""
        args, kwargs = tree.unflatten(self.structure, leaves)
        return args, kwargs

    def static_objects(self) -> list[Any]:
        """The leaves that are part of the key by identity: their insides are state."""
        return [
            x for x, d in zip(self.leaves, self.dynamic, strict=True) if not d and not is_value(x)
        ]


def _input(x: Any) -> Any:
    if type(x) is float or type(x) is _ndarray:
        return x
    if isinstance(x, np.generic):
        return x
    return np.asarray(x)


def _differentiated(args: tuple, argnums: tuple[int, ...]) -> set[int]:
    """Leaf numbers of the differentiated arguments."""
    if not argnums:
        return set()
    must: set[int] = set()
    position = 0
    for i, a in enumerate(args):
        leaves: list[Any] = []
        tree.flatten(a, leaves)
        if i in argnums or i - len(args) in argnums:
            must.update(range(position, position + len(leaves)))
        position += len(leaves)
    return must


# -- recognising a call seen before, without taking it apart -----------------------------------

Matcher = Callable[[Any, list], bool]


def matcher(call: Call) -> Callable[[tuple, dict, list], bool]:
    """match(args, kwargs, inputs): whether this call has the key of that one; appends the inputs.

    This is what each call pays, so plain positional arrays have a way of their own.
    """
    args, kwargs = call.rebuilt(list(range(len(call.leaves))))
    leaves = [_leaf_matcher(x, d) for x, d in zip(call.leaves, call.dynamic, strict=True)]
    if not kwargs and all(type(i) is int for i in args):
        if len(args) == 1 and type(call.leaves[0]) is _ndarray and call.dynamic[0]:
            return _one_array(call.leaves[0])
        return _flat(tuple(leaves))
    parts = [_tree_matcher(a, leaves) for a in args]
    named = {k: _tree_matcher(kwargs[k], leaves) for k in sorted(kwargs)}
    n = len(parts)
    order = list(kwargs)

    def match(args: tuple, kwargs: dict, inputs: list) -> bool:
        if len(args) != n or len(kwargs) != len(named) or list(kwargs) != order:
            return False
        for part, x in zip(parts, args, strict=True):
            if not part(x, inputs):
                return False
        # in the order of the structure: sorted names
        for name, part in named.items():
            if name not in kwargs or not part(kwargs[name], inputs):
                return False
        return True

    return match


def _one_array(x: np.ndarray) -> Callable[[tuple, dict, list], bool]:
    shape, dtype = x.shape, x.dtype

    def match(args: tuple, kwargs: dict, inputs: list) -> bool:
        if len(args) != 1 or kwargs:
            return False
        (a,) = args
        if type(a) is not _ndarray or a.shape != shape:
            return False
        if a.dtype is not dtype and a.dtype != dtype:
            return False
        inputs.append(a)
        return True

    match.array = shape, dtype  # type: ignore[attr-defined]  # for api.quick
    return match


def _flat(leaves: tuple[Matcher, ...]) -> Callable[[tuple, dict, list], bool]:
    n = len(leaves)

    def match(args: tuple, kwargs: dict, inputs: list) -> bool:
        if len(args) != n or kwargs:
            return False
        for leaf, x in zip(leaves, args):  # noqa: B905 (lengths are compared above)
            if not leaf(x, inputs):
                return False
        return True

    return match


def _leaf_matcher(x: Any, dynamic: bool) -> Matcher:
    kind = type(x)
    if dynamic and isinstance(x, (np.ndarray, np.generic)):
        shape, dtype = x.shape, x.dtype
        if kind is _ndarray:

            def match(a: Any, inputs: list) -> bool:
                if type(a) is _ndarray and a.shape == shape:
                    if a.dtype is dtype or a.dtype == dtype:
                        inputs.append(a)
                        return True
                return False
        else:

            def match(a: Any, inputs: list) -> bool:
                if type(a) is kind and a.shape == shape and a.dtype == dtype:
                    inputs.append(_input(a))
                    return True
                return False

        return match
    if dynamic:

        def match_number(a: Any, inputs: list) -> bool:
            if type(a) is kind:
                inputs.append(a if kind is float else np.asarray(a))
                return True
            return False

        return match_number
    key = leaf_key(x, False)
    if isinstance(key, Identity):
        return lambda a, inputs: a is x
    if kind is slice:
        return lambda a, inputs: type(a) is slice and leaf_key(a, False) == key
    return lambda a, inputs: a is x or (type(a) is kind and a == x)


def _tree_matcher(shape: Any, leaves: list[Matcher]) -> Matcher:
    """shape: the argument with leaf numbers in place of its leaves."""
    kind = type(shape)
    if kind is int:
        return leaves[shape]
    if kind is tuple or kind is list:
        parts = tuple([_tree_matcher(x, leaves) for x in shape])
        n = len(parts)

        def match(a: Any, inputs: list) -> bool:
            if type(a) is not kind or len(a) != n:
                return False
            for part, x in zip(parts, a):  # noqa: B905
                if not part(x, inputs):
                    return False
            return True

        return match
    if kind is dict:
        found = tree.flatten(shape, [])
        assert found is not None
        items = tuple([(k, _tree_matcher(shape[k], leaves)) for k in found.keys])
        order = list(shape)

        def match_dict(a: Any, inputs: list) -> bool:
            if type(a) is not dict or list(a) != order:
                return False
            for k, part in items:
                if not part(a[k], inputs):
                    return False
            return True

        return match_dict
    # named tuples, dataclasses, other dicts: taken apart as at first
    numbers: list[int] = []
    structure = tree.flatten(shape, numbers)
    details = tree.details(structure)
    parts = tuple([leaves[i] for i in numbers])

    def match_other(a: Any, inputs: list) -> bool:
        if type(a) is not kind:
            return False
        found: list[Any] = []
        other = tree.flatten(a, found)
        if other != structure or tree.details(other) != details:
            return False
        return all(part(x, inputs) for part, x in zip(parts, found, strict=True))

    return match_other
