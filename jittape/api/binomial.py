"""Which steps of a loop are computed again, and which carries kept for that: a binomial schedule.

With s carries kept at a time (that before the first step among them), and each step computed again
at most r times, binomial(s + r, s) steps can be reversed; no schedule reverses more. Source:
A. Griewank and A. Walther, "Algorithm 799: revolve", ACM Transactions on Mathematical Software 26
(2000). A step's reverse sweep computes the step itself once more, which is not counted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import comb, isqrt

CANDIDATES = 200


def repetitions(length: int, kept: int) -> int:
    """How often some step has to be computed again."""
    r = 0
    while comb(kept + r, kept) < length:
        r += 1
    return r


def forward_steps(length: int, kept: int) -> int:
    """How many steps are computed forward to reverse `length` of them, at least:
    r l - binomial(s + r, r - 1)."""
    r = repetitions(length, kept)
    return r * length - comb(kept + r, r - 1) if r else 0


def middle(length: int, kept: int) -> int:
    """The step before which the next carry is kept. Both parts then need the fewest steps: what is
    right of it with one carry less, and what is left of it with one repetition less."""
    r = repetitions(length, kept)
    return min(comb(kept + r - 1, kept), length - comb(kept + r - 2, kept - 1), length - 1)


def actions(length: int, free: int) -> Iterator[tuple[int, int, int]]:
    """(low, at, high) in the order of a reverse sweep over `length` steps.

    From the carry before step `low`, the last that is kept up to `at`, advance to step `at`. Where
    high is at, keep that carry. Else reverse the steps from high - 1 down to `at`, whose carries
    are computed from that before `at` and all kept meanwhile. free: carries that may be kept
    besides that before step 0; one more is worked on.
    """
    todo = [(0, length, free)]
    while todo:
        low, high, free = todo.pop()
        if high - low <= free + 2:
            yield low, low, high
        elif free == 0:
            for at in range(high - 1, low - 1, -1):
                yield low, at, at + 1
        else:
            at = low + middle(high - low, free + 1)
            yield low, at, at
            todo += [(low, at, free), (at, high, free - 1)]


@lru_cache(maxsize=256)
def choose_segment(length: int, most: int) -> int:
    """How many steps lie between two carries that the first sweep keeps (1: it keeps all), where
    at most `most` carries are kept at a time.

    These stay to the end; a segment is reversed by the schedule above, with what is left.
    """
    if length <= max(most, 2):
        return 1
    best = None
    widest = max(most - 2, 1)
    count = min(widest, CANDIDATES)
    tried = {1 + (widest - 1) * k // max(count - 1, 1) for k in range(count)}
    tried |= {min(k, widest) for k in (isqrt(length), isqrt(length) + 1)}
    for k in sorted(tried):
        every = -(-length // k)
        outer = -(-length // every)
        inner = max(most - outer - 1, 0) + 1
        cost = outer * forward_steps(every, inner)
        # below one more sweep there is only memory to save
        key = (round(max(cost, length) / length, 2), outer + min(every, inner))
        if best is None or key < best[0]:
            best = key, every
    assert best is not None
    return max(best[1], 2)
