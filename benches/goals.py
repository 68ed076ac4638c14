"""The ratios aimed at, and what a run says of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .control import Measured

OURS = "jittape"
PEERS = ("jax", "torch", "autograd", "casadi")

Rows = dict[str, Measured]
Number = float | None


def is_peer(library: str) -> bool:
    return library.split()[0] in PEERS


def steady(row: Measured) -> Number:
    return row.steady


def first(row: Measured) -> Number:
    return row.first


def contact(row: Measured) -> Number:
    """From the start of the imports to the first derivative."""
    if row.first is None or row.import_numpy is None or row.import_library is None:
        return None
    return row.import_numpy + row.import_library + row.first


def peak(row: Measured) -> Number:
    return None if row.peak is None else float(row.peak)


@dataclass(frozen=True)
class Goal:
    """`number` of jittape over that of the rival, at most `bound`; or absolute without a rival."""

    problem: str
    sizes: tuple[str, ...]  # empty: every size
    rival: str  # a library, a family such as "jax", "best peer", or "" for an absolute bound
    bound: float
    number: Callable[[Measured], Number] = steady
    threads: tuple[int, ...] = (1, 2)
    per: float = 1.0  # for an absolute bound: items per call
    unit: str = ""


GOALS = (
    Goal("call", (), "jax", 0.25),
    Goal("call", (), "", 5e-6, unit="s"),
    Goal("chain", ("1e4", "1e6", "4e6"), "best peer", 1.0),
    Goal("chain_trig", ("1e4", "1e6", "4e6"), "best peer", 0.4),
    Goal("net", (), "best peer", 1.0),
    Goal("lse", (), "best peer", 1.0),
    Goal("gmm", (), "best peer", 1.0),
    Goal("lstm", ("l2_c1024",), "jax scan", 0.3),
    Goal("nbody", ("1000",), "jax scan", 0.5),
    Goal("nbody", ("1000",), "casadi", 1.0),
    Goal("nbody", ("100",), "jax unrolled", 0.01, first),
    Goal("det", ("8",), "numba primal", 15.0),
    Goal("call", (), "autograd", 1.5, contact),
    Goal("call", (), "jax", 0.3, contact),
    Goal("net", (), "autograd", 1.5, contact),
    Goal("net", (), "jax", 0.3, contact),
    Goal("net", (), "primal", 3.0),
    Goal("gmm", (), "primal", 3.0),
    Goal("lse", (), "primal", 3.0),
    Goal("chain", ("4e6",), "best peer", 1.0, peak),
    Goal("gmm", ("64,25",), "best peer", 1.0, peak),
    Goal("ba", ("ba1 distinct",), "jax", 0.5),
    Goal("ba", ("ba1 distinct",), "casadi", 0.5),
    Goal("ba", ("ba1 distinct",), "", 150e-9, threads=(1,), per=31843, unit="s per observation"),
    Goal("kmeans", ("100,10000,16",), "jax", 1.0),
    Goal("rosenbrock", ("1e5",), "casadi", 1.0),
    Goal("rosenbrock", ("1e5",), "casadi", 0.1, first),
    Goal("hvp", (), "jittape gradient", 2.5),
    Goal("dense", ("50",), "jax", 1.0),
    Goal("lanes", ("1e5",), "jax", 1.0),
    Goal("ode", ("1e6",), "jax", 0.5),
    Goal("gp", ("300",), "jax", 1.0),
    Goal("gp", ("300",), "torch", 1.0),
)


def rivals(goal: Goal, rows: Rows) -> list[Measured]:
    if goal.rival == "best peer":
        return [row for name, row in rows.items() if is_peer(name)]
    exact = rows.get(goal.rival)
    if exact is not None and goal.rival not in PEERS:
        return [exact]
    return [row for name, row in rows.items() if name.split()[0] == goal.rival]


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    size: str
    threads: int
    rival: str
    value: Number
    missing: str = ""

    @property
    def met(self) -> bool:
        return self.value is not None and self.value <= self.goal.bound


def judge(goal: Goal, size: str, threads: int, rows: Rows) -> Verdict:
    ours = rows.get(OURS)
    if ours is None or ours.trouble or goal.number(ours) is None:
        why = ours.trouble if ours is not None and ours.trouble else "not run"
        return Verdict(goal, size, threads, goal.rival, None, f"jittape: {why[:60]}")
    own = goal.number(ours)
    assert own is not None
    if not goal.rival:
        return Verdict(goal, size, threads, "", own / goal.per)
    numbers = {}
    for row in rivals(goal, rows):
        value = goal.number(row)
        if value and not row.trouble:
            numbers[row.library] = value
    if not numbers:
        return Verdict(goal, size, threads, goal.rival, None, f"{goal.rival}: no number")
    best = min(numbers, key=lambda name: numbers[name])
    return Verdict(goal, size, threads, best, own / numbers[best])


def verdicts(measured: Sequence[Measured]) -> list[Verdict]:
    table: dict[tuple[str, str, int], Rows] = {}
    for row in measured:
        table.setdefault((row.problem, row.size, row.threads), {})[row.library] = row
    found = []
    for goal in GOALS:
        for (problem, size, threads), rows in table.items():
            chosen = not goal.sizes or size in goal.sizes
            if problem == goal.problem and chosen and threads in goal.threads:
                found.append(judge(goal, size, threads, rows))
    return found
