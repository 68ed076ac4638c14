"""Nested containers of arguments and results: tuples, lists, dicts, named tuples, dataclasses.

None and everything else is a leaf. Kept to what the public functions promise, because the only
runtime dependencies are NumPy and Numba.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Node(NamedTuple):
    """The structure of a container: its type, its keys where it has some, its children.

    Dicts have their leaves in the order of sorted keys, so that two with the same keys are of one
    structure; they are built again in their own `order`. `fixed` is what a dataclass instance
    holds besides its fields of __init__ that is no number to differentiate by: (name, type, value).
    Neither counts in comparisons; `details` tells them.
    """

    kind: type
    keys: tuple[Any, ...]
    children: tuple[Any, ...]  # of Node | None; None is a leaf
    size: int
    order: tuple[Any, ...] | None = None  # of keys, where it is another
    fixed: tuple[tuple[str, type, Any], ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and tuple(self[:4]) == tuple(other[:4])

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:4])


Structure = Node | None


def children(x: Any) -> tuple[tuple[Any, ...], Sequence[Any]] | None:
    """(keys, values) of a container; None for a leaf."""
    kind = type(x)
    if kind is tuple or kind is list:
        return (), x
    if isinstance(x, dict):
        keys = tuple(x)
        try:
            keys = tuple(sorted(keys))
        except TypeError:
            pass  # keys of several types keep their order
        return keys, [x[k] for k in keys]
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return x._fields, tuple(x)
    if hasattr(kind, "__dataclass_fields__"):
        names = _attributes(x)
        return names, [getattr(x, n) for n in names]
    return None


_FIXED = (int, bool, str, bytes, type(None))


def _attributes(x: Any) -> tuple[str, ...]:
    """What a dataclass instance holds: its fields, and what was set besides but for `_fixed`."""
    from dataclasses import fields  # slow to import, and not needed before there is one

    given = [f.name for f in fields(x) if f.init]
    fixed = {name for name, _, _ in _fixed(x)}
    others = [f.name for f in fields(x) if not f.init and hasattr(x, f.name)]
    others += [n for n in getattr(x, "__dict__", ()) if n not in given and n not in others]
    return (*given, *[n for n in others if n not in fixed])


def _fixed(x: Any) -> tuple[tuple[str, type, Any], ...]:
    known = type(x).__dataclass_fields__
    names = dict.fromkeys([*known, *getattr(x, "__dict__", ())])
    values = [(n, getattr(x, n)) for n in names if hasattr(x, n)]
    return tuple(
        (n, type(v), v)
        for n, v in values
        if type(v) in _FIXED and not (n in known and known[n].init)
    )


def flatten(x: Any, leaves: list[Any]) -> Structure:
    """Append the leaves of x to `leaves`; the structure, which compares equal where it is."""
    found = children(x)
    if found is None:
        leaves.append(x)
        return None
    keys, values = found
    before = len(leaves)
    inside = tuple([flatten(v, leaves) for v in values])
    order = None
    if isinstance(x, dict):
        order = tuple(x)
        order = None if order == keys else order
    fixed = _fixed(x) if hasattr(type(x), "__dataclass_fields__") else ()
    return Node(type(x), keys, inside, len(leaves) - before, order, fixed)


def details(structure: Structure) -> tuple[Any, ...] | None:
    """What a function can tell of containers of equal structure: the orders of their dicts, fixed
    attributes of dataclasses. None where there is nothing of this."""
    if structure is None:
        return None
    inside = tuple([details(c) for c in structure.children])
    if structure.order is None and not structure.fixed and all(d is None for d in inside):
        return None
    return (structure.order, structure.fixed, *inside)


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The container of this structure with these leaves."""
    return _build(structure, iter(leaves))


def _build(structure: Structure, leaves: Any) -> Any:
    if structure is None:
        return next(leaves)
    values = [_build(c, leaves) for c in structure.children]
    kind = structure.kind
    if kind is tuple:
        return tuple(values)
    if kind is list:
        return values
    if issubclass(kind, dict):
        items = dict(zip(structure.keys, values, strict=True))
        if structure.order is not None:
            items = {k: items[k] for k in structure.order}
        return items if kind is dict else _like_dict(kind, items)
    if issubclass(kind, tuple):
        return kind(*values)
    made = object.__new__(kind)  # it was initialised once: the function gets what the caller has
    for name, value in zip(structure.keys, values, strict=True):
        object.__setattr__(made, name, value)
    for name, _, value in structure.fixed:
        object.__setattr__(made, name, value)
    return made


def _like_dict(kind: type, items: dict) -> Any:
    made = kind()  # OrderedDict, defaultdict and other subclasses are built empty
    made.update(items)
    return made


def tree_map(f: Callable[[Any], Any], x: Any) -> Any:
    """x with f applied to each leaf."""
    leaves: list[Any] = []
    structure = flatten(x, leaves)
    return unflatten(structure, [f(leaf) for leaf in leaves])


def size(structure: Structure) -> int:
    """Number of leaves."""
    return 1 if structure is None else structure.size
