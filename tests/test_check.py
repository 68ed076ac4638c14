"""check_grads and the oracle find wrong derivatives (an oracle that cannot fail is none)."""

import numpy as np
import pytest
from oracle import check, check_value, numeric_jacobian

import jittape
from jittape.check import difference


def test_right_gradients_pass_in_both_precisions():
    for dtype in (np.float64, np.float32):
        a = np.array([0.3, 0.2, 1.0], dtype)
        b = np.ones((2, 1), dtype)
        check(lambda a, b: np.tanh(a) * b + np.exp(-a), a, b, analytic=True)


def test_complex_arguments_follow_the_pairing_without_conjugate():
    check(lambda z: z * z * np.exp(z), np.array([0.3 + 0.2j, 1.0 - 0.5j]))


def test_differences_are_right_to_ten_digits():
    (d,) = difference(lambda t: [np.sin(3.0 + t)], 0.05)
    assert abs(d - np.cos(3.0)) < 1e-11


def test_numeric_jacobian_of_a_product():
    ((ja, jb),) = numeric_jacobian(np.multiply, np.array([2.0, 3.0]), 5.0)
    np.testing.assert_allclose(ja, np.diag([5.0, 5.0]), atol=1e-10)
    np.testing.assert_allclose(jb, [2.0, 3.0], atol=1e-10)


def cut_off(x):
    """A function whose traced derivative differs from its plain one: float() cuts the gradient."""
    return x * float(x)


@pytest.mark.filterwarnings("ignore::jittape.errors.LostGradientWarning")
def test_a_lost_gradient_is_found_and_located():
    with pytest.raises(AssertionError, match="derivative of cut_off.*leaf 0"):
        jittape.check_grads(cut_off, (2.0,))


@pytest.mark.filterwarnings("ignore::jittape.errors.LostGradientWarning")
def test_one_mode_may_be_asked_for():
    with pytest.raises(AssertionError, match="^reverse derivative"):
        jittape.check_grads(cut_off, (2.0,), modes=("reverse",), order=1)
    with pytest.raises(ValueError, match="modes are"):
        jittape.check_grads(cut_off, (2.0,), modes=("sideways",))


def test_a_wrong_value_is_found():
    def fun(x):
        return x * 2 if type(x) is np.ndarray else x * 3

    with pytest.raises(AssertionError, match="value"):
        check_value(fun, np.ones(2))


@pytest.mark.parametrize(
    "fun, x",
    [
        (np.sort, np.array([0.5, 0.5 + 1e-4, 2.0, -1.0])),
        (lambda x: np.min(x, axis=1), np.array([[1.0, 1.003, 4.0], [3.0, 2.0, 2.9]])),
        (lambda x: np.mod(x, 1.0), np.array([0.995, 2.0001, -0.3])),
        (np.abs, np.array([1e-3, -2.0])),
    ],
)
def test_a_kink_or_jump_nearby_is_no_error(fun, x):
    jittape.check_grads(fun, (x,))
    with pytest.raises(AssertionError, match="derivative of"):
        jittape.check_grads(lambda x: fun(x) + jittape.stop_gradient(1e-3 * x.sum()), (x,), order=1)
