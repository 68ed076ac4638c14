"""The parent's side: worker processes, the check of each derivative, alternating rounds."""

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .problem import TOLERANCE, Problem, error
from .worker import library_modules

ROOT = Path(__file__).resolve().parent.parent
SLOW_FIRST = 15.0  # a first derivative slower than this is not repeated in a fresh process


class Trouble(Exception):
    """A worker could not deliver; the message goes into the table."""


class TooSlow(Trouble):
    """It took longer than the limit."""


@dataclass
class Measured:
    """What one library did on one problem, size and number of threads."""

    problem: str
    size: str
    threads: int
    library: str
    trouble: str = ""
    too_slow: bool = False
    error: float | None = None
    import_numpy: float | None = None
    import_library: float | None = None
    first: float | None = None
    steady: float | None = None
    turns: list[float] = field(default_factory=list)
    calls: int = 0
    peak: int | None = None
    base: int | None = None


def environment(threads: int, jax_cache: Path | None) -> dict[str, str]:
    """Thread counts for every library, each by the variable it reads at import."""
    n = str(threads)
    variables = dict(os.environ)
    # installed packages have their bytecode on disk, which a checkout would have, too
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "BLIS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "TORCHINDUCTOR_COMPILE_THREADS",
    ):
        variables[name] = n
    flags = variables.get("XLA_FLAGS", "")
    variables["XLA_FLAGS"] = (
        f"{flags} --xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    ).strip()
    variables["JAX_PLATFORMS"] = "cpu"
    variables["JAX_ENABLE_X64"] = "1"
    if jax_cache is not None:
        variables["JAX_COMPILATION_CACHE_DIR"] = str(jax_cache)
        variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    variables["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *filter(None, [variables.get("PYTHONPATH")])]
    )
    return variables


class Process:
    """A worker and the pipe to it."""

    def __init__(self, problem: str, size: str, library: str, threads: int, cache: Path | None):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benches.worker", problem, size, library, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(threads, cache),
            cwd=ROOT,
        )

    def ask(self, limit: float, do: str, **options: Any) -> dict:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **options}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Trouble(self.last_words()) from None
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        if not ready:
            self.kill()
            raise TooSlow(f"over {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise Trouble(self.last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise Trouble(answer["error"])
        return answer

    def last_words(self) -> str:
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"died with code {code}: {lines[-1][:200] if lines else 'no message'}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            try:
                self.process.communicate(b'{"do": "stop"}\n', timeout=10)
            except (subprocess.TimeoutExpired, BrokenPipeError):
                self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                stream.close()


def load_result(stem: Path) -> Any:
    import numpy as np

    if stem.with_suffix(".npz").exists():
        import scipy.sparse

        return scipy.sparse.load_npz(stem.with_suffix(".npz"))
    return np.load(stem.with_suffix(".npy"))


@dataclass
class Settings:
    rounds: int = 5
    budget: float = 0.2  # seconds per library and turn
    fresh: int = 3  # processes in which `first` is measured
    limit: float = 120.0  # seconds after which a library is given up
    jax_cache: Path | None = None
    say: Callable[[str], None] = print


class Contest:
    """All libraries on one problem, size and number of threads."""

    def __init__(self, problem: Problem, size: str, threads: int, settings: Settings) -> None:
        self.problem, self.size, self.threads, self.settings = problem, size, threads, settings
        self.alive: dict[str, Process] = {}

    def say(self, message: str) -> None:
        self.settings.say(f"{self.problem.name} {self.size}, {self.threads} thread(s): {message}")

    def start(self, library: str) -> Process:
        return Process(self.problem.name, self.size, library, self.threads, self.settings.jax_cache)

    def run(self, libraries: Sequence[str]) -> list[Measured]:
        self.say("reference")
        expected = self.problem.reference(*self.problem.inputs(self.size))
        rows = [Measured(self.problem.name, self.size, self.threads, lib) for lib in libraries]
        try:
            for row in rows:
                self.guarded(row, partial(self.check, expected))
            for row in rows:
                if not row.trouble:
                    self.guarded(row, self.fresh)
            for number in range(self.settings.rounds):
                for row in rows:
                    if not row.trouble:
                        self.say(f"round {number + 1}/{self.settings.rounds} {row.library}")
                        self.guarded(row, self.turn)
        finally:
            for process in self.alive.values():
                process.stop()
        for row in rows:
            if row.turns and not row.trouble:
                row.steady = statistics.median(row.turns)
        return rows

    def guarded(self, row: Measured, step: Callable[[Measured], None]) -> None:
        try:
            step(row)
        except Trouble as trouble:
            row.trouble, row.too_slow = str(trouble), isinstance(trouble, TooSlow)
            self.say(f"{row.library}: {row.trouble}")
            process = self.alive.pop(row.library, None)
            if process is not None:
                process.stop()

    def first(self, row: Measured) -> dict:
        """A new process for the library, and its first derivative."""
        old = self.alive.pop(row.library, None)
        if old is not None:
            old.stop()
        process = self.alive[row.library] = self.start(row.library)
        return process.ask(self.settings.limit, "first")

    def check(self, expected: Any, row: Measured) -> None:
        """The derivative against the reference, before anything is timed; warms disk caches."""
        self.say(f"check {row.library}")
        self.note(row, [self.first(row)])
        if row.library.endswith("primal") or row.library.endswith("gradient"):
            return
        process, limit = self.alive[row.library], self.settings.limit
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / "result"
            for time in ("first", "second"):
                process.ask(limit, "save", path=str(stem))
                row.error = error(load_result(stem), expected)
                if not row.error <= TOLERANCE:
                    raise Trouble(f"wrong the {time} time: error {row.error:.1e}")
                if time == "first":
                    process.ask(limit, "repeat")

    def fresh(self, row: Measured) -> None:
        """`first` in fresh processes with warm disk caches; the last one stays for the rounds."""
        if row.first is not None and row.first > SLOW_FIRST:
            return
        self.say(f"first {row.library}")
        self.note(row, [self.first(row) for _ in range(max(1, self.settings.fresh))])

    def note(self, row: Measured, answers: list[dict]) -> None:
        for name in ("import_numpy", "import_library", "first"):
            setattr(row, name, statistics.median(a[name] for a in answers))
        row.peak, row.base = answers[-1]["peak"], answers[-1]["base"]

    def turn(self, row: Measured) -> None:
        answer = self.alive[row.library].ask(
            self.settings.limit, "time", budget=self.settings.budget, opening=not row.turns
        )
        row.turns.append(statistics.median(answer["samples"]))
        row.calls += answer["calls"]
        row.peak = answer["peak"]


def modules_missing(library: str) -> list[str]:
    """Modules of a library that are not installed here."""
    import importlib.util

    names = {module.split(".")[0] for module in library_modules(library)}
    return sorted(name for name in names if importlib.util.find_spec(name) is None)
