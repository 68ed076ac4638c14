"""A user's own @njit functions on traced values."""

import math
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import njit, prange
from oracle import check

import jittape

X = np.array([0.5, -1.5, 2.0])


@njit
def scaled(a, b):
    return a * math.sin(b)


@njit(parallel=True)
def swept(x):
    y = np.zeros(x.shape[0])
    for i in prange(x.shape[0]):
        y[i] = scaled(x[i], x[i - 1])
        if y[i] < 0:
            y[i] *= 2.0
    return y


@njit("float64(float64)")
def declared(x):
    return x**3


@njit
def relaxed(u, steps):
    u = u.copy()
    for _ in range(steps):
        for i in range(1, len(u) - 1):
            u[i] = 0.5 * (u[i - 1] + u[i + 1])
    return u


def test_loops_and_inner_calls():
    check(swept, X)
    check(lambda x: relaxed(x, 3), np.array([0.0, 1.0, -1.0, 2.0, 0.5]))


def test_declared_signatures():
    assert jittape.grad(declared)(2.0) == 12.0
    assert jittape.grad(lambda x: declared(x=x) * x)(2.0) == 32.0


def test_concrete_calls_stay_compiled():
    kinds = []

    @njit
    def fill(a):
        for i in range(a.size):
            a[i] = i
        return a.sum()

    def f(x):
        table = np.zeros(3)
        assert fill(table) == 3.0
        kinds.append(len(fill.signatures))
        table[0] = x[0]
        return np.sum(table * x)

    assert jittape.grad(f)(X).tolist() == [1.0, 1.0, 2.0]
    assert kinds[0] == 1
    assert fill(np.zeros(4)) == 6.0


def test_compiling_while_a_trace_is_open():
    @njit
    def makes(n):
        a = np.zeros(n)
        a[:] = np.arange(n) * math.sqrt(4.0)
        return a

    check(lambda x: makes(3) * x, X, order=1)


def test_calls_outside_of_traces_are_numbas():
    dispatcher = type(scaled)
    before = dispatcher.__call__
    jittape.grad(lambda x: scaled(x, 2.0))(1.0)
    assert dispatcher.__call__ is before
    assert "__call__" not in vars(dispatcher)
    assert scaled(2.0, 0.5) == pytest.approx(2 * math.sin(0.5))
    assert numba.typeof(scaled(2.0, 0.5)) == numba.float64


def test_numba_is_not_imported_for_it():
    code = (
        "import sys, numpy as np, jittape\n"
        "from jittape.tracing.recorder import Trace\n"
        "with Trace('t'):\n"
        "    np.zeros(3)\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
