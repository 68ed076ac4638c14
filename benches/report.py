"""All libraries side by side: `python -m benches.report --help`."""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import problems as registry
from .control import Contest, Measured, Settings, modules_missing
from .problem import Problem
from .render import machine, plot, report


def comma(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches.report",
        description="Run jittape, its peers and hand-written limits side by side.",
    )
    add = parser.add_argument
    add("--problems", type=comma, default=list(registry.PLACES), help="comma-separated names")
    add("--libraries", type=comma, default=None, help="only these (jax also means 'jax scan')")
    add("--skip", type=comma, default=[], help="without these (whole names, such as 'jax scalars')")
    add("--sizes", choices=("small", "full"), default="small")
    add("--size", action="append", help="one size by its label; may be repeated")
    add("--threads", type=lambda s: [int(n) for n in comma(s)], default=[1], help="e.g. 1,2")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=0.2, help="per library and round")
    add("--fresh", type=int, default=None, help="processes for `first`; 1 for small, 3 for full")
    add("--limit", type=float, default=120.0, help="seconds until a library is given up")
    add("--jax-cache", type=Path, help="folder of JAX's persistent cache (JAX's default: none)")
    add("--out", type=Path, default=Path("out/benches"))
    add("--list", action="store_true", help="list problems, sizes and libraries, and stop")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.problems if name not in registry.PLACES]
    if unknown:
        parser.error(f"no problem {', '.join(unknown)}; there are {', '.join(registry.PLACES)}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if min(options.threads) < 1 or max(options.threads) > (cores or 1):
        parser.error(f"--threads between 1 and {cores} on this machine")
    if options.fresh is None:
        options.fresh = 3 if options.sizes == "full" else 1
    return options


def chosen_libraries(
    problem: Problem, wanted: list[str] | None, skipped: Sequence[str] = ()
) -> list[str]:
    return [
        library
        for library in problem.libraries()
        if library not in skipped
        and (
            wanted is None
            or library in wanted
            or library.split()[0] in wanted
            or library == "primal"
        )
    ]


def chosen_sizes(problem: Problem, options: argparse.Namespace) -> list[str]:
    if options.size:
        return [label for label in problem.sizes if label in options.size]
    return problem.labels(full=options.sizes == "full")


def catalogue() -> None:
    for name in registry.PLACES:
        problem = registry.load(name)
        print(f"{name}: {problem.what}")
        print(f"    sizes      {'; '.join(problem.sizes)}")
        print(f"    libraries  {', '.join(problem.libraries())}")


class Progress:
    """One line per step on stderr, with the time since the start and the contest's number."""

    def __init__(self, total: int) -> None:
        self.total, self.number, self.start = total, 0, time.monotonic()

    def __call__(self, message: str) -> None:
        clock = int(time.monotonic() - self.start)
        head = f"[{clock // 60:3d}:{clock % 60:02d} {self.number}/{self.total}]"
        print(f"{head} {message}", file=sys.stderr, flush=True)


def compete(
    chosen: Sequence[Problem], options: argparse.Namespace, settings: Settings, say: Progress
) -> list[Measured]:
    measured: list[Measured] = []
    for problem in chosen:
        slow: dict[str, str] = {}  # not tried again on what is no smaller
        for size in chosen_sizes(problem, options):
            for threads in options.threads:
                say.number += 1
                libraries = chosen_libraries(problem, options.libraries, options.skip)
                excused = dict(slow)
                for name in libraries:
                    for module in modules_missing(name):
                        excused[name] = f"no {module} here"
                able = [name for name in libraries if name not in excused]
                rows = Contest(problem, size, threads, settings).run(able)
                slow |= {r.library: f"{r.trouble} at {size}" for r in rows if r.too_slow}
                rows += [
                    Measured(problem.name, size, threads, name, excused[name])
                    for name in libraries
                    if name in excused
                ]
                measured += sorted(rows, key=lambda row: libraries.index(row.library))
                save(measured, options.out)
    return measured


def save(measured: Sequence[Measured], out: Path) -> None:
    """After every contest, so that a run broken off leaves its numbers."""
    rows = [dataclasses.asdict(row) for row in measured]
    (out / "report.json").write_text(json.dumps(rows, indent=1) + "\n")


def load_average() -> str:
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        catalogue()
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = [registry.load(name) for name in options.problems]
    total = sum(len(chosen_sizes(p, options)) for p in chosen) * len(options.threads)
    say = Progress(total)
    settings = Settings(
        rounds=options.rounds,
        budget=options.seconds,
        fresh=options.fresh,
        limit=options.limit,
        jax_cache=options.jax_cache.resolve() if options.jax_cache else None,
        say=say,
    )
    facts = machine()
    before = load_average()
    measured = compete(chosen, options, settings, say)
    facts["load average before and after"] = f"{before}, {load_average()}"
    facts["rounds"] = f"{options.rounds} of {options.seconds:g} s, limit {options.limit:g} s"
    plots = [name for p in chosen if (name := plot(p, measured, options.out))]
    caches = "on" if options.jax_cache else "off, as by default"
    text = report(chosen, measured, facts, plots, caches)
    (options.out / "report.md").write_text(text)
    say(f"wrote {options.out / 'report.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
