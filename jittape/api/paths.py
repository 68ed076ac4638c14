"""The known paths of one function, as a trie over the outcomes of its guards.

A function that depends on its arguments alone asks its next question by what it was told before:
two tapes agree up to the first guard that they expect another outcome of. There the trie branches.
So a sweep that fails at a guard has found out the path up to and including that guard, the one
subtree that may go on from there is known, and tapes that contradict what was seen are not tried:
each sweep settles at least one more question.

The trie decides only what is tried. Each tape validates itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import numpy as np

from jittape.api.recorded import Recorded


class Branch:
    """Where known paths part: at guard `depth`. children: outcome -> Branch or tape. recent: the
    tape under this branch that answered last."""

    __slots__ = ("parent", "depth", "children", "recent")

    def __init__(self, parent: Branch | None, depth: int):
        self.parent = parent
        self.depth = depth
        self.children: dict[Any, Branch | Recorded] = {}
        self.recent: Recorded | None = None

    def tapes(self) -> Iterator[Recorded]:
        for child in list(self.children.values()):
            if isinstance(child, Branch):
                yield from child.tapes()
            else:
                yield child


class Paths:
    """The trie. Read without a lock: what another thread changes meanwhile costs at most a trace.

    strays: tapes that part from the others where no question was answered differently (an inner
    transform may ask a value of the function around it, which is recorded earlier than what the
    inner function was told before). They are tried whatever was seen.
    """

    def __init__(self) -> None:
        self.root: Branch | Recorded | None = None
        self.strays: list[Recorded] = []
        self._above: dict[Recorded, Branch | None] = {}  # the branch that a tape hangs from

    def add(self, new: Recorded) -> None:
        if self.root is None:
            self._hang(None, None, new)
            return
        branch: Branch | None = None
        outcome: Any = None
        child: Branch | Recorded | None = self.root
        while child is not None:
            leaf = next(child.tapes(), None) if isinstance(child, Branch) else child
            if leaf is None:  # an interrupt came while it was built
                self.strays.append(new)
                return
            k = leaf.path.parting(new.path)
            if isinstance(child, Branch) and k >= child.depth and len(new.path) > child.depth:
                branch, outcome = child, new.path.outcome(child.depth)
                if k == child.depth and not leaf.path.asks_the_same(new.path, k):
                    self.strays.append(new)
                    return
                child = child.children.get(outcome)
                continue
            if not leaf.path.asks_the_same(new.path, k):
                self.strays.append(new)
                return
            fork = Branch(branch, k)
            fork.recent = child.recent if isinstance(child, Branch) else child
            self._hang(fork, leaf.path.outcome(k), child)
            self._put(branch, outcome, fork)
            branch, outcome = fork, new.path.outcome(k)
            break
        self._hang(branch, outcome, new)

    def remove(self, old: Recorded) -> None:
        if old in self.strays:
            self.strays.remove(old)
            return
        branch = self._above.pop(old, None)
        if branch is None:
            if self.root is old:
                self.root = None
            return
        for outcome, child in list(branch.children.items()):
            if child is old:
                del branch.children[outcome]
        above: Branch | None = branch
        while above is not None:
            if above.recent is old:
                above.recent = None
            above = above.parent
        if len(branch.children) == 1:  # no longer a question
            (last,) = branch.children.values()
            grand = branch.parent
            key = None
            if grand is not None:
                links = grand.children.items()
                key = next((o for o, child in links if child is branch), None)
            self._hang(grand, key, last)

    def stray(self, tape: Recorded) -> None:
        """A path that was ruled out although it was right."""
        if tape not in self.strays:
            self.remove(tape)
            self.strays.append(tape)

    def answered(self, tape: Recorded) -> None:
        branch = self._above.get(tape)
        while branch is not None:
            branch.recent = tape
            branch = branch.parent

    def following(
        self, tape: Recorded, instruction: int, outcome: Any, tried: set[Recorded]
    ) -> Recorded | None:
        """The tape to try after this one failed at this instruction with this outcome."""
        at = int(np.searchsorted(tape.path.at, instruction))
        branch = self._above.get(tape)
        while branch is not None and branch.depth > at:
            branch = branch.parent
        if branch is not None and branch.depth == at:
            child = branch.children.get(outcome)
            if isinstance(child, Branch):
                child = self._within(child, tried)
            if _may(child, tried):
                return child
        if tape in self.strays:
            return self.untried(tried)
        return _latest(self.strays, tried)

    @staticmethod
    def _within(branch: Branch, tried: set[Recorded]) -> Recorded | None:
        """What to try of a subtree. What answered last is likely to answer again; if that was
        tried, the longest path tells most: of loops it fails where the right one ends."""
        if len(tried) == 1 and _may(branch.recent, tried):
            return branch.recent
        left = [t for t in branch.tapes() if _may(t, tried)]
        return max(left, key=lambda t: (len(t.path), t.used), default=None)

    def beside(self, tape: Recorded, instruction: int, tried: set[Recorded]) -> Recorded | None:
        """The tape to try after this instruction raised, which is no guard: one that agrees about
        the guards before it."""
        at = int(np.searchsorted(tape.path.at, instruction))
        branch = self._above.get(tape)
        if branch is None or branch.depth < at:
            return self.untried(tried) if tape in self.strays else _latest(self.strays, tried)
        while branch.parent is not None and branch.parent.depth >= at:
            branch = branch.parent
        return _latest([*branch.tapes(), *self.strays], tried)

    def untried(self, tried: set[Recorded]) -> Recorded | None:
        """Any tape, for where nothing was found out about the path."""
        return _latest([*self._above, *self.strays], tried)

    def _hang(self, branch: Branch | None, outcome: Any, child: Branch | Recorded) -> None:
        if isinstance(child, Branch):
            child.parent = branch
        else:
            self._above[child] = branch
        self._put(branch, outcome, child)

    def _put(self, branch: Branch | None, outcome: Any, child: Branch | Recorded) -> None:
        if branch is None:
            self.root = child
        else:
            branch.children[outcome] = child


def _may(tape: Recorded | None, tried: set[Recorded]) -> TypeGuard[Recorded]:
    return tape is not None and tape.confirmed and tape not in tried


def _latest(tapes: Any, tried: set[Recorded]) -> Recorded | None:
    left = [t for t in list(tapes) if _may(t, tried)]
    return max(left, key=lambda t: t.used, default=None)
