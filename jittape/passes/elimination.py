"""The matrix of an affine program: its coefficients as a program of their own.

The program is run on symbols, one for each element of its values. Those that depend on the
variables are vertices of a graph whose edges carry local derivatives. Eliminating a vertex v adds
the product of (u, v) and (v, w) to the edge (u, w), for all its neighbours u and w; what is left
are edges from the variables to the results, the coefficients. The order is greedy, fewest products
first (A. Griewank and S. Reese, "On the calculation of Jacobian matrices by the Markowitz rule",
1991). Pushing unit vectors through the program instead repeats for each what they share.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from jittape.ops import elementwise as el
from jittape.passes.activity import depends_on
from jittape.passes.cut import cut
from jittape.passes.recording import Recording, element
from jittape.tape import Tape

MOST_ELEMENTS = 4000  # of all values together

# operations whose `evaluate` does with symbols what it does with numbers
_LINEAR = {
    "add", "subtract", "negative", "positive", "multiply", "divide", "sum", "matmul", "reshape",
    "transpose", "slice", "broadcast_to", "take", "stack", "concatenate", "place", "update", "put",
    "add_at", "scatter_add", "scatter_add_to",
}  # fmt: skip


class _NotAffine(Exception):
    """What is no sum of products of a variable and a number."""


class _Symbol:
    """Differences are sums, for both kinds."""

    __slots__ = ()

    def __neg__(self) -> Any:
        raise NotImplementedError

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other


class _Number(_Symbol):
    """What does not depend on the variables: op and operands, or element k of value v (None, v, k).
    Literals are plain numbers. Signs are kept outermost, where they meet again."""

    __slots__ = ("op", "operands")

    def __init__(self, op: Any, *operands: Any):
        self.op, self.operands = op, operands

    def __neg__(self) -> Any:
        return self.operands[0] if self.op is el.negative else _Number(el.negative, self)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, _Vertex):
            return NotImplemented
        if _is(other, 0):
            return self
        for x, y in ((self, other), (other, self)):
            if isinstance(y, _Number) and y.op is el.negative:
                return _Number(el.subtract, x, y.operands[0])
        return _Number(el.add, self, other)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, _Vertex):
            return NotImplemented
        if self.op is el.negative:
            return -(self.operands[0] * other)
        if isinstance(other, _Number):
            return other * self if other.op is el.negative else _Number(el.multiply, self, other)
        if other in (0, 1, -1):
            return {0: 0.0, 1: self, -1: -self}[int(other)]
        return _Number(el.multiply, self, other)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, _Vertex):
            return NotImplemented
        return _Number(el.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _Number(el.divide, other, self)

    __radd__, __rmul__ = __add__, __mul__


class _Vertex(_Symbol):
    """edges: from which vertices it is computed, with what factor; None stands for 1, so that its
    factor is what is added. readers: which vertices are computed from it."""

    __slots__ = ("edges", "readers")

    def __init__(self, *terms: tuple[Any, Any]):
        self.edges: dict[_Vertex | None, Any] = {}
        self.readers: dict[_Vertex, None] = {}
        for v, factor in terms:
            self.read(v, factor)

    def read(self, v: _Vertex | None, factor: Any) -> None:
        if not _is(factor, 0):
            self.edges[v] = self.edges[v] + factor if v in self.edges else factor
            if v is not None:
                v.readers[self] = None

    def __add__(self, other: Any) -> Any:
        if _is(other, 0):
            return self
        return _Vertex((self, 1.0), (other, 1.0) if isinstance(other, _Vertex) else (None, other))

    def __neg__(self) -> Any:
        return _Vertex((self, -1.0))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, _Vertex):
            raise _NotAffine
        if _is(other, 0) or _is(other, 1):
            return self if other == 1 else 0.0
        return _Vertex((self, other))

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, _Vertex) or _is(other, 0):
            raise _NotAffine
        return _Vertex((self, 1.0 / other))

    def __rtruediv__(self, other: Any) -> Any:
        raise _NotAffine

    __radd__, __rmul__ = __add__, __mul__


def _is(x: Any, literal: int) -> bool:
    return not isinstance(x, _Symbol) and bool(x == literal)


def coefficients(program: Tape, n: int) -> Tape | None:
    """From the inputs of a program but the first n to what its outputs are of these: for each
    element of each output, the factors of the elements of the n inputs and then what is added.
    None where the program is not known to be affine."""
    try:
        values = _on_symbols(program, n)
    except _NotAffine:
        return None
    variables = [x for v in range(n) for x in values[v].flat]
    results = [
        _Vertex((x, 1.0) if isinstance(x, _Vertex) else (None, x))
        for v in program.outputs.tolist()
        for x in (values[v] if v in values else _numbers(program, v)).flat
    ]
    _eliminate(variables, results)
    found = [y.edges.get(x, 0.0) for y in results for x in (*variables, None)]
    with Recording("coefficients of a step") as r:
        inputs = r.inputs(program.inputs[n:])
        read = list(dict.fromkeys(x.operands[0] for x in _leaves(found)))
        recorded = r.paste(cut(program, range(n, program.n_inputs), read), inputs)
        emit = _Emitter(dict(zip(read, recorded, strict=True)))
        return r.tape([emit(x) if isinstance(x, _Number) else r.literal(np.array(float(x)))
                       for x in found])  # fmt: skip


def _on_symbols(program: Tape, n: int) -> dict[int, np.ndarray]:
    """Arrays of symbols: of the first n inputs and of what is computed from them."""
    on = depends_on(program, range(n))
    if int(program.sizes[on[program.first :]].sum()) > MOST_ELEMENTS:
        raise _NotAffine
    values = {}
    for v in range(n):
        a = program.aval(v)
        values[v] = _array([_Vertex() for _ in range(a.size)], a.shape)
    for i in np.flatnonzero(on[program.first :]).tolist():
        s = program.signature(i)
        name = "multiply" if s.op.name == "amul" else s.op.name
        if name not in _LINEAR:
            raise _NotAffine
        operands = [values[v] if on[v] else _numbers(program, v) for v in program.operands(i)]
        given = [x[()] for x in operands]  # a symbol for a number: arrays would be stored whole
        evaluate = np.multiply if name == "multiply" else s.op.evaluate
        found = np.empty(s.out.shape, object)
        found[...] = evaluate(*given, **s.kwargs)
        values[program.first + i] = found
    return values


def _array(symbols: list, shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(len(symbols), object)
    out[:] = symbols
    return out.reshape(shape)


def _numbers(program: Tape, v: int) -> np.ndarray:
    """Symbols for a value that does not depend on the variables; literals as they are."""
    a = program.aval(v)
    const = v - program.n_inputs
    if 0 <= const < len(program.consts) and not program.consts[const].live:
        value = program.consts[const].value
        return value.astype(object) if a.dtype == np.float64 else value
    if a.dtype != np.float64:
        raise _NotAffine
    return _array([_Number(None, v, k) for k in range(a.size)], a.shape)


def _eliminate(variables: list[_Vertex], results: list[_Vertex]) -> None:
    """Leave of the edges to the results those from the variables alone."""
    ends = dict.fromkeys([*variables, *results])
    inner: dict[_Vertex, int] = {}
    todo = [*results]
    while todo:
        for v in todo.pop().edges:
            if v is not None and v not in inner and v not in ends:
                inner[v] = len(inner)
                todo.append(v)
    for v in inner:
        v.readers = {w: None for w in v.readers if w in inner or w in ends}

    def products(v: _Vertex) -> int:
        return len(v.edges) * len(v.readers)

    heap = [(products(v), k, v) for v, k in inner.items()]
    heapq.heapify(heap)
    while heap:
        count, k, v = heapq.heappop(heap)
        if v not in inner:
            continue
        if count != products(v):
            heapq.heappush(heap, (products(v), k, v))
            continue
        del inner[v]
        for w in v.readers:
            factor = w.edges.pop(v)
            for u, own in v.edges.items():
                w.read(u, own * factor)
        for u in v.edges:
            if u is not None:
                del u.readers[v]


def _leaves(found: list) -> list[_Number]:
    """The elements of values that these numbers are computed from."""
    seen: dict[_Number, None] = {}
    todo = [*found]
    while todo:
        x = todo.pop()
        if isinstance(x, _Number) and x not in seen:
            seen[x] = None
            if x.op is not None:
                todo += x.operands
    return [x for x in seen if x.op is None]


class _Emitter:
    """Records numbers, each once. values: the values that their leaves are elements of."""

    def __init__(self, values: dict[int, Any]):
        self.values = values
        self.done: dict[_Number, Any] = {}

    def __call__(self, x: Any) -> Any:
        todo = [x]
        while todo:
            y = todo[-1]
            left = [z for z in y.operands if isinstance(z, _Number) and z not in self.done]
            if y in self.done or not left:
                if y not in self.done:
                    self.done[y] = self.record(y)
                todo.pop()
            todo += left
        return self.done[x]

    def record(self, x: _Number) -> Any:
        if x.op is None:
            v, k = x.operands
            return element(self.values[v], k)
        return x.op(*[self.done.get(y, y) for y in x.operands])
