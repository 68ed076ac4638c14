"""Every op of the table through the executor: each sample case, its gradient, fresh inputs."""

from __future__ import annotations

import numpy as np
import pytest

import jittape
from jittape.evaluate import evaluate
from jittape.execute import GuardFailure, run
from jittape.ops.declare import Kind, table
from jittape.passes.verify import verify
from jittape.program import compile_program

rng = np.random.default_rng(1)
CASES = [
    pytest.param(op, case, id=f"{op.name}-{case.name or k}")
    for op in table
    for k, case in enumerate(op.cases)
    if op.kind is not Kind.GUARD
]


def draw(op, case, dtype=np.float64):
    out = []
    for k, a in enumerate(case.args):
        if isinstance(a, tuple) and all(isinstance(n, int) for n in a):
            low, high = op.domain[k] if k < len(op.domain) else (-2.0, 2.0)
            low, high = max(low, -2.0), min(high, 2.0 if low < 2 else low + 3)
            out.append(rng.uniform(low, high, a).astype(dtype))
        else:
            out.append(np.asarray(a))
    return out


def agree(tape, inputs, rtol):
    program = compile_program(tape)
    verify(program.tape)
    want = evaluate(tape, inputs)
    have = run(program, inputs)
    assert not isinstance(have, GuardFailure)
    for w, h in zip(want, have, strict=True):
        assert w.dtype == h.dtype and w.shape == h.shape
        np.testing.assert_allclose(h, w, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("op, case", CASES)
def test_value(op, case, dtype):
    args = draw(op, case, dtype)
    transform = jittape.jit(lambda *xs: op(*xs, **case.kwargs))
    try:
        with np.errstate(all="ignore"):
            transform(*args)
    except TypeError:
        pytest.skip("not defined for these dtypes")
    (tape,) = transform.tapes()
    agree(tape, [np.asarray(x) for x in args], 1e-12 if dtype is np.float64 else 1e-5)


@pytest.mark.parametrize("op, case", CASES)
def test_gradient(op, case):
    if op.vjp is None and not op.linear:
        pytest.skip("no derivative")
    args = draw(op, case)
    wrt = tuple(k for k, a in enumerate(args) if a.dtype.kind == "f")
    if not wrt:
        pytest.skip("nothing to differentiate")
    transform = jittape.grad(lambda *xs: np.sum(op(*xs, **case.kwargs) * 1.5), argnums=wrt)
    try:
        transform(*args)
    except TypeError:
        pytest.skip("not a real array")
    (tape,) = transform.tapes()
    agree(tape, [np.asarray(x) for x in args], 1e-11)
