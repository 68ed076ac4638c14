"""vjp and jvp called again and again: right as at first, and replayed where that is valid."""

import gc
import sys
import weakref

import numpy as np
import pytest
from oracle import numeric_jacobian

import jittape

scale = 2.0


def curve(x, y):
    z = np.tanh(x * y) * scale
    if np.sum(z) > 0:
        return z, np.sum(x) * y
    return np.sin(z), np.sum(y * x) * x


def transposed(fun, primals, cotangents):
    """What a pullback should give, by differences."""
    jac = numeric_jacobian(lambda *p: fun(*p), *primals)
    return [
        sum(
            np.tensordot(np.asarray(c), row[k], axes=np.ndim(c))
            for c, row in zip(cotangents, jac, strict=True)
        )
        for k in range(len(primals))
    ]


def test_an_optimisation_loop_traces_no_more_than_grad_does():
    """In a loop of vjp(f, x) the function is looked at, recorded, compared, then replayed."""
    rng = np.random.default_rng(0)
    runs = 0

    def count(frame, event, arg):
        nonlocal runs
        runs += event == "call" and frame.f_code is curve.__code__

    for _ in range(12):
        x, y = rng.normal(size=3), rng.normal(size=3)
        sys.setprofile(count)
        try:
            out, pullback = jittape.vjp(curve, x, y)
        finally:
            sys.setprofile(None)
        want = curve(x, y)
        for a, b in zip(out, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
        cotangents = rng.normal(size=3), rng.normal(size=3)
        expected = transposed(curve, (x, y), cotangents)
        for _ in range(3):  # again and again
            for a, b in zip(pullback(cotangents), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    assert runs <= 6  # two paths


def test_a_pullback_keeps_its_primals_and_what_was_captured():
    weights = np.array([2.0, 3.0])

    def fun(x):
        return x * x * weights

    for k in range(6):
        x = np.array([1.0, 2.0]) + k
        kept = x.copy(), weights.copy()
        out, pullback = jittape.vjp(fun, x)
        x[:] = 100.0
        weights += 1.0
        out[:] = -1.0
        for _ in range(2):
            (slope,) = pullback(np.ones(2))
            assert np.array_equal(slope, 2 * kept[0] * kept[1])
            slope[:] = 0.0
        assert np.array_equal(weights, kept[1] + 1.0)


def test_pullbacks_of_several_calls_are_independent():
    def fun(x):
        return np.sum(x**3) if x[0] > 0 else np.sum(x) * 5.0

    points = [np.array([s * k, 1.0]) for k in (1.0, 2.0, 3.0) for s in (1, -1)] * 2
    pullbacks = [jittape.vjp(fun, x)[1] for x in points]
    for x, pullback in reversed(list(zip(points, pullbacks, strict=True))):
        want = 3 * x**2 if x[0] > 0 else np.full(2, 5.0)
        np.testing.assert_allclose(pullback(1.0)[0], want, rtol=1e-14)


def test_state_is_seen(monkeypatch):
    def fun(x):
        return x * scale

    for k in range(8):
        monkeypatch.setitem(globals(), "scale", float(k // 3))
        out, pullback = jittape.vjp(fun, 3.0)
        assert out == 3.0 * (k // 3) and pullback(1.0) == (k // 3,)
        assert jittape.jvp(fun, (3.0,), (1.0,)) == (3.0 * (k // 3), k // 3)


def test_has_aux_containers_and_integers():
    def fun(p, n):
        y = p["w"] * n
        return {"y": y, "total": np.sum(y)}, ("text", y * 2.0, 7, np.array([1, 2]))

    for k in range(5):
        p = {"w": np.arange(3.0) + k}
        out, pullback, aux = jittape.vjp(fun, p, 2 + k, has_aux=True)
        assert set(out) == {"y", "total"}
        assert aux[0] == "text" and aux[2] == 7 and np.array_equal(aux[3], [1, 2])
        np.testing.assert_array_equal(aux[1], p["w"] * (2 + k) * 2.0)
        dp, dn = pullback({"y": np.ones(3), "total": 1.0})
        np.testing.assert_array_equal(dp["w"], np.full(3, 2.0 * (2 + k)))
        assert dn == 2 * np.sum(p["w"])
        with pytest.raises(TypeError, match="structure of fun's result"):
            pullback(1.0)
        with pytest.raises(ValueError, match="cotangent has shape"):
            pullback({"y": np.ones(2), "total": 1.0})
    for bad in (True, "text"):
        with pytest.raises(TypeError, match="argument 1 of fun"):
            jittape.vjp(fun, p, bad, has_aux=True)


def test_a_cached_pullback_is_differentiable():
    def fun(x):
        return np.sin(x) * x

    for k in range(5):
        x = np.array([0.3, 0.7]) + k
        _, pullback = jittape.vjp(fun, x)
        c = np.array([1.0, 2.0])
        slope = np.cos(x) * x + np.sin(x)
        np.testing.assert_allclose(
            jittape.jacobian(lambda c, p=pullback: p(c)[0])(c), np.diag(slope)
        )
        np.testing.assert_allclose(
            jittape.grad(lambda c, p=pullback: np.sum(p(c * c)[0]))(c), 2 * c * slope
        )


def test_a_vjp_inside_of_a_trace_follows_what_it_captured():
    weights = np.array([2.0, 3.0])

    def inner(x):
        return x * x * weights

    @jittape.grad
    def outer(x):
        y, pullback = jittape.vjp(inner, x)
        return np.sum(pullback(np.ones(2))[0] * y)

    for k in range(6):
        x = np.array([1.0, 2.0])
        weights[0] = k
        np.testing.assert_allclose(outer(x), 6 * weights**2 * x**2, rtol=1e-14)
        jittape.vjp(inner, x)


def test_an_array_written_to_between_value_and_pullback_inside_of_a_trace():
    def fun(x):
        w = np.array([2.0, 3.0])
        _, pullback = jittape.vjp(lambda v: v * v * w, x)
        w += 10.0
        return np.sum(pullback(np.ones(2))[0] * w)

    g = jittape.grad(fun)
    for k in range(5):
        np.testing.assert_allclose(g(np.array([1.0 + k, 2.0])), 2 * np.array([24.0, 39.0]))


def test_outer_tracers_are_never_cached():
    def inner(y):
        return y * y * held[0]

    held = [1.0]

    def outer(x):
        held[0] = x
        try:
            return jittape.vjp(inner, 3.0)[1](1.0)[0] + jittape.jvp(inner, (3.0,), (1.0,))[1]
        finally:
            held[0] = 1.0

    for k in range(5):
        assert jittape.grad(outer)(1.0 + k) == 12.0
        out, pullback = jittape.vjp(inner, 2.0)
        assert (out, *pullback(1.0)) == (4.0, 4.0)
        assert jittape.jvp(inner, (2.0,), (1.0,)) == (4.0, 4.0)


def test_lambdas_made_anew_are_not_held_alive():
    alive = []
    for k in range(5):
        batch = np.full(1000, float(k))
        alive.append(weakref.ref(batch))

        def fun(x, batch=batch):
            return np.sum(x * batch)

        out, pullback = jittape.vjp(fun, 2.0)
        assert (out, *pullback(1.0)) == (2000.0 * k, 1000.0 * k)
        assert jittape.jvp(fun, (2.0,), (1.0,))[1] == 1000.0 * k
        del batch, fun, pullback
    gc.collect()
    assert sum(r() is not None for r in alive) == 0


def test_bound_methods_are_recognised():
    class Model:
        def __init__(self, w):
            self.w = w
            self.runs = 0

        def loss(self, x):
            return x * x * self.w

    a, b = Model(2.0), Model(5.0)
    for k in range(6):
        for m in (a, b):
            m.w += 1.0 if k == 3 else 0.0
            out, pullback = jittape.vjp(m.loss, 3.0)
            assert (out, *pullback(1.0)) == (9.0 * m.w, 6.0 * m.w)


def test_impure_functions_run_once_per_call():
    rng = np.random.default_rng(3)
    same = np.random.default_rng(3)

    def fun(x):
        return x * rng.random()

    with pytest.warns(jittape.errors.ImpureFunctionWarning):
        for _ in range(6):
            out, pullback = jittape.vjp(fun, 2.0)
            k = same.random()
            assert (out, *pullback(1.0), *pullback(2.0)) == (2.0 * k, k, 2.0 * k)


def test_errors_of_a_derivative_are_raised_as_themselves():
    def fun(x):
        return np.linalg.qr(x)[1]

    for _ in range(4):
        _, pullback = jittape.vjp(fun, np.zeros((2, 2)))
        for _ in range(3):
            with pytest.raises(np.linalg.LinAlgError):
                pullback(np.ones((2, 2)))
