"""Object code into the process, by llvmlite. Imports llvmlite, not Numba."""

from __future__ import annotations

import ctypes
from typing import Any

_engines: list[Any] = []  # nothing is ever unloaded: addresses get everywhere


class Loaded:
    """Code in memory. functions: name -> number of arguments, all of them 8-byte integers, as is
    the result; addresses: where they are. LLVM is never asked again: its lock would stay taken if
    an interrupt came at the wrong moment."""

    def __init__(self, addresses: dict[str, int], functions: dict[str, int]):
        self._addresses = addresses
        self._functions = functions
        self._callable: dict[str, Any] = {}

    def address(self, name: str) -> int:
        """Of a function. Raises KeyError for one that was not compiled."""
        return self._addresses[name]

    def function(self, name: str) -> Any:
        """It can be called with integers; the GIL is released meanwhile."""
        found = self._callable.get(name)
        if found is None:
            word = ctypes.c_int64
            kind = ctypes.CFUNCTYPE(word, *[word] * self._functions[name])
            found = self._callable[name] = kind(self.address(name))
        return found


def load(code: bytes, functions: dict[str, int]) -> Loaded:
    """Make the code of an object file callable."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return Loaded({n: int(engine.get_function_address(n)) for n in functions}, functions)
