"""Threads, processes and re-entrancy: the same functions from everywhere at once."""

import concurrent.futures
import importlib
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import jittape

THREADS = 8
CALLS = int(os.environ.get("JITTAPE_TEST_CALLS", "2000"))


@jittape.grad
def branching(x):
    y = np.sum(x * x)
    if x[0] > 0:
        y = y * 3.0
    n = 0
    while y > 4.0 and n < 3:
        y = y * 0.25
        n += 1
    return y


def expected(x):
    s = float(np.sum(x * x))
    factor = 3.0 if x[0] > 0 else 1.0
    n = 0
    while s * factor * 0.25**n > 4.0 and n < 3:
        n += 1
    return 2.0 * x * factor * 0.25**n


@jittape.value_and_grad
def shared(x, k):
    return np.sum(np.sin(x) * k)


def inputs(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=rng.integers(1, 5)) * 2.0 for _ in range(40)]


def hammer(seed, calls):
    """Number of wrong results among this many calls, half of them of each function."""
    wrong = 0
    xs = inputs(seed)
    for i in range(calls // 2):
        x = xs[(i * 7 + seed) % len(xs)]
        wrong += not np.allclose(branching(x), expected(x), rtol=1e-12)
        value, gradient = shared(x, float(seed))
        wrong += not np.allclose(value, np.sum(np.sin(x) * seed), rtol=1e-11, atol=1e-12)
        wrong += not np.allclose(gradient, np.cos(x) * seed, rtol=1e-11)
    return wrong


def test_eight_threads_share_gradient_functions():
    branching.cache_clear()
    shared.cache_clear()
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            wrong = list(pool.map(hammer, range(THREADS), [CALLS] * THREADS))
    finally:
        sys.setswitchinterval(old)
    assert wrong == [0] * THREADS


def test_many_threads_make_the_first_call_at_once():
    barrier = threading.Barrier(THREADS)
    f = jittape.grad(lambda x: np.sum(np.tanh(x) * x))
    x = np.linspace(-1, 1, 7)
    want = np.tanh(x) + x * (1 - np.tanh(x) ** 2)

    def first(_):
        barrier.wait()
        return max(float(np.max(np.abs(f(x) - want))) for _ in range(20))

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        assert max(pool.map(first, range(THREADS))) < 1e-14
    assert f.cache_info().tapes == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_four_forked_processes():
    hammer(0, 50)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.starmap(hammer, [(k, CALLS) for k in range(4)]) == [0] * 4
    assert hammer(1, 50) == 0


def hammer_with_threads(calls):
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(hammer, range(THREADS), [calls] * THREADS))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_eight_threads_in_each_of_four_forked_processes():
    assert hammer_with_threads(50) == 0
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(hammer_with_threads, [CALLS // 4] * 4) == [0] * 4


LAYERS = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np, jittape
from jittape.execute import threads
if sys.argv[1] == "prange":  # what is used where jittape has no workers of its own
    from jittape.execute.parallel import Prange
    threads._make = Prange
jittape.set_num_threads(2)
x = np.linspace(0.0, 1.0, 300_000)
f = jittape.value_and_grad(lambda x, k: np.sum(np.sin(x * k) * x))

def right(k):
    for _ in range(6):
        value, slope = f(x, k)
        np.testing.assert_allclose(slope, np.sin(x * k) + k * x * np.cos(x * k), rtol=1e-10)
        np.testing.assert_allclose(value, np.sum(np.sin(x * k) * x), rtol=1e-10)
    return True

ks = [1.0, 2.0, 3.0, 4.0]
assert right(1.0)
with ThreadPoolExecutor(4) as pool:
    assert all(pool.map(right, ks))
assert threads._pool is not None  # it was large enough
if hasattr(os, "fork"):
    children = []
    for k in ks:
        child = os.fork()
        if child == 0:
            os._exit(0 if right(k) else 1)
        children.append(child)
    assert right(5.0)
    assert [os.waitpid(c, 0)[1] for c in children] == [0] * 4
assert right(1.0)
import numba
print("right", numba.threading_layer() if sys.argv[1] == "prange" else "own")
"""


@pytest.mark.parametrize("workers", ["own", "prange"])
@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_every_threading_layer_that_is_installed(layer, workers, tmp_path):
    module = {"omp": "omppool", "workqueue": "workqueue", "tbb": "tbbpool"}[layer]
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError as e:
        pytest.skip(f"Numba's layer {layer} is not installed: {e}")
    if workers == "own" and (layer != "omp" or sys.platform != "linux"):
        pytest.skip("jittape's own workers (on Linux) use no layer: run once")
    script = tmp_path / "script.py"
    script.write_text(LAYERS)
    done = subprocess.run(
        [sys.executable, "-W", "ignore:.*fork.*:DeprecationWarning", str(script), workers],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2",
             "PYTHONPATH": str(Path(jittape.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["right", layer if workers == "prange" else "own"], done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_other_threads_call():
    stop = threading.Event()
    wrong = []

    def work(seed):
        while not stop.is_set():
            wrong.append(hammer(seed, 10))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    try:
        with concurrent.futures.ProcessPoolExecutor(
            2, mp_context=multiprocessing.get_context("fork")
        ) as pool:
            assert list(pool.map(hammer, range(4), [60] * 4)) == [0] * 4
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert sum(wrong) == 0


def test_spawned_processes_are_sent_functions():
    made = jittape.grad(expected_total)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(hammer, (2, 10)) == 0
        assert pool.map(made, [1.0, 2.0]) == [2.0, 4.0]
        assert np.array_equal(pool.apply(branching, (np.array([-1.0]),)), [-2.0])


def expected_total(x):
    return x * x


def test_inside_itself():
    @jittape.jit
    def power(x, n):
        return x * power(x, n - 1) if n else x * 0.0 + 1.0

    for _ in range(3):
        assert power(2.0, 5) == 32.0
        assert jittape.grad(power)(2.0, 3) == 12.0
        assert power(3.0, 2) == 9.0


def test_a_call_from_within_a_call():
    @jittape.grad
    def outer(x):
        found = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(lambda: float(inner(3.0))).result())
        return x * found[0]

    inner = jittape.grad(lambda y: y * y)
    for _ in range(4):
        assert outer(1.0) == 6.0


def test_tracers_are_refused_in_another_thread():
    def fun(x):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda k: x * k, [1.0, 2.0]))

    g = jittape.grad(fun)
    for _ in range(3):
        with pytest.raises(jittape.errors.LeakedTracerError, match="another thread"):
            g(1.0)
    with pytest.raises(jittape.errors.LeakedTracerError, match="another thread"):
        jittape.grad(lambda x: in_thread(np.sin, x))(1.0)
    with pytest.raises(jittape.errors.LeakedTracerError, match="another thread"):
        jittape.grad(lambda x: in_thread(lambda v: 2.0 - v, x))(1.0)


def in_thread(f, *args):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(f, *args).result()


def test_state_that_another_thread_changes_is_seen():
    box = [1.0]
    f = jittape.jit(lambda x: x * box[0])
    for k in range(6):
        in_thread(box.__setitem__, 0, float(k))
        assert in_thread(f, 2.0) == 2.0 * k
        assert f(2.0) == 2.0 * k
