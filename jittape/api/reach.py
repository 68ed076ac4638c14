"""What a function can read besides its arguments: found by looking, not by running.

From a function (and its helpers, transitively) one can see the names it reads: the globals, closure
cells and defaults behind them, and the attributes of captured objects. Every name of `co_names`
counts both as a global and as an attribute of everything captured: that errs on the side of
watching too much, and needs no knowledge of bytecode.
"""

from __future__ import annotations

import abc
import builtins
import functools
import operator
import sys
import types
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.api import reach_library
from jittape.api.code_names import (
    global_names,
    is_library_class,
    is_library_file,
    is_library_module,
    may_write,
    module_of,
    names_of,
)
from jittape.api.findings import SCALARS, Findings
from jittape.tracing import captured
from jittape.tracing.patches import Patched
from jittape.tracing.tracer import Tracer

# scanning stops here; a program that reaches more than this is reported as truncated
MAX_OBJECTS = 20_000

# results of these do not depend on their arguments alone
_IMPURE_MODULES = {"random", "time", "datetime", "os", "secrets", "uuid", "numpy.random", "io"}
_IMPURE_BUILTINS = {"open", "input", "next", "iter", "id", "globals", "locals", "vars", "eval",
                    "exec", "__import__", "setattr", "delattr"}  # fmt: skip
_ASKS_FOR_NAMESPACE = {"globals", "eval", "exec"}
_ASKS_FOR_ENVIRONMENT = {"environ", "getenv", "environb"}
_PLAIN = {types.SimpleNamespace}  # library types whose attributes are all there is to them
# asked for by a name that is computed, or all together
_ASKS_FOR_ANY = {"getattr", "vars", "__dict__", "dir", "attrgetter"}
_ASKS_FOR_MISSING = {"hasattr", "getattr", "AttributeError", "vars", "__dict__"}


class Reach(Findings):
    """What can be read from some root objects."""

    def __init__(self, roots: list[tuple[Any, str]]):
        super().__init__()
        self._todo.extend(roots)
        self._tokens: list[Any] = []
        self._asks = False
        self._asks_for_any = False
        self._run()

    def _run(self) -> None:
        while True:
            while self._todo:
                if len(self._seen) > MAX_OBJECTS:
                    self.truncated = True
                    self._todo.clear()
                    break
                self._visit(*self._todo.popleft())
            before = len(self._seen), len(self._names)
            for entry in list(self._objects):
                self._look_into(*entry)
            if not self._todo and before == (len(self._seen), len(self._names)):
                return

    # -- one object ---------------------------------------------------------------------------

    def _visit(self, x: Any, label: str) -> None:
        if isinstance(x, Patched):
            x = x.original
        kind = type(x)
        if kind in SCALARS:
            return
        if id(x) in self._seen:
            self._again.add(id(x))
            return
        self._seen[id(x)] = x
        if kind is types.FunctionType:
            self._visit_function(x)
        elif isinstance(x, Tracer):
            return  # a leaked one: to be compared by identity
        elif isinstance(x, np.ndarray):
            self.arrays.append((x, label))
            if kind is not np.ndarray:
                self._objects.append((x, label, set()))  # with attributes of its own
            if x.dtype.kind == "O":
                for v in x.ravel().tolist():
                    self.push(v, f"an element of {label}")
        elif isinstance(x, (tuple, frozenset)):
            self._push_all(x, label)
        elif isinstance(x, (list, dict, set, deque, bytearray)):
            self.containers.append((x, label))
            if isinstance(x, dict):
                self._push_all(list(x.keys()), f"keys of {label}")
                self._push_all(list(x.values()), label)
            elif not isinstance(x, bytearray):
                self._push_all(list(x), label)
        elif isinstance(x, functools.partial):
            for n in ("func", "args", "keywords"):
                self._attribute(x, n, getattr(x, n), label)
            self._objects.append((x, label, set()))  # with attributes of its own, as all below
        elif isinstance(x, types.MethodType):
            self.push(x.__func__, label)
            self.push(x.__self__, label)
        elif isinstance(x, (staticmethod, classmethod)):
            self.push(x.__func__, label)
        elif isinstance(x, property):
            for f in (x.fget, x.fset):
                if f is not None:
                    self.push(f, label)
        elif isinstance(x, types.ModuleType):
            self._visit_module(x, label)
        elif isinstance(x, (np.generic, np.dtype, np.ufunc, types.BuiltinFunctionType)):
            self._visit_builtin(x, label)
        elif isinstance(x, type):
            if not is_library_class(x):
                self._objects.append((x, label, set()))
                self._visit_class(x)
                self._names.update(n for n, v in vars(x).items() if _is_special_method(n, v))
        elif hasattr(x, "py_func") or hasattr(x, "pyfunc"):
            self.push(getattr(x, "py_func", None) or x.pyfunc, label)  # numba's, np.vectorize's
            self._objects.append((x, label, set()))
        elif reach_library.watch(self, x, label):
            pass
        elif is_library_class(kind):
            inner = getattr(x, "fun", None) or getattr(x, "__wrapped__", None)
            if inner is not None:  # a jittape transform, functools.lru_cache
                self.push(inner, label)
                self._objects.append((x, label, set()))
                for n in ("_fwd", "_bwd"):  # of a custom_vjp
                    if getattr(x, n, None) is not None:
                        self._attribute(x, n, getattr(x, n), label)
                return
            if getattr(x, "__dict__", None) is not None:
                self._objects.append((x, label, set()))
            if kind not in _PLAIN:
                self.opaque.append(label)
        else:
            self._objects.append((x, label, set()))
            self._attribute(x, "__class__", kind, f"the class of {label}")
            self._visit_class(kind)

    def _visit_class(self, kind: type) -> None:
        for klass in kind.__mro__:
            self.push(klass, f"class {klass.__name__}")
        self.push(type(kind), f"metaclass {type(kind).__name__}")
        order = kind.__mro__
        if len(order) > 2:
            self.predicates.append((lambda: kind.__mro__ is order, f"bases of {kind.__name__}"))
        if isinstance(kind, abc.ABCMeta) and not self._tokens:
            token = abc.get_cache_token()
            self._tokens.append(token)  # another class may be registered as a subclass
            same = functools.partial(operator.eq, token)
            self.predicates.append((lambda: same(abc.get_cache_token()), "abstract base classes"))

    def _push_all(self, values: Any, label: str) -> None:
        for v in values:
            self.push(v, f"an element of {label}")

    def _visit_builtin(self, x: Any, label: str) -> None:
        module = getattr(x, "__module__", None)
        owner = getattr(x, "__self__", None)
        if module in _IMPURE_MODULES or x in (getattr(builtins, "open", None),):
            self.opaque.append(label)
        elif owner is not None and not isinstance(owner, types.ModuleType):
            self.opaque.append(label)  # a bound method of a C object: rng.normal, list.append
            self.push(owner, label)

    def _visit_module(self, x: types.ModuleType, label: str) -> None:
        name = x.__name__
        if name in _IMPURE_MODULES:
            self.opaque.append(f"module {name}")
        if not is_library_module(name):
            self._objects.append((x, f"module {name}", set()))

    def _visit_function(self, f: types.FunctionType) -> None:
        code = f.__code__
        if is_library_file(code.co_filename):
            module = module_of(f)
            if module in _IMPURE_MODULES:
                self.opaque.append(f"{module}.{f.__name__}")
            wrapped = getattr(f, "__wrapped__", None)
            if wrapped is not None or f.__closure__:
                self._visit_cells(f)  # a library's wrapper around a user's function
            return
        self.functions.append((f, f.__qualname__))
        names, strings = names_of(code)
        self._names |= names
        self._asks_for_any |= not names.isdisjoint(_ASKS_FOR_ANY)
        if not names.isdisjoint(_ASKS_FOR_NAMESPACE):
            names |= strings
        if not names.isdisjoint(_ASKS_FOR_ENVIRONMENT):
            reach_library.environment(self)
        if names & _ASKS_FOR_MISSING:
            self._asks = True
            self._names |= strings
        found = f.__globals__
        missing = []
        _, watched, _ = self.dicts.setdefault(id(found), (found, {}, module_of(f) or "globals"))
        for n in names:
            if n in found:
                if n not in watched:
                    value = watched[n] = found[n]
                    self.push(value, f"global {n!r}", named=True)
            else:
                if hasattr(builtins, n):
                    missing.append(n)
                    if n in _IMPURE_BUILTINS:
                        self.opaque.append(f"{n}()")
                elif n in global_names(code):
                    missing.append(n)  # NameError may be handled
                imported = sys.modules.get(n)
                if imported is not None:  # imported inside the function
                    self.push(imported, f"module {n}")
                    modules = self.dicts.setdefault(id(sys.modules), (sys.modules, {}, "modules"))
                    modules[1][n] = imported
        if missing:
            self.shadows.setdefault(id(found), (found, set()))[1].update(missing)
        if not watched:
            del self.dicts[id(found)]
        self._visit_cells(f)
        for v in f.__defaults__ or ():
            self.push(v, f"a default argument of {f.__qualname__}")
        if f.__kwdefaults__:
            self.push(f.__kwdefaults__, f"keyword defaults of {f.__qualname__}")
        if f.__dict__:
            self.push(f.__dict__, f"attributes of function {f.__qualname__}")

    def _visit_cells(self, f: types.FunctionType) -> None:
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            if id(cell) in self._seen:
                continue
            self._seen[id(cell)] = cell
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet: NameError, which may be handled
                self.predicates.append((functools.partial(_is_empty, cell), f"variable {name!r}"))
                continue
            self.cells.append((cell, value, f"closure variable {name!r} of {f.__qualname__}"))
            self.push(value, f"closure variable {name!r}", named=True)

    # -- attributes ---------------------------------------------------------------------------

    def _look_into(self, x: Any, label: str, done: set[str]) -> None:
        """Watch those attributes of x that the functions reached so far have a name for."""
        names = self._names
        if self._asks_for_any and not self._is_library(x):
            own = getattr(x, "__dict__", None)
            if isinstance(x, type):
                names = names | {n for n in vars(x) if not n.startswith("__")}
            elif type(own) is dict and id(own) not in self._seen:
                self.push(own, f"attributes of {label}")
        new = names - done
        if not new:
            return
        done |= new
        if isinstance(x, types.ModuleType):
            self._look_into_dict(vars(x), new, label)
        elif isinstance(x, type):
            absent = set()
            for n in new:
                if n in vars(x):
                    self._attribute(x, n, vars(x)[n], f"{x.__name__}.{n}")
                elif _class_attribute(x, n) is not None or _of_metaclass(x, n):
                    absent.add(n)  # inherited: an attribute of its own would hide it
            if absent:
                self.shadows.setdefault(id(x), (vars(x), set()))[1].update(absent)
        else:
            self._look_into_instance(x, new, label)

    @staticmethod
    def _is_library(x: Any) -> bool:
        kind = x if isinstance(x, type) else type(x)
        return isinstance(x, types.ModuleType) or (kind not in _PLAIN and is_library_class(kind))

    def _look_into_dict(self, namespace: dict, names: set[str], label: str) -> None:
        for n in names:
            if n in namespace and not (n.startswith("__") and n.endswith("__")):
                entry = self.dicts.setdefault(id(namespace), (namespace, {}, label))
                if n not in entry[1]:
                    entry[1][n] = namespace[n]
                    self.push(namespace[n], f"{label}.{n}")

    def _look_into_instance(self, x: Any, names: set[str], label: str) -> None:
        kind = type(x)
        own = getattr(x, "__dict__", None)
        absent = set()
        for n in names:
            held = _class_attribute(kind, n)
            if isinstance(held, property):
                continue  # its code was reached through the class
            text = f"attribute {n!r} of {label} ({kind.__name__})"
            if own is not None and n in own:
                self._attribute(x, n, own[n], text)
            elif isinstance(held, types.MemberDescriptorType):
                if hasattr(x, n):
                    self._attribute(x, n, getattr(x, n), text)
            elif held is None:
                if self._asks:
                    absent.add(n)
            elif type(held) in SCALARS or not hasattr(held, "__get__"):
                self._attribute(x, n, held, text)
            elif not n.startswith("__"):  # special methods are looked up in the class
                absent.add(n)  # a method: an instance attribute would hide it
        if absent and own is not None:
            self.shadows.setdefault(id(own), (own, set()))[1].update(absent)

    def _attribute(self, x: Any, name: str, value: Any, label: str) -> None:
        entry = self.attributes.setdefault(id(x), (x, {}, label))
        entry[1][name] = value
        self.push(value, label)


def written_beside(reach: Reach) -> Sequence[captured.Named]:
    """The arrays that are to be seen while the functions found are traced (see tracing.captured):
    all, where any of these functions may write to an array, else none."""
    if not any(may_write(f.__code__) for f, _ in reach.functions):
        return ()
    return [(a, label) for a, label in reach.arrays if a.dtype.kind in "fciubV"]


captured.search.append(lambda fun: written_beside(Reach([(fun, "the function")])))


def _of_metaclass(kind: type, name: str) -> bool:
    return type(kind) is not type and _class_attribute(type(kind), name) is not None


_NOTHING = object()


def _is_empty(cell: Any) -> bool:
    try:
        return cell.cell_contents is _NOTHING
    except ValueError:
        return True


def _is_special_method(name: str, value: Any) -> bool:
    return name.startswith("__") and name.endswith("__") and type(value) is types.FunctionType


def _class_attribute(kind: type, name: str) -> Any:
    for klass in kind.__mro__:
        if name in vars(klass):
            return vars(klass)[name]
    return None
