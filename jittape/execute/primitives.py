"""Memory and calls by address, for the compiled sweeps. Imports Numba, and so only where code is
compiled: see `library`.

Everything compiled here works on plain addresses (int64): no array structs, no reference counts,
no bounds checks, and one entry takes a handful of integers, which Numba passes in nanoseconds.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# Functions that can be called by address: name -> (function, signature). See `library`.
EXPORTS: dict[str, tuple[Callable, Any]] = {}
_LOOP = types.void(types.int64, types.int64, types.int64, types.int64)


def exported(function: Callable) -> Any:
    """Declare a function of integers (int64, as is its result) that is called from Python."""
    n = function.__code__.co_argcount
    EXPORTS[function.__name__] = (function, types.int64(*[types.int64] * n))
    return njit(nogil=True, error_model="numpy")(function)


def kernel(function: Callable) -> Any:
    """Declare a function with the signature of NumPy's inner loops: args, dims, steps, data."""
    EXPORTS[function.__name__] = (function, _LOOP)
    return njit(nogil=True, error_model="numpy")(function)


def by_name(name: str, n: int) -> Any:
    """An exported function of n integers for others to call: it is compiled once, not into each.

    The name is resolved where all of them are linked. Compiled functions that Numba itself loads
    are never run, and find `abort` under this name."""

    def codegen(context, builder, signature, args):
        if name not in _NAMED:
            abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
            llvm.add_symbol(name, abort)
            _NAMED.add(name)
        kind = ir.FunctionType(_I64, [_I64] * n)
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, args)

    signature = types.int64(*[types.int64] * n)

    @intrinsic
    def call3(typingctx, a, b, c):
        return signature, codegen

    @intrinsic
    def call5(typingctx, a, b, c, d, e):
        return signature, codegen

    return {3: call3, 5: call5}[n]


_NAMED: set[str] = set()
_I64 = ir.IntType(64)
_PTR = ir.IntType(8).as_pointer()


def _loader(ir_type, nb_type, extend=None):
    @intrinsic
    def load(typingctx, address):
        def codegen(context, builder, signature, args):
            value = builder.load(builder.inttoptr(args[0], ir_type.as_pointer()), align=1)
            return extend(builder, value) if extend else value

        return nb_type(types.int64), codegen

    return load


def _storer(ir_type, nb_type, narrow=None):
    @intrinsic
    def store(typingctx, address, value):
        def codegen(context, builder, signature, args):
            value = narrow(builder, args[1]) if narrow else args[1]
            builder.store(value, builder.inttoptr(args[0], ir_type.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, nb_type), codegen

    return store


def _sext(builder, value):
    return builder.sext(value, _I64)


def _zext(builder, value):
    return builder.zext(value, _I64)


load8 = _loader(_I64, types.int64)
load4 = _loader(ir.IntType(32), types.int64, _sext)
load2 = _loader(ir.IntType(16), types.int64, _sext)
load1 = _loader(ir.IntType(8), types.int64, _zext)
loadd = _loader(ir.DoubleType(), types.float64)
loadf = _loader(ir.FloatType(), types.float32)
store8 = _storer(_I64, types.int64)
store4 = _storer(ir.IntType(32), types.int64, lambda b, v: b.trunc(v, ir.IntType(32)))
store2 = _storer(ir.IntType(16), types.int64, lambda b, v: b.trunc(v, ir.IntType(16)))
store1 = _storer(ir.IntType(8), types.int64, lambda b, v: b.trunc(v, ir.IntType(8)))
stored = _storer(ir.DoubleType(), types.float64)
storef = _storer(ir.FloatType(), types.float32)


@intrinsic
def call_loop(typingctx, fn, args, dims, steps, data):
    """fn(char **args, npy_intp *dims, npy_intp *steps, void *data), all given as addresses."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_PTR] * 4)
        loop = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(loop, [builder.inttoptr(a, _PTR) for a in args[1:]])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _caller(arity):
    @intrinsic
    def call(typingctx, fn, *args):
        def codegen(context, builder, signature, args):
            kind = ir.FunctionType(_I64, [_I64] * arity)
            values = builder.extract_value
            rest = [values(args[1], k) for k in range(arity)]
            return builder.call(builder.inttoptr(args[0], kind.as_pointer()), rest)

        return types.int64(types.int64, types.UniTuple(types.int64, arity)), codegen

    return call


# Functions of C by address, of so many words, as is their result.
call0, call1, call4 = _caller(0), _caller(1), _caller(4)


@intrinsic
def move(typingctx, target, source, count):
    """memcpy of count bytes."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_PTR, _PTR, _I64, ir.IntType(1)])
        memcpy = builder.module.declare_intrinsic("llvm.memcpy", [_PTR, _PTR, _I64], kind)
        target = builder.inttoptr(args[0], _PTR)
        source = builder.inttoptr(args[1], _PTR)
        builder.call(memcpy, [target, source, args[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def local(typingctx, words):
    """Address of `words` (a literal) 8-byte words on the stack of the calling function."""
    if not isinstance(words, types.IntegerLiteral):
        return None
    count = words.literal_value

    def codegen(context, builder, signature, args):
        with builder.goto_entry_block():
            place = builder.alloca(ir.ArrayType(_I64, count))
        return builder.ptrtoint(place, _I64)

    return types.int64(words), codegen


def _pointer(ir_type, nb_type):
    @intrinsic
    def pointer(typingctx, address):
        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], ir_type.as_pointer())

        return types.CPointer(nb_type)(types.int64), codegen

    return pointer


# Loops over these are vectorised; loops over loads and stores by address are not, since LLVM does
# not see that the addresses advance evenly.
doubles = _pointer(ir.DoubleType(), types.float64)
floats = _pointer(ir.FloatType(), types.float32)
words = _pointer(_I64, types.int64)
octets = _pointer(ir.IntType(8), types.uint8)
