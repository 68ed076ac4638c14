"""The op table: the one place that knows what ops exist.

An op is declared once with its shape rule, its NumPy evaluation, its derivative rules, its domain,
its kinks and its sample cases; the tracer's dispatch, the passes, the executor, the generated
tests and the op reference all derive from the declaration.

Derivative rules are written in ops: they get tracers and return tracers, so that the reverse sweep
is itself tape. A rule sees the output of its op. It need not care for broadcasting, dtypes or
real/complex casts: the differentiation passes bring each cotangent to the aval of its operand.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from jittape.locks import ForkSafeLock
from jittape.types import Aval


class Kind(Enum):
    """How an op is lowered by the executor. Anything may be left HOST: it is then evaluated by
    NumPy through `Op.evaluate`."""

    ELEMENTWISE = "elementwise"  # operands broadcast against each other, one output element each
    REDUCE = "reduce"  # params (axes,): reduced axes are removed
    ACCUMULATE = "accumulate"  # params (axis,): a running reduction
    LAYOUT = "layout"  # the output is a strided view of the operand, or a copy of it
    PLACE = "place"  # writes operands at strided places of the output
    GATHER = "gather"  # reads at integer indices
    SCATTER = "scatter"  # adds at integer indices
    GUFUNC = "gufunc"  # core dimensions, batched over the leading ones
    GUARD = "guard"  # no output; the sweep stops where it does not hold
    HOST = "host"  # the sweep returns to Python for this instruction


_NONE: dict[str, Any] = {}


class Case(NamedTuple):
    """A sample call for the generated tests.

    args: shapes (tuples of int), or concrete arrays and numbers which are used as they are.
    kwargs: passed through. name: a label where one call has several cases. order: up to which
    order derivatives exist there (0 where only the value is tested).
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = _NONE
    name: str = ""
    order: int = 2


class Refused:
    """In place of a partial derivative or cotangent that is not offered; why: with the remedy.
    It is an error only where that operand is differentiated."""

    __slots__ = ("why",)

    def __init__(self, why: str):
        self.why = why


class Op:
    """One primitive operation of the tape.

    infer(*avals, **params) -> Aval
    evaluate(*arrays, **params) -> array: NumPy's own value; what tracing and tests take as truth
    vjp(g, out, *args, **params) -> one cotangent (or None) per operand.
        None: derived from jvp by transposition.
    jvp(tangents, out, *args, **params) -> tangent; a tangent is None where it is zero.
        None: derived from vjp by transposition.
    linear: jvp is the op applied to the tangent (unary ops only).
    flat: the derivative is zero wherever it exists (sign, floor): no rules are needed.
    batch(args, batched, size, **params) -> tracer with the batch axis in front; None: the
        kind's own rule.
    kernel: what the executor runs: a ufunc, a gufunc, or the name of a kernel of jittape's own.
    scalar: the same on NumPy scalars of dtype float64, where Python has a quicker form.
    numpy: the NumPy callables that record this op.
    domain: open interval per operand, from which the tests draw samples.
    kinks: in words, where the derivative is a decision, and which.
    """

    __slots__ = (
        "name", "kind", "infer", "evaluate", "params", "vjp", "jvp", "linear", "flat", "batch",
        "kernel", "scalar", "numpy", "domain", "kinks", "cases", "doc", "code", "memo",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        kind: Kind,
        infer: Callable[..., Aval],
        evaluate: Callable[..., Any],
        params: tuple[str, ...] = (),
        vjp: Callable[..., Any] | None = None,
        jvp: Callable[..., Any] | None = None,
        linear: bool = False,
        flat: bool = False,
        batch: Callable[..., Any] | None = None,
        kernel: Any = None,
        scalar: Callable[..., Any] | None = None,
        numpy: tuple[Any, ...] = (),
        domain: tuple[tuple[float, float], ...] = (),
        kinks: str = "",
        cases: tuple[Case, ...] = (),
        doc: str = "",
    ):
        self.name = name
        self.kind = kind
        self.infer = infer
        self.evaluate = evaluate
        self.params = params
        self.vjp = vjp
        self.jvp = jvp
        self.linear = linear
        self.flat = flat
        self.batch = batch
        self.kernel = kernel
        self.scalar = scalar
        self.numpy = numpy
        self.domain = domain
        self.kinks = kinks
        self.cases = cases
        self.doc = doc
        self.code = -1  # its place in the table
        self.memo: dict[Any, Any] = {}  # signatures, for the operators' fast paths

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Record the op on the trace of its operands (used by rules and composite functions)."""
        return recorder(self, operands, tuple(params[name] for name in self.params))

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def recorder(op: Op, operands: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
    """Placed here by jittape.tracing, so that ops need not import the tracer."""
    raise RuntimeError("jittape.tracing is not loaded")


table: list[Op] = []
by_name: dict[str, Op] = {}
_lock = ForkSafeLock()


def original(f: Any) -> Any:
    """NumPy's own function, also where its name holds a stand-in because a trace is open (the
    module that asks may be loaded, or a tape planned, at any time)."""
    return getattr(f, "original", f)


def declare(op: Op) -> Op:
    """Enter `op` into the table and give it its opcode."""
    op.kernel, op.evaluate = original(op.kernel), original(op.evaluate)
    op.numpy = tuple(map(original, op.numpy))
    with _lock:  # ops are also declared while functions are traced, in any thread
        if op.name in by_name:
            raise ValueError(f"op {op.name} is declared twice")
        op.code = len(table)
        table.append(op)
        by_name[op.name] = op
    return op


class Signature:
    """An op at given params and operand avals: all that is static about an instruction.

    Signatures are interned and numbered process-wide, so that an instruction is one number plus
    its operands, tapes can be pasted into each other without translation, and a derivative rule
    runs once per signature, not once per instruction.
    """

    __slots__ = ("id", "op", "params", "avals", "out", "templates")

    def __init__(self, id: int, op: Op, params: tuple, avals: tuple[Aval, ...], out: Aval):
        self.id = id
        self.op = op
        self.params = params
        self.avals = avals
        self.out = out
        self.templates: dict[Any, Any] = {}

    @property
    def kwargs(self) -> dict[str, Any]:
        return dict(zip(self.op.params, self.params, strict=True))

    @property
    def carries_derivative(self) -> bool:
        """Whether any derivative can flow from an operand of this instruction to its output."""
        return self.out.inexact and not self.op.flat and self.op.kind is not Kind.GUARD

    def __repr__(self) -> str:
        return f"<{self.op.name}{self.params or ''} {self.avals} -> {self.out}>"


signatures: list[Signature] = []
_by_key: dict[Any, Signature] = {}


def signature(op: Op, params: tuple, avals: tuple[Aval, ...]) -> Signature:
    """The one Signature of this op, params and avals. Raises what the op's shape rule raises."""
    key = (op, params, avals)
    found = _by_key.get(key)
    if found is None:
        out = op.infer(*avals, **dict(zip(op.params, params, strict=True)))
        with _lock:
            found = _by_key.get(key)
            if found is None:
                found = Signature(len(signatures), op, params, avals, out)
                signatures.append(found)
                _by_key[key] = found
    return found
