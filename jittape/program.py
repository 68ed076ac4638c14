"""The Program: a planned Tape. Only a Program can be run.

Planning is pure: no address, no compiled code, nothing of the process. `jittape.execute` links a
Program to the kernels of the process at its first run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from jittape.config import config
from jittape.passes.associate import associate
from jittape.passes.components import take_apart
from jittape.passes.disjoint import read_through
from jittape.passes.linear import pull_factors
from jittape.passes.loops import plan_loop
from jittape.passes.lower import END, lower
from jittape.passes.memory import Places, plan
from jittape.passes.schedule import Schedule, schedule
from jittape.passes.simplify import simplify
from jittape.passes.triangles import triangular_solves
from jittape.passes.zeros import leave_out
from jittape.tape import Tape
from jittape.types import Aval


@dataclass(eq=False)
class Program:
    """inputs, outputs: avals. words: the table the sweeps read; code: the scalar sweep's rows.
    origin: instruction of the simplified tape -> instruction of the tape as given.
    peak: bytes of working memory, planned. linked: what execute adds. loop: see passes/loops.py."""

    tape: Tape
    inputs: tuple[Aval, ...]
    outputs: tuple[Aval, ...]
    schedule: Schedule
    places: Places
    words: np.ndarray
    relocations: list
    code: np.ndarray
    origin: np.ndarray
    linked: Any = field(default=None, repr=False)
    loop: Any = field(default=None, repr=False)  # of a step that repeats itself: its Loop
    loops: dict = field(default_factory=dict, repr=False)  # this one as such a step

    @property
    def peak(self) -> int:
        return self.places.arena + self.places.scratch + self.places.partial

    @cached_property
    def kinds(self) -> list[int]:
        """What each step is, see passes/lower.py."""
        at = int(self.words[0])
        found: list[int] = self.words[at::4].tolist()
        return found[: found.index(END)]

    def __repr__(self) -> str:
        return (
            f"<Program of {len(self.tape)} instructions in {len(self.kinds)} steps, "
            f"{self.peak} bytes of working memory>"
        )


def compile_program(tape: Tape) -> Program:
    """simplify, schedule, plan memory, lower."""
    simple, origin = simplify(tape)

    def improve(change: Callable[[Tape], Any]) -> None:
        """change: Tape -> Tape, or (Tape, for each instruction which one it stems from)."""
        nonlocal simple, origin
        found = change(simple)
        changed, stems = found if isinstance(found, tuple) else (found, None)
        if changed is not simple:
            simple, again = simplify(changed)
            origin = origin[again if stems is None else stems[again]]

    improve(leave_out)
    if not config.bit_exact:
        improve(associate)
        improve(pull_factors)
    improve(read_through)
    if not config.bit_exact:
        simple = triangular_solves(simple)
    improve(take_apart)
    s = schedule(simple)
    places = plan(s)
    words, relocations, _, code = lower(s, places)
    outputs = tuple(simple.aval(v) for v in simple.outputs.tolist())
    return Program(simple, simple.inputs, outputs, s, places, words, relocations, code, origin)


def as_loop(program: Program, n_fixed: int, n_carry: int, keep: bool) -> Program | None:
    """The program as a step that repeats itself, where it is one stretch of the scalar sweep.

    Its inputs are fixed values, carries and rows, its outputs carries and rows; keep: the carries
    before each step are written down. No words of Program's steps and results apply to it.
    """
    key = n_fixed, n_carry, keep
    if key not in program.loops:
        loop = plan_loop(program.tape, *key)
        program.loops[key] = loop and replace(
            program, schedule=loop.schedule, places=loop.places, words=loop.words,
            relocations=loop.relocations, code=loop.code, linked=None, loop=loop, loops={},
        )  # fmt: skip
    return program.loops[key]
