"""The cache itself: keys, bounds, cache_info, debugging modes, pickling."""

import copy
import dataclasses
import enum
import io
import pickle
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import jittape
from jittape.config import Config


@jittape.grad
def decorated(x):
    return np.sum(x * x * x)


def cube(x, k=1.0):
    return np.sum(x * x * x) * k


class Holder:
    @staticmethod
    @jittape.grad
    def inside(x):
        return x * x


# -- keys ------------------------------------------------------------------------------------


class Color(enum.Enum):
    RED = 2.0
    BLUE = 3.0


class Unhashable:
    __hash__ = None

    def __init__(self, k):
        self.k = k

    def __eq__(self, other):
        return True


@pytest.mark.parametrize(
    ("fun", "arguments"),
    [
        (lambda x, n: x**n, [1, 2, 3, True]),
        (lambda x, n: x * n / 2, [1, True, 1.0, np.int64(1), np.float32(1)]),
        (lambda x, s: x if s == "id" else -x, ["id", "neg", b"id"]),
        (lambda x, c: x * c.value, [Color.RED, Color.BLUE]),
        (lambda x, u: x * u.k, [Unhashable(1.0), Unhashable(2.0)]),
        (lambda x, f: x * float(f), [Fraction(1, 2), Fraction(1, 3), Decimal("0.5")]),
        (lambda x, r: x * sum(r), [range(3), range(4), [1, 2], (1, 2), {1, 2}, frozenset({4})]),
        (lambda x, d: x * d["a"] - d.get("b", 0), [{"a": 1}, {"a": 2}, {"a": 1, "b": 5}]),
        (lambda x, d: x * np.dtype(d).itemsize, [np.dtype("f4"), np.float64, "f8", float]),
        (lambda x, n: x if n is None else x * 2, [None, ..., 0, 0.0]),
        (lambda x, a: np.sum(a[slice(0, 2)] * x), [np.ones(3), np.ones(3, int), np.ones(3, "f4")]),
        (lambda x, s: np.sum(np.arange(5.0)[s] * x), [slice(2), slice(1, 4), slice(None, None, 2)]),
    ],
)
def test_everything_that_is_no_input_is_part_of_the_key(fun, arguments):
    f = jittape.jit(fun)
    g = jittape.grad(fun)
    for _ in range(3):
        for a in [*arguments, *arguments[::-1]]:
            want = fun(1.5, a)
            got = f(1.5, a)
            assert np.asarray(got).dtype == np.asarray(want).dtype
            assert float(got) == pytest.approx(float(want), rel=1e-15)
            step = (fun(1.5 + 2**-10, a) - fun(1.5 - 2**-10, a)) * 2**9
            assert float(g(1.5, a)) == pytest.approx(float(step), rel=1e-5)


def test_keywords_defaults_and_variable_arguments():
    def fun(x, *more, scale=2.0, power=1, **rest):
        return x**power * scale + sum(more) + rest.get("shift", 0.0)

    f = jittape.jit(fun)
    calls = [
        ((3.0,), {}),
        ((3.0,), {"scale": 4.0}),
        ((3.0, 1.0, 2.0), {"power": 2}),
        ((3.0, 1.0), {"shift": 5.0, "power": 3}),
        ((3.0,), {"power": 2, "scale": 0.5}),
        ((3.0,), {"scale": 0.5, "power": 2}),
    ]
    for _ in range(3):
        for args, kwargs in calls:
            assert float(f(*args, **kwargs)) == fun(*args, **kwargs)


def test_integers_in_a_differentiated_position_become_float64():
    g = jittape.grad(lambda x, n: x * x * n)
    for x in (2, 3, np.int32(2), np.array(5), 2.0, 3):
        value = g(x, 3)
        assert value == 6.0 * float(x) and value.dtype == np.float64
    assert g.cache_info().tapes <= 4  # Python ints are inputs: 2 and 3 have one tape
    for bad in (True, "2", None, np.array([True]), object()):
        with pytest.raises(TypeError, match="argument 0"):
            g(bad, 3)


@dataclasses.dataclass
class Parameters:
    w: np.ndarray
    b: float
    name: str = "p"


def test_containers_of_arguments_and_results():
    @jittape.grad
    def g(p, q):
        return np.sum(p.w * q["a"][0]) * p.b + q["a"][1]

    for k in range(4):
        p = {"w": np.arange(3.0) + k, "b": 2.0 + k}
        q = {"a": [np.ones(3), 1.0]}
        d = jittape.grad(lambda p, q: np.sum(p["w"] * q["a"][0]) * p["b"])(p, q)
        assert np.array_equal(d["w"], np.full(3, p["b"])) and d["b"] == np.sum(p["w"])


def test_results_that_are_no_arrays_pass_through():
    @jittape.jit
    def f(x):
        return {"value": x * 2.0, "name": "n", "count": 3, "none": None, "flag": True, "k": 1.5}

    for k in range(4):
        got = f(float(k))
        assert got == {"value": 2.0 * k, "name": "n", "count": 3, "none": None, "flag": True,
                       "k": 1.5}  # fmt: skip


def test_masked_arrays_and_matrices_are_refused():
    f = jittape.grad(lambda x: np.sum(x))
    with pytest.raises(TypeError, match="MaskedArray"):
        f(np.ma.masked_array([1.0, 2.0], [True, False]))


# -- bounds and cache_info -------------------------------------------------------------------


def test_tapes_of_a_key_are_bounded():
    g = jittape.grad(lambda x: x * float(int(x)))
    with jittape.config.override(max_tapes=4, max_retraces=1000):
        for _ in range(3):
            for k in range(10):
                assert g(float(k)) == k
    assert g.cache_info().tapes == 4


def test_keys_are_bounded():
    g = jittape.grad(lambda x, n: x * n)
    with jittape.config.override(max_keys=3, max_retraces=1000):
        for _ in range(3):
            for k in range(8):
                assert g(1.0, k) == k
    assert len(g.cache_info().keys) == 3


def test_the_warning_names_the_argument_that_keeps_changing():
    g = jittape.grad(lambda x, n: x * n)
    with jittape.config.override(max_retraces=4):
        with pytest.warns(jittape.errors.RetraceWarning, match="value of argument leaf 1"):
            for k in range(9):
                assert g(1.0, k) == k


def test_the_warning_names_the_state_that_keeps_changing():
    box = [0.0]
    g = jittape.grad(lambda x: x * box[0])
    with jittape.config.override(max_retraces=4):
        with pytest.warns(jittape.errors.RetraceWarning, match="closure variable 'box'"):
            for k in range(9):
                box[0] = float(k)
                assert g(1.0) == k


def test_cache_info_tells_tapes_guards_and_causes():
    @jittape.grad
    def g(x):
        return x * x if x > 0 else -x

    for x in (1.0, 1.0, -1.0, 2.0, -2.0):
        g(x)
    info = g.cache_info()
    assert (info.tapes, info.traces, info.hits >= 2) == (2, 3, True)
    (cause,) = info.retraces
    assert "test_cache.py" in cause
    text = str(info)
    assert "g: 2 tapes" in text and "the condition is True" in text and "test_cache.py" in text
    g.cache_clear()
    assert g.cache_info().tapes == g.cache_info().traces == 0
    assert g(1.0) == 2.0


def test_shapes_alternate_without_tracing():
    g = jittape.grad(lambda x: np.sum(x * x))
    for _ in range(3):
        for n in range(1, 9):
            assert np.array_equal(g(np.ones(n)), np.full(n, 2.0))
    traces = g.cache_info().traces
    for n in (3, 1, 8, 2, 2, 5):
        assert np.array_equal(g(np.ones(n)), np.full(n, 2.0))
    assert g.cache_info().traces == traces


# -- configuration and debugging modes -------------------------------------------------------


def test_config_reads_the_environment(monkeypatch):
    monkeypatch.setenv("JITTAPE_VERIFY", "1")
    monkeypatch.setenv("JITTAPE_MAX_TAPES", "7")
    made = Config()
    assert made.verify is True and made.max_tapes == 7 and not made.plain
    monkeypatch.setenv("JITTAPE_MAX_TAPES", "many")
    with pytest.raises(ValueError, match="JITTAPE_MAX_TAPES"):
        Config()


def test_config_refuses_unknown_names_and_types():
    with pytest.raises(AttributeError, match="no setting 'verfy'"):
        jittape.config.verfy = True
    for bad in (1, "yes", None):
        with pytest.raises(TypeError):
            jittape.config.verify = bad
    with pytest.raises(TypeError):
        jittape.config.max_tapes = True
    assert "verify" in repr(jittape.config)


def test_settings_reach_the_executor():
    from jittape.execute import choose, threads

    before = threads.get_num_threads(), choose.exact
    with jittape.config.override(threads=1, bit_exact=True):
        assert threads.get_num_threads() == 1 and choose.exact
        x = np.linspace(-3.0, 3.0, 1001)
        f = jittape.jit(lambda x: np.sin(x) * np.cos(x))
        for _ in range(3):
            assert f(x).tobytes() == (np.sin(x) * np.cos(x)).tobytes()
    assert (threads.get_num_threads(), choose.exact) == before


def test_verify_mode_raises_at_the_first_difference_with_its_line():
    hidden = io.StringIO("0" * 5 + "9" * 100)  # what a file reads, jittape cannot see

    def fun(x):
        return x * float(hidden.read(1) + "1")

    g = jittape.jit(fun)
    with jittape.config.override(verify=True):
        for _ in range(3):
            g(1.0)
        with pytest.raises(jittape.errors.ReplayMismatchError, match=r"test_cache.py:\d+"):
            for _ in range(10):
                g(1.0)


def test_verify_mode_passes_what_is_right():
    @jittape.value_and_grad
    def f(x):
        y = np.tanh(x) * 2.0
        return np.sum(y * y) if y[0] > 0 else np.sum(y)

    with jittape.config.override(verify=True):
        for k in range(6):
            x = np.linspace(-1.0, 1.0, 4) * (-1) ** k + 0.1
            value, slope = f(x)
            y = np.tanh(x) * 2.0
            assert value == pytest.approx(np.sum(y * y) if y[0] > 0 else np.sum(y), rel=1e-14)
            d = 2.0 * (1 - np.tanh(x) ** 2) * (2.0 * y if y[0] > 0 else 1.0)
            np.testing.assert_allclose(slope, d, rtol=1e-13)
    info = f.cache_info()
    assert info.hits >= 3 and info.traces == 6  # each replay was held against a trace


def test_nan_mode_names_op_and_line_in_the_value():
    def fun(x):
        y = x - 1.0
        z = np.log(y)  # here
        return np.sum(z * 2.0)

    line = fun.__code__.co_firstlineno + 2
    g = jittape.grad(fun)
    with jittape.config.override(debug_nans=True):
        assert np.all(np.isfinite(g(np.array([2.0, 3.0]))))
        for _ in range(3):
            with pytest.raises(jittape.errors.NonFiniteError, match=f"{line}: .*log.*the value"):
                g(np.array([2.0, 0.0]))
    assert np.isnan(jittape.jit(fun)(np.array([2.0, 0.0])))


def test_nan_mode_names_op_and_line_in_the_derivative():
    def fun(x):
        return np.sqrt(x)

    line = fun.__code__.co_firstlineno + 1
    with jittape.config.override(debug_nans=True):
        with pytest.raises(jittape.errors.NonFiniteError, match=f"{line}: .*derivative of this"):
            jittape.grad(fun)(0.0)


def test_nan_mode_looks_into_vjp_and_jvp():
    def fun(x):
        return np.sqrt(x) * 2.0

    line = fun.__code__.co_firstlineno + 1
    for _ in range(4):  # recorded, cached, replayed
        with jittape.config.override(debug_nans=True):
            _, pullback = jittape.vjp(fun, 0.0)
            for _ in range(2):
                with pytest.raises(jittape.errors.NonFiniteError, match=f"{line}: .*derivative of"):
                    pullback(1.0)
            with pytest.raises(jittape.errors.NonFiniteError, match=f"{line}: .*sqrt.*the value"):
                jittape.vjp(fun, -1.0)
            with pytest.raises(jittape.errors.NonFiniteError, match=f"{line}: "):
                jittape.jvp(fun, (0.0,), (1.0,))
        assert jittape.vjp(fun, 0.0)[1](1.0) == (np.inf,)


# -- pickling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        decorated,
        jittape.grad(cube),
        jittape.value_and_grad(cube, argnums=(0, 1)),
        jittape.jit(jittape.grad(cube)),
        jittape.jit(decorated),
        Holder.inside,
    ],
)
def test_pickling(f):
    args = (2.0, 3.0) if "value" in str(f.made_by[0]) else (2.0,)
    want = f(*args)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(f, protocol))
        assert str(again(*args)) == str(want)
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert copy.deepcopy(decorated) is decorated


def test_lambdas_do_not_pickle():
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(jittape.grad(lambda x: x))


JOBLIB = """
import numpy as np, jittape
from joblib import Parallel, delayed

@jittape.grad
def g(x):
    return np.sum(x ** 3)

if __name__ == "__main__":
    h = jittape.grad(lambda x: x * 5.0)
    xs = [np.full(2, float(k)) for k in range(6)]
    out = Parallel(n_jobs=2)(delayed(g)(x) for x in xs)
    assert all(np.allclose(a, 3 * x * x) for a, x in zip(out, xs)), out
    assert Parallel(n_jobs=2)(delayed(h)(1.0) for _ in range(3)) == [5.0] * 3
    print("right")
"""


def test_joblib_runs_what_main_decorates(tmp_path):
    pytest.importorskip("joblib")
    script = tmp_path / "script.py"
    script.write_text(JOBLIB)
    root = str(Path(jittape.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=240,
        env={**__import__("os").environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.returncode == 0 and "right" in done.stdout, done.stderr
