"""Python functions to the code of one object file. Imports Numba.

Each becomes a C function of 8-byte integers under a name of its own; all that they call is
compiled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm
from numba import cfunc, njit
from numba.core.registry import cpu_target

# What may be left for the process to provide: the C library and its mathematics.
_PROVIDED = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign", "cos",
    "cosh", "exp", "exp2", "expm1", "fabs", "floor", "fmod", "hypot", "log", "log10", "log1p",
    "log2", "memcpy", "memmove", "memset", "pow", "round", "sin", "sinh", "sqrt", "tan", "tanh",
    "trunc", "expf", "logf", "sinf", "cosf", "tanhf", "sqrtf", "powf", "fmodf",
}  # fmt: skip


def build(functions: Mapping[str, tuple[Callable, Any]]) -> tuple[bytes, dict[str, int]]:
    """(object code, {name: number of arguments}) of functions given as (function, signature) of
    integers."""
    modules = []
    for name, (function, signature) in functions.items():
        compiled: Any = cfunc(signature, nogil=True, error_model="numpy")(function)
        modules.append(_renamed(compiled._library, compiled._wrapper_name, name))
    arguments = {name: len(signature.args) for name, (_, signature) in functions.items()}
    return _emit(modules, set(functions)), arguments


def build_loop(name: str, function: Callable, signature: Any) -> tuple[bytes, dict[str, int]]:
    """The same for one function of arrays and numbers, called as Numba calls it internally: see
    `jittape.compiled`."""
    compiled = njit(signature, nogil=True, error_model="numpy")(function).overloads[signature]
    module = _renamed(compiled.library, compiled.fndesc.llvm_func_name, name)
    n = 2 + sum(7 if hasattr(a, "ndim") else 1 for a in signature)
    return _emit([module], {name}), {name: n}


def _renamed(library: Any, own: str, name: str) -> Any:
    module = llvm.parse_assembly(library.get_llvm_str())
    module.get_function(own).name = name
    return module


def _emit(modules: list[Any], exported: set[str]) -> bytes:
    """Link, drop what is not reached from the exported functions, and generate code."""
    whole, *others = modules
    for module in others:
        whole.link_in(module)
    for value in (*whole.functions, *whole.global_variables):
        if not value.is_declaration and value.name not in exported:
            value.linkage = "internal"
    machine = cpu_target.target_context.codegen()._tm
    passes = llvm.create_new_module_pass_manager()
    passes.add_ipsccp_pass()  # sees that no function fails, and so that no error is handled
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(whole, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    wanted = {f.name for f in whole.functions if f.is_declaration and not _intrinsic(f.name)}
    if not wanted <= _PROVIDED:  # these would be looked for when the code is loaded, and fail
        raise RuntimeError(f"compiled code needs {', '.join(sorted(wanted - _PROVIDED))}")
    code: bytes = machine.emit_object(whole)
    return code


def _intrinsic(name: str) -> bool:
    return name.startswith("llvm.")
