"""The executor against op-by-op evaluation, with fresh inputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import jittape
from jittape.evaluate import evaluate
from jittape.execute import GuardFailure, run
from jittape.ops import shape as shape_ops
from jittape.passes.verify import verify
from jittape.program import compile_program

rng = np.random.default_rng(0)


def tape_of(transformed, *args):
    """The tape that a transformed function records for these arguments."""
    transformed(*args)
    (tape,) = transformed.tapes()
    return tape


def check(fun, *shapes, grad=True, rtol=1e-12, low=0.5, high=1.5):
    def draw():
        return [rng.uniform(low, high, s) if isinstance(s, tuple) else s for s in shapes]

    if grad:
        transform = jittape.value_and_grad(fun, argnums=tuple(range(len(shapes))))
    else:
        transform = jittape.jit(fun)
    tape = tape_of(transform, *draw())
    program = compile_program(tape)
    verify(program.tape)
    for _ in range(3):
        inputs = [np.asarray(x) for x in draw()]
        want = evaluate(tape, inputs)
        have = run(program, inputs)
        assert isinstance(have, tuple)
        for w, h in zip(want, have, strict=True):
            assert w.dtype == h.dtype and w.shape == h.shape
            np.testing.assert_allclose(h, w, rtol=rtol, atol=1e-13)
    return program


def sq(x):
    return x * x


def net(x, y, w1, b1, w2, b2):
    h = np.maximum(x @ w1 + b1, 0)
    z = h @ w2 + b2
    m = z - np.max(z, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(m), axis=1)) - np.sum(m * y, axis=1)) / len(x.shape)


PROGRAMS = {
    "chain": (lambda x: np.sum(np.tanh(2 * x + 0.5) * np.exp(-sq(x))), [(1000,)]),
    "small": (lambda x: np.sum(x * x), [(10,)]),
    "large": (lambda x: np.sum(np.tanh(2 * x + 0.5) * np.exp(-sq(x))), [(100003,)]),
    "scalars": (lambda a, b: np.sin(a) * b + np.exp(a / b), [(), ()]),
    "columns": (lambda a, b: np.sum(sq(np.sum(a * b, axis=0))), [(200, 30), (30,)]),
    "rows": (lambda a, b: np.sum(sq(np.sum(a * b, axis=1))), [(200, 30), (200, 1)]),
    "softmax": (lambda a: np.sum(np.log(np.sum(np.exp(a), axis=-1))), [(77, 9)]),
    "outer": (lambda a, b: np.sum(np.exp(a[:, None] * b[None, :])), [(40,), (50,)]),
    "three": (lambda a, b: np.sum(sq(a[:, None, :] - b[None])), [(40, 3), (5, 3)]),
    "middle": (lambda a: np.sum(sq(np.sum(a, axis=1))), [(4, 5, 6)]),
    "transposed": (lambda a, b: np.sum(a.T * b), [(30, 20), (20, 30)]),
    "sliced": (lambda a: np.sum(a[1:] * a[:-1]), [(300,)]),
    "elements": (lambda a: a[0] * a[1] + np.sin(a[2]), [(3,)]),
    "matmul": (lambda a, b: np.sum(sq(a @ b)), [(30, 20), (20, 40)]),
    "matmul_t": (lambda a, b: np.sum(sq(a.T @ b.T)), [(30, 20), (40, 30)]),
    "batched": (lambda a, b: np.sum(sq(a @ b)), [(7, 3, 20), (20, 4)]),
    "small_matmul": (lambda a, b: np.sum(sq(a @ b.T @ a)), [(3, 3), (3, 3)]),
    "small_batched": (lambda a, b: np.sum(sq(a @ b)), [(50, 3, 4), (50, 4, 5)]),
    "matvec": (lambda a, b: np.sum(sq(a @ (a @ b))), [(4, 4), (4,)]),
    "net": (net, [(50, 20), (50, 10), (20, 30), (30,), (30, 10), (10,)]),
    "wide": (lambda a, b: np.sum(sq(np.sum(np.exp(a * b), axis=1))), [(5, 5000), (5000,)]),
    "max": (lambda a: np.max(a) + np.log(np.sum(np.exp(a - np.max(a)))), [(5000,)]),
    "reshape": (lambda a: np.sum(sq(a.T.reshape(20, 3))), [(6, 10)]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name):
    fun, shapes = PROGRAMS[name]
    check(fun, *shapes)


def test_float32():
    tape = tape_of(jittape.grad(lambda x: np.sum(np.tanh(x) * x)), np.ones(70, np.float32))
    program = compile_program(tape)
    x = rng.normal(size=70).astype(np.float32)
    (g,) = run(program, [x])
    assert g.dtype == np.float32
    np.testing.assert_allclose(g, evaluate(tape, [x])[0], rtol=1e-5, atol=1e-6)


def test_long_scalar_loop():
    def f(x):
        a = x
        for k in range(2000):
            a = a + 0.001 * np.sin(a) * (k % 3)
        return a

    check(f, ())


def test_elementwise_writes():
    def f(x):
        y = x * 0.0
        y[0] = x[0]
        for i in range(1, 20):
            y[i] = y[i - 1] * x[i] + 0.1
        return np.sum(sq(y))

    check(f, (20,))


def test_guards_stop():
    def f(x):
        return x * x if x > 0 else -x

    tape = tape_of(jittape.grad(f), 2.0)
    program = compile_program(tape)
    assert run(program, [np.float64(3.0)])[0] == 6.0
    assert run(program, [3.0])[0] == 6.0
    failed = run(program, [np.float64(-1.0)])
    assert isinstance(failed, GuardFailure)
    assert not failed.observed


def test_inputs_of_any_layout():
    tape = tape_of(jittape.grad(lambda x: np.sum(x * x)), np.ones((4, 6)))
    program = compile_program(tape)
    x = rng.normal(size=(6, 4))
    assert np.array_equal(run(program, [x.T])[0], 2 * x.T)
    assert np.array_equal(run(program, [x[::-1].T])[0], 2 * x[::-1].T)
    x = rng.normal(size=(4, 6))
    assert np.array_equal(run(program, [x.astype(">f8")])[0], 2 * x)
    x.flags.writeable = False
    assert np.array_equal(run(program, [x])[0], 2 * x)


def test_outputs_are_fresh():
    tape = tape_of(jittape.jit(lambda x: (x, x.T, x[0], x + 1)), np.ones((4, 6)))
    program = compile_program(tape)
    x = rng.normal(size=(4, 6))
    outs = run(program, [x])
    for w, h in zip([x, x.T, x[0], x + 1], outs, strict=True):
        assert np.array_equal(w, h) and not np.shares_memory(x, h)


def test_place_and_update_of_a_whole_single_element():
    # its place may be that of the element written, which has to survive
    def f(a):
        x = shape_ops.place(
            shape_ops.reshape(np.exp(a), shape=(1,)), shape=(1,), index=((0, 1, 1),)
        )
        return shape_ops.update(x * 2.0, x + 1.0, index=((0, 1, 1),)) * 3.0

    d = jittape.jit(f)
    for a in (0.5, 1.5, 2.5):
        np.testing.assert_allclose(d(a), [3 * np.exp(a) + 3], rtol=1e-15)


def test_recomputed_instead_of_stored():
    def lse(x):
        return np.max(x) + np.log(np.sum(np.exp(x - np.max(x))))

    program = check(lse, (50000,))
    assert len(program.schedule.bounds) - 1 == 4

    def normalised(x, w):
        y = x - np.sum(x) / 70000
        z = y / np.sqrt(np.sum(y * y))
        return np.sum(np.exp(z) * w) + np.max(z)

    check(normalised, (70000,), (70000,))

    def rows(x, w):
        y = np.exp(x - np.max(x, axis=1, keepdims=True))
        z = y / np.sum(y)
        return np.sum(z * w) * np.sum(np.sum(z * z, axis=1) ** 2)

    check(rows, (3000, 9), (9,))


def test_threads_share_a_program():
    from concurrent.futures import ThreadPoolExecutor

    def f(x):
        return np.sum(np.tanh(x) * np.exp(-x * x)) + np.sum(x[:3]) * x[0]

    for n in (10, 200_000):
        tape = tape_of(jittape.value_and_grad(f), rng.normal(size=n))
        program = compile_program(tape)
        inputs = [rng.normal(size=n) for _ in range(8)]
        want = [run(program, [x]) for x in inputs]
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                have = list(pool.map(lambda x, p=program: run(p, [x]), inputs))
                for w, h in zip(want, have, strict=True):
                    assert all(np.array_equal(a, b) for a, b in zip(w, h, strict=True))


def test_result_does_not_depend_on_threads():
    from jittape.execute import threads

    x = rng.normal(size=300_001)
    tape = tape_of(jittape.value_and_grad(lambda x: np.sum(np.exp(x) * x)), x)
    program = compile_program(tape)
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(1)
        one = run(program, [x])
        threads.set_num_threads(2)
        two = run(program, [x])
    finally:
        threads.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_fork():
    import multiprocessing

    x = rng.normal(size=200_000)
    tape = tape_of(jittape.value_and_grad(lambda x: np.sum(np.exp(x) * x)), x)
    program = compile_program(tape)
    want = run(program, [x])[0]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of threads at fork
        child = context.Process(target=lambda: queue.put(float(run(program, [x])[0])))
        child.start()
    assert queue.get(timeout=60) == want
    child.join(60)


def test_captured_array_is_live():
    data = rng.normal(size=50)
    g = jittape.grad(lambda x: np.sum(x * data))
    tape = tape_of(g, np.ones(50))
    program = compile_program(tape)
    assert np.array_equal(run(program, [np.ones(50)])[0], data)
    data[:] = 7.0
    assert np.array_equal(run(program, [np.ones(50)])[0], data)
    strided = rng.normal(size=(50, 2))[:, 0]
    program = compile_program(tape_of(jittape.grad(lambda x: np.sum(x * strided)), np.ones(50)))
    strided[:] = 3.0
    assert np.array_equal(run(program, [np.ones(50)])[0], strided)


def test_complex():
    def f(x):
        z = x * (1.0 + 2.0j)
        return np.sum(np.real(z * np.conj(z)))

    check(f, (40,))
    check(f, (3000,))


def test_writing_a_view_that_is_read_later():
    def f(x):
        y = x * 1.0
        for i in range(1, 30):
            y[i:] = y[i:] + 0.1 * y[:-i]
        return np.sum(y * y)

    check(f, (30,))
    check(f, (2000,))


def test_rows_updated_in_a_loop():
    def f(x):
        y = x * 0.0
        y[0] = x[0]
        for i in range(1, 6):
            y[i] = np.tanh(y[i - 1] + x[i])
        return np.sum(y * x)

    check(f, (6, 700))
    check(f, (6, 5))


def test_bit_exact():
    from jittape.config import config

    def f(x, a):
        return np.exp(np.sin(x) * np.cos(a)) + np.tanh(a) * np.log(a)

    inputs = [rng.uniform(0.5, 2.0, n) for n in (2000, ())]
    with config.override(bit_exact=True):
        tape = tape_of(jittape.jit(f), *inputs)
        have = run(compile_program(tape), inputs)
    for w, h in zip(evaluate(tape, inputs), have, strict=True):
        assert np.array_equal(w, h)


def test_without_the_layout_of_objects(monkeypatch):
    from jittape.execute import address

    monkeypatch.setattr(address, "layout_known", False)
    data = rng.normal(size=4)
    check(lambda x, a: np.sum(np.tanh(x) * a) + a * x[0], (50,), ())
    check(lambda x: np.sum(x * x * data) + x[1], (4,))


def test_slice_of_row_level_values():
    def f(x):
        m = np.sum(x, axis=1, keepdims=True) / 5.0
        s = m[1:]
        return np.sum(s * s) + np.sum(np.exp(x) * m)

    check(f, (8, 5))
    check(f, (4000, 5))
