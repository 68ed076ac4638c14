"""State in less usual places: the function is called, the state changed, and called again."""

import abc
import argparse
import array
import collections
import contextvars
import enum
import functools
import operator
import os
import sys
import threading
import types
import weakref

import numpy as np
import pytest

import jittape

CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


def set_module(name, **names):
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(names)


@case
def modules_imported_inside_and_replaced():
    set_module("jittape_test_module", k=2.0)

    def fun(x):
        import jittape_test_module

        return x * jittape_test_module.k

    return fun, [
        lambda: setattr(sys.modules["jittape_test_module"], "k", 3.0),
        lambda: set_module("jittape_test_module", k=4.0),
    ]


@case
def attributes_of_classes_whose_module_is_no_text():
    class Gain:
        k = 2.0

        @property
        def __module__(self):
            return "made"

    holder = Gain()
    return lambda x: x * Gain.k * holder.k, [lambda: setattr(Gain, "k", 3.0)]


@case
def names_imported_inside():
    set_module("jittape_test_names", k=2.0)

    def fun(x):
        from jittape_test_names import k

        return x * k

    return fun, [lambda: setattr(sys.modules["jittape_test_names"], "k", 3.0)]


@case
def attributes_of_metaclasses():
    class Meta(type):
        k = 2.0

    class A(metaclass=Meta):
        pass

    return lambda x: x * A.k, [lambda: setattr(Meta, "k", 3.0), lambda: setattr(A, "k", 4.0)]


@case
def attributes_of_base_classes():
    class P:
        k = 2.0

    class Q:
        k = 5.0

    class A(P):
        pass

    return lambda x: x * A.k, [
        lambda: setattr(P, "k", 3.0),
        lambda: setattr(A, "__bases__", (Q,)),
        lambda: setattr(A, "k", 4.0),
    ]


@case
def the_class_of_an_object():
    class A:
        def f(self, x):
            return x * 2.0

    class B:
        def f(self, x):
            return x * 5.0

    a = A()
    return lambda x: a.f(x), [lambda: setattr(a, "__class__", B)]


@case
def properties_descriptors_and_super():
    class Value:
        k = 2.0

        def __get__(self, instance, owner=None):
            return self.k

    descriptor = Value()

    class A:
        v = descriptor
        _w = 1.0
        w = property(lambda self: self._w * 2)

        def f(self, x):
            return x * self.v + self.w

    class B(A):
        def f(self, x):
            return super().f(x) * 3.0

    b = B()
    return b.f, [
        lambda: setattr(descriptor, "k", 3.0),
        lambda: setattr(b, "_w", 4.0),
        lambda: setattr(A, "w", property(lambda self: 9.0)),
        lambda: setattr(A, "f", lambda self, x: x * 7.0),
    ]


@case
def attributes_by_computed_names():
    o = types.SimpleNamespace(k1=1.0, k2=2.0)

    def fun(x):
        return x * getattr(o, "k" + str(1)) + sum(getattr(o, f"k{i}", 0.0) for i in (2, 3))

    return fun, [
        lambda: setattr(o, "k1", 5.0),
        lambda: setattr(o, "k2", 6.0),
        lambda: setattr(o, "k3", 7.0),
    ]


@case
def all_attributes_together():
    class A:
        def __init__(self):
            self.k = 2.0
            self.parts = {"a": [1.0]}

    a = A()

    def fun(x):
        return x * sum(v for v in vars(a).values() if isinstance(v, float)) + len(a.__dict__)

    return fun, [lambda: setattr(a, "k", 3.0), lambda: setattr(a, "j", 4.0)]


@case
def globals_by_name():
    def put(v):
        globals()["given"] = v

    put(2.0)
    return lambda x: x * globals()["given"], [lambda: put(3.0)]


@case
def names_that_are_not_there_yet():
    globals().pop("appearing", None)

    def fun(x):
        try:
            return x * appearing
        except NameError:
            return x * 100.0

    return fun, [
        lambda: globals().update(appearing=2.0),
        lambda: globals().pop("appearing"),
        lambda: globals().update(appearing=3.0),
    ]


@case
def variables_without_a_value():
    def fun(x):
        try:
            return x * k
        except NameError:
            return x * 9.0

    def assign(v):
        nonlocal k
        k = v

    k = 0.0
    del k
    return fun, [lambda: assign(2.0), lambda: assign(3.0)]


@case
def getters_of_the_operator_module():
    o, rows = types.SimpleNamespace(a=types.SimpleNamespace(k=2.0)), [1.0]
    get, item = operator.attrgetter("a.k"), operator.itemgetter(0)
    return lambda x: x * get(o) + item(rows), [
        lambda: setattr(o.a, "k", 3.0),
        lambda: rows.__setitem__(0, 4.0),
    ]


@case
def partials_with_another_state():
    def f(a, x, k=1.0):
        return a * x * k

    p = functools.partial(f, 2.0)
    return lambda x: p(x), [
        lambda: p.keywords.update(k=3.0),
        lambda: p.__setstate__((f, (5.0,), {}, {})),
    ]


@case
def context_variables():
    v = contextvars.ContextVar("v", default=2.0)
    w = contextvars.ContextVar("w")
    w.set([1.0])
    return lambda x: x * v.get() + w.get()[0], [
        lambda: v.set(3.0),
        lambda: w.get().__setitem__(0, 4.0),
        lambda: w.set([5.0]),
    ]


@case
def environment_variables():
    os.environ["JITTAPE_TEST_FACTOR"] = "2.0"

    def fun(x):
        return x * float(os.environ["JITTAPE_TEST_FACTOR"]) + float(os.getenv("JITTAPE_TEST_K", 0))

    return fun, [
        lambda: os.environ.__setitem__("JITTAPE_TEST_FACTOR", "3.0"),
        lambda: os.environ.__setitem__("JITTAPE_TEST_K", "4.0"),
        lambda: os.environ.pop("JITTAPE_TEST_K"),
    ]


@case
def thread_locals():
    local = threading.local()
    local.k = 2.0
    return lambda x: x * local.k, [lambda: setattr(local, "k", 3.0)]


@case
def weak_references():
    class A:
        k = 2.0

    a = A()
    reference, proxy = weakref.ref(a), weakref.proxy(a)
    return lambda x: x * reference().k + proxy.k, [lambda: setattr(a, "k", 3.0)]


@case
def wrapped_dicts_and_lists():
    d, e = {"k": 2.0}, {}
    proxy, chain = types.MappingProxyType(d), collections.ChainMap(e, {"k": 1.0})
    own, rows = collections.UserDict(k=3.0), collections.UserList([4.0])

    def fun(x):
        return x * proxy["k"] + chain["k"] + own["k"] * x + rows[0]

    return fun, [
        lambda: d.update(k=5.0),
        lambda: e.update(k=6.0),
        lambda: own.update(k=7.0),
        lambda: rows.__setitem__(0, 8.0),
    ]


@case
def order_of_dicts():
    d, o = {"a": 1.0, "b": 2.0}, collections.OrderedDict(a=1.0, b=2.0)

    def fun(x):
        return x * next(k for k in list(d.values())) + [*o.values()][0] * x

    return fun, [lambda: d.update(a=d.pop("a")), lambda: o.move_to_end("a")]


@case
def counters_and_defaults():
    c, d = collections.Counter(a=2), collections.defaultdict(lambda: 3.0)
    return lambda x: x * c["a"] + d.get("q", 1.0), [lambda: c.update(a=1), lambda: d["q"]]


@case
def options():
    o = argparse.Namespace(k=2.0, mode="a")
    return lambda x: x * vars(o)["k"] if o.mode == "a" else -x * o.k, [
        lambda: setattr(o, "k", 3.0),
        lambda: setattr(o, "mode", "b"),
    ]


@case
def raw_memory():
    a, b = array.array("d", [2.0]), np.ones(3)
    m, text = memoryview(b), bytearray(b"\x02")
    return lambda x: x * a[0] + m[0] * x + text[0], [
        lambda: a.__setitem__(0, 3.0),
        lambda: b.__setitem__(0, 4.0),
        lambda: text.__setitem__(0, 5),
    ]


@case
def arrays_with_attributes():
    class Field(np.ndarray):
        pass

    f = np.arange(3.0).view(Field)
    f.unit = 2.0
    return lambda x: x * f.sum() * f.unit, [
        lambda: f.__setitem__(0, 5.0),
        lambda: setattr(f, "unit", 3.0),
    ]


@case
def arrays_of_every_kind():
    objects = np.array([1.0, [2.0]], dtype=object)
    records = np.zeros(2, dtype=[("k", float), ("j", int)])
    plain = np.arange(4.0)
    bits = plain.view(np.int64)

    def fun(x):
        own = objects[0] + objects[1][0] + records["k"][0] + records[1]["j"] + plain.ndim
        return x * own + np.sum(plain) * x

    return fun, [
        lambda: objects.__setitem__(0, 5.0),
        lambda: objects[1].__setitem__(0, 6.0),
        lambda: records["k"].__setitem__(0, 7.0),
        lambda: bits.__setitem__(1, np.float64(8.0).view(np.int64)),
        lambda: plain.resize((2, 2), refcheck=False),
    ]


@case
def classes_registered_later():
    class Abstract(abc.ABC):  # noqa: B024
        pass

    class A:
        pass

    a = A()
    return lambda x: x * 2.0 if isinstance(a, Abstract) else x * 3.0, [lambda: Abstract.register(A)]


@case
def functions_registered_later():
    @functools.singledispatch
    def factor(a):
        return 1.0

    return lambda x: x * factor([]), [lambda: factor.register(list)(lambda a: 5.0)]


@case
def enumerations():
    class E(enum.Enum):
        A = 1.0
        B = 2.0

    current = [E.A]
    return lambda x: x * current[0].value, [lambda: current.__setitem__(0, E.B)]


@case
def protocols():
    class A:
        def __init__(self):
            self.v = [1.0, 2.0]

        def __iter__(self):
            return iter(self.v)

        def __len__(self):
            return len(self.v)

        def __contains__(self, k):
            return k in self.v

        def __getitem__(self, i):
            return self.v[i]

        def __float__(self):
            return self.v[0]

        def __enter__(self):
            return self.v[0]

        def __exit__(self, *exc):
            pass

    a = A()

    def fun(x):
        with a as k:
            x = x * k
        return x * sum(a) + len(a) + (2.0 in a) * a[0] + float(a)

    return fun, [lambda: a.v.append(3.0), lambda: a.v.__setitem__(0, 4.0)]


@case
def structures_that_hold_themselves():
    a, d = [1.0], {"k": 2.0}
    a.append(a)
    d["self"] = d
    return lambda x: x * a[1][1][0] + d["self"]["self"]["k"], [
        lambda: a.__setitem__(0, 4.0),
        lambda: d.update(k=3.0),
    ]


@case
def linked_lists():
    class Node:
        def __init__(self, v, following=None):
            self.v, self.following = v, following

    first = Node(1.0, Node(2.0, Node(3.0)))

    def fun(x):
        total, node = 0.0, first
        while node is not None:
            total, node = total + node.v * x, node.following
        return total

    return fun, [
        lambda: setattr(first.following.following, "v", 7.0),
        lambda: setattr(first.following.following, "following", Node(1.0)),
    ]


@case
def what_inner_transforms_read():
    k = [2.0]
    slope, value = jittape.grad(lambda y: y * y * k[0]), jittape.jit(lambda y: y * k[0])
    return lambda x: slope(x) * x + value(2.0) * x, [lambda: k.__setitem__(0, 5.0)]


@case
def attributes_of_decorated_functions():
    @jittape.jit
    def decorated(x):
        return x * decorated.k + decorated.options["k"]

    @np.vectorize
    def element(x):
        return x * element.k

    @functools.lru_cache
    def kept(n):
        return n

    part = functools.partial(lambda x: x * part.k)
    decorated.k, decorated.options, element.k, kept.k, part.k = 2.0, {"k": 1.0}, 3.0, 4.0, 5.0

    def fun(x):
        return decorated(x) + float(element(2.0)) * x + kept.k * x + part(x)

    return fun, [
        lambda: setattr(decorated, "k", 6.0),
        lambda: decorated.options.update(k=7.0),
        lambda: setattr(element, "k", 8.0),
        lambda: setattr(kept, "k", 9.0),
        lambda: setattr(part, "k", 10.0),
    ]


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_every_change_is_seen(make):
    fun, changes = make()
    cached, value = jittape.value_and_grad(fun), jittape.jit(fun)
    for change in [lambda: None, *changes]:
        change()
        for x in (1.25, 0.5, -0.75) * 2:
            want, slope = fun(x), (fun(x + 2**-9) - fun(x - 2**-9)) * 2**8
            got, gradient = cached(x)
            assert value(x) == pytest.approx(want, rel=1e-13)
            assert got == pytest.approx(want, rel=1e-13)
            assert gradient == pytest.approx(slope, rel=1e-4)
            assert gradient == jittape.grad(fun)(x)
    traces = cached.cache_info().traces
    for x in (1.25, 0.5, -0.75):
        cached(x)
    assert cached.cache_info().traces == traces  # nothing has changed


def test_attributes_of_a_function_never_hide_the_transforms_own():
    def fun(x):
        return x * fun.answer + fun.tapes

    fun.answer, fun.tapes, fun.note = 2.0, 1.0, "kept"
    g = jittape.grad(fun)
    for _ in range(4):
        assert g(1.0) == 2.0
    assert g.note == "kept" and g.cache_info().tapes == 1
