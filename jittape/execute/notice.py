"""Telling the user, once, that the interpreter is being compiled because its cache is empty."""

from __future__ import annotations

import sys
from typing import Any

_listening = False


def announce_compilation() -> None:
    """Listen for Numba compiling (not loading) a function of jittape's, and say so on stderr.

    A line on stderr and no warning: it is no fault of the user's, and must not fail a program
    that turns warnings into errors.
    """
    global _listening
    if _listening:
        return
    _listening = True
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            function = event.data["dispatcher"].py_func
            if function.__module__.partition(".")[0] != "jittape":
                return
            unregister()
            print(
                f"jittape: compiling its interpreter, first {function.__module__} (about 10 s; "
                "kept in Numba's disk cache, so this happens once per installation)",
                file=sys.stderr,
                flush=True,
            )

        def on_end(self, event: Any) -> None:
            pass

    listener = Listener()

    def unregister() -> None:
        event.unregister("numba:compile", listener)

    event.register("numba:compile", listener)
