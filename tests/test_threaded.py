"""Every row of the scalar sweep against NumPy, to the bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from jittape.execute import address, library
from jittape.passes import opcodes as op
from jittape.passes.lower import END, SCALARS
from jittape.passes.scalars import alternate, joined

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.5, 5e-324, 1e308]
AT = 128  # bytes between the places of a test


def amul(g, v):
    return np.where((g == 0.0) | (v == 0.0), 0.0, g * v)


NUMPY = {k: ufunc if callable(ufunc) else amul for (ufunc, _), k in op.SCALAR.items()}
NUMPY[op.COPIED] = np.positive


def sweep(code, arena):
    """Run rows over an arena of bytes."""
    code = np.array([*code, (op.END, 0, 0, 0)], np.int32)
    table = np.array([8, 0, 0, 0, 0, 0, 0, 0, SCALARS, 0, 0, 0, END, 0, 0, 0], np.int64)
    base = np.array([address.data_address(arena), 0, 0], np.int64)
    places = [address.data_address(x) for x in (table, base, code)]
    assert library.function("sweep")(*places, 0, 0) == 0


def numpy_of(which, *xs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NUMPY[which](*xs)


def same(have, want):
    assert have.dtype == want.dtype
    nan = np.isnan(want)
    np.testing.assert_array_equal(np.isnan(have), nan)  # the sign of a nan is the compiler's
    assert have[~nan].tobytes() == want[~nan].tobytes()


@pytest.mark.parametrize("which", [k for k in range(len(op.SCALAR)) if k not in op.LIBM])
def test_single(which):
    pairs = [(x, y) for x in SPECIAL for y in SPECIAL]
    for x, y in pairs:
        arena = np.zeros(3 * AT, np.uint8)
        f = arena.view(np.float64)
        f[[0, AT // 8]] = x, y
        sweep([(which, 2 * AT, 0, AT)], arena)
        xs = (np.float64(x),) if which in op.UNARY else (np.float64(x), np.float64(y))
        want = np.atleast_1d(numpy_of(which, *xs))
        have = arena[2 * AT :].view(want.dtype)[:1]
        if which == op.AMUL and want == 0.0:  # either zero
            have, want = np.abs(have), np.abs(want)
        same(have, want)


@pytest.mark.parametrize(
    ("which", "layout", "n"),
    [(w, s, n) for w, s in op.LINES for n in (2, 3, 4, 5, 8, 13, 16, 31)],
)
def test_line(which, layout, n):
    rng = np.random.default_rng(n)
    width = next((w for w in op.WIDTHS if n <= w), 0)
    room = 8 * width or 64 * -(-n // 8)
    arena = np.zeros(5 * 256 + 64, np.uint8)
    f = arena.view(np.float64)
    f[:] = rng.permutation(np.resize([*SPECIAL, *rng.normal(size=30)], len(f)))
    k = op.LINES[which, layout]
    opcode = op.SHORT[width] + k if width else op.LINE + k | room // 64 << op.EXTRA
    before = arena.copy()
    dst, x, y = 768, 8, 256 + 16
    sweep([(opcode, dst, x, y)], arena)
    operands = [
        before.view(np.float64)[at // 8 :][: n if part == "v" else 1]
        for at, part in zip((x, y), layout, strict=False)
    ]
    want = np.broadcast_to(numpy_of(which, *operands), n).copy()
    same(arena[dst : dst + 8 * n].view(np.float64), want)
    untouched = np.r_[:dst, dst + room : len(arena)]
    assert arena[untouched].tobytes() == before[untouched].tobytes()


@pytest.mark.parametrize("width", op.PAIR)
@pytest.mark.parametrize(("first", "second", "link"), list(op.PAIRS))
def test_pair(first, second, link, width):
    rng = np.random.default_rng(0)
    at = [0, AT, 2 * AT]
    unseen = link >= op.UNSEEN
    operands = {0: at[2], 2: at[2], 3: at[2], link % op.UNSEEN: 3 * AT}
    alone, other = (
        k if width == 1 else op.SHORT[width] + op.LINES[k, "v" if k in op.UNARY else "vv"]
        for k in (first, second)
    )
    rows = np.array(
        [(alone, 3 * AT, at[0], at[1]), (other, 4 * AT, operands[2], operands[3])], np.int32
    )
    if not link:
        rows[1, 3] = at[0]
    both = rows.copy()
    joined(both, np.ones(2, np.bool_), np.array([unseen, False]))
    assert both[0, 0] == op.PAIR[width] + op.PAIRS[first, second, link]
    assert both[0, 1:].tolist() == rows[0, 1:].tolist()
    for _ in range(50):
        arena = np.zeros(5 * AT, np.uint8)
        f = arena.view(np.float64).reshape(5, -1)
        f[:3, :width] = rng.choice([*SPECIAL, 3.0, -0.1], (3, width))
        want = arena.copy()
        sweep(rows, want)
        sweep(both, arena)
        if unseen:
            assert not arena[3 * AT : 4 * AT].any()
            arena[3 * AT : 4 * AT] = want[3 * AT : 4 * AT]
        same(arena.view(np.float64), want.view(np.float64))


@pytest.mark.parametrize("row", [*op.HELD, *op.HELD_PAIRS])
def test_held(row):
    """A row that takes the result of the one before it from the register."""
    *which, word = row
    rng = np.random.default_rng(0)
    rows = np.array(
        [(op.SQUARE, 24, 0, 0), (which[0], 32, 8, 16), (op.NEGATIVE, 40, 8, 16)], np.int32
    )
    unseen = False
    if len(which) == 3:
        link = which[2]
        unseen = link >= op.UNSEEN
        rows[2, 0] = which[1]
        if link:
            rows[2, link % op.UNSEEN] = 32
    else:
        rows = rows[:2]
    rows[1 + word // 4, word % 4] = 24
    both = rows.copy()
    both[1, 0] = op.HELD[row] if len(row) == 2 else op.HELD_PAIRS[row]
    found = rows.copy()
    once = np.array([False, unseen, False])[: len(rows)]
    joined(found, np.ones(len(rows), np.bool_), once)
    assert found.tolist() == both.tolist()
    for _ in range(50):
        arena = np.zeros(48, np.uint8)
        arena.view(np.float64)[:3] = rng.choice([*SPECIAL, 3.0, -0.1], 3)
        want = arena.copy()
        sweep(rows, want)
        sweep(both, arena)
        if unseen:
            assert not arena[32:40].any()
            arena[32:40] = want[32:40]
        same(arena.view(np.float64), want.view(np.float64))


def test_rows_joined_in_random_order():
    """Superinstructions and results taken from the register change nothing."""
    rng = np.random.default_rng(1)
    seen = set()
    for k in range(400):
        n = 40
        rows = np.zeros((n, 4), np.int32)
        rows[:, 0] = rng.choice(op.HANDING if k % 2 else [*op.PAIRED, op.DIVIDE, op.GREATER], n)
        rows[:, 1:] = 8 * rng.integers(0, 3 + k % 5, (n, 3))
        rows[rows[:, 0] == op.GREATER, 1] = 64
        both = rows.copy()
        joined(both, np.ones(n, np.bool_), np.zeros(n, np.bool_))
        seen |= set(both[:, 0].tolist())
        arena = np.zeros(72, np.uint8)
        arena[:64].view(np.float64)[:] = rng.uniform(0.5, 1.5, 8)
        alone = arena.copy()
        sweep(rows, alone)
        sweep(both, arena)
        same(arena[:64].view(np.float64), alone[:64].view(np.float64))
    pairs = {k for row, k in op.HELD_PAIRS.items() if row[2] < op.UNSEEN}
    assert pairs | set(op.HELD.values()) <= seen


def test_alternate():
    edges = np.array([1, 1, 1, 0, 1, 1, 0, 0, 1], np.bool_)
    assert alternate(edges).astype(int).tolist() == [1, 0, 1, 0, 1, 0, 0, 0, 1]
