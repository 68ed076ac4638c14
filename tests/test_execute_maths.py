"""Own exp and tanh: within 4 ulp, and the same for any stride and length."""

import ctypes

import numpy as np
import pytest

from jittape.execute import choose, library
from jittape.execute.address import data_address

pytestmark = pytest.mark.skipif(
    choose.own_function(np.exp, "d->d") is None, reason="the CPU has no vector FMA"
)
LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
EDGES = np.array(
    [0.0, np.inf, np.nan, 5e-324, 2.3e-308, 1e-300, 709.78, 709.79, 745.13, 745.14, 746.0, 708.4,
     1e308, 20.0, 19.06, 22.0, 40.0, 0.3465, 0.3466, 0.17328, 0.17329]
)  # fmt: skip


def own(name, x, y):
    args = np.array([data_address(x), data_address(y)])
    dims, steps = np.array([x.size]), np.array([x.strides[0], y.strides[0]])
    LOOP(library.address(f"{name}_loop"))(
        data_address(args), data_address(dims), data_address(steps), 0
    )
    return y


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_own_functions_are_within_four_ulp(name):
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double that is longer")
    rng = np.random.default_rng(0)
    parts = [EDGES, -EDGES, rng.integers(-(2**63), 2**63 - 1, 300_001).view(np.float64)]
    parts += [rng.uniform(-s, s, 200_003) for s in (1e-320, 1e-9, 1e-2, 0.2, 0.5, 2, 20, 750)]
    for x in parts:
        y = own(name, x, np.empty(x.size))
        with np.errstate(all="ignore"):
            want = getattr(np, name)(x.astype(np.longdouble))
            near = want.astype(np.float64)
        special = ~np.isfinite(near) | ~np.isfinite(y)
        np.testing.assert_array_equal(y[special], near[special])
        ok = ~special
        np.testing.assert_array_equal(np.signbit(y[ok]), np.signbit(near[ok]))
        ulp = np.spacing(np.maximum(np.abs(near[ok]), np.finfo(np.float64).tiny))
        assert (np.abs(y[ok] - want[ok]) <= 3 * ulp).all()


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_own_functions_take_strides_and_any_length(name):
    x = np.random.default_rng(1).normal(size=64)
    whole = own(name, x, np.empty(64))
    for n in range(20):
        np.testing.assert_array_equal(own(name, x[:n], np.empty(n)), whole[:n])
        np.testing.assert_array_equal(own(name, x[: 3 * n : 3], np.empty(n)), whole[: 3 * n : 3])
        y = np.full(2 * n, 7.0)
        own(name, x[:n], y[::2])
        np.testing.assert_array_equal(y[::2], whole[:n])
        assert (y[1::2] == 7.0).all()
