"""One library on one problem in a process of its own, commanded over a pipe.

Started by the report as `python -m benches.worker PROBLEM SIZE LIBRARY THREADS`. Each line read
is a command in JSON, each line written an answer. Nothing but the standard library is imported
before the clock of the imports runs.
"""

import importlib
import json
import os
import sys
import time
from typing import Any

MODULES = {
    "jittape": ("jittape",),
    "jax": ("jax", "jax.numpy"),
    "torch": ("torch",),
    "autograd": ("autograd", "autograd.numpy"),
    "casadi": ("casadi",),
    "numba": ("numba",),
}
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
EARLY = 3  # calls that are never timed
TURN_WARM = 0.05  # a call shorter than this is repeated once untimed at the start of a turn
BATCH = 1e-3  # calls shorter than this are timed in batches of about this length


def peak_bytes() -> int:
    """High water mark of this process's own memory.

    ru_maxrss would also hold what the parent had mapped when it started this process.
    """
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def pin(threads: int) -> None:
    """Give the process as many cores as threads; XLA counts the cores it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def library_modules(library: str) -> tuple[str, ...]:
    return tuple(m for word in library.split() for m in MODULES.get(word, ()))


class Worker:
    def __init__(self, problem: str, label: str, library: str, threads: int) -> None:
        self.names = problem, label, library
        self.threads = threads
        self.result: Any = None
        self.seconds = 0.0

    def imports(self) -> dict[str, float]:
        """NumPy, then the library; the problem's module, which needs NumPy only, goes uncounted."""
        start = time.perf_counter()
        import numpy  # noqa: F401

        numpy_seconds = time.perf_counter() - start
        from .problems import load

        name, self.label, self.library = self.names
        self.problem = load(name)
        own = library_modules(self.library)
        more = [*self.problem.modules.get("", ()), *self.problem.modules.get(self.library, ())]
        start = time.perf_counter()
        for module in (*own, *more):
            importlib.import_module(module)
        return {"import_numpy": numpy_seconds, "import_library": time.perf_counter() - start}

    def set_threads(self) -> None:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(self.threads)
        setter = getattr(sys.modules.get("jittape"), "set_num_threads", None)
        if setter is not None:
            setter(self.threads)

    def first(self, command: dict) -> dict:
        """Imports, data, and the first derivative with everything it compiles."""
        answer: dict[str, Any] = self.imports()
        self.set_threads()
        inputs = self.problem.inputs(self.label)
        answer["base"] = peak_bytes()
        start = time.perf_counter()
        self.run = self.problem.factory(self.library)(*inputs)
        self.result = self.run()
        self.seconds = answer["first"] = time.perf_counter() - start
        answer["peak"] = peak_bytes()
        return answer

    def save(self, command: dict) -> dict:
        """The last result, for the parent to check."""
        import numpy as np

        from .problem import flat

        result = flat(self.result)
        if hasattr(result, "tocsr"):
            import scipy.sparse

            scipy.sparse.save_npz(command["path"], result, compressed=False)
        else:
            np.save(command["path"], result)
        return {}

    def repeat(self, command: dict) -> dict:
        """The derivative once more: what was cached by the first must be right too."""
        self.result = self.run()
        return {}

    def time(self, command: dict) -> dict:
        """Seconds per call, for about as long as the budget says and at least once."""
        clock, run = time.perf_counter, self.run
        self.result = None
        if command["opening"]:
            # `first` says little of what follows, and a library may still compile (or plan) on
            # early calls, however long one of these takes
            end = clock() + command["budget"]
            early = EARLY
            while True:
                start = clock()
                run()
                stop = clock()
                early -= 1
                if stop >= end and early <= 0:
                    break
            self.seconds = stop - start
        if self.seconds < TURN_WARM:
            run()
        number = max(1, int(BATCH / max(self.seconds, 1e-9)))
        samples = []
        end = clock() + command["budget"]
        while True:
            start = clock()
            for _ in range(number):
                run()
            stop = clock()
            samples.append((stop - start) / number)
            if stop >= end:
                break
        self.seconds = sorted(samples)[len(samples) // 2]
        return {"samples": samples, "calls": number * len(samples), "peak": peak_bytes()}


def main(arguments: list[str]) -> None:
    # libraries may print: the pipe gets a descriptor of its own, and prints go to stderr
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    problem, label, library, threads = arguments
    pin(int(threads))
    worker = Worker(problem, label, library, int(threads))
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "stop":
            break
        try:
            answer = getattr(worker, command["do"])(command)
        except Exception as trouble:
            lines = str(trouble).replace(HERE, "").strip().splitlines() or [""]
            answer = {"error": f"{type(trouble).__name__}: {lines[0][:160]}"}
        print(json.dumps(answer), file=pipe, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
