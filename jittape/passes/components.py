"""Small axes beside one long one (points, quaternions, classes) taken apart.

An array (n, 3) or (2, n, 3) of elementwise code becomes 3 or 6 vectors of length n, so that all of
it runs in one space, block by block: slices, stacks, broadcasts and sums over the small axes are
then names only, inner loops are long, and the zeros and ones of a seed are literals. Where whole
arrays are needed (a matrix product, a host op) the vectors are joined again; the pass steps back
where that would happen too often.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.config import config
from jittape.ops.declare import Kind, Signature, by_name, signature
from jittape.passes.component_rules import Rules
from jittape.tape import Const, Tape, assemble, open_numbers
from jittape.types import Aval, aval

SHORTEST = 256  # of the long axis
MOST = 32  # components of a value
LONGEST_TAPE = 4000  # instructions; longer ones are scalar code
TAKEN_APART = 4  # instructions that gain, at least
PER_JOIN = 3  # and for each value that has to be joined again
COMBINE = {"sum": "add", "max": "maximum", "min": "minimum", "prod": "multiply",
           "any": "logical_or", "all": "logical_and"}  # fmt: skip


def take_apart(tape: Tape) -> tuple[Tape, np.ndarray]:
    """The tape with components for arrays, and for each instruction which one it stems from."""
    same = np.arange(len(tape))
    if not 0 < len(tape) <= LONGEST_TAPE:
        return tape, same
    n = long_axis(tape)
    if not n:
        return tape, same
    work = _Work(tape, n)
    work.run()
    if work.gains < max(TAKEN_APART, PER_JOIN * work.joins):
        return tape, same
    return work.finish()


def long_axis(tape: Tape) -> int:
    """The length that most elementwise arrays with small axes share; 0: there are none."""
    used, inverse = tape.distinct
    times = np.bincount(inverse, minlength=len(used))
    votes: dict[int, int] = {}
    for s, count in zip(used, times.tolist(), strict=True):
        if s.op.kind is Kind.ELEMENTWISE and s.out.ndim > 1:
            n = max(s.out.shape)
            if n >= SHORTEST and n < s.out.size <= MOST * n:
                votes[n] = votes.get(n, 0) + count
    return max(votes, key=lambda n: votes[n]) if votes else 0


class _Work(Rules):
    def __init__(self, tape: Tape, n: int):
        self.tape, self.n = tape, n
        self.gains = self.joins = 0
        self.consts: list[Const] = list(tape.consts)
        self.sigs: list[int] = []
        self.args: list[int] = []
        self.origin: list[int] = []
        self.avals: list[Aval] = []
        self.at = 0  # instruction of `tape` that is being rewritten
        self.whole: list[int | None] = open_numbers(tape).tolist()
        self.whole[tape.first :] = [None] * len(tape)
        self.parts: dict[int, np.ndarray] = {}  # value -> numbers of its components
        self.literal: dict[int, Any] = {}  # number -> its value
        self.known: dict[Any, int] = {}  # literals by value
        for k, c in enumerate(tape.consts):
            if not c.live and c.aval.ndim == 0:
                self.literal[-2 * k - 1] = c.value[()]

    # -- emitting ------------------------------------------------------------------------------

    def aval(self, number: int) -> Aval:
        if number >= 0:
            return self.avals[number]
        k = -number >> 1
        return self.consts[k].aval if number & 1 else self.tape.inputs[k - 1]

    def emit(self, name: str, params: tuple, *operands: int) -> int:
        return self.record(
            signature(by_name[name], params, tuple([self.aval(v) for v in operands])), operands
        )

    def record(self, s: Signature, operands: Any) -> int:
        self.sigs.append(s.id)
        self.args.extend(operands)
        self.origin.append(self.at)
        self.avals.append(s.out)
        return len(self.sigs) - 1

    def constant(self, value: Any, dtype: np.dtype) -> int:
        value = np.asarray(value, dtype)
        key = (value.tobytes(), dtype, value.shape)
        found = self.known.get(key)
        if found is None:
            self.consts.append(Const(value, False, aval(value.shape, dtype)))
            found = self.known[key] = -2 * len(self.consts) + 1
            if value.ndim == 0:
                self.literal[found] = value[()]
        return found

    def elementwise(self, s: Signature, operands: list[int]) -> int:
        """One component of an elementwise instruction."""
        known = [self.literal.get(v) for v in operands]
        made = signature(s.op, s.params, tuple([self.aval(v) for v in operands]))
        if all(x is not None for x in known):
            with np.errstate(all="ignore"):
                return self.constant(s.op.evaluate(*known, **s.kwargs), s.out.dtype)
        name = s.op.name
        if name == "amul" and known[0] is not None and known[0] == 0:
            return self.constant(known[0] * 0, s.out.dtype)
        if name == "where" and operands[1] == operands[2]:
            return operands[1]
        if name == "add" and not config.bit_exact:  # but for the sign of a zero
            for k in (0, 1):
                same = self.aval(operands[1 - k]).dtype == s.out.dtype
                if known[k] is not None and known[k] == 0 and same:
                    return operands[1 - k]
        return self.record(made, operands)

    # -- values --------------------------------------------------------------------------------

    def position(self, shape: tuple) -> int:
        """Which axis is the long one; -1: none, or the value is not to be taken apart."""
        if shape.count(self.n) != 1 or np.prod(shape) > MOST * self.n:
            return -1
        return shape.index(self.n)

    def vector(self, number: int) -> int:
        """A component that may be one number, as a vector."""
        if self.aval(number).ndim:
            return number
        return self.emit("broadcast_to", ((self.n,),), number)

    def elements(self, v: int) -> np.ndarray:
        """The numbers of the elements of a small value."""
        shape = self.tape.aval(v).shape
        out = np.empty(shape, object)
        whole = self.joined(v)
        for at in np.ndindex(*shape):
            out[at] = self.element(whole, shape, at, ())
        return out

    def element(self, whole: int, shape: tuple, at: tuple, kept: tuple, long: int = -1) -> int:
        """One element, or the vector along axis `long`, of a whole value."""
        places = iter(at)
        index = tuple((0, 1, m) if d == long else (next(places), 1, 1) for d, m in enumerate(shape))
        if any(i[2] != m for i, m in zip(index, shape, strict=True)):
            whole = self.emit("slice", (index,), whole)
        return whole if shape == kept else self.emit("reshape", (kept,), whole)

    def apart(self, v: int) -> np.ndarray:
        """The components of a value with a long axis, over its other axes."""
        found = self.parts.get(v)
        if found is None:
            shape = self.tape.aval(v).shape
            long = self.position(shape)
            small = shape[:long] + shape[long + 1 :]
            found = np.empty(small, object)
            k = v - self.tape.n_inputs
            const = self.tape.consts[k] if 0 <= k < len(self.tape.consts) else None
            for at in np.ndindex(*small):
                if const is not None and not const.live:
                    found[at] = self.of_constant(np.moveaxis(const.value, long, -1)[at])
                else:
                    whole = self.whole[v]
                    assert whole is not None
                    found[at] = self.element(whole, shape, at, (self.n,), long)
            self.parts[v] = found
        return found

    def of_constant(self, x: np.ndarray) -> int:
        bits = np.ascontiguousarray(x).view(f"V{x.itemsize}")
        same = bool((bits == bits[0]).all())
        return self.constant(x[0] if same else x.copy(), x.dtype)

    def joined(self, v: int) -> int:
        """The number of the whole value."""
        found = self.whole[v]
        if found is None:
            a = self.tape.aval(v)
            long = self.position(a.shape)
            parts = self.parts[v]
            self.joins += parts.size > 1
            after = a.shape[long + 1 :]
            rows = []
            width = int(np.prod(after))
            for row in parts.reshape(-1, width).tolist():
                vectors = [self.vector(c) for c in row]
                if width > 1:
                    columns = [self.emit("reshape", ((self.n, 1),), c) for c in vectors]
                    rows.append(self.emit("concatenate", (1,), *columns))
                else:
                    rows.append(vectors[0])
            found = rows[0] if len(rows) == 1 else self.emit("stack", (), *rows)
            if self.aval(found).shape != a.shape:
                found = self.emit("reshape", (a.shape,), found)
            self.whole[v] = found
        return found

    # -- instructions --------------------------------------------------------------------------

    def run(self) -> None:
        tape = self.tape
        for i in range(len(tape)):
            self.at = i
            s = tape.signature(i)
            ops = tape.operands(i)
            v = tape.first + i
            if s.out is None or not self.rewrite(s, ops, v):
                self.whole[v] = self.record(s, [self.joined(a) for a in ops])
        self.outputs = [self.joined(v) for v in tape.outputs.tolist()]

    def rewrite(self, s: Signature, ops: list[int], v: int) -> bool:
        """Take instruction `v` apart; whether that was possible."""
        if s.out.size == 0 or any(a.size == 0 for a in s.avals):
            return False
        name = s.op.name
        long = self.position(s.out.shape)
        if name in COMBINE and s.op.kind is Kind.REDUCE:
            return self.reduced(s, ops[0], v)
        if name == "reshape" and long < 0:
            return self.flattened(s, ops[0], v)
        if long < 0:
            return name == "scatter_add" and self.scattered(s, ops, v)
        if s.op.kind is Kind.ELEMENTWISE or name in ("broadcast_to", "stop_gradient"):
            return self.pointwise(s, ops, v, long)
        method = getattr(self, "_" + name, None)
        found = method(s, ops, long) if method is not None else None
        if found is None:
            return False
        self.parts[v] = found
        return True

    def pointwise(self, s: Signature, ops: list[int], v: int, long: int) -> bool:
        small = s.out.shape[:long] + s.out.shape[long + 1 :]
        from_end = len(s.out.shape) - long
        mixed = False
        columns: list[Any] = []
        for a in ops:
            shape = self.tape.aval(a).shape
            mine = len(shape) - from_end
            if mine >= 0 and shape[mine] == self.n:
                if self.position(shape) != mine:
                    return False
                parts = self.apart(a)
                mixed |= parts.size != np.prod(small)
            else:
                if shape.count(self.n):
                    return False
                parts = self.elements(a)
                if mine >= 0:
                    parts = parts.reshape(shape[:mine] + shape[mine + 1 :])
                mixed |= parts.size > 1
            columns.append(np.broadcast_to(parts, small))
        if s.op.kind is not Kind.ELEMENTWISE:
            self.parts[v] = columns[0]
            self.gains += mixed
            return True
        out = np.empty(small, object)
        for at in np.ndindex(*small):
            out[at] = self.elementwise(s, [c[at] for c in columns])
        self.parts[v] = out
        self.gains += mixed
        return True

    def reduced(self, s: Signature, a: int, v: int) -> bool:
        shape = s.avals[0].shape
        long = self.position(shape)
        if long < 0 or s.avals[0].dtype != s.out.dtype or len(shape) == 1:
            return False
        axes = {d % len(shape) for d in s.params[0]}
        over = axes - {long}
        if not over:
            return False  # columns: the executor's own reduction
        parts = self.apart(a)
        small = [d for d in range(len(shape)) if d != long]
        moved = parts.transpose(
            [small.index(d) for d in small if d not in over]
            + [small.index(d) for d in sorted(over)]
        )
        kept = tuple(shape[d] for d in small if d not in over)
        rows = moved.reshape(*kept, -1)
        op = by_name[COMBINE[s.op.name]]
        out = np.empty(kept, object)
        for at in np.ndindex(*kept):
            first, *rest = rows[at].tolist()
            for c in rest:
                first = self.elementwise(signature(op, (), (s.out, s.out)), [first, c])
            out[at] = first
        self.gains += 1
        if long not in axes:
            self.parts[v] = out
            return True
        sums = [self.emit(s.op.name, ((0,),), self.vector(c)) for c in out.ravel().tolist()]
        whole = sums[0] if len(sums) == 1 else self.emit("stack", (), *sums)
        if self.aval(whole).shape != s.out.shape:
            whole = self.emit("reshape", (s.out.shape,), whole)
        self.whole[v] = whole
        return True

    def flattened(self, s: Signature, a: int, v: int) -> bool:
        """A reshape that joins the long axis, as the last, with others."""
        shape = s.avals[0].shape
        long = self.position(shape)
        if a not in self.parts or long < 0 or np.prod(shape[long + 1 :]) != 1:
            return False
        vectors = [self.vector(c) for c in self.parts[a].ravel().tolist()]
        whole = self.emit("concatenate", (0,), *vectors) if len(vectors) > 1 else vectors[0]
        if self.aval(whole).shape != s.out.shape:
            whole = self.emit("reshape", (s.out.shape,), whole)
        self.whole[v] = whole
        return True

    def scattered(self, s: Signature, ops: list[int], v: int) -> bool:
        index, a = ops
        m, shape = s.params[0], s.avals[1].shape
        if a not in self.parts or s.avals[0].shape != (self.n,) or self.position(shape) != 0:
            return False
        parts = self.parts[a].ravel().tolist()
        if len(parts) == 1 or m > 2 * self.n:
            return False
        index = self.joined(index)
        columns = [self.emit("scatter_add", (m,), index, self.vector(c)) for c in parts]
        columns = [self.emit("reshape", ((m, 1),), c) for c in columns]
        whole = self.emit("concatenate", (1,), *columns)
        if self.aval(whole).shape != s.out.shape:
            whole = self.emit("reshape", (s.out.shape,), whole)
        self.whole[v] = whole
        self.gains += 1
        return True

    def finish(self) -> tuple[Tape, np.ndarray]:
        tape = self.tape
        origin = np.array(self.origin, np.int64)
        made = assemble(
            tape.inputs,
            tuple(self.consts),
            np.array(self.sigs, np.int32),
            np.array(self.args, np.int64),
            np.array(self.outputs, np.int64),
            tape.where_code[origin],
            tape.where_lasti[origin],
            tape.codes,
        )
        return made, origin
