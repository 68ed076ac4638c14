"""Arguments in containers: the function sees what the caller passed, in order and kind."""

import dataclasses
import functools
from collections import OrderedDict
from typing import ClassVar

import numpy as np
import pytest

import jittape


@dataclasses.dataclass
class Layer:
    w: np.ndarray
    b: float
    kind: ClassVar[str] = "dense"
    n: int = dataclasses.field(init=False)
    norm: float = dataclasses.field(init=False)
    scale: dataclasses.InitVar[float] = 1.0

    def __post_init__(self, scale):
        self.w = np.asarray(self.w) * scale
        self.n = len(self.w)
        self.norm = float(np.sum(self.w**2))

    @functools.cached_property
    def doubled(self):
        return self.w * 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: float
    more: dict


def loss(p, x):
    total = np.sum(p.w * x) * p.b + p.norm * 3.0
    for k in range(p.n):
        total = total + p.w[k] ** 2 * k
    return total * getattr(p, "gain", 1.0) if p.kind == "dense" else total


def test_dataclasses_keep_all_their_attributes():
    g = jittape.value_and_grad(loss)
    x = np.array([1.0, 2.0, 3.0])
    for k in range(6):
        p = Layer(np.arange(3.0) + k, 2.0 + k, scale=2.0)
        if k > 2:
            p.gain = 0.5 + k
        p.w[0] = 7.0  # the norm is what it was
        value, slope = g(p, x)
        gain = getattr(p, "gain", 1.0)
        assert value == pytest.approx(loss(p, x), rel=1e-14)
        np.testing.assert_allclose(slope.w, (x * p.b + 2 * p.w * np.arange(3)) * gain, rtol=1e-14)
        assert slope.b == pytest.approx(np.sum(p.w * x) * gain, rel=1e-14)
        assert slope.norm == pytest.approx(3.0 * gain) and slope.n == 3
        assert jittape.jit(loss)(p, x) == pytest.approx(loss(p, x), rel=1e-14)


def test_attributes_that_are_no_numbers_are_part_of_the_key():
    f = jittape.jit(lambda p: p.b * (2.0 if p.mode == "double" else 3.0) * p.n)
    p = Layer(np.ones(2), 1.5)
    for _ in range(3):
        for p.mode, p.n, want in (("double", 2, 6.0), ("triple", 2, 9.0), ("triple", 4, 18.0)):
            assert f(p) == want


def test_frozen_dataclasses_with_slots():
    g = jittape.grad(lambda p: p.a * p.more["k"] + p.more["j"] ** 2)
    for k in range(4):
        slope = g(Frozen(1.0 + k, {"k": 2.0, "j": 3.0}))
        assert slope == Frozen(2.0, {"k": 1.0 + k, "j": 6.0})


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_dicts_keep_their_order(kind):
    def first(d):
        return list(d.values())[0] * 3.0 + sum(k * v for k, v in enumerate(d.values()))

    g, f = jittape.value_and_grad(first), jittape.jit(first)
    orders = [kind(b=1.0, a=2.0, c=5.0), kind(a=2.0, b=1.0, c=5.0), kind(c=5.0, b=1.0, a=2.0)]
    for _ in range(3):
        for d in orders:
            value, slope = g(d)
            assert value == f(d) == first(d)
            want = dict(zip(d, [3.0, 1.0, 2.0], strict=True))
            assert slope == want and list(slope) == list(d) and type(slope) is kind


def test_keywords_keep_their_order():
    def first(x, **more):
        return list(more.values())[0] * x

    f = jittape.grad(first)
    for _ in range(3):
        assert f(1.0, b=5.0, a=2.0) == 5.0
        assert f(1.0, a=2.0, b=5.0) == 2.0


def test_results_keep_their_order():
    f = jittape.jit(lambda x: {"z": x, "a": x * 2.0, "m": {"y": x, "b": "text"}})
    for _ in range(3):
        got = f(1.0)
        assert list(got) == ["z", "a", "m"] and list(got["m"]) == ["y", "b"]


def test_cotangents_and_tangents_may_be_in_another_order():
    def fun(d):
        return {"u": d["a"] * 2.0, "t": d["b"] * 3.0}

    for _ in range(4):
        out, pullback = jittape.vjp(fun, {"b": 1.0, "a": 2.0})
        assert out == {"u": 4.0, "t": 3.0}
        assert pullback({"t": 1.0, "u": 10.0})[0] == {"a": 20.0, "b": 3.0}
        _, moved = jittape.jvp(fun, ({"b": 1.0, "a": 2.0},), ({"a": 1.0, "b": 10.0},))
        assert moved == {"u": 2.0, "t": 30.0}


def test_numbers_have_no_length():
    def fun(x):
        parts = [hasattr(v, "__len__") for v in (x, x[0], x.sum(), x * 2)]
        parts += [np.iterable(v) for v in (x, x[0], x.sum())]
        assert parts == [True, False, False, True, True, False, False]
        with pytest.raises(TypeError):
            len(x[0])
        with pytest.raises(TypeError):
            iter(x.sum())
        with pytest.raises(TypeError):
            a, b = x[0]
        return sum(x) * len(x)

    for _ in range(3):
        np.testing.assert_array_equal(jittape.grad(fun)(np.ones(3)), np.full(3, 3.0))


class Note:
    def __init__(self, owner):
        self.owner, self.tags = owner, {"new"}


def test_objects_in_results_are_fresh_like_the_arrays():
    class Model:
        kept = Note(None)

        def run(self, x):
            note = Note(self)
            return {"value": x * 2.0, "note": note, "set": {1, 2}, "kept": self.kept, "self": self}

    model = Model()
    f = jittape.jit(model.run)
    seen = []
    for k in range(5):
        got = f(float(k))
        assert got["value"] == 2.0 * k
        assert got["note"].tags == {"new"} and got["set"] == {1, 2}
        assert got["note"].owner is model is got["self"] and got["kept"] is Model.kept
        got["note"].tags.add("changed")
        got["note"].owner = None
        got["set"].clear()
        seen.append(got["note"])
    assert len(set(map(id, seen))) == 5
    assert f.cache_info().hits >= 2


def test_results_that_cannot_be_copied_are_made_by_each_call():
    f = jittape.jit(lambda x: (x * 2.0, iter([1, 2, 3])))
    for k in range(4):
        value, rest = f(float(k))
        assert value == 2.0 * k and list(rest) == [1, 2, 3]
