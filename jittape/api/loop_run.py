"""Loops recorded as instructions: what the rules and `scan` itself are written with.

The ops are declared in `loop_op`, whose rules record loops again; they are found by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jittape.api.binomial import choose_segment
from jittape.api.loop_body import Body, packing
from jittape.config import config
from jittape.ops.declare import by_name


def most_carries(body: Body) -> int:
    """How many carries a loop may keep for its reverse sweep at a time."""
    return max(config.loop_bytes // max(sum(a.nbytes for a in body.carry), 1), 2)


def choose_save(body: Body, length: int) -> int:
    """How many steps lie between two carries that the first sweep keeps."""
    return choose_segment(length, most_carries(body))


def divided(body: Body, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """(fixed, carry, scanned) operands."""
    a, b = body.n_fixed, body.n_fixed + body.n_carry
    return list(args[:a]), list(args[a:b]), list(args[b:])


def run_loop(
    body: Body,
    length: int,
    fixed: Sequence[Any],
    carry: Sequence[Any],
    rows: Sequence[Any],
    backward: bool = False,
    save: int = 0,
    progress: Any = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Record a loop: its final carry, its stacked results, and the carries that were kept."""
    params = {"length": length, "backward": backward, "save": save, "progress": progress}
    operands = (*fixed, *carry, *rows)
    final: list[Any] = [None] * body.n_carry
    results: list[Any] = [None] * len(body.results)
    kept: list[Any] = [None] * (body.n_carry if save else 0)
    floats = [k for k, a in enumerate(body.carry) if a.inexact]
    moving = [k for k, a in enumerate(body.results) if a.inexact]
    if floats or moving:
        p = packing(body, length, save, True)
        leaves = p.unpack(by_name["scan"](*operands, body=body, **params))
        _deal(leaves, floats, moving, final, results, kept)
    if len(floats) < body.n_carry or len(moving) < len(body.results):
        smaller, carries, outs = body.exact
        p = packing(smaller, length, save, False)
        some = (*fixed, *[carry[k] for k in carries], *rows)
        leaves = p.unpack(by_name["scan_exact"](*some, body=smaller, **params))
        carries = [k for k in carries if not body.carry[k].inexact]
        _deal(leaves, carries, outs, final, results, kept)
    return final, results, kept


def _deal(
    leaves: list[Any],
    carries: list[int],
    outs: list[int],
    final: list[Any],
    results: list[Any],
    kept: list[Any],
) -> None:
    """Packed leaves to the places they have among all carries and results."""
    rest = iter(leaves)
    for k in carries:
        final[k] = next(rest)
    for k in outs:
        results[k] = next(rest)
    if kept:
        for k in carries:
            kept[k] = next(rest)
