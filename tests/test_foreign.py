"""Errors of C code that was handed a traced value say where, and what to do."""

import numpy as np
import pytest

import jittape
from jittape.tracing.foreign import complete


@pytest.mark.parametrize(
    "transform", [jittape.grad, jittape.jit, lambda f: jittape.jit(jittape.grad(f))]
)
def test_compiled_code_given_a_traced_value(transform):
    with pytest.raises(TypeError, match="not Tracer") as caught:
        transform(lambda a: np.sum(a) * len(bytes.fromhex(a)))(np.eye(2))
    (note,) = caught.value.__notes__  # once, whatever is nested
    assert "test_foreign.py" in note and "custom_vjp" in note


def test_a_library_between_is_named():
    scope = {"__name__": "somelib.core"}
    exec(compile("def solve(a):\n    return bytes.fromhex(a)", "/lib/somelib.py", "exec"), scope)

    class Tracer:
        pass

    with pytest.raises(TypeError) as caught:
        scope["solve"](Tracer())
    complete(caught.value, "/lib/")
    assert "somelib.core.solve hands a traced value" in caught.value.__notes__[0]


def test_other_errors_are_left_alone():
    with pytest.raises(TypeError) as caught:
        jittape.grad(lambda a: np.sum(a) + len(3))(np.eye(2))
    assert not hasattr(caught.value, "__notes__")
