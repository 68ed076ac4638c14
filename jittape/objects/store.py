"""Where object files are kept, and which of them is the right one.

A file's name holds a hash of everything its code depends on: the sources it was compiled from,
the interpreter, Numba, llvmlite (that is, LLVM), NumPy, and the CPU. Another version of any of
these is another name, so that stale code is never loaded. The file itself starts with a hash of
its content: one that was cut off or changed is as good as none. It is written under another name
first and then renamed, so that nobody reads half a file; a lock beside it lets other processes
wait for one that compiles already. Where nothing can be written, code is compiled anew in each
process, with one warning.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import platform
import sys
import sysconfig
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jittape.errors import JittapeWarning
from jittape.objects.load import Loaded, load

_MAGIC = b"jittape object 1\n"
_WAIT = 120.0  # seconds that another process may take to compile what this one needs, too


@dataclass(frozen=True)
class Unit:
    """What one object file is made of. build: compiles (object code, {function: arguments});
    sources: the files whose text decides what it gives. large: the user is told of the wait."""

    name: str
    sources: tuple[Path, ...]
    build: Callable[[], tuple[bytes, dict[str, int]]]
    large: bool = False


class NoCacheWarning(JittapeWarning):
    """Compiled code cannot be kept on disk; each process compiles it again."""


_loaded: dict[Unit, Loaded] = {}
_lock = threading.RLock()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def get(unit: Unit) -> Loaded:
    """Its code: loaded before, kept on disk, or compiled now."""
    found = _loaded.get(unit)
    if found is None:
        found, refusals = _uninterrupted(functools.partial(_get, unit))
        if refusals:
            warnings.warn(
                "jittape cannot keep its compiled code on disk and compiles it again in each "
                f"process ({'; '.join(map(str, refusals))}). Set JITTAPE_CACHE_DIR to a folder "
                "that can be written to",
                NoCacheWarning,
                stacklevel=2,
            )
    return found


def _get(unit: Unit) -> tuple[Loaded, list[OSError]]:
    with _lock:
        found = _loaded.get(unit)
        refusals: list[OSError] = []
        if found is None:
            content, refusals = _read_or_build(unit)
            found = _loaded[unit] = load(*content)
    return found, refusals


def _uninterrupted(work: Callable[[], Any]) -> Any:
    """Do it where no signal handler runs, which is any thread but the main one: an exception
    within LLVM's or Numba's locks (KeyboardInterrupt) would leave them taken for good. An
    interrupted caller gets its exception at once, and the work is finished behind it."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as e:  # raised again by the caller
            errors.append(e)

    thread = threading.Thread(target=run, name="jittape-compile", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def is_loaded(unit: Unit) -> bool:
    """Whether `get` takes no time."""
    return unit in _loaded


def is_kept(unit: Unit) -> bool:
    """Whether `get` takes milliseconds: loaded before, or kept on disk."""
    return unit in _loaded or any(p.exists() for p in _places(unit))


def folders() -> list[Path]:
    """Where object files are looked for, and written to the first that can be written to:
    JITTAPE_CACHE_DIR or NUMBA_CACHE_DIR where one is set; else the package's __pycache__, then
    the user's cache folder."""
    for variable in ("JITTAPE_CACHE_DIR", "NUMBA_CACHE_DIR"):
        given = os.environ.get(variable)
        if given:
            return [Path(given)]
    return [Path(__file__).parent.parent / "__pycache__", _user_folder()]


def _user_folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)) / "jittape"


@functools.cache
def _versions() -> tuple[str, ...]:
    import llvmlite
    import llvmlite.binding as llvm
    import numpy as np

    # Numba's version without importing Numba (0.5 s), or importlib.metadata (20 ms)
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        raise ImportError("jittape needs Numba, which is not installed: pip install numba")
    version = Path(spec.origin).with_name("_version.py")
    numba = version.read_text() if version.exists() else str(Path(spec.origin).stat().st_mtime_ns)
    return (
        sys.version,
        str(sysconfig.get_config_var("SOABI")),
        platform.platform(),
        numba,
        llvmlite.__version__,
        np.__version__,
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        # what Numba is told to compile
        *[f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_CPU")],
        *[f"{k}={os.environ.get(k)}" for k in ("NUMBA_OPT", "NUMBA_DISABLE_JIT")],
    )


@functools.cache
def _key(sources: Sequence[Path]) -> str:
    own = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256("\0".join(_versions()).encode())
    for path in [*own, *sources]:
        content = path.read_bytes()
        digest.update(f"\0{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:20]


def _places(unit: Unit) -> list[Path]:
    name = f"jittape-{unit.name}-{_key(unit.sources)}.object"
    return [folder / name for folder in folders()]


def _read(path: Path) -> tuple[bytes, dict[str, int]] | None:
    """The content of a file, or None where there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if not content.startswith(_MAGIC):
        return None
    digest, _, rest = content[len(_MAGIC) :].partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        return None
    header, _, code = rest.partition(b"\n")
    return code, json.loads(header)


def _write(path: Path, code: bytes, functions: dict[str, int]) -> None:
    rest = json.dumps(functions).encode() + b"\n" + code
    content = _MAGIC + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if os.name == "posix":  # readable for whoever may read the package
            os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _read_or_build(unit: Unit) -> tuple[tuple[bytes, dict[str, int]], list[OSError]]:
    """The content of its file, and what spoke against writing one."""
    places = _places(unit)
    for path in places:
        found = _read(path)
        if found is not None:
            return found, []
    refusals: list[OSError] = []
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _only_one(path):
                found = _read(path)  # another process may have been quicker
                if found is None:
                    found = _build(unit)
                    _write(path, *found)
                return found, []
        except OSError as e:
            refusals.append(e)
            if found is not None:
                break
    return found or _build(unit), refusals


def _build(unit: Unit) -> tuple[bytes, dict[str, int]]:
    if unit.large:
        # a line on stderr and no warning: it is no fault of the user's, and must not fail a
        # program that turns warnings into errors
        print(
            "jittape: compiling its interpreter (10 to 20 s; kept on disk, so this happens once "
            "per installation)",
            file=sys.stderr,
            flush=True,
        )
    return unit.build()


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Keep other processes from compiling the same, where the system can (else both do, and the
    last one's file stays). The system lets go of the lock of a process that dies."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path.with_suffix(".lock"), "w") as file:
        _acquire(fcntl, file)
        yield


def _acquire(fcntl: Any, file: Any) -> None:
    end = time.monotonic() + _WAIT
    while time.monotonic() < end:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:  # a file system without locks
            return
