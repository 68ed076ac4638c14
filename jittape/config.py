"""Settings, from environment variables at import and changeable at any time.

jittape.config.verify = True
with jittape.config.override(debug_nans=True): ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# name: (type, default, meaning); the environment variable is JITTAPE_<NAME>
SETTINGS: dict[str, tuple[type, Any, str]] = {
    "verify": (
        bool,
        False,
        "compare every replay with a fresh trace (runs the function each time)",
    ),
    "debug_nans": (bool, False, "raise NonFiniteError where the first NaN or inf arises"),
    "bit_exact": (bool, False, "programs made from now on use NumPy's own loops only"),
    "max_tapes": (int, 64, "tapes kept per key (argument types and state); the oldest is dropped"),
    "max_keys": (int, 256, "keys kept per function; the oldest is dropped"),
    "max_retraces": (int, 32, "traces of one function after which a RetraceWarning is given"),
    "loop_bytes": (
        int,
        1 << 28,
        "carries that a scan recorded from now on keeps at a time for its reverse sweep",
    ),
    "threads": (int, 0, "threads of large sweeps; 0: as many as there are cores"),
}

# what a change of a setting has to be told to: name -> function of the new value
listeners: dict[str, Callable[[Any], None]] = {}


class Config:
    """The settings of the process; see SETTINGS. Raises AttributeError for unknown names and
    TypeError for values of another type."""

    verify: bool
    debug_nans: bool
    bit_exact: bool
    max_tapes: int
    max_keys: int
    max_retraces: int
    loop_bytes: int
    threads: int
    plain: bool  # derived: no debugging mode is on, so that a call need look at one attribute

    def __init__(self) -> None:
        for name, (kind, default, _) in SETTINGS.items():
            text = os.environ.get(f"JITTAPE_{name.upper()}")
            setattr(self, name, default if text is None else _parse(name, kind, text))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SETTINGS:
            raise AttributeError(f"jittape.config has no setting {name!r}: {', '.join(SETTINGS)}")
        kind = SETTINGS[name][0]
        number: Any = value
        if type(value) is not kind or number < 0:
            raise TypeError(f"jittape.config.{name} takes {kind.__name__}, not {value!r}")
        attributes = self.__dict__
        attributes[name] = value
        if name in listeners:
            listeners[name](value)
        attributes["plain"] = not (attributes.get("verify") or attributes.get("debug_nans"))

    @contextmanager
    def override(self, **settings: Any) -> Iterator[Config]:
        """These settings until the block ends (for the whole process)."""
        before = {name: getattr(self, name) for name in settings}
        try:
            for name, value in settings.items():
                setattr(self, name, value)
            yield self
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def __repr__(self) -> str:
        lines = [f"{n} = {getattr(self, n)!r}  # {doc}" for n, (_, _, doc) in SETTINGS.items()]
        return "\n".join(lines)


def _parse(name: str, kind: type, text: str) -> Any:
    if kind is bool:
        word = text.strip().lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("", "0", "false", "no", "off"):
            return False
    elif text.strip().isdigit():
        return int(text)
    raise ValueError(f"JITTAPE_{name.upper()}={text!r} is no {kind.__name__}")


config = Config()


def set_num_threads(n: int) -> None:
    """Let large sweeps use at most n threads (jittape.config.threads). Results do not depend on
    the number. Raises ValueError unless n is at least 1, TypeError unless it is an int."""
    if type(n) is int and n < 1:
        raise ValueError("the number of threads is at least 1")
    config.threads = n
