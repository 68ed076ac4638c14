"""The report as Markdown, its plots, and the machine it ran on."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .control import ROOT, Measured, modules_missing
from .goals import OURS, Verdict, is_peer, verdicts
from .problem import Problem

PACKAGES = (
    "jittape",
    "numpy",
    "scipy",
    "numba",
    "jax",
    "jaxlib",
    "torch",
    "autograd",
    "casadi",
    "scikit-learn",
)


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def checkout() -> str:
    """The commit of a jittape that runs from its sources."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "from its sources"
    return f"from its sources, commit {found.stdout.strip()}"


def machine() -> dict[str, str]:
    facts = {
        "CPU": f"{cpu_name()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "Python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            here = package == OURS and not modules_missing(OURS)
            facts[package] = checkout() if here else "not installed"
    return facts


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.0f}"


def ratio(value: float | None, to: float | None) -> str:
    return f"{value / to:.3g}" if value and to else "-"


def best_peer(rows: Sequence[Measured]) -> Measured | None:
    done = [row for row in rows if is_peer(row.library) and row.steady is not None]
    return min(done, key=lambda row: row.steady or 0.0, default=None)


def table(problem: Problem, rows: Sequence[Measured]) -> list[str]:
    """One size and number of threads."""
    primal = next((row.steady for row in rows if row.library == "primal"), None)
    peer = best_peer(rows)
    items = problem.units.get(rows[0].size)
    per_item = f" | ns per {problem.unit}" if items else ""
    lines = [
        f"| library | import | first | steady | spread | / primal | / best peer{per_item} "
        "| peak MB | over data | error |",
        "|---|" + "--:|" * (10 if items else 9),
    ]
    for row in rows:
        imports = None
        if row.import_numpy is not None and row.import_library is not None:
            imports = row.import_numpy + row.import_library
        spread = "-"
        if row.turns:
            spread = f"{min(row.turns) / max(row.turns):.2f}"
        cells = [
            f"**{row.library}**" if row.library == OURS else row.library,
            seconds(imports),
            seconds(row.first),
            row.trouble.replace("|", "/") if row.trouble else seconds(row.steady),
            spread,
            ratio(row.steady, primal),
            ratio(row.steady, peer.steady if peer else None),
        ]
        if items:
            cells.append(f"{row.steady / items * 1e9:.3g}" if row.steady else "-")
        over = None if row.peak is None or row.base is None else max(0, row.peak - row.base)
        cells += [megabytes(row.peak), megabytes(over)]
        cells.append("-" if row.error is None else f"{row.error:.0e}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def number_name(verdict: Verdict) -> str:
    names = {"contact": "import + first", "peak": "peak memory"}
    name = verdict.goal.number.__name__
    return names.get(name, name)


def goal_lines(found: Sequence[Verdict]) -> list[str]:
    lines = [
        "| problem | size | threads | number | against | goal | measured | |",
        "|---|---|--:|---|---|--:|--:|---|",
    ]
    for v in found:
        if v.goal.rival:
            bound = f"{v.goal.bound:g}"
            value = "-" if v.value is None else f"{v.value:.3g}"
            against = v.rival if v.rival == v.goal.rival else f"{v.goal.rival}: {v.rival}"
        else:
            against = v.goal.unit
            bound, value = seconds(v.goal.bound), seconds(v.value)
        state = v.missing.replace("|", "/") or ("met" if v.met else "**missed**")
        lines.append(
            f"| {v.goal.problem} | {v.size} | {v.threads} | {number_name(v)} | {against} "
            f"| {bound} | {value} | {state} |"
        )
    return lines


HEAD = """\
Each library runs in a process of its own, pinned to as many cores as it has threads; rounds
alternate between the libraries. **first**: seconds from the call to the first derivative, in a
fresh process with warm disk caches, imports not included; JAX's persistent compilation cache is
{caches}.
**steady**: median over the rounds of the median call. **spread**: fastest over slowest round (near
1: quiet machine). **/ primal**: steady over the plain NumPy primal. **peak MB**: high-water mark
of the process, imports included; **over data**: how much of it came after imports and inputs.
**error**: against an independent reference, |x - y| / max(1, |x| + |y|); a derivative off by more
than 1e-9 is not timed. "hand" is a hand-written derivative: the limit, not a peer."""


def report(
    problems: Sequence[Problem],
    measured: Sequence[Measured],
    facts: dict[str, str],
    plots: Sequence[str],
    caches: str,
) -> str:
    lines = ["# Side by side", "", HEAD.format(caches=caches), ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    found = verdicts(measured)
    if found:
        met = sum(v.met for v in found)
        ran = sorted({r.library for r in measured if is_peer(r.library) and not r.trouble})
        lines += ["", "## Goals", "", f"{met} of {len(found)} met in this run."]
        lines += [f"Peers that took part: {', '.join(ran)}.", ""]
        lines += goal_lines(found)
    for problem in problems:
        mine = [row for row in measured if row.problem == problem.name]
        if not mine:
            continue
        lines += ["", f"## {problem.name}", "", problem.what + "."]
        if f"{problem.name}.png" in plots:
            lines += ["", f"![{problem.name}]({problem.name}.png)"]
        for size in dict.fromkeys(row.size for row in mine):
            for threads in sorted({row.threads for row in mine}):
                rows = [r for r in mine if r.size == size and r.threads == threads]
                if rows:
                    lines += ["", f"### {problem.name} {size}, {threads} thread(s)", ""]
                    lines += table(problem, rows)
    return "\n".join(lines) + "\n"


def plot(problem: Problem, measured: Sequence[Measured], out: Path) -> str | None:
    """Time against size, log-log, one panel per number of threads."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    mine = [r for r in measured if r.problem == problem.name and r.steady is not None]
    if not mine:
        return None
    counts = sorted({row.threads for row in mine})
    figure, axes = pyplot.subplots(
        1, len(counts), figsize=(6 * len(counts), 4.5), sharey=True, squeeze=False
    )

    def place(row: Measured) -> float:
        return problem.measure(problem.sizes[row.size])

    libraries = list(dict.fromkeys(row.library for row in mine))
    for axis, threads in zip(axes[0], counts, strict=True):
        for number, library in enumerate(libraries):
            points = sorted(
                (place(r), r.steady) for r in mine if r.library == library and r.threads == threads
            )
            limit = not is_peer(library) and library != OURS
            axis.plot(
                *zip(*points, strict=True) if points else ([], []),
                color="black" if library == OURS else f"C{number % 10}",
                linestyle="--" if limit else "-",
                linewidth=2.5 if library == OURS else 1.2,
                marker="o",
                markersize=4,
                label=library,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(problem.axis)
        axis.set_title(f"{problem.name}, {threads} thread(s)")
        axis.grid(True, which="major", alpha=0.3)
    axes[0][0].set_ylabel("seconds per derivative")
    axes[0][-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    name = f"{problem.name}.png"
    figure.savefig(out / name, dpi=110)
    pyplot.close(figure)
    return name
