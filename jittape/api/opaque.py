"""The op behind custom_vjp: a function of the user's own that runs on concrete arrays.

An instruction has one output, so what the function returns (results, then residuals) is packed
into one vector of one dtype and taken apart by slices. Residuals that are arguments or results
themselves (the usual case) are not packed, so that second derivatives flow through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jittape import tree
from jittape.errors import DifferentiationError, TraceError
from jittape.evaluate import evaluate
from jittape.ops.declare import Kind, Op, Refused, declare, signature
from jittape.ops.elementwise import cast
from jittape.ops.shape import reshape, strided_slice
from jittape.passes.activity import depends_on
from jittape.passes.differentiate import reverse, vjp_template
from jittape.tracing.recorder import Trace, here
from jittape.tracing.tracer import Tracer, number_of, trace_of, value_of
from jittape.types import Aval, aval_of


@dataclass(frozen=True)
class Layout:
    """How the results and residuals of a call are found again.

    structure: of (results, residuals). results: how many leaves belong to the results.
    sources: per leaf ("packed", offset, aval), ("argument", number), ("result", leaf) or
    ("static", type, value). packed: aval of the vector.
    """

    structure: tree.Structure
    results: int
    sources: tuple[tuple, ...]
    packed: Aval


@dataclass(eq=False)
class Call:
    """What is static about an instruction of this op; one object for each such call, so that two
    traces of a function are equal where their calls are."""

    owner: Any  # the custom_vjp
    structure: tree.Structure  # of the positional arguments
    static: tuple[tuple[int, Any], ...]  # leaves of them that are no arrays, by position
    layout: Layout
    samples: tuple = ()  # arguments and packed vector seen when last recorded

    def arguments(self, arrays: Sequence[Any]) -> tuple:
        """The positional arguments with these arrays in their places."""
        return arguments(self.structure, self.static, arrays)


def arguments(structure: tree.Structure, static: Sequence, arrays: Sequence[Any]) -> tuple:
    """Positional arguments: the static leaves, and these arrays in the places of the others."""
    known = dict(static)
    rest = iter(arrays)
    leaves = [known[i] if i in known else next(rest) for i in range(tree.size(structure))]
    return tree.unflatten(structure, leaves)


def numeric(x: Any) -> bool:
    """Whether a leaf is data; all others (int, bool, str, None, functions) are static."""
    if isinstance(x, Tracer):
        return True
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind in "fciub"
    return isinstance(x, (float, complex))


def concrete_call(owner: Any, args: tuple) -> tuple[np.ndarray, Layout]:
    """Run the user's fwd on concrete arguments; its results packed, and their layout."""
    out = owner.fwd(*args)
    if not (isinstance(out, tuple) and len(out) == 2):
        raise TypeError(
            f"{here()}: the fwd of {owner.__name__} must return a pair (result, residuals)"
        )
    given: list[Any] = []
    tree.flatten(args, given)
    leaves: list[Any] = []
    tree.flatten(out[0], leaves)
    results = len(leaves)
    leaves = []
    structure = tree.flatten(out, leaves)
    sources: list[tuple] = []
    parts: list[np.ndarray] = []
    offset = 0
    inputs = [x for x in given if numeric(x)]
    for k, leaf in enumerate(leaves):
        if isinstance(leaf, Tracer):
            raise TraceError(
                f"{here()}: {owner.__name__} is a custom_vjp and runs on concrete arrays, but it "
                "met a traced value from outside; pass that value as an argument"
            )
        if not numeric(leaf):
            if isinstance(leaf, (np.ndarray, np.generic)) or not _plain(leaf):
                raise TypeError(
                    f"{here()}: {owner.__name__} (or its fwd) returned {type(leaf).__name__}; "
                    "results and residuals are arrays and numbers in containers"
                )
            sources.append(("static", type(leaf), leaf))
            continue
        same = [i for i, x in enumerate(inputs) if x is leaf]
        again = [i for i in range(results) if leaves[i] is leaf]
        if k >= results and same:
            sources.append(("argument", same[0]))
        elif k >= results and again:
            sources.append(("result", again[0]))
        else:
            part = np.asarray(leaf)
            sources.append(("packed", offset, aval_of(part)))
            offset += part.size
            parts.append(part.ravel())
    for p in parts:
        if p.dtype.kind in "iu" and p.size and np.abs(p.astype(np.float64)).max() > 2**53:
            raise TypeError(
                f"{here()}: {owner.__name__} returned integers above 2**53, which do not survive "
                "beside floating-point results; return them as float64"
            )
    dtype = np.result_type(*[p.dtype for p in parts]) if parts else np.dtype(np.float64)
    if dtype.kind not in "fc":
        dtype = np.dtype(np.float64)
    packed = np.concatenate([np.zeros(0, dtype), *[p.astype(dtype) for p in parts]])
    return packed, Layout(structure, results, tuple(sources), aval_of(packed))


def _plain(x: Any) -> bool:
    return x is None or isinstance(x, (bool, int, str, bytes))


def _evaluate(*arrays: Any, call: Call) -> np.ndarray:
    # copies: the user's function may keep or change what it is given
    given = [np.array(x)[()] if np.ndim(x) == 0 else np.array(x) for x in arrays]
    packed, layout = concrete_call(call.owner, call.arguments(given))
    if layout != call.layout:
        raise ValueError(  # the tape is not valid for these arguments: the caller traces again
            f"{call.owner.__name__} returned another structure, shape, dtype or constant than "
            "when it was traced"
        )
    return packed


def unpack(packed: Any, call: Call, arrays: Sequence[Any], which: range, exact: bool) -> list:
    """Leaves `which` of (results, residuals). exact: also in the dtypes of the leaves."""
    leaves: list[Any] = []
    for k in which:
        kind, *rest = call.layout.sources[k]
        if kind == "static":
            leaves.append(rest[1])
        elif kind == "argument":
            leaves.append(arrays[rest[0]])
        elif kind == "result":
            leaves.append(unpack(packed, call, arrays, range(rest[0], rest[0] + 1), exact)[0])
        else:
            start, a = rest
            part = strided_slice(packed, index=((start, 1, a.size),))
            part = reshape(part, shape=a.shape)
            leaves.append(cast(part, dtype=a.dtype) if exact and part.dtype != a.dtype else part)
    return leaves


# A residual that fwd computes is data to bwd; what it depends on is not known.
_residual: Op = declare(
    Op(
        name="residual",
        kind=Kind.HOST,
        infer=lambda x, owner: x,
        evaluate=lambda x, owner: np.array(x),
        params=("owner",),
        vjp=lambda g, out, x, owner: (
            Refused(
                f"a residual that the fwd of {owner} computed itself has no derivative: for "
                "second derivatives let fwd return its arguments and results as residuals, and "
                "compute the rest in bwd"
            ),
        ),
        batch=lambda args, which, size, owner: _residual(*args, owner=owner),
        doc="what the fwd of a custom_vjp computed for its bwd",
    )
)


def _vjp(g: Any, out: Any, *args: Any, call: Call) -> tuple:
    """The user's bwd, run on tracers."""
    owner, layout = call.owner, call.layout
    n = layout.results
    trace = trace_of((g, out, *args))
    assert trace is not None
    # calls of other custom_vjp functions in bwd need values to run on (see `sample_values`)
    trace.samples = [np.ones(out.shape, out.dtype), call.samples[1], *call.samples[0]]
    residuals = []
    for k, x in enumerate(unpack(out, call, args, range(n, len(layout.sources)), exact=True), n):
        if layout.sources[k][0] == "packed" and x.dtype.kind in "fc":
            x = _residual(x, owner=owner.__name__)
        residuals.append(x)
    cotangents = unpack(g, call, args, range(n), exact=False)
    for k in range(n):
        kind, *rest = layout.sources[k]
        if kind == "packed" and rest[1].dtype.kind in "fc" and rest[1].dtype != g.dtype:
            cotangents[k] = cast(cotangents[k], dtype=rest[1].dtype)
    results, kept = layout.structure.children  # type: ignore[union-attr]
    full = call.arguments(args)
    fixed = [full[i] for i in owner.nondiff_argnums]
    back = owner.bwd(*fixed, tree.unflatten(kept, residuals), tree.unflatten(results, cotangents))
    return _per_operand(back, call, args, full)


def _per_operand(back: Any, call: Call, args: Sequence[Any], full: tuple) -> tuple:
    """What bwd returned, as one cotangent per operand of the instruction."""
    owner = call.owner
    wanted = [i for i in range(len(full)) if i not in owner.nondiff_argnums]
    if not isinstance(back, tuple) or len(back) != len(wanted):
        got = f"{len(back)} entries" if isinstance(back, tuple) else type(back).__name__
        raise TypeError(
            f"the bwd of {owner.__name__} must return a tuple with one cotangent (or None) for "
            f"each of {len(wanted)} arguments; it returned {got}"
        )
    per_leaf: list[Any] = []
    given = iter(back)
    for i, a in enumerate(full):
        leaves: list[Any] = []
        structure = tree.flatten(a, leaves)
        c = next(given) if i in wanted else None
        if c is None:
            per_leaf += [None] * len(leaves)
            continue
        found: list[Any] = []
        if tree.flatten(c, found) != structure and len(leaves) != len(found):
            raise TypeError(
                f"the bwd of {owner.__name__} returned a cotangent for argument {i} that has not "
                "its structure"
            )
        per_leaf += found
    static = dict(call.static)
    operands = [c for i, c in enumerate(per_leaf) if i not in static]
    for c, x in zip(operands, args, strict=True):
        if c is not None and np.shape(value_shape(c)) != x.shape:
            raise ValueError(
                f"the bwd of {owner.__name__} returned a cotangent of shape "
                f"{np.shape(value_shape(c))} for an argument of shape {x.shape}"
            )
    return tuple(operands)


def value_shape(x: Any) -> Any:
    """Something with the shape of x that NumPy can look at without recording."""
    return np.broadcast_to(0, x.shape) if isinstance(x, Tracer) else x


def _jvp(tangents: tuple, out: Any, *args: Any, call: Call) -> Any:
    """bwd transposed, which is right only where it is linear in its cotangent: checked."""
    sig = signature(opaque, (call,), tuple(x._aval for x in args))
    active = sum(1 << i for i, t in enumerate(tangents) if t is not None)
    template = vjp_template(sig, active)
    kept = [i for i in range(len(args)) if template.results[i] >= 0]
    back = reverse(template.tape, wrt=[0])
    cotangent = int(back.outputs[len(kept)])
    if depends_on(back, [0])[cotangent]:
        raise DifferentiationError(
            f"the bwd of {call.owner.__name__} is not linear in its cotangent (it clips or tests "
            "it), so that forward mode does not follow from it; use grad, vjp or "
            'mode="reverse" only'
        )
    arguments = (np.zeros(out.shape, out.dtype), out, *args)
    operands = [arguments[s] for s in template.slots]
    trace = out._trace
    numbers = [number_of(trace, x) for x in (*operands, *[tangents[i] for i in kept])]
    number = trace.inline(back, numbers)[len(kept)]
    return Tracer(trace, int(number), out._aval, None)


opaque = declare(
    Op(
        name="custom_vjp",
        kind=Kind.HOST,
        infer=lambda *avals, call: call.layout.packed,
        evaluate=_evaluate,
        params=("call",),
        vjp=_vjp,
        jvp=_jvp,
        doc="a function of the user's own with a reverse rule of the user's own",
    )
)


def sample_values(operands: Sequence[Any], name: str) -> list[Any]:
    """Concrete values of operands. In a derivative rule, which knows only shapes, they are
    computed from those that the differentiated call had when it was recorded."""
    values = []
    for x in operands:
        value = value_of(x)
        if isinstance(x, Tracer) and value is None:
            trace: Trace = x._trace
            if trace.samples is None:
                raise TraceError(
                    f"{here()}: {name} is a custom_vjp, which runs on concrete arrays; it cannot "
                    "be called where only shapes are known"
                )
            inputs = sample_values([*trace.samples, *trace.captured], name)
            value = evaluate(trace.finish([x._id]), inputs)[0]
        values.append(np.array(value)[()] if np.ndim(value) == 0 else np.array(value))
    return values
