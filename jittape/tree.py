"""Nested containers of arguments and results: tuples, lists, dicts, named tuples, dataclasses.

None and everything else is a leaf. Kept to what the public functions promise, because the only
runtime dependencies are NumPy and Numba.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Node(NamedTuple):
    """The structure of a container: its type, its keys where it has some, its children."""

    kind: type
    keys: tuple[Any, ...]
    children: tuple[Any, ...]  # of Node | None; None is a leaf
    size: int


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
        from dataclasses import fields  # slow to import, and not needed before there is one

        names = tuple(f.name for f in fields(x) if f.init)
        return names, [getattr(x, n) for n in names]
    return None


def flatten(x: Any, leaves: list[Any]) -> Structure:
    """Append the leaves of x to `leaves`; the structure, which compares equal where it is."""
    found = children(x)
    if found is None:
        leaves.append(x)
        return None
    keys, values = found
    before = len(leaves)
    inside = tuple([flatten(v, leaves) for v in values])
    return Node(type(x), keys, inside, len(leaves) - before)


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
        return items if kind is dict else _like_dict(kind, items)
    if issubclass(kind, tuple):
        return kind(*values)
    return kind(**dict(zip(structure.keys, values, strict=True)))


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
