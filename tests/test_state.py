"""What a function reads besides its arguments: every change is seen at the next call."""

import functools
import types

import numpy as np
import pytest
from sequences import replays

import jittape

scale = 2.0
offsets = [1.0, 2.0]
table = {"a": 3.0}


def helper(x):
    return x * scale


def deeper(x):
    return helper(x) + offsets[0]


@pytest.fixture
def rebind(monkeypatch):
    return lambda name, value: monkeypatch.setitem(globals(), name, value)


def test_rebound_globals(rebind):
    f = jittape.jit(lambda x: x * scale)
    assert replays(f, 3.0) == 6.0
    rebind("scale", 5.0)
    assert replays(f, 3.0) == 15.0
    rebind("scale", 2.0)
    assert replays(f, 3.0) == 6.0


def test_equal_but_not_identical_globals_need_no_trace(rebind):
    f = jittape.jit(lambda x: x * scale)
    replays(f, 3.0)
    traces = f.cache_info().traces
    rebind("scale", float("2.0"))
    assert replays(f, 3.0) == 6.0
    assert f.cache_info().traces == traces


@pytest.mark.parametrize("value", [2, True, np.float32(2.0), np.float64(2.0), -0.0, 0.0])
def test_values_of_another_type_or_sign_are_another_state(rebind, value):
    def fun(x):
        return x * scale, isinstance(scale, int), scale * (x + x)

    f = jittape.jit(fun)
    for v in (0.0, 2.0, value, -0.0, value, 1, True):
        rebind("scale", v)
        for _ in range(3):
            got = f(np.float32(3.0))
            want = fun(np.float32(3.0))
            assert got[1] is want[1]
            for a, b in zip(got[::2], want[::2], strict=True):
                assert a.dtype == np.asarray(b).dtype and a.tobytes() == np.asarray(b).tobytes()


def test_globals_of_helpers_and_their_helpers(rebind):
    f = jittape.jit(deeper)
    assert replays(f, 1.0) == 3.0
    rebind("scale", 10.0)
    assert replays(f, 1.0) == 11.0
    rebind("helper", lambda x: -x)
    assert replays(f, 1.0) == 0.0


def test_builtins_hidden_by_a_new_global(monkeypatch):
    f = jittape.jit(lambda x: x * abs(-2.0))
    assert replays(f, 1.0) == 2.0
    monkeypatch.setitem(globals(), "abs", lambda x: 7.0)
    assert replays(f, 1.0) == 7.0


def test_closure_cells():
    k = 2.0

    def fun(x):
        return x * k

    f = jittape.jit(fun)
    assert replays(f, 1.0) == 2.0
    k = 3.0
    assert replays(f, 1.0) == 3.0
    k = 2.0
    assert replays(f, 1.0) == 2.0


def test_closures_of_closures():
    weights = [1.0]

    def make():
        def inner(x):
            return x * weights[0]

        return lambda x: inner(x) + 1.0

    f = jittape.jit(make())
    assert replays(f, 1.0) == 2.0
    weights[0] = 5.0
    assert replays(f, 1.0) == 6.0


def test_lambdas_in_a_loop():
    made = [jittape.grad(lambda x: x * k) for k in range(5)]  # noqa: B023
    assert [float(g(1.0)) for g in made] == [4.0] * 5  # as Python has it
    made = [jittape.grad(lambda x, k=k: x * k) for k in range(5)]
    for _ in range(3):
        assert [float(g(1.0)) for g in made] == [0.0, 1.0, 2.0, 3.0, 4.0]
    for k in range(5):
        for _ in range(3):
            assert jittape.grad(lambda x: x * k)(1.0) == k  # noqa: B023


def test_defaults():
    def fun(x, k=2.0, *, m=1.0):
        return x * k + m

    f = jittape.jit(fun)
    assert replays(f, 1.0) == 3.0
    fun.__defaults__ = (5.0,)
    assert replays(f, 1.0) == 6.0
    fun.__kwdefaults__["m"] = 2.0
    assert replays(f, 1.0) == 7.0


def test_redefined_code():
    def fun(x):
        return x * 2.0

    def other(x):
        return x * 9.0

    f = jittape.jit(fun)
    assert replays(f, 1.0) == 2.0
    fun.__code__ = other.__code__
    assert replays(f, 1.0) == 9.0


class Model:
    shared = 1.0

    def __init__(self, w):
        self.w = w
        self.inner = types.SimpleNamespace(b=1.0)
        self.layers = [0.5]

    @property
    def doubled(self):
        return 2 * self.hidden

    hidden = 1.0

    def gain(self):
        return self.w

    def loss(self, x):
        return x * self.gain() + self.inner.b * self.shared + self.layers[0] + self.doubled

    @functools.partial(jittape.grad, argnums=1)
    def slope(self, x):
        return self.loss(x) * x


def test_attributes_of_self_and_of_what_it_holds():
    m = Model(3.0)
    f = jittape.jit(m.loss)
    assert replays(f, 1.0) == m.loss(1.0) == 6.5
    for change in (
        lambda: setattr(m, "w", 4.0),
        lambda: setattr(m.inner, "b", 2.0),
        lambda: setattr(m, "inner", types.SimpleNamespace(b=7.0)),
        lambda: setattr(m, "shared", 3.0),
        lambda: m.layers.__setitem__(0, 9.0),
        lambda: setattr(m, "hidden", 4.0),
        lambda: setattr(m, "gain", lambda: 100.0),
        lambda: m.__dict__.update(w=8.0, layers=[1.0]),
    ):
        change()
        assert replays(f, 1.0) == m.loss(1.0)


def test_attributes_of_the_class(monkeypatch):
    m = Model(3.0)
    f = jittape.jit(m.loss)
    assert replays(f, 1.0) == m.loss(1.0)
    monkeypatch.setattr(Model, "shared", 5.0)
    assert replays(f, 1.0) == m.loss(1.0)
    monkeypatch.setattr(Model, "gain", lambda self: 50.0)
    assert replays(f, 1.0) == m.loss(1.0)
    monkeypatch.setattr(Model, "doubled", property(lambda self: 11.0))
    assert replays(f, 1.0) == m.loss(1.0)


def test_decorated_methods_see_their_own_instance():
    a, b = Model(1.0), Model(2.0)
    for _ in range(3):
        for m in (a, b, a):
            assert m.slope(2.0) == 2 * m.w * 2.0 + m.loss(0.0)
        a.w += 1.0


def test_subclasses_that_override():
    class Base:
        def part(self, x):
            return x

        def loss(self, x):
            return self.part(x) * 2.0

    class Sub(Base):
        pass

    s = Sub()
    f = jittape.jit(s.loss)
    assert replays(f, 1.0) == 2.0
    Sub.part = lambda self, x: x * 10.0
    assert replays(f, 1.0) == 20.0


def test_slots():
    class Slotted:
        __slots__ = ("k",)

        def __call__(self, x):
            return x * self.k

    s = Slotted()
    s.k = 2.0
    f = jittape.jit(s)
    assert replays(f, 1.0) == 2.0
    s.k = 3.0
    assert replays(f, 1.0) == 3.0


def test_missing_attributes_that_appear():
    holder = types.SimpleNamespace()

    def fun(x):
        return x * getattr(holder, "factor", 1.0) + (5.0 if hasattr(holder, "extra") else 0.0)

    f = jittape.jit(fun)
    assert replays(f, 1.0) == 1.0
    holder.factor = 4.0
    assert replays(f, 1.0) == 4.0
    holder.extra = None
    assert replays(f, 1.0) == 9.0


def test_static_arguments_and_what_they_hold():
    @jittape.jit
    def f(x, model, mode):
        return model.loss(x) if mode == "loss" else x * model.w

    m = Model(2.0)
    for _ in range(3):
        assert f(1.0, m, "loss") == m.loss(1.0)
        assert f(1.0, m, "w") == 2.0
    m.w = 5.0
    for _ in range(3):
        assert f(1.0, m, "loss") == m.loss(1.0)
        assert f(1.0, m, "w") == 5.0


def test_functions_as_arguments():
    k = 2.0

    def times(x):
        return x * k

    @jittape.jit
    def f(x, activation):
        return activation(x)

    for _ in range(3):
        assert f(1.0, times) == 2.0
        assert f(1.0, np.exp) == np.exp(1.0)
    k = 3.0
    assert f(1.0, times) == 3.0


def test_partials_bound_methods_and_callables():
    def fun(a, x):
        return a[0] * x

    a = [2.0]
    f = jittape.jit(functools.partial(fun, a))
    assert replays(f, 1.0) == 2.0
    a[0] = 3.0
    assert replays(f, 1.0) == 3.0
    p = functools.partial(fun, x=1.0)
    g = jittape.jit(lambda y: p([y]))
    assert replays(g, 4.0) == 4.0
    p.keywords["x"] = 2.0
    assert replays(g, 4.0) == 8.0


def test_contents_of_containers(rebind):
    f = jittape.jit(lambda x: x * sum(offsets) + table["a"] + len(table))
    assert replays(f, 1.0) == 7.0
    offsets.append(10.0)
    try:
        assert replays(f, 1.0) == 17.0
        table["a"] = 4.0
        assert replays(f, 1.0) == 18.0
        table["b"] = 0.0
        assert replays(f, 1.0) == 19.0
    finally:
        del offsets[2:], table["b"]
        table["a"] = 3.0
    assert replays(f, 1.0) == 7.0


def test_nested_containers():
    tree = {"layers": [{"w": [1.0, 2.0]}, (3.0, [4.0])], "names": {"x"}}

    def fun(x):
        first, second = tree["layers"]
        return x * first["w"][1] + second[1][0] + len(tree["names"])

    f = jittape.jit(fun)
    assert replays(f, 1.0) == 7.0
    tree["layers"][0]["w"][1] = 5.0
    assert replays(f, 1.0) == 10.0
    tree["layers"][1][1][0] = 0.0
    assert replays(f, 1.0) == 6.0
    tree["names"].add("y")
    assert replays(f, 1.0) == 7.0


def test_modules():
    module = types.ModuleType("some_user_module")
    exec("k = 2.0\ndef twice(x):\n    return x * k\n", module.__dict__)
    f = jittape.jit(lambda x: module.twice(x))
    assert replays(f, 1.0) == 2.0
    module.k = 3.0
    assert replays(f, 1.0) == 3.0
    module.twice = lambda x: x * 50.0
    assert replays(f, 1.0) == 50.0


def test_numba_functions_and_vectorize_are_looked_into(rebind):
    @np.vectorize
    def part(x):
        return x * scale

    f = jittape.jit(lambda x: x * float(part(1.0)))
    assert replays(f, 1.0) == 2.0
    rebind("scale", 4.0)
    assert replays(f, 1.0) == 4.0


def test_a_cache_filled_at_the_first_call_is_no_impurity():
    cache = {}

    def fun(x):
        if "k" not in cache:
            cache["k"] = 3.0
        return x * cache["k"]

    f = jittape.jit(fun)
    for _ in range(4):
        assert f(2.0) == 6.0
    assert f.cache_info().traces == 3  # filling, then twice unchanged
    cache["k"] = 4.0
    assert replays(f, 2.0) == 8.0


def test_toggles_keep_toggling():
    state = {"on": False}

    def fun(x):
        state["on"] = not state["on"]
        return x * (2.0 if state["on"] else 3.0)

    f = jittape.jit(fun)
    with pytest.warns(jittape.errors.ImpureFunctionWarning):
        assert [float(f(1.0)) for _ in range(6)] == [2.0, 3.0] * 3


def test_exceptions_handled_by_the_function_are_not_replayed():
    def fun(x):
        try:
            return np.linalg.inv(x)[0, 0]
        except np.linalg.LinAlgError:
            return x[0, 0] * 7.0

    f = jittape.jit(fun)
    singular, regular = np.ones((2, 2)), np.array([[2.0, 0.0], [0.0, 1.0]])
    for x in (singular, regular, regular, singular, regular, singular, singular, regular):
        assert float(f(x)) == pytest.approx(float(fun(x)))


def test_exceptions_leave_everything_usable():
    def fun(x):
        if x > 10:
            raise KeyboardInterrupt
        if x > 5:
            raise KeyError("too large")
        return x * x

    g = jittape.grad(fun)
    for _ in range(3):
        assert g(2.0) == 4.0
        with pytest.raises(KeyError):
            g(6.0)
        with pytest.raises(KeyboardInterrupt):
            g(11.0)
        with pytest.raises(TypeError):
            g("text")
    assert g(3.0) == 6.0
