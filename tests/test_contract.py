"""The contract on control flow and state, sentence by sentence: each test is named after what it
holds jittape to. Memory and numbers: see test_contract_values.py."""

import collections
import gc
import io
import itertools
import math
import random
import time
import warnings
import weakref

import numpy as np
import pytest
from sequences import agree

import jittape
import jittape.scipy.special

# -- control flow ----------------------------------------------------------------------------


def branches_if(x):
    if x > 1:
        return x * x
    elif x > 0 and not x > 0.5:
        return np.sin(x)
    return -2.0 * x


def branches_while(x):
    n = 0
    while x < 10:
        x = x * 1.7 + 0.1
        n += 1
    return x * n


def branches_and_or(x):
    y = (x > 2 and x * x) or x * 3.0
    return y


def branches_chained(x):
    return np.exp(x) if 0 < x < 1 else x * x * x


def branches_min_max(x):
    return min(x * x, 3 * x) + max(x, 0.3) + min([x, 2 * x, x * x])


def branches_sorted(x):
    a, b, c = sorted([x * 1.0, 1 - x, x * x])
    return a + 2 * b + 3 * c


def branches_range_int(x):
    y = x
    for i in range(int(x)):
        y = y * x + i
    return y


def branches_item(x):
    return x * 3.0 if np.asarray(x).item() > 0.7 else x * x


def branches_default(x):
    return (x if x > 0.4 else None) or 1.0 - x


def branches_recursion(x):
    return x if x > 8 else branches_recursion(x * x + 1.1) * 1.5


def branches_assert(x):
    try:
        assert x > 0.6
        return x * 5.0
    except AssertionError:
        return x * x


@pytest.mark.parametrize(
    "fun",
    [
        branches_if,
        branches_while,
        branches_and_or,
        branches_chained,
        branches_min_max,
        branches_sorted,
        branches_range_int,
        branches_item,
        branches_default,
        branches_recursion,
        branches_assert,
    ],
)
def test_every_question_for_a_value_is_a_guard(fun):
    g = jittape.grad(fun)
    points = [0.23, 1.31, 3.7, 0.77, 0.23, 2.2, 5.4, 0.61, 1.31, 0.9]
    agree(g, fun, points + points[::-1])
    traces = g.cache_info().traces
    agree(g, fun, points)
    assert g.cache_info().traces == traces  # known paths are found without tracing


def test_float_int_item_and_hash_hold_for_the_value_they_gave():
    def fun(x):
        table = {0.5: 2.0, 1.5: 3.0}
        return x * math.floor(x) + x * table.get(x, 1.0) + x * float(x > 1)

    g = jittape.grad(fun)
    for x in [0.5, 1.5, 0.7, 0.5, 1.5, 0.7, 2.5]:
        assert g(x) == jittape.grad(fun)(x)
        assert g(x) == math.floor(x) + {0.5: 2.0, 1.5: 3.0}.get(x, 1.0) + float(x > 1)


def test_shapes_of_boolean_masks_are_guarded():
    def fun(x):
        y = x[x > 0]
        return np.sum(y * y) * len(y)

    g = jittape.grad(fun)
    rng = np.random.default_rng(0)
    agree(g, fun, [rng.normal(size=5) for _ in range(8)])


def test_no_sweep_runs_past_a_failed_guard():
    """The branch not taken would divide by zero, index out of range or never end."""

    def fun(x):
        n = 0
        y = x
        while y > 1e-3 and n < 1000:
            y = y / 2.0
            n += 1
        return x / n if n else x

    g = jittape.grad(fun)
    agree(g, fun, [1.0, 1e-4, 100.0, 1e-4, 1.0, 50.0])


def test_a_sweep_stops_at_the_first_guard_that_fails():
    """What stands behind the guard on the tape is not run."""
    ran = io.StringIO()  # a list that it changes would make the function impure

    def opaque(name):
        @jittape.custom_vjp
        def run(x):
            ran.write(name)
            return np.array(x)

        run.defvjp(lambda x: (run(x), x), lambda x, g: (g,))
        return run

    before, behind = opaque("before"), opaque("behind")

    def fun(x):
        y = before(x) * 2.0
        return behind(y) * 3.0 if y > 1 else y * 5.0

    g = jittape.jit(fun)
    for x in (1.0, 1.0, 0.1, 0.1, 1.0, 0.1):
        g(x)
    for x, want in ((0.2, 2.0), (2.0, 12.0), (0.3, 3.0)):
        start = len(ran.getvalue())
        assert g(x) == want
        assert ran.getvalue()[start:].count("behind") == (x > 0.5)


def test_guards_store_the_comparison_made_not_its_negation():
    def fun(x):
        if x < 1:
            return x * 2.0
        return x * 3.0

    def negated(x):
        if not x >= 1:
            return x * 2.0
        return x * 3.0

    for f in (fun, negated):
        g = jittape.grad(f)
        for x in [0.0, np.nan, 2.0, np.nan, 0.0, np.nan]:
            assert g(x) == jittape.grad(f)(x)
        assert g(np.nan) == (3.0 if f is fun else 2.0)


def test_known_paths_are_found_without_tracing():
    runs = collections.Counter()

    def fun(x):
        runs["fun"] += 0  # the counter itself is not state that changes
        y = x
        for _ in range(4):
            y = y * 1.5 if y > 1 else y + 0.7
        return y

    g = jittape.grad(fun)
    points = [0.1, 0.5, 0.9, 1.2, 3.0]
    for _ in range(2):
        agree(g, fun, points)
    before = g.cache_info().traces
    for p in itertools.islice(itertools.permutations(points), 20):
        for x in p:
            g(x)
    assert g.cache_info().traces == before


def test_past_a_bound_of_retraces_one_warning_names_what_keeps_changing():
    def fun(x):
        return x * float(int(x))

    g = jittape.grad(fun)
    with jittape.config.override(max_retraces=5):
        with pytest.warns(jittape.errors.RetraceWarning, match=r"test_contract.py:\d+") as caught:
            for k in range(12):
                assert g(k + 0.5) == k
    assert len([w for w in caught if w.category is jittape.errors.RetraceWarning]) == 1
    assert "branch or value" in str(caught[0].message)


def test_data_dependent_indices_are_recomputed():
    def fun(x):
        i = np.argmax(x)
        order = np.argsort(x)
        return x[i] * 3.0 + np.sum(x[order] * np.arange(4.0))

    g = jittape.grad(fun)
    rng = np.random.default_rng(1)
    agree(g, fun, [rng.normal(size=4) for _ in range(8)])
    assert g.cache_info().tapes == 1


# -- state -----------------------------------------------------------------------------------


def test_random_numbers_clocks_and_counters_stay_what_plain_python_gives():
    def program(rng):
        calls = iter(range(1000))
        return lambda x: x * rng.random() + next(calls)

    plain, traced = program(random.Random(3)), program(random.Random(3))
    g = jittape.jit(traced)
    with pytest.warns(jittape.errors.ImpureFunctionWarning, match="test_contract.py"):
        got = [float(g(2.0)) for _ in range(6)]
    assert got == [plain(2.0) for _ in range(6)]


def test_a_clock_is_recognised():
    g = jittape.grad(lambda x: x * time.perf_counter())
    with pytest.warns(jittape.errors.ImpureFunctionWarning):
        values = [g(1.0) for _ in range(4)]
    assert len(set(values)) == 4


def test_no_call_runs_the_function_more_than_once():
    runs = []

    def fun(x):
        runs.append(1)
        return x * x if x > 0 else x * 3.0

    g = jittape.grad(fun)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jittape.errors.ImpureFunctionWarning)
        for k, x in enumerate([1.0, 1.0, -1.0, 2.0, -1.0, -2.0, 1.0], 1):
            g(x)
            assert len(runs) == k  # it changes a list it can see, so that each call runs it


def test_prints_of_a_pure_function_appear_once_per_trace(capsys):
    def fun(x):
        print("traced")
        return x * x

    g = jittape.grad(fun)
    for _ in range(5):
        g(1.0)
    assert capsys.readouterr().out.count("traced") == 2


def test_keys_hold_the_function_and_static_arguments_alive():
    class Thing:
        pass

    @jittape.jit
    def f(x, thing):
        return x * thing.factor

    seen = []
    for k in range(20):
        thing = Thing()
        thing.factor = float(k)
        seen.append(float(f(2.0, thing)))
        assert float(f(2.0, thing)) == 2.0 * k
    assert seen == [2.0 * k for k in range(20)]
    ref = weakref.ref(thing)
    del thing
    gc.collect()
    assert ref() is not None
    f.cache_clear()
    gc.collect()
    assert ref() is None


def test_results_never_alias_a_buffer_or_each_other():
    captured = np.arange(3.0)

    @jittape.jit
    def f(x):
        y = x * 2.0
        return y, y, x, captured, y[::-1]

    x = np.ones(3)
    for _ in range(4):
        first = f(x)
        kept = [np.array(v) for v in first]
        for v in first:
            v[...] = -7.0
        again = f(x)
        for a, b in zip(kept, again, strict=True):
            assert np.array_equal(a, b)
        for a, b in itertools.combinations([*first, *again, x, captured], 2):
            assert not np.shares_memory(a, b)
    assert np.array_equal(x, np.ones(3)) and np.array_equal(captured, np.arange(3.0))


def test_a_pullback_keeps_its_primals():
    x = np.array([1.0, 2.0])
    out, pullback = jittape.vjp(lambda x: x * x, x)
    x[:] = 100.0
    assert np.array_equal(pullback(np.ones(2))[0], [2.0, 4.0])
    assert np.array_equal(out, [1.0, 4.0])


def test_leaked_tracers_raise_with_the_line_that_created_them():
    kept = []

    def leak(x):
        kept[:] = [x * 2.0]
        return x

    jittape.grad(leak)(1.0)
    with pytest.raises(jittape.errors.LeakedTracerError, match="created at .*test_contract.py"):
        kept[0] + 1.0
    with pytest.raises(jittape.errors.LeakedTracerError):
        jittape.grad(lambda x: x * kept[0])(2.0)
    with pytest.raises(jittape.errors.LeakedTracerError):
        np.sin(kept[0])


def test_inner_transforms_that_hold_an_outer_tracer_are_never_cached():
    inner = jittape.grad(lambda y, x: y * y * x)

    def outer(x):
        return inner(3.0, x) + jittape.grad(lambda y: y * x * y)(2.0)

    g = jittape.grad(outer)
    for x in [1.0, 2.0, 3.0, 4.0]:
        assert g(x) == pytest.approx(6.0 + 4.0)
        assert outer(x) == pytest.approx(10.0 * x)
    assert inner.cache_info().tapes <= 1  # of its own top-level calls in outer(x)
