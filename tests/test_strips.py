"""Runs of kernels on strips: the same numbers, to the bit where NumPy's are defined to the bit."""

import ctypes

import numpy as np
import pytest

import jittape
from jittape import cpu
from jittape.config import config
from jittape.execute import library, run
from jittape.execute.address import data_address
from jittape.passes.strip_code import CODES, HEADER, words
from jittape.program import compile_program

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 5e-324, 1e308, 0.5]
SIZES = [513, 577, 1000, 1024, 4099]  # below 513 elements the scalar sweep takes them
# each of the machine's instructions, its operands made in the run, in memory, or scalar
FORMS = {
    "add": lambda x, y, s: (x * 2 + y) + (s + x),
    "subtract": lambda x, y, s: (x * 2 - y) - (s - x),
    "multiply": lambda x, y, s: (x + 1) * y * (s * x),
    "divide": lambda x, y, s: (x + 1) / (y / s),
    "divide_into": lambda x, y, s: s / (x + y) - x / (y * 2),
    "maximum": lambda x, y, s: np.maximum(x + 1, np.maximum(y * 2, s)),
    "minimum": lambda x, y, s: np.minimum(np.minimum(s, x * 3), y + 1),
    "negative": lambda x, y, s: -(x + y) * s,
    "square": lambda x, y, s: (x + y) * (x + y) - (x * x) ** 2,
    "double": lambda x, y, s: (x * y) + (x * y) + (x + x),
    "sqrt": lambda x, y, s: np.sqrt(x * y) + np.sqrt(x),
    "absolute": lambda x, y, s: np.abs(x - y) + s,
    "reciprocal": lambda x, y, s: np.reciprocal(x + y) * s,
    "equal": lambda x, y, s: np.where(x == y * 1, x + 1, s * y),
    "not_equal": lambda x, y, s: np.where(x + 0.5 != y, x, y * 2),
    "less": lambda x, y, s: np.where(x < s, x + 1, y - 1) * (s < y * 2),
    "less_equal": lambda x, y, s: np.where(x * 2 <= y, s, y - 1),
    "greater": lambda x, y, s: np.where((x > y) & (y > s), x, y - 1),
    "greater_equal": lambda x, y, s: np.where((x >= y + 1) | (s >= x), x * 2, s),
    "logical_and": lambda x, y, s: np.where(np.logical_and(x > y, x > s), x, y + 1),
    "logical_or": lambda x, y, s: np.where(np.logical_or(x > y, ~(x > s)), x, y + 1),
    "logical_not": lambda x, y, s: np.where(np.logical_not(x + y > 1), x * s, 2.0),
    "store_bool": lambda x, y, s: (x * 2 > y) | (y + 1 > x),
    "number": lambda x, y, s: (x * 2 > y).astype(float) * s + y,
    "logarithm between": lambda x, y, s: np.log(x * x + s) * (x + y) - np.log(y * 2 + x),
}


def opcodes(program):
    """Instructions of all strips of a program."""
    found = set()
    for _, kernel, data in program.relocations:
        if kernel == ("strips",):
            count = int(program.words[data + HEADER - 1])
            found |= {CODES[w & 255] for w in program.words[data + HEADER :][:count].tolist()}
    return found


def inputs(n, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=n)
    for a in (x, y):
        a[rng.integers(n, size=n // 3)] = rng.choice(SPECIAL, n // 3)
    equal = rng.integers(n, size=n // 5)
    y[equal] = x[equal]
    return x, y, 0.75


def compiled(f, *args):
    return compile_program(jittape.trace(f)(*args))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("n", SIZES)
def test_every_instruction_gives_numpys_bits(name, n):
    f = FORMS[name]
    program = compiled(f, *inputs(n, 0))
    assert opcodes(program)
    with np.errstate(all="ignore"):
        for seed in range(3):
            args = [np.asarray(a) for a in inputs(n, seed)]
            (have,) = run(program, args)
            want = f(*args)
            assert have.dtype == want.dtype
            np.testing.assert_array_equal(have, want)


def loss(x, y, s):
    e = np.exp(-(x * x) * s)
    return np.sum(np.tanh(2 * x + y) * e) + np.sum(np.where(x > y, e, y))


def test_all_instructions_are_reached():
    args = inputs(1000, 0)
    found = set().union(*(opcodes(compiled(f, *args)) for f in FORMS.values()))
    gradient = jittape.value_and_grad(loss, argnums=(0, 1))
    gradient(*args)
    (tape,) = gradient.tapes()
    found |= opcodes(compile_program(tape))
    mask = jittape.trace(lambda x, m: np.where(m, x * 2, x + 1) * 3)(args[0], args[0] > 0)
    found |= opcodes(compile_program(mask))
    missing = set(CODES) - found - {"load"}  # see test_a_copy
    assert missing <= (set() if cpu.vector_fma() else {"exp", "tanh"}), missing


@pytest.mark.parametrize("n", [5, 64, 1000])
def test_a_copy(n):
    """Stores with nothing computed before them, and two of one value."""
    x, y, z = np.arange(float(n)), np.zeros(n), np.zeros(n)
    code = words([("load", 1, 0), ("store", 2, 0), ("store", 3, 0)])
    assert [CODES[w & 255] for w in code] == ["load", "load"]
    data = np.array([1, 2, 0, 0, len(code), *code], np.int64)
    args = np.array([data_address(a) for a in (x, y, z)], np.int64)
    dims, steps = np.array([n, 1, n, 0], np.int64), np.array([8, 8, 8], np.int64)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    kind(library.address("strips"))(*[data_address(a) for a in (args, dims, steps, data)])
    assert y.tolist() == z.tolist() == x.tolist()


def test_deep_trees_are_cut():
    def f(x):
        for k in range(300):
            x = np.tanh(x * 1.01 + 0.1 * k) if k % 50 == 0 else x * 0.99 - 0.01
        return x

    x = np.linspace(-1, 1, 700)
    (have,) = run(compiled(f, x), [x])
    np.testing.assert_allclose(have, f(x), rtol=1e-13)


@pytest.mark.parametrize("n", [513, 700, 4096, 5000, 40_000])
def test_gradients_agree_with_kernels_one_by_one(n):
    rng = np.random.default_rng(n)
    for _ in range(2):
        x, y = rng.normal(size=n), rng.normal(size=n)
        gradient = jittape.value_and_grad(loss, argnums=(0, 1))
        value, (gx, gy) = gradient(x, y, 0.75)
        for _ in range(2):
            value, (gx, gy) = gradient(x, y, 0.75)
        with config.override(bit_exact=True):
            plain = jittape.value_and_grad(loss, argnums=(0, 1))
            for _ in range(3):
                want, (wx, wy) = plain(x, y, 0.75)
        np.testing.assert_allclose(value, want, rtol=1e-13)
        np.testing.assert_allclose(gx, wx, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(gy, wy, rtol=1e-13, atol=1e-15)


def test_bit_exact_keeps_kernels_apart():
    with config.override(bit_exact=True):
        assert not opcodes(compiled(FORMS["add"], *inputs(1000, 0)))


def test_more_values_than_a_run_can_hold():
    """Runs are cut where there are more operands than the machine has places for."""

    def f(x, y, s):
        parts = [np.tanh(x * k + y) for k in range(60)]
        out = parts[0] * s
        for k in range(60):
            out = out + parts[k] * parts[-k] - parts[(7 * k) % 60] / (1 + y * y)
        return out

    x, y, s = np.linspace(-1, 1, 777), np.linspace(3, 2, 777), np.asarray(0.5)
    program = compiled(f, x, y, s)
    assert opcodes(program)
    (have,) = run(program, [x, y, s])
    np.testing.assert_allclose(have, f(x, y, s), rtol=1e-13, atol=1e-13)


def test_zero_annihilates():
    x = np.tile([0.0, -0.0, 2.0, np.inf, np.nan, 1.0], 200)
    x[::7] = 0.0

    def f(x):
        return np.sum(np.where(x > 0, np.log(x), 0.0) * np.where(x < np.inf, x, 0.0))

    g = jittape.grad(f)
    with np.errstate(all="ignore"):
        for _ in range(3):
            have = g(x)
        inside = (x > 0) & (x < np.inf)
        want = np.where(inside, np.log(np.where(inside, x, 1.0)) + 1, 0.0)
    good = ~np.isnan(x) & (x != np.inf)
    np.testing.assert_allclose(have[good], want[good], rtol=1e-14)
