"""What code mentions, and whose code it is."""

from __future__ import annotations

import functools
import opcode
import operator
import os
import sys
import types

import numpy as np

_LIBRARY = tuple(
    os.path.abspath(p) + os.sep
    for p in {
        os.path.dirname(os.__file__),  # the standard library
        os.path.dirname(np.__file__),
        os.path.dirname(os.path.dirname(__file__)),
    }
)
_SITE = os.sep + "site-packages" + os.sep
# libraries whose code is taken as fixed; anything else that is reached is looked into
_FIXED = {"numpy", "scipy", "numba", "llvmlite", "jittape", "matplotlib", "pandas", "sklearn",
          "torch", "jax", "jaxlib", "pytest", "_pytest", "hypothesis", "joblib"}  # fmt: skip

_LOAD_GLOBAL, _EXTENDED_ARG = opcode.opmap["LOAD_GLOBAL"], opcode.opmap["EXTENDED_ARG"]
_BINARY_OP = opcode.opmap["BINARY_OP"]
_FIRST_IN_PLACE = 13  # of BINARY_OP's arguments: += and those after it
_STORES = {opcode.opmap[n] for n in ("STORE_SUBSCR", "STORE_SLICE") if n in opcode.opmap}
# what writes to arrays by a name: keywords, functions and methods
_WRITERS = {"out", "at", "fill", "put", "putmask", "put_along_axis", "place", "copyto",
            "fill_diagonal", "sort", "partition", "setitem", "__setitem__", "real", "imag",
            "flat"}  # fmt: skip
_WRITERS |= {n for n in dir(operator) if n.startswith("i") and n[1:] in dir(operator)}


def is_library_file(name: str) -> bool:
    """Whether code of this file is taken as fixed."""
    if _SITE in name:
        rest = name.rsplit(_SITE, 1)[1]
        return rest.split(os.sep, 1)[0].split(".", 1)[0] in _FIXED
    return name.startswith(_LIBRARY) or name.startswith("<frozen")


def module_of(x: object) -> str:
    """The name of the module of a class or function; empty where `__module__` is not text.

    A class may have a property of that name, and classes that Cython makes do: what is read from
    the class is then the descriptor.
    """
    name = getattr(x, "__module__", None)
    return name if isinstance(name, str) else ""


def is_library_class(kind: type) -> bool:
    """Whether a class is taken as fixed; one that does not say where it is from is not."""
    name = module_of(kind)
    return is_library_module(name) if name else kind.__module__ is None


def is_library_module(name: str | None) -> bool:
    """Whether names of this module are taken as fixed."""
    if not name:
        return True
    top = name.split(".", 1)[0]
    if top in _FIXED or top == "builtins":
        return True
    if top not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is None or is_library_file(file)


@functools.lru_cache(maxsize=4096)
def names_of(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """All names a code object (and the functions defined in it) mentions; and its identifiers
    among string constants, which getattr may be given."""
    names = set(code.co_names)
    strings = {c for c in code.co_consts if type(c) is str and c.isidentifier()}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            inner, texts = names_of(const)
            names |= inner
            strings |= texts
    return frozenset(names), frozenset(strings)


@functools.lru_cache(maxsize=4096)
def may_write(code: types.CodeType) -> bool:
    """Whether a code object (or a function defined in it) may write to an array."""
    if not _WRITERS.isdisjoint(code.co_names):
        return True
    for op, arg in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        if op in _STORES or (op == _BINARY_OP and arg >= _FIRST_IN_PLACE):
            return True
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            if may_write(const):
                return True
        elif const in _WRITERS or (type(const) is tuple and "out" in const):
            return True
    return False


@functools.lru_cache(maxsize=4096)
def global_names(code: types.CodeType) -> frozenset[str]:
    """The names that a code object (and the functions defined in it) reads as globals."""
    found = set()
    extended = 0
    for op, arg in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        arg |= extended << 8
        extended = arg if op == _EXTENDED_ARG else 0
        if op == _LOAD_GLOBAL:
            found.add(code.co_names[arg >> 1])  # the last bit says whether it is called
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found |= global_names(const)
    return frozenset(found)
