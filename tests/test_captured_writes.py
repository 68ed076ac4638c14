"""Traced values written to what a function makes of arrays from outside of it."""

import copy
import dataclasses
import functools
import gc
import pickle
import threading
import types
from typing import NamedTuple

import numpy as np
import pytest
from oracle import check

import jittape
from jittape.errors import TraceError
from jittape.tracing import captured

U = np.linspace(0.2, 1.0, 6)
M = np.array([[4.0, 1.0, 0.5], [1.0, 5.0, 1.5], [0.5, 1.5, 6.0]])
K = np.arange(6)
RECORDS = np.zeros(6, [("u", float), ("k", int)])
BOX = {"u": U, "list": [U, (M,)]}


@pytest.fixture(autouse=True)
def untouched():
    yield
    assert np.array_equal(U, np.linspace(0.2, 1.0, 6)) and type(U) is np.ndarray
    assert M[0, 0] == 4.0 and type(M) is np.ndarray
    assert not captured._standing and not captured._views and not captured._wholes


FORMS = {
    "copy": lambda: U.copy(),
    "times": lambda: 2 * U,
    "sum": lambda: U + U,
    "negative": lambda: -U,
    "power": lambda: U**2,
    "float": lambda: U.astype(float),
    "float32": lambda: U.astype(np.float32),
    "integers": lambda: K.astype(float),
    "reshape": lambda: U.reshape(2, 3).copy().ravel(),
    "ravel": lambda: U[::-1].ravel(),
    "flatten": lambda: M.flatten()[:6],
    "slice": lambda: U[::-1].copy(),
    "strided": lambda: M[:, 1:].copy().reshape(-1),
    "fancy": lambda: U[[5, 4, 3, 2, 1, 0]],
    "mask": lambda: U[U > 0.1],
    "np.copy": lambda: np.copy(U),
    "np.array": lambda: np.array(U),
    "asarray": lambda: np.asarray(U) * 1.0,
    "asarray copy": lambda: np.asarray(U).copy(),
    "copy.copy": lambda: copy.copy(U),
    "deepcopy": lambda: copy.deepcopy(BOX)["list"][0],
    "dict": lambda: BOX["u"].copy(),
    "nested": lambda: BOX["list"][1][0].ravel()[:6] * 1,
    "ufunc": lambda: np.sin(U),
    "matrix product": lambda: np.repeat(M @ M[0], 2),
    "dot": lambda: M.dot(M)[:, :2].ravel(),
    "rows": lambda: np.concatenate([row.copy() for row in M])[:6],
    "where": lambda: np.where(U > 0.5, U, 0.0),
    "clip": lambda: U.clip(0.3, 0.8),
    "round": lambda: U.round(1),
    "sort": lambda: np.sort(U),
    "cumsum": lambda: U.cumsum(),
    "take": lambda: U.take([0, 1, 2, 3, 4, 5]),
    "divmod": lambda: divmod(U, 0.3)[1],
    "accumulate": lambda: np.add.accumulate(U),
    "stack": lambda: np.stack([U[:3], U[3:]]).ravel(),
    "transposed": lambda: M.T.copy().ravel()[:6],
    "mean": lambda: np.repeat(M.mean(axis=0), 2),
    "solve": lambda: np.repeat(np.linalg.solve(M, M[0]), 2),
    "flat": lambda: U.flat[:],
    "field": lambda: RECORDS["u"].copy(),
    "named tuple": lambda: np.repeat(np.linalg.eigh(M)[0], 2),
    "of numbers": lambda: np.fromstring("1 2 3 4 5 6", sep=" "),
    "of a buffer": lambda: np.frombuffer(bytes(48)).copy(),
    "generator": lambda: np.random.default_rng(1).normal(size=6),
    "of a list": lambda: np.exp([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
}


@pytest.mark.parametrize("form", FORMS)
def test_whatever_is_made_of_a_captured_array(form):
    make = FORMS[form]

    def f(x):
        u = make()
        inner = u[1:-1]
        u[0] = x[0] * x[1]
        u[2:4] = x
        u[-1] += x[1] ** 2
        inner[0] = x[0] ** 3
        u *= 2
        return u * np.arange(1, 7).astype(u.dtype)

    check(f, np.array([0.7, 1.3]))


def test_what_compiled_code_makes_of_it():
    import numba

    scipy = pytest.importorskip("scipy.linalg")

    twice = numba.njit(lambda a: a * 2)

    def f(x):
        u, m = twice(U), scipy.inv(M)
        u[0] = x
        m[0] = x * x
        return u, m

    check(f, 0.8)


def test_changed_between_calls():
    u0 = np.linspace(0.0, 1.0, 5)

    def f(x):
        u = u0.copy()
        u[1:-1] += x * (u0[2:] - u0[:-2])
        return np.sum(u * u)

    g = jittape.grad(f)
    for k in range(6):
        x = 0.3 + 0.1 * k
        d = u0[2:] - u0[:-2]
        assert g(x) == pytest.approx(2 * np.sum((u0[1:-1] + x * d) * d), rel=1e-14)
        u0[k % 5] += 1.0
    assert type(u0) is np.ndarray


# -- who holds it ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Data:
    u0: np.ndarray
    name: str = "data"


class Pair(NamedTuple):
    u0: np.ndarray
    dt: float


class Slotted:
    __slots__ = ("u0",)

    def __init__(self, u0):
        self.u0 = u0


class Model:
    shared = np.full(4, 2.0)

    def __init__(self):
        self.u0 = np.linspace(1.0, 2.0, 4)
        self.parts = {"a": [np.ones(4)], "b": Data(np.full(4, 3.0))}
        self._hidden = np.full(4, 0.5)

    @property
    def hidden(self):
        return self._hidden

    def loss(self, x):
        u = self.u0.copy()
        v = self.parts["a"][0] * 2
        w = self.parts["b"].u0 + 0
        h = self.hidden.copy()
        s = -self.shared
        for i, a in enumerate((u, v, w, h, s)):
            a[i % 4] = x ** (i + 1)
        return np.sum(u * v * w * h * s)


def _default(x, u0=np.arange(3.0)):  # noqa: B008
    u = u0.copy()
    u[1] = x
    return np.sum(u * u)


def _closing_over(u0):
    def f(x):
        u = u0 * 1.0
        u[-1] = x * x
        return np.sum(u * u)

    return f


helpers = types.ModuleType("helpers")
helpers.table = np.arange(4.0)  # type: ignore[attr-defined]
exec(
    "def filled(x):\n    t = table.copy()\n    t[2] = x * x\n    return t\n",
    helpers.__dict__,
)


def _given(data, x):
    u = data.u0.copy()
    u[0] = x
    return np.sum(u**3)


HELD = {
    "attributes": Model().loss,
    "default": _default,
    "closure": _closing_over(np.ones(3)),
    "module": lambda x: np.sum(helpers.filled(x) * helpers.table.copy()),
    "partial": functools.partial(_given, Data(np.ones(2))),
    "named tuple": functools.partial(_given, Pair(np.ones(2), 0.1)),
    "slots": functools.partial(_given, Slotted(np.ones(2))),
    "keyword": functools.partial(_default, u0=np.full(3, 2.0)),
    "namespace": functools.partial(_given, types.SimpleNamespace(u0=np.ones(2))),
}


@pytest.mark.parametrize("name", HELD)
def test_whoever_holds_it(name):
    check(HELD[name], 1.3)


def test_an_argument_that_is_no_array():
    data = Data(np.arange(3.0))
    g = jittape.grad(_given, 1)
    assert [g(data, x) for x in (2.0, 2.0, 3.0)] == [12.0, 12.0, 27.0]
    assert type(data.u0) is np.ndarray


def test_inner_functions_and_other_transforms():
    def f(x):
        u = U.copy()
        u[0] = x
        return u[0] ** 3 + np.sum(u)

    def outer(x):
        return jittape.grad(f)(x) * f(x)

    check(outer, 0.7)
    for _ in range(2):
        assert jittape.vjp(f, 2.0)[1](1.0) == (13.0,)
        assert jittape.jvp(f, (2.0,), (1.0,))[1] == 13.0
        assert jittape.hessian(f)(2.0) == 12.0
    assert np.allclose(jittape.vmap(f)(np.array([1.0, 2.0])), [f(1.0), f(2.0)])
    assert jittape.trace(f)(2.0).values(2.0)[-1] == f(2.0)
    assert jittape.grad(jittape.checkpoint(f))(2.0) == 13.0

    def step(c, _):
        u = U * 2
        u[0] = c
        return np.sum(u * u) * 0.1, None

    def looped(x):
        return jittape.scan(step, x, None, length=3)[0]

    def unrolled(x):
        for _ in range(3):
            x, _y = step(x, None)
        return x

    assert jittape.scan(step, 0.5, None, length=3)[0] == pytest.approx(unrolled(0.5))
    check(looped, 0.5, order=1)
    assert jittape.grad(looped)(0.5) == pytest.approx(jittape.grad(unrolled)(0.5))


def test_impure_functions():
    rng = np.random.default_rng(5)

    def f(x):
        u = U.copy()
        u[0] = x * rng.normal()
        return np.sum(u)

    g = jittape.value_and_grad(f)
    with pytest.warns(jittape.errors.ImpureFunctionWarning):
        for _ in range(4):
            value, slope = g(2.0)
            assert value == pytest.approx(np.sum(U[1:]) + 2 * slope)


# -- what else may be done to it ---------------------------------------------------------------


def test_captured_arrays_are_what_they_were():
    other = np.arange(3.0)
    other.flags.writeable = False
    seen = []

    def f(x):
        y = np.zeros(3)
        y[0] = x
        assert isinstance(U, np.ndarray) and np.asarray(U) is U and np.asanyarray(U) is U
        assert np.asarray(BOX["u"]) is BOX["u"] is np.array(U, copy=None) is U
        assert repr(U) == repr(np.array(U.tolist())) and str(U[:2]) == "[0.2  0.36]"
        assert U.shape == (6,) and U.dtype == float and len(U) == 6 and U.T.shape == (6,)
        assert M.flags.c_contiguous and not other.flags.writeable
        assert U[K[1]] == U[1] and x.shape == () and 0.2 in U
        if U[0] > 1 or U.max() > 2 or not (U > 0).all():
            y[1] = 5.0
        assert [float(v) for v in U] == U.tolist()
        np.testing.assert_allclose(U * 2, U + U)
        assert np.shares_memory(U[1:], U) and np.shares_memory(M.T, M) and U[2:].base is U
        assert type(U.sum()) is np.float64 and type(M.argmax()) is np.int64
        assert type(pickle.loads(pickle.dumps(U))) is np.ndarray
        assert np.linalg.norm(U) > 0 and np.dot(U, U) > 0 and U @ U > 0
        assert f"{U[0]:.1f}" == "0.2" and U.tobytes() == np.array(U.tolist()).tobytes()
        with pytest.raises(ValueError, match="read-only"):
            other[0] = 1.0
        with pytest.raises(AttributeError):
            U.note = 1  # type: ignore[attr-defined]
        if not seen:
            seen.append(U[2:])
        return np.sum(y[:3] * U[:3]) + y[0] * M[0, 0]

    g = jittape.grad(f)
    for _ in range(3):
        assert g(2.0) == U[0] + M[0, 0]
    assert all(type(v) is np.ndarray for v in seen)


def test_plain_writes_reach_the_array():
    state = np.zeros(3)

    def f(x):
        state[0] += 1.0
        state[1:] = [2.0, 3.0]
        np.add(state, 1.0, out=state)
        state.fill(state[0])
        y = state.copy()
        y[1] = x
        return np.sum(y * x)

    f(2.0)
    want = state.copy()
    state[:] = 0.0
    with pytest.warns(jittape.errors.ImpureFunctionWarning, match="changes what it reads"):
        g = jittape.value_and_grad(f)
        assert g(2.0)[0] == pytest.approx(2 * (2 * want[0] + 2.0))
        assert np.array_equal(state, want)
        g(2.0)
        assert state[0] == 2 * want[0]


@pytest.mark.parametrize(
    "write",
    [
        lambda x: U.__setitem__(0, x),
        lambda x: U[1:].__setitem__(slice(None), x),
        lambda x: U.reshape(2, 3)[0].__setitem__(0, x),
        lambda x: U.put([0], [x]),
        lambda x: np.add(U, x, out=U),
        lambda x: np.copyto(U, x),
        lambda x: np.add.at(U, [0], x),
        lambda x: BOX["list"][1][0].fill(x),
        lambda x: np.fill_diagonal(M, x),
        lambda x: np.asarray(U).__setitem__(0, x),
        lambda x: np.atleast_2d(U).__setitem__((0, 0), x),
        lambda x: np.lib.stride_tricks.as_strided(U, (3,), (16,)).__setitem__(0, x),
    ],
)
def test_the_users_array_is_never_changed(write):
    def f(x):
        write(x)
        return x

    with pytest.raises(TraceError, match=r"test_captured_writes\.py:\d+: .* outside of the traced"):
        jittape.grad(f)(2.0)


def test_an_array_left_behind_by_an_earlier_trace_is_the_users():
    kept = {}

    def f(x):
        if "b" not in kept:
            kept["b"] = np.zeros(3)
            return x
        u = kept["b"].copy()
        u[0] = x * x
        if x > 5.0:
            kept["b"][0] = x
        return np.sum(u)

    g = jittape.grad(f)
    assert [g(x) for x in (1.0, 2.0, 3.0, 4.0)] == [1.0, 4.0, 6.0, 8.0]
    with pytest.raises(TraceError, match="outside of the traced function"):
        g(6.0)
    assert kept["b"].tolist() == [0.0, 0.0, 0.0]
    assert g(4.0) == 8.0


class Series:
    """What hands out its memory, as a pandas.Series does."""

    def __init__(self):
        self.data = np.ones(3)

    def __array__(self, dtype=None, copy=None):
        return self.data


def test_memory_of_other_objects():
    import array

    numbers, series = array.array("d", [1.0, 2.0, 3.0]), Series()
    for held in (numbers, series):

        def f(x, held=held):
            u = np.asarray(held).copy()
            u[0] = x * x
            return np.sum(u) + np.array(held)[1]

        def g(x, held=held):
            u = np.asarray(held)
            u[0] = x
            return np.sum(u)

        assert jittape.grad(f)(3.0) == 6.0
        with pytest.raises(TraceError):
            jittape.grad(g)(3.0)
    assert numbers.tolist() == [1.0, 2.0, 3.0] and series.data.tolist() == [1.0, 1.0, 1.0]


def test_an_error_leaves_all_as_it_was():
    kept = []

    def f(x):
        u = U.copy()
        u[0] = x
        kept.append(U[1:])
        raise KeyError("no")

    for _ in range(2):
        with pytest.raises(KeyError):
            jittape.grad(f)(1.0)
    assert type(U) is np.ndarray and all(type(v) is np.ndarray for v in kept)


def test_other_threads_see_plain_arrays():
    inside, done = threading.Event(), threading.Event()
    found = []

    def f(x):
        u = U.copy()
        u[0] = x * x
        inside.set()
        assert done.wait(20)
        return np.sum(u)

    def look():
        assert inside.wait(20)
        try:
            made = [U.copy(), U[1:], U * 2, U + M[0, 0], U.reshape(2, 3), np.sin(U), U[[1, 2]]]
            made += [np.sort(U), np.concatenate([U, U]), U.astype(int), M @ M, U.sum(keepdims=True)]
            out = np.zeros(6)
            np.multiply(U, 2.0, out=out)
            found.extend([type(a) for a in made])
            found.append(jittape.grad(lambda x: np.sum(x * U))(U) is not None)
        finally:
            done.set()

    other = threading.Thread(target=look)
    other.start()
    assert jittape.grad(f)(3.0) == 6.0
    other.join()
    assert found == [np.ndarray] * 12 + [True]


def test_two_traces_of_one_array():
    barrier = threading.Barrier(2, timeout=20)
    found = []

    def make(k):
        def f(x):
            u = U * k
            barrier.wait()
            u[0] = x**2
            if k == 2:
                barrier.wait()
            v = U.copy()
            v[0] = x * k
            return np.sum(u) + np.sum(v)

        def run():
            found.append(jittape.grad(f)(3.0))
            if k == 1:
                barrier.wait()

        return run

    threads = [threading.Thread(target=make(k)) for k in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(found) == [7.0, 8.0]


def test_memory_is_given_back():
    def f(x):
        total = 0.0
        for k in range(200):
            v = U[k % 3 :]
            u = v * 2
            u[0] = x
            total = total + u[0] * v[0]
        return total

    g = jittape.grad(f)
    g(1.0)
    g(1.0)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5):
        jittape.grad(lambda x: f(x))(1.0)
        gc.collect()
    assert len(gc.get_objects()) - before < 2000


def test_without_writes_nothing_is_exchanged():
    seen = []

    def f(x):
        seen.append(type(U))
        return np.sum(U * x)

    def g(x):
        seen.append(type(U))
        u = U.copy()
        u[0] = x
        return np.sum(u)

    jittape.grad(f)(2.0)
    jittape.grad(g)(2.0)
    assert seen == [np.ndarray, captured.Captured]
    assert captured.possible


def test_the_tape_does_not_grow():
    def f(x):
        y = np.zeros(6)
        for _ in range(10):
            y[:] = x * U + U[::-1] * x
        return np.sum(y @ y)

    def g(x):
        y = 0.0
        for _ in range(10):
            y = x * U + U[::-1] * x
        return np.sum(y @ y)

    consts = [len([c for c in jittape.trace(h)(1.0).consts if c.aval.ndim]) for h in (f, g)]
    assert consts[0] <= consts[1] + 1  # np.zeros
    assert all(type(c.value) is np.ndarray for c in jittape.trace(f)(1.0).consts)
