"""The Tracer: what a traced function sees in place of its arrays.

It has ndarray's operators, attributes and methods, takes part in NumPy's protocols, and carries
the concrete value beside its number in the trace, so that branches can look at it. It knows
nothing of differentiation.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops import declare
from jittape.ops.declare import Kind, Op, Signature
from jittape.tracing.direct import bare, direct_signature, self_signature
from jittape.tracing.dispatch import implementations, load_ufunc, lookup, ufuncs
from jittape.tracing.recorder import Trace, here, leaked, open_traces
from jittape.types import Aval, aval_of

signature = declare.signature


class _NoArray(TypeError, AttributeError):
    """What len(x) raises of a number, and what tells hasattr(x, "__len__") that it is one."""


class _OfArrays:
    """A special method that arrays have and numbers have not, hasattr included."""

    def __init__(self, function: Callable):
        self.function = function

    def __get__(self, x: Any, owner: Any = None) -> Any:
        if x is None:
            return self.function
        if not x._aval.shape:
            name = self.function.__name__
            raise _NoArray(f"{here()}: {x.__class__.__name__} object has no {name}: it is a number")
        return MethodType(self.function, x)


class Tracer:
    """A value of a trace. Public surface: that of numpy.ndarray."""

    __slots__ = ("_trace", "_id", "_aval", "_value", "_weak", "_owned", "__weakref__")
    __array_priority__ = 1000.0

    def __init__(self, trace: Trace, id: int, aval: Aval, value: Any, weak: bool = False):
        self._trace = trace
        self._id = id
        self._aval = aval
        self._value = value
        self._weak = weak
        self._owned: Any = None  # the array of a handle that was written to, see tracing.views

    # -- NumPy's protocols -------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            op = ufuncs.get(ufunc)
            if op is not None:
                trace = self._trace
                if trace.fast and op.kernel is ufunc and trace.thread == get_ident():
                    # what ufunc calls of a traced Python loop pay, hence the plain code (and that
                    # of tracing.lists for those by a name of NumPy's)
                    if ufunc.nin == 1:
                        sig = op.memo.get(self._aval) or self_signature(op, self._aval)
                        number = self._id  # may refresh a view, so read first
                        if sig is not None:
                            value = ufunc(self._value)
                            return Tracer(trace, trace.emit(sig, (number,)), sig.out, value)
                    elif ufunc.nin == 2:
                        a, b = inputs
                        left = a._aval if type(a) is Tracer and a._trace is trace else bare(a)
                        right = b._aval if type(b) is Tracer and b._trace is trace else bare(b)
                        if left is not None and right is not None:
                            sig = op.memo.get((left, right), 0)
                            if sig == 0:
                                sig = direct_signature(op, left, right)
                            if sig is not None:
                                va, vb = value_of(a), value_of(b)
                                numbers = direct_number(trace, a), direct_number(trace, b)
                                index = trace.emit(sig, numbers)
                                return Tracer(trace, index, sig.out, ufunc(va, vb))
                return op(*inputs)
        return ufunc_call(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function_call(func, args, kwargs)

    @property
    def _handle(self) -> Tracer:
        """The handle itself; arrays of tracing.buffers give that of their content."""
        return self

    # -- attributes --------------------------------------------------------------------------

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What isinstance sees: the type that the user's function gets without jittape, so that
        it takes the same branch. type(x) is Tracer."""
        if self._aval.shape:
            return np.ndarray
        return self._aval.dtype.type

    shape = property(lambda self: self._aval.shape)
    ndim = property(lambda self: self._aval.ndim)
    size = property(lambda self: self._aval.size)
    dtype = property(lambda self: self._aval.dtype)
    itemsize = property(lambda self: self._aval.dtype.itemsize)
    nbytes = property(lambda self: self._aval.nbytes)
    device = property(lambda self: "cpu")  # as NumPy arrays say, for the array API standard

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return np

    @_OfArrays
    def __len__(self) -> int:
        return self._aval.shape[0]

    # (not _OfArrays: where looking up __iter__ fails, iter() takes __getitem__ for a sequence's)
    def __iter__(self: Any) -> Any:
        if not self._aval.shape:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(self._aval.shape[0])])

    def __getattr__(self, name: str) -> Any:
        own = getattr(type(self), name, None)
        if isinstance(own, property):  # which raised an AttributeError of its own: let it be seen
            assert own.fget is not None
            return own.fget(self)
        raise AttributeError(
            f"{here()}: traced arrays have no attribute {name!r}; see docs/ops.md for what is "
            "recorded, or use the NumPy function of that purpose"
        )

    def __repr__(self) -> str:
        return f"Tracer({self._aval}, {self._value!r})"

    def __format__(self, spec: str) -> str:
        return format(self._value, spec)


def tracer_method(*names: str) -> Callable[[Callable], Callable]:
    """Decorator: the function becomes these methods of Tracer.

    Guards, indexing and ndarray's methods are each written in the module that knows them.
    """

    def attach(f: Callable) -> Callable:
        for name in names:
            if name in vars(Tracer):
                raise ValueError(f"Tracer.{name} is written twice")
            setattr(Tracer, name, f)
        return f

    return attach


# -- recording -------------------------------------------------------------------------------


def trace_of(operands: Any) -> Trace | None:
    """The innermost open trace among the operands; None where no operand is a tracer."""
    trace = None
    for x in operands:
        if isinstance(x, Tracer):
            t = x._trace
            if trace is None or t.level > trace.level:
                trace = t
            if not t.open or t.thread != get_ident():
                raise leaked(x)
    return trace


def number_of(trace: Trace, x: Any) -> int:
    """The value number of x in this trace; arrays become constants, outer tracers inputs."""
    if isinstance(x, Tracer):
        number = x._id  # may refresh a view, so read first
        return number if x._trace is trace else trace.capture(x)
    if isinstance(x, np.ndarray) and x.ndim:
        return trace.add_const(x, live=True)
    x = np.asarray(x)
    return trace.literal(x[()], x.dtype)


def value_of(x: Any) -> Any:
    """The concrete value of a tracer, or x itself."""
    if isinstance(x, Tracer):
        return x._value
    return x if type(x) is np.ndarray or not isinstance(x, np.ndarray) else x.view(np.ndarray)


def maybe_view(trace: Trace, sig: Signature, operands: tuple, number: int, value: Any) -> Any:
    """A handle that follows operands[0], or None; replaced by tracing.views."""
    return None


def _describe(x: Any) -> Any:
    """What NEP 50 promotion looks at: a dtype, or a Python type for weak scalars."""
    if isinstance(x, Tracer):
        if x._weak:
            return {"f": float, "c": complex, "i": int}.get(x._aval.dtype.kind, x._aval.dtype)
        return x._aval.dtype
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype
    if type(x) in (int, float, complex):
        return type(x)
    return np.asarray(x).dtype


_resolved: dict[Any, tuple] = {}


def resolve_dtypes(ufunc: np.ufunc, operands: tuple[Any, ...]) -> tuple:
    """The dtypes of the ufunc loop NumPy would choose (NEP 50)."""
    key = (ufunc, *map(_describe, operands))
    found = _resolved.get(key)
    if found is None:
        # NumPy takes a weak type only where some other operand is not weak
        kinds = key[1:]
        if all(isinstance(k, type) for k in kinds):
            kinds = tuple(np.dtype(k) for k in kinds)
        dtypes = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout))
        found = _resolved[key] = dtypes[: ufunc.nin]
    return found


def record(op: Op, operands: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
    """Record `op` on the innermost trace among its operands; NumPy's value where there is none."""
    trace = trace_of(operands)
    if trace is None:
        kwargs = dict(zip(op.params, params, strict=True))
        return op.evaluate(*operands, **kwargs)
    if op.kind is Kind.ELEMENTWISE and isinstance(op.kernel, np.ufunc):
        operands = _promote(trace, op, operands)
    numbers = [number_of(trace, x) for x in operands]
    avals = tuple([x._aval if isinstance(x, Tracer) else aval_of(x) for x in operands])
    sig = signature(op, params, avals)
    if trace.concrete:
        try:
            value = op.evaluate(*[value_of(x) for x in operands], **sig.kwargs)
        except Exception as e:
            # what the user's code does about it depends on values that no guard looks at
            for t in open_traces():
                t.volatile = f"{here()}: {op.name} raised {type(e).__name__}"
            raise
        if op.kind is Kind.LAYOUT or op.kind is Kind.GATHER:
            number = trace.emit(sig, numbers)
            view = maybe_view(trace, sig, operands, number, value)
            if view is None:
                value = value[()] if sig.out.ndim == 0 and type(value) is np.ndarray else value
                view = Tracer(trace, number, sig.out, value)
            return view
        if sig.out.ndim == 0 and type(value) is np.ndarray:
            value = value[()]
    else:
        value = None
        if trace.of_user and (op.kind is Kind.LAYOUT or op.kind is Kind.GATHER):
            number = trace.emit(sig, numbers)
            view = maybe_view(trace, sig, operands, number, None)
            return Tracer(trace, number, sig.out, None) if view is None else view
    return Tracer(trace, trace.emit(sig, numbers), sig.out, value)


def _promote(trace: Trace, op: Op, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands cast to the dtypes of the loop that NumPy would choose."""
    for x in operands:
        if not isinstance(x, (Tracer, np.ndarray, np.generic, int, float, complex)):
            operands = tuple(as_operand(x) for x in operands)
            break
    try:
        dtypes = resolve_dtypes(op.kernel, operands)
    except TypeError as e:
        raise TraceError(f"{here()}: {op.name}: {e}") from None
    return tuple([cast(x, dt, trace) for x, dt in zip(operands, dtypes, strict=True)])


def cast(x: Any, dtype: np.dtype, trace: Trace | None = None) -> Any:
    """x with this dtype: recorded where x is a tracer or a captured array.

    trace: where a captured array is recorded; by default the innermost. Beside tracers of an outer
    trace it must be that one.
    """
    if isinstance(x, Tracer):
        return x if x._aval.dtype == dtype else declare.by_name["cast"](x, dtype=dtype)
    if isinstance(x, np.ndarray) and x.ndim:
        x = settled(x)
        if x.dtype == dtype:
            return x
        trace = open_traces()[-1] if trace is None else trace
        t = Tracer(trace, trace.add_const(x, live=True), aval_of(x), value_of(x))
        return declare.by_name["cast"](t, dtype=dtype)
    return np.asarray(x).astype(dtype)[()]


declare.recorder = record


def as_operand(x: Any) -> Any:
    """x as an operand: lists and tuples with tracers are stacked, array-likes become arrays."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, int, float, complex)):
        return settled(x)
    if isinstance(x, (list, tuple)):
        return lookup(np.array)(x)
    return np.asarray(x)


def ufunc_call(ufunc: Any, method: str, inputs: tuple, kwargs: dict) -> Any:
    """Everything of __array_ufunc__ but the plain call of an op of the table."""
    out = kwargs.pop("out", None)
    if out is not None:
        options = {"casting": kwargs.get("casting", "same_kind")}
        if method == "__call__":
            options["where"] = kwargs.pop("where", True)
        call = getattr(ufunc, method)
        return lookup(OUT)(lambda: call(*inputs, **kwargs), out, **options)
    if method == "__call__":
        found = implementations.get(ufunc)
        if found is not None:
            return found.run(*inputs, **kwargs)
        op = ufuncs.get(ufunc)
        if op is not None:
            return ufunc_keywords[0](op, inputs, kwargs)
        if load_ufunc(ufunc):
            return ufunc(*inputs, **kwargs)
        return lookup(ufunc)
    if ufunc not in ufuncs:
        load_ufunc(ufunc)
    return lookup(getattr(np.ufunc, method))(ufunc, *inputs, **kwargs)


_NOT_GIVEN: Any = np._NoValue  # type: ignore[attr-defined]


def function_call(func: Any, args: tuple, kwargs: dict) -> Any:
    """What a NumPy function records."""
    # what NumPy writes for an argument that is not given; wrappers hand it on
    while args and args[-1] is _NOT_GIVEN:
        args = args[:-1]
    if kwargs:
        kwargs = {k: v for k, v in kwargs.items() if v is not _NOT_GIVEN}
    if kwargs.get("out") is not None:
        kwargs = dict(kwargs)
        out = kwargs.pop("out")
        return lookup(OUT)(lambda: func(*args, **kwargs), out)
    run = lookup(func)
    if func not in writers:
        args, kwargs = settled(args), {k: settled(v) for k, v in kwargs.items()}
    return finished(func, args, run(*args, **kwargs))


# NumPy functions that write to their first argument
writers: set[Callable] = set()


def settled(x: Any) -> Any:
    """x (or what a list or tuple holds) as it is now; replaced by tracing.buffers."""
    return x


def finished(func: Callable, args: tuple, result: Any) -> Any:
    """The result of a NumPy function as the user gets it; replaced by tracing.boundary, which
    knows which functions return views and which return copies."""
    return result


def OUT() -> None:
    """Key in the table of implementations for calls with out=."""


# How an op is called with out=, where=, dtype=; functions.ufuncs puts its own in place.
ufunc_keywords: list[Callable[[Op, tuple, dict], Any]] = [lambda op, inputs, kwargs: op(*inputs)]


_F8 = np.dtype(np.float64)


def direct_number(trace: Trace, x: Any) -> int:
    """The value number of a tracer of this trace, or of a bare number."""
    if type(x) is Tracer:
        return x._id
    value = float(x)
    number = trace.literals.get(value) if value else None
    return trace.literal(value, _F8) if number is None else number
