"""Which captured arrays a function uses as operands of recorded ops only.

Such arrays are read live by the tape, and their contents need not be compared on each call. For
all others it cannot be excluded that code which jittape does not see has read them (`X / 255`,
`if X.max() > 1`). The proof is narrow on purpose: the array has a name that only the traced
function itself reads, outside of loops and nested functions; each place that loads it hands it to
an arithmetic operator; and for each of these places the tape has an instruction with that operand.
"""

from __future__ import annotations

import dis
import functools
import types
from typing import Any

import numpy as np

from jittape.api.code_names import names_of
from jittape.api.reach import Reach
from jittape.tape import Tape

_LOADS = {"LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME", "LOAD_CLASSDEREF"}
_WRITES = {"STORE_GLOBAL", "STORE_DEREF", "STORE_NAME", "DELETE_GLOBAL", "DELETE_DEREF"}
# between the load and the operator: these leave the array where it is on the stack
_BENIGN = {"LOAD_FAST", "LOAD_CONST", "LOAD_ATTR", "LOAD_METHOD", "BINARY_SUBSCR", "BINARY_OP",
           "PUSH_NULL", "PRECALL", "CALL", "KW_NAMES", "UNARY_NEGATIVE", "BUILD_TUPLE",
           "LOAD_FAST_LOAD_FAST", "COPY_FREE_VARS", "LOAD_FAST_BORROW", "CACHE",
           "LOAD_FAST_BORROW_LOAD_FAST_BORROW", "LOAD_SMALL_INT"} | _LOADS  # fmt: skip


def direct_arrays(fun: Any, reach: Reach, tape: Tape) -> set[int]:
    """ids of the captured arrays for which the proof holds."""
    root = fun
    while not isinstance(root, types.FunctionType) and hasattr(root, "fun"):
        root = root.fun
    if not isinstance(root, types.FunctionType) or reach.called_again(root):
        return set()
    return {
        id(a)
        for a, _ in reach.arrays
        if id(a) not in reach.elsewhere and _proven(a, root, reach, tape)
    }


def _proven(a: np.ndarray, root: types.FunctionType, reach: Reach, tape: Tape) -> bool:
    names = set()
    for namespace, watched, _ in reach.dicts.values():
        for name, value in watched.items():
            if value is a:
                if namespace is not root.__globals__ or reach.is_module(namespace):
                    return False
                for f, _ in reach.functions:
                    if f is not root and f.__globals__ is namespace:
                        if name in names_of(f.__code__)[0]:
                            return False
                names.add(name)
    for cell, value, _ in reach.cells:
        if value is a:
            for f, _ in reach.functions:  # by identity: cells compare as what they hold
                mine = [n for n, c in _closure(f) if c is cell]
                if mine and f is not root:
                    return False
                names.update(mine)
    code = root.__code__
    for const in code.co_consts:
        if isinstance(const, types.CodeType) and names & (names_of(const)[0] | _free(const)):
            return False
    if not names:
        return False
    consumers = operators(code, frozenset(names))
    if not consumers:
        return False
    here = _uses(a, code, tape)
    return all(c in here for c in consumers)


def _closure(f: types.FunctionType) -> list[tuple[str, Any]]:
    return list(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))


def _free(code: types.CodeType) -> set[str]:
    free = set(code.co_freevars)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            free |= _free(const)
    return free


def _uses(a: np.ndarray, code: types.CodeType, tape: Tape) -> set[int]:
    """Offsets in `code` of the instructions with the array itself, or a view of it, as operand."""
    # a reshaped view of it reads the same memory
    numbers = [
        tape.n_inputs + k
        for k, c in enumerate(tape.consts)
        if c.live and np.may_share_memory(c.value, a)
    ]
    mine = [k for k, c in enumerate(tape.codes) if c is code]
    if not numbers or not mine:
        return set()
    at = np.flatnonzero(np.isin(tape.args, numbers))
    users = np.searchsorted(tape.arg_ptr, at, side="right") - 1
    users = users[np.isin(tape.where_code[users], mine)]
    return set(tape.where_lasti[users].tolist())


@functools.lru_cache(maxsize=1024)
def operators(code: types.CodeType, names: frozenset[str]) -> tuple[int, ...] | None:
    """Offsets of the arithmetic operators that get what each load of these names pushes; None
    where anything else may happen to it."""
    instructions = [i for i in dis.get_instructions(code) if i.opname != "CACHE"]
    loops = [
        (i.argval, i.offset)
        for i in instructions
        if "JUMP" in i.opname and isinstance(i.argval, int) and i.argval <= i.offset
    ]
    found = []
    for k, instruction in enumerate(instructions):
        if instruction.argval not in names:
            continue
        if instruction.opname in _WRITES or instruction.opname not in _LOADS:
            return None
        if any(start <= instruction.offset <= stop for start, stop in loops):
            return None
        consumer = _consumer(instructions[k + 1 :])
        if consumer is None:
            return None
        found.append(consumer)
    return tuple(found)


def _consumer(following: list[dis.Instruction]) -> int | None:
    """The operator that takes the value on top of the stack before these instructions."""
    above = 0  # what has been pushed on top of it
    for i in following:
        if i.opname not in _BENIGN or i.is_jump_target:
            return None
        effect = (
            dis.stack_effect(i.opcode, i.arg) if i.arg is not None else dis.stack_effect(i.opcode)
        )
        pushes_only = effect > 0 or i.opname in ("LOAD_FAST", "LOAD_CONST", "KW_NAMES", "PRECALL",
                                                 "COPY_FREE_VARS")  # fmt: skip
        taken = 0 if pushes_only else 1 - effect
        if taken > above:
            powers = i.opname == "BINARY_OP" and "**" in i.argrepr
            plain = i.opname == "BINARY_OP" and "=" not in i.argrepr and not powers
            return i.offset if plain else None
        above += effect
    return None
