"""custom_vjp, stop_gradient and register_ufunc: derivatives that the user states."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.opaque import (
    Call,
    Layout,
    arguments,
    concrete_call,
    numeric,
    opaque,
    sample_values,
    unpack,
)
from jittape.api.signature import Identity
from jittape.api.state import State
from jittape.ops.declare import by_name
from jittape.ops.elementwise import elementwise
from jittape.ops.stop import stop
from jittape.tracing.dispatch import load_ufunc, ufuncs
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer


def stop_gradient(x: Any) -> Any:
    """x, as a constant to every derivative.

    x: a number, an array or a nested container of them; values, shapes and dtypes are unchanged.
    """
    return tree.tree_map(_stopped, x)


def _stopped(x: Any) -> Any:
    return stop(x) if isinstance(x, Tracer) and x.dtype.kind in "fc" else x


class custom_vjp:
    """A function with a reverse rule of its own; a decorator.

        @jittape.custom_vjp
        def root(a):                            # any code: SciPy, loops until converged, ...
            return scipy.optimize.brentq(lambda x: x**3 + x - a, -10, 10)

        def root_fwd(a):
            x = root(a)
            return x, x                         # result, residuals

        def root_bwd(x, g):
            return (g / (3 * x**2 + 1),)        # one cotangent per argument

        root.defvjp(root_fwd, root_bwd)

    fun and fwd run on concrete arrays, once per evaluation, also when a cached tape is replayed;
    their arguments and results are nested containers of numbers and arrays. Arguments that are no
    floating-point numbers or arrays (int, bool, str, None, functions) are passed through as they
    are and are part of what a tape is valid for.

    bwd(residuals, cotangent of the result) is plain NumPy code on traced arrays: it may not branch
    on values, must be linear in the cotangent where forward mode is wanted, and is differentiated
    for higher derivatives. Residuals that fwd computed itself carry no derivative: for second
    derivatives return arguments and results, and compute the rest in bwd. bwd returns a tuple with
    one cotangent (or None for zero) per argument.

    nondiff_argnums: positions of arguments that bwd gets first, before the residuals, and returns
    no cotangent for.
    """

    def __init__(self, fun: Callable, nondiff_argnums: Sequence[int] = ()):
        self.__name__ = getattr(fun, "__name__", str(fun))
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self._fwd: Callable | None = None
        self._bwd: Callable | None = None
        self._calls: dict[Any, Call] = {}
        self._read_by_bwd: State | None = None  # what bwd read when its rules were recorded

    def defvjp(self, fwd: Callable, bwd: Callable) -> None:
        """fwd(*args) -> (result, residuals); bwd(*nondiff, residuals, cotangent) -> tuple."""
        self._fwd, self._bwd = fwd, bwd
        self._read_by_bwd = None

    @property
    def fwd(self) -> Callable:
        if self._fwd is None:
            raise TypeError(
                f"{here()}: {self.__name__} has no reverse rule yet; call "
                f"{self.__name__}.defvjp(fwd, bwd)"
            )
        return self._fwd

    @property
    def bwd(self) -> Callable:
        assert self._bwd is not None  # set together with fwd
        return self._bwd

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args = self._by_position(args, kwargs)
        leaves: list[Any] = []
        structure = tree.flatten(args, leaves)
        if not any(isinstance(x, Tracer) for x in leaves):
            return self.fun(*args)
        self._check_fixed(args)
        operands = [x for x in leaves if numeric(x)]
        static = tuple((i, x) for i, x in enumerate(leaves) if not numeric(x))
        samples = sample_values(operands, self.__name__)
        packed, layout = concrete_call(self, arguments(structure, static, samples))
        call = self._call(structure, static, layout)
        call.samples = (tuple(samples), packed)
        out = opaque(*operands, call=call)
        results = unpack(out, call, operands, range(layout.results), exact=True)
        assert layout.structure is not None
        return tree.unflatten(layout.structure.children[0], results)

    def _call(self, structure: Any, static: tuple, layout: Layout) -> Call:
        state = self._read_by_bwd
        if state is None or not state.valid() and state.changed() is not None:
            # derivative rules are recorded once per Call: from here on there are others
            self._calls, self._read_by_bwd = {}, State([(self._bwd, f"the bwd of {self.__name__}")])
        key = structure, tuple((i, _key(x)) for i, x in static), layout
        found = self._calls.get(key)
        if found is None:
            found = self._calls.setdefault(key, Call(self, structure, static, layout))
        return found

    def _by_position(self, args: tuple, kwargs: dict[str, Any]) -> tuple:
        bound = inspect.signature(self.fun).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"{here()}: {self.__name__} is a custom_vjp: its keyword-only arguments "
                f"({', '.join(bound.kwargs)}) have no cotangent; make them positional"
            )
        return bound.args

    def _check_fixed(self, args: tuple) -> None:
        for i in self.nondiff_argnums:
            leaves: list[Any] = []
            tree.flatten(args[i], leaves)
            if any(isinstance(x, Tracer) for x in leaves):
                raise TypeError(
                    f"{here()}: argument {i} of {self.__name__} is in nondiff_argnums but was "
                    "given a traced value; take it out and return None for it in bwd"
                )


def _key(x: Any) -> Any:
    """A static leaf as a key: by value where that is safe, else the object itself."""
    if x is None or isinstance(x, (bool, int, str, bytes)):
        return type(x), x
    return Identity(x)


def register_ufunc(ufunc: Any, partials: Sequence[Callable]) -> None:
    """Make a NumPy ufunc (of numba.vectorize, Cython, C) differentiable, in both modes.

    ufunc: a numpy.ufunc with one output and compiled floating-point loops, or the result of
    numba.vectorize. partials: one function per operand; each takes all operands and gives the
    partial derivative in plain NumPy code, which is differentiated for higher derivatives.

        @numba.vectorize(["float64(float64, float64)"])
        def soft(x, k): return math.log1p(math.exp(k * x)) / k

        jittape.register_ufunc(soft, [lambda x, k: 1 / (1 + np.exp(-k * x)), lambda x, k: ...])

    Raises TypeError for what is no such ufunc (numpy.frompyfunc makes object arrays), ValueError
    where the number of partials is wrong or the ufunc already has a derivative.
    """
    inner = getattr(ufunc, "ufunc", ufunc)  # numba's DUFunc wraps its ufunc
    if not isinstance(inner, np.ufunc):
        raise TypeError(f"register_ufunc takes a numpy.ufunc, not {type(ufunc).__name__}")
    name = inner.__name__
    if not inner.ntypes and inner is not ufunc:
        ufunc(*[np.ones(1)] * inner.nin)  # numba compiles its loops at the first call
    if inner.signature is not None or inner.nout != 1:
        raise TypeError(f"{name}: only elementwise ufuncs with one output can be registered")
    if not any(t[-1] in "fdFD" for t in inner.types):
        raise TypeError(
            f"{name} has no floating-point loop (it was made by numpy.frompyfunc?); compile it "
            "with numba.vectorize, or wrap it in jittape.custom_vjp"
        )
    if len(partials) != inner.nin:
        raise ValueError(f"{name} has {inner.nin} operands, but {len(partials)} partials are given")
    if load_ufunc(inner):
        raise ValueError(f"{name} already has a derivative")
    rules = tuple(_ignoring_output(p) for p in partials)
    unique, k = name, 2
    while unique in by_name:
        unique, k = f"{name}_{k}", k + 1
    op = elementwise(inner, *rules, doc="a ufunc of the user's own", cases=(), name=unique)
    ufuncs[inner] = op
    if inner is not ufunc:
        ufuncs[ufunc] = op  # numba hands its own object to __array_ufunc__


def _ignoring_output(partial: Callable) -> Callable:
    return lambda out, *args: partial(*args)
