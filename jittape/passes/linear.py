"""Sums of scaled arrays: sum(s * x) over the axes along which s is constant is s * sum(x), and
sum(-x) is -sum(x).

The reverse sweep of a normalisation (softmax, logsumexp, a mean of squares under a root) is full of
them, and each is a pass over memory where sum(x) is known already. Rounding differs by a few ulp
and a product that overflows may not; both sides are 0 where s is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Signature, by_name, signature
from jittape.passes.classify import SMALL
from jittape.tape import Tape


def pull_factors(tape: Tape) -> Tape:
    """The tape with factors pulled out of sums where that makes no new pass."""
    used, inverse = tape.distinct
    total = by_name.get("sum")
    sums = [k for k, s in enumerate(used) if s.op is total and s.avals[0].size > SMALL]
    if not sums:
        return tape
    work = _Work(tape)
    for i in np.flatnonzero(np.isin(inverse, sums)).tolist():
        s = tape.signature(i)
        key = (s.params, *tape.operands(i))
        if not work.pull(i, s):
            work.known[key] = tape.first + i
    return work.finish()


class _Work:
    def __init__(self, tape: Tape):
        self.tape = tape
        self.first = tape.first
        self.known: dict[Any, int] = {}  # (axes, x) -> sum(x)
        self.sigs: dict[int, Signature] = {}
        self.ops = _Operands(tape)
        uses = np.bincount(tape.args, minlength=tape.n_values)
        self.uses = uses + np.bincount(tape.outputs, minlength=tape.n_values)

    def instruction(self, v: int) -> tuple[str, list[int], Signature | None]:
        """(op, operands, signature) of what computes value v."""
        i = v - self.first
        if i < 0:
            return "", [], None
        s = self.sigs.get(i) or self.tape.signature(i)
        return s.op.name, self.ops[i], s

    def pull(self, i: int, s: Signature) -> bool:
        """Rewrite instruction i = sum(x); whether it was."""
        (t,) = self.ops[i]
        name, args, _ = self.instruction(t)
        if name == "negative" and self.uses[t] == 1:  # the sum first: its negative is smaller
            j = t - self.first
            factored = self.factor(s, args[0])
            if factored is None:
                factored = s, args
                self.known.setdefault((s.params, *args), t)
            self.sigs[j], self.ops[j] = factored
            self.sigs[i] = signature(by_name["negative"], (), (s.out,))
            return True
        factored = self.factor(s, t)
        if factored is None:
            return False
        self.sigs[i], self.ops[i] = factored
        return True

    def factor(self, s: Signature, t: int) -> tuple[Signature, list[int]] | None:
        """sum(t) as an instruction on a sum that is known, or None."""
        name, args, made = self.instruction(t)
        if name not in ("multiply", "amul") or made is None:
            return None
        for k in (0, 1):
            x = args[1 - k]
            known = self.known.get((s.params, x))
            if known is None or made.avals[1 - k] is not s.avals[0]:
                continue
            base = self.constant_along(args[k], s)
            if base is None:
                continue
            ops = [base, known] if k == 0 else [known, base]
            return signature(made.op, (), (s.out, s.out)), ops
        return None

    def constant_along(self, v: int, s: Signature) -> int | None:
        """The value of shape s.out that v repeats along the axes of the sum."""
        if self.tape.aval(v) is s.out and s.out.ndim == 0:
            return v
        name, args, _ = self.instruction(v)
        if name != "broadcast_to":
            return None
        axes = {a % s.avals[0].ndim for a in s.params[0]}
        kept = tuple(1 if d in axes else n for d, n in enumerate(s.avals[0].shape))
        y = args[0]
        if self.tape.aval(v).shape != s.avals[0].shape:
            return None
        shape = self.tape.aval(y).shape
        if (1,) * (len(kept) - len(shape)) + shape != kept:
            return None
        if self.tape.aval(y) is s.out:
            return y
        name, args, _ = self.instruction(y)
        if name == "reshape" and self.tape.aval(args[0]) is s.out:
            return args[0]
        return None

    def finish(self) -> Tape:
        if not self.sigs:
            return self.tape
        tape = self.tape
        sigs = tape.sigs.copy()
        for i, s in self.sigs.items():
            sigs[i] = s.id
        parts = [self.ops[i] for i in range(len(tape))]
        args = np.array([v for p in parts for v in p], np.int32)
        # where_code and where_lasti stay: an instruction keeps the line it stems from
        return tape.replace(
            sigs=sigs,
            args=args,
            outputs=tape.outputs.copy(),
            where_code=tape.where_code.copy(),
            where_lasti=tape.where_lasti.copy(),
        )


class _Operands(dict):
    def __init__(self, tape: Tape):
        super().__init__()
        self.tape = tape

    def __missing__(self, i: int) -> list[int]:
        found = self[i] = self.tape.operands(i)
        return found
