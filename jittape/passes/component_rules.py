"""Instructions on components: which component goes where; see passes/components.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Signature, by_name, signature
from jittape.ops.shape import as_slices
from jittape.types import Aval


class Rules:
    """A method per op, named after it, gives the components of the result, or None where the
    instruction needs whole arrays. `long`: which axis of the result is the long one."""

    n: int
    gains: int
    literal: dict[int, Any]
    whole: list[int | None]
    apart: Any
    joined: Any
    position: Any
    vector: Any
    element: Any
    elementwise: Any
    constant: Any
    emit: Any

    def _reshape(self, s: Signature, ops: list[int], long: int) -> Any:
        shape, new = s.avals[0].shape, s.out.shape
        mine = self.position(shape)
        if mine < 0 or np.prod(shape[:mine]) != np.prod(new[:long]):
            return None
        return self.apart(ops[0]).reshape(new[:long] + new[long + 1 :])

    def _transpose(self, s: Signature, ops: list[int], long: int) -> Any:
        mine = s.params[0][long]
        order = [p - (p > mine) for p in s.params[0] if p != mine]
        return self.apart(ops[0]).transpose(order)

    def whole_axis(self, index: tuple, long: int) -> bool:
        return tuple(index[long]) == (0, 1, self.n)

    def _slice(self, s: Signature, ops: list[int], long: int) -> Any:
        (index,) = s.params
        if self.position(s.avals[0].shape) != long or not self.whole_axis(index, long):
            return None
        self.gains += 1
        return self.apart(ops[0])[as_slices(index[:long] + index[long + 1 :])]

    def _stack(self, s: Signature, ops: list[int], long: int) -> Any:
        if long == 0:
            return None
        self.gains += 1
        return np.stack([self.apart(a) for a in ops])

    def _concatenate(self, s: Signature, ops: list[int], long: int) -> Any:
        axis = s.params[0] % s.out.ndim
        if axis == long:
            return None
        if any(self.position(a.shape) != long for a in s.avals):
            return None
        self.gains += 1
        return np.concatenate([self.apart(a) for a in ops], axis=axis - (axis > long))

    def _place(self, s: Signature, ops: list[int], long: int) -> Any:
        index = s.params[-1]
        if self.position(s.avals[0].shape) != long or not self.whole_axis(index, long):
            return None
        out = np.empty(s.out.shape[:long] + s.out.shape[long + 1 :], object)
        out[...] = self.constant(0, s.out.dtype)
        out[as_slices(index[:long] + index[long + 1 :])] = self.apart(ops[0])
        self.gains += 1
        return out

    def replaced(self, s: Signature, ops: list[int], long: int, add: bool) -> Any:
        index = s.params[-1]
        if self.position(s.avals[1].shape) != long or not self.whole_axis(index, long):
            return None
        if s.avals[0].dtype != s.avals[1].dtype:
            return None
        old, new = self.apart(ops[0]).copy(), self.apart(ops[1])
        where = as_slices(index[:long] + index[long + 1 :])
        if add:
            made = signature(by_name["add"], (), (s.out, s.out))
            sums = np.empty(new.shape, object)
            for at in np.ndindex(*new.shape):
                sums[at] = self.elementwise(made, [old[where][at], new[at]])
            new = sums
        old[where] = new
        self.gains += 1
        return old

    def _update(self, s: Signature, ops: list[int], long: int) -> Any:
        return self.replaced(s, ops, long, False)

    def _add_at(self, s: Signature, ops: list[int], long: int) -> Any:
        return self.replaced(s, ops, long, True)

    def row(self, index: int, x: Aval) -> int:
        """The row that a literal index chooses of x, where rows are components; else -1."""
        number = self.whole[index]
        k = -1 if number is None else self.literal.get(number, -1)
        return int(k) if self.position(x.shape) > 0 and 0 <= k < x.shape[0] else -1

    def _put(self, s: Signature, ops: list[int], long: int) -> Any:
        return self.row_changed(s, ops, False)

    def _scatter_add_to(self, s: Signature, ops: list[int], long: int) -> Any:
        return self.row_changed(s, ops, True)

    def row_changed(self, s: Signature, ops: list[int], add: bool) -> Any:
        k = self.row(ops[1], s.out)
        if k < 0 or s.avals[0].dtype != s.avals[2].dtype:
            return None
        rows, new = self.apart(ops[0]).copy(), self.apart(ops[2])
        made = signature(by_name["add"], (), (s.avals[2], s.avals[2]))
        for at in np.ndindex(*new.shape):
            old = rows[(k, *at)]
            rows[(k, *at)] = self.elementwise(made, [old, new[at]]) if add else new[at]
        self.gains += 1
        return rows

    def _scatter_add(self, s: Signature, ops: list[int], long: int) -> Any:
        k = self.row(ops[0], s.out)
        if k < 0 or s.avals[1].dtype != s.out.dtype:
            return None
        rows = np.empty(s.out.shape[:long] + s.out.shape[long + 1 :], object)
        rows[...] = self.constant(0, s.out.dtype)
        rows[k, ...] = self.apart(ops[1])
        self.gains += 1
        return rows

    def _take(self, s: Signature, ops: list[int], long: int) -> Any:
        """One gather per column, unless the columns are much longer than what is read."""
        x, index = s.avals
        k = self.row(ops[1], x)
        if k >= 0:
            self.gains += 1
            return self.apart(ops[0])[k, ...]
        if index.shape != (self.n,) or long != 0 or x.ndim < 2 or x.shape[0] > 2 * self.n:
            return None
        rest = x.shape[1:]
        m = x.shape[0]
        columns = self.apart(ops[0]) if self.position(x.shape) == 0 else None
        whole = self.joined(ops[0]) if columns is None else -1
        place = self.joined(ops[1])
        out = np.empty(rest, object)
        for at in np.ndindex(*rest):
            if columns is None:
                column = self.element(whole, x.shape, at, (m,), 0)
            else:
                column = self.vector(columns[at])
            out[at] = self.emit("take", (), column, place)
        return out
