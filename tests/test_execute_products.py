"""Own matrix products: right for all shapes and layouts, and nothing touched beside the result."""

import ctypes
from itertools import product

import numpy as np
import pytest

import jittape
from jittape.execute import library, threads
from jittape.execute.address import data_address
from jittape.execute.run import run
from jittape.passes import products
from jittape.program import compile_program

LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
DTYPES = [np.float64, np.float32]


def multiply(kernel, a, b, c):
    """c = a @ b for stacks of one axis, by the kernel's address."""
    (count, m, k), n = a.shape, b.shape[-1]
    args = np.array([data_address(x) for x in (a, b, c)])
    dims = np.array([count, m, k, n])
    steps = np.array(
        [x.strides[0] for x in (a, b, c)] + [s for x in (a, b, c) for s in x.strides[1:]]
    )
    width = np.array([c.itemsize])
    LOOP(library.address(kernel))(*(data_address(x) for x in (args, dims, steps, width)))


def padded(rng, count, rows, columns, layout, dtype):
    """A stack of random matrices in this layout, amid NaN."""
    shape = (columns, rows) if layout == "transposed" else (rows, columns)
    around = np.full((count, shape[0] + 2, shape[1] * (2 if layout == "spread" else 1) + 3), np.nan)
    around = around.astype(dtype)
    step = 2 if layout == "spread" else 1
    x = around[:, 1:-1, 2 : 2 + step * shape[1] : step]
    x[...] = rng.normal(size=x.shape)
    return x.swapaxes(1, 2) if layout == "transposed" else x


LAYOUTS = ["plain", "transposed", "spread"]
SHAPES = {
    "dots": [(1, 1, 1), (2, 3, 2), (3, 1, 4)],
    "product": [*product((1, 3, 4, 5, 9), (1, 2, 7), (1, 2, 4, 5, 8, 9, 17))],
    "wide": [
        (1, 1, 1),
        (3, 5, 2),
        (13, 70, 10),
        (7, 300, 33),
        (25, 65, 100),
        (6, 2, 41),
        (24, 9, 64),
        *((5, 1800, n) for n in range(1, 34, 4)),  # many rows in the panel, of each width
    ],
}


@pytest.mark.parametrize("kernel", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_multiply_and_touch_nothing_else(kernel, dtype):
    if kernel == "dots" and dtype is np.float32:
        pytest.skip("dots is for float64 only")
    rng = np.random.default_rng(0)
    tolerance = 1e-13 if dtype is np.float64 else 1e-4
    for m, k, n in SHAPES[kernel]:
        for left, right in product(LAYOUTS, LAYOUTS):
            a = padded(rng, 2, m, k, left, dtype)
            b = padded(rng, 2, k, n, right, dtype)
            memory = np.full(2 * m * n + 32, 7.0, dtype)
            c = memory[16:-16].reshape(2, m, n)
            multiply(kernel, a, b, c)
            np.testing.assert_allclose(
                c, a.astype(float) @ b.astype(float), rtol=tolerance, atol=tolerance * k
            )
            assert (memory[:16] == 7.0).all() and (memory[-16:] == 7.0).all()


@pytest.mark.parametrize("kernel", ["dots", "product", "wide"])
def test_kernels_keep_what_is_not_finite(kernel):
    a, b, c = np.ones((1, 3, 3)), np.ones((1, 3, 3)), np.empty((1, 3, 3))
    a[0, 1, 1], b[0, 0, 2] = np.inf, np.nan
    multiply(kernel, a, b, c)
    with np.errstate(invalid="ignore"):  # NumPy's flag, not ours
        want = a @ b
    np.testing.assert_array_equal(c, want)


@pytest.mark.parametrize(
    ("shapes", "kernel"),
    [
        (((3, 4), (4, 4)), "product"),
        (((2, 2), (2, 2)), "dots"),
        (((2, 2), (2, 2), np.float32), "product"),
        (((128, 100), (100, 100)), "wide"),
        (((64, 64), (64, 64)), "matmul"),
        (((40, 1, 64, 8), (8, 64)), "wide"),  # a stack times one matrix is one product
        (((7, 3, 3), (3, 3)), "product"),
        (((7, 1, 3, 3), (2, 3, 3)), "product"),
        (((1500, 40), (40, 20), np.float32), "wide"),
        (((5, 6), (6, 7), np.complex128), "matmul"),
    ],
    ids=str,
)
def test_programs_multiply_with_the_kernel_chosen(shapes, kernel, monkeypatch):
    monkeypatch.setattr(products, "blas_threads", lambda: 1)
    monkeypatch.setattr(products, "wide_vectors", lambda: True)
    *shapes, dtype = shapes if len(shapes) == 3 else (*shapes, np.float64)
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=s).astype(dtype) for s in shapes)
    tape = jittape.trace(lambda a, b: a @ b)(a, b)
    program = compile_program(tape)
    used = {k[0] if isinstance(k[0], str) else k[0].__name__ for _, k, _ in program.relocations}
    assert kernel in used
    (have,) = run(program, (a, b))
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(have, a @ b, rtol=tolerance, atol=10 * tolerance)


def test_bit_exact_programs_use_numpys_loop():
    a, b = np.eye(3), np.ones((3, 3))
    tape = jittape.trace(lambda a, b: a @ b)(a, b)
    with jittape.config.override(bit_exact=True):
        program = compile_program(tape)
    assert [k[0] for _, k, _ in program.relocations if k[0] == np.matmul]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1797, 64), (64, 100)),  # cut by rows
        ((300, 1500), (1500, 5)),
        ((100, 1797), (1797, 17)),  # few rows: the last chunk has what is left over
        ((10, 1000), (1000, 250)),  # by columns
        ((30, 700), (700, 1001)),
        ((50, 40, 30), (50, 30, 40)),  # by the stack: own kernel
        ((7, 65, 66), (7, 66, 67)),
        ((40, 64, 32), (40, 32, 64)),  # BLAS's, where it uses one thread
    ],
    ids=str,
)
def test_products_come_out_the_same_on_several_threads(left, right, dtype, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    monkeypatch.setattr(products, "blas_threads", lambda: 2)
    rng = np.random.default_rng(2)
    # both operands also transposed, as in gradients
    a, b = rng.normal(size=left).astype(dtype), rng.normal(size=right).astype(dtype)
    at, bt = (np.ascontiguousarray(np.swapaxes(x, -1, -2)) for x in (a, b))
    jobs = []
    shared = threads.run_shared

    def counted(linked, ws, job):
        jobs.append(job)
        shared(linked, ws, job)

    monkeypatch.setattr(threads, "run_shared", counted)
    before = threads.get_num_threads()
    for fun, inputs in [
        (lambda a, b: a @ b, (a, b)),
        (lambda a, b: np.swapaxes(a, -1, -2) @ np.swapaxes(b, -1, -2), (at, bt)),
    ]:
        program = compile_program(jittape.trace(fun)(*inputs))
        del jobs[:]
        try:
            threads.set_num_threads(1)
            (one,) = run(program, inputs)
            assert not jobs
            threads.set_num_threads(2)
            (two,) = run(program, inputs)
        finally:
            threads.set_num_threads(before)
        assert not products.wide_vectors() or (jobs and all(job < 0 for job in jobs))
        np.testing.assert_array_equal(one, two)
        tolerance = 1e-3 if dtype is np.float32 else 1e-10
        np.testing.assert_allclose(two, a @ b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("m", [1, 4, 25, 143, 144, 287, 288, 1797, 100_003])
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 250, 1001])
@pytest.mark.parametrize("stack", [1, 3, 64])
def test_chunks_cover_all_of_a_product(m, n, stack):
    for item, kernel in product((4, 8), ("wide", "product")):
        cut = products.cut((kernel, (item,)), (stack, m, 300, n), item)
        if cut is None:
            assert stack * m * 300 * n < 2 * products.PART or (stack == 1 and kernel != "wide")
            continue
        whole = (stack, m, 300, n)[cut.dimension]
        last = whole - cut.per * (cut.chunks - 1)
        assert 0 < last < 2 * cut.per and 1 < cut.chunks <= products.MOST_PARTS
