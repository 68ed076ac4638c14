"""Loops over flat arrays: interpreted on lists, or compiled for long tapes.

Each is an ordinary function over arrays and numbers that allocates nothing and writes its results
into arrays it is given. Loading compiled code costs more than differentiating a small function
does, so the size of the job decides, and a small first call never waits for it.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

# Steps from which on the compiled loop pays, a step taking about a microsecond on lists:
LONG = 2000  # loaded in a millisecond from disk
LONG_ALONE = 40_000  # the same where llvmlite has to be imported first (some 40 ms)
LONG_COLD = 20_000  # where it has to be compiled (some 100 ms, once per installation)
LONG_COLD_ALONE = 200_000  # and Numba to be imported for that (half a second)

_word = ctypes.c_int64
_pointer = ctypes.c_void_p


@functools.cache
def _unit(function: Callable, kinds: tuple[str, ...]) -> Any:
    """kinds: of each argument, "" for an integer, else the dtype of a contiguous array."""
    from pathlib import Path  # (with what it imports, 2 ms)

    from jittape.objects import Unit

    def build() -> tuple[bytes, dict[str, int]]:
        from numba import from_dtype, types

        from jittape.objects.build import build_loop

        signature = tuple(
            types.Array(from_dtype(np.dtype(k)), 1, "C") if k else types.int64 for k in kinds
        )
        return build_loop("loop", function, signature)

    name = "-".join([function.__name__.strip("_"), *[k[1:] or "n" for k in kinds]])
    return Unit(name, (Path(inspect.getfile(function)),), build)


@functools.cache
def _native(unit: Any, kinds: tuple[str, ...]) -> Any:
    """The function as Numba calls it inside: status f(result *, exception **, arguments...), an
    array being (owner, parent, length, item size, data, shape, stride)."""
    from jittape.objects import get

    arguments: list[Any] = [_pointer, _pointer]
    for k in kinds:
        arguments += [_pointer, _pointer, _word, _word, _pointer, _word, _word] if k else [_word]
    return ctypes.CFUNCTYPE(ctypes.c_int32, *arguments)(get(unit).address("loop"))


def _kinds(args: tuple) -> tuple[str, ...]:
    return tuple(a.dtype.str if isinstance(a, np.ndarray) else "" for a in args)


@functools.cache
def _compiled(function: Callable) -> Callable:
    def call(*args: Any) -> int:
        kinds = _kinds(args)
        result, failure = _word(), _pointer()
        words: list[Any] = [ctypes.addressof(result), ctypes.addressof(failure)]
        for a in args:
            if isinstance(a, np.ndarray):
                if a.ndim != 1 or not a.flags.c_contiguous:
                    raise ValueError(f"{function.__name__} takes contiguous vectors")
                words += [None, None, a.size, a.itemsize, a.ctypes.data, a.size, a.itemsize]
            else:
                words.append(int(a))
        status = _native(_unit(function, kinds), kinds)(*words)
        if status:
            raise RuntimeError(f"{function.__name__} failed with status {status}")
        return result.value

    return call


@functools.cache
def _interpreted(function: Callable) -> Callable:
    """`function` on lists, which Python indexes five times faster than arrays."""

    def call(*args: Any) -> Any:
        lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in args]
        result = function(*lists)
        for a, values in zip(args, lists, strict=True):
            if isinstance(a, np.ndarray) and a.flags.writeable:
                a[...] = values
        return result

    return call


def fast(function: Callable, n: int, otherwise: Callable | None = None) -> Callable:
    """The form of `function` that is quickest for about n steps. otherwise: what does the same
    where compiled code does not pay; by default `function` on lists."""
    interpreted = otherwise or _interpreted(function)
    if n <= (LONG if "llvmlite.binding" in sys.modules else LONG_ALONE):
        return interpreted
    if n > (LONG_COLD if "numba" in sys.modules else LONG_COLD_ALONE):
        return _compiled(function)

    def whichever(*args: Any) -> Any:
        from jittape.objects import is_kept

        form = _compiled(function) if is_kept(_unit(function, _kinds(args))) else interpreted
        return form(*args)

    return whichever
