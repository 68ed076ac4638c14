"""jittape.distinct against np.unique."""

import numpy as np
import pytest

from jittape.distinct import distinct, present
from jittape.passes.paste import _masks


@pytest.mark.parametrize("high", [1, 7, 300, 10**6, 10**12])
@pytest.mark.parametrize("n", [0, 1, 5, 1000])
def test_equals_unique(n, high):
    numbers = np.random.default_rng(n).integers(0, high, n)
    values, inverse = np.unique(numbers, return_inverse=True)
    np.testing.assert_array_equal(present(numbers), values)
    found = distinct(numbers)
    np.testing.assert_array_equal(found[0], values)
    np.testing.assert_array_equal(found[1], inverse)


@pytest.mark.parametrize("arity", [1, 2, 8, 9, 70])
def test_masks_part_the_rows(arity):
    rng = np.random.default_rng(arity)
    kinds = rng.random((3, arity)) < 0.5
    on = kinds[rng.integers(0, 3, 40)]
    seen = np.zeros(40, int)
    for mask, chosen in _masks(on):
        assert all(sum(1 << i for i in np.flatnonzero(row).tolist()) == mask for row in on[chosen])
        seen[chosen] += 1
    assert (seen == 1).all()


def test_masks_of_all_active_operands():
    ((mask, chosen),) = _masks(np.ones((4, 3), bool))
    assert mask == 0b111
    assert chosen == slice(None)
