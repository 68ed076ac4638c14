"""What a search through a function's world has found (see `reach`), and has still to look at."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

SCALARS = (int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented))


class Findings:
    """Each item with a label for messages.

    dicts: id -> (dict, {name: value}, label): globals and module namespaces.
    shadows: id -> (mapping, names that must stay absent).
    cells, functions, containers, arrays: the objects themselves.
    attributes: id -> (object, {name: value}, label).
    predicates: (whether something is what it was, label).
    opaque: what could not be looked into, in words: such functions are checked for purity more
    often.
    elsewhere: ids of arrays reached otherwise than by the name of a global or a closure variable.
    truncated: whether the search was given up.
    """

    def __init__(self) -> None:
        self.dicts: dict[int, tuple[dict, dict[str, Any], str]] = {}
        self.shadows: dict[int, tuple[Any, set[str]]] = {}
        self.cells: list[tuple[Any, Any, str]] = []
        self.functions: list[tuple[Any, str]] = []
        self.attributes: dict[int, tuple[Any, dict[str, Any], str]] = {}
        self.containers: list[tuple[Any, str]] = []
        self.arrays: list[tuple[np.ndarray, str]] = []
        self.predicates: list[tuple[Callable[[], bool], str]] = []
        self.opaque: list[str] = []
        self.truncated = False
        self.elsewhere: set[int] = set()
        self._todo: deque[tuple[Any, str]] = deque()
        self._names: set[str] = {"__call__"}  # that attributes are read by
        self._seen: dict[int, Any] = {}  # holds what it has seen, so that ids stay unique
        self._again: set[int] = set()  # functions reached more than once
        self._objects: list[tuple[Any, str, set[str]]] = []  # with attributes, and the names done

    def push(self, value: Any, label: str, named: bool = False) -> None:
        """Look at this object, too. named: it is what a global or a closure variable holds."""
        if type(value) not in SCALARS:
            if not named and isinstance(value, np.ndarray):
                self.elsewhere.add(id(value))
            self._todo.append((value, label))

    def name(self, names: Iterable[str]) -> None:
        """Attributes of these names are read somewhere."""
        self._names.update(names)

    def called_again(self, f: types.FunctionType) -> bool:
        """Whether a root function can also be reached from the functions it calls."""
        return id(f) in self._again

    def met(self, number: int, default: Any) -> Any:
        """The object of this id, if it was met (it is held alive)."""
        return self._seen.get(number, default)

    def is_module(self, namespace: dict) -> bool:
        """Whether this namespace is also read as attributes of a module."""
        return any(
            isinstance(x, types.ModuleType) and vars(x) is namespace for x, _, _ in self._objects
        )
