"""Which values are active: array code and loops give the same."""

import numpy as np
import pytest

from jittape.ops.declare import by_name, signature
from jittape.passes import activity, simplify
from jittape.tape import Const, Tape
from jittape.types import FLOAT64, aval


def random_tape(seed, depth):
    """n additions and copysigns-like steps of 3 inputs and 2 constants; operands lie at most
    `depth` back, so that chains are long where it is small."""
    rng = np.random.default_rng(seed)
    import jittape.tracing  # noqa: F401  (declares the ops)

    kinds = [signature(by_name[name], (), (FLOAT64, FLOAT64)) for name in ("add", "multiply")]
    n = 60
    sigs = np.array([kinds[k].id for k in rng.integers(0, 2, n)], np.int32)
    args = np.array(
        [rng.integers(max(0, 5 + i - depth), 5 + i) for i in range(n) for _ in range(2)], np.int32
    )
    consts = tuple(Const(np.array(v), False, aval((), np.float64)) for v in (0.5, 1.0))
    none = np.full(n, -1, np.int32)
    outputs = np.array([4 + n, 4 + n // 2], np.int32)
    return Tape((FLOAT64,) * 3, consts, sigs, args, outputs, none, none.copy(), ())


@pytest.mark.parametrize("depth", [2, 8, 70])
@pytest.mark.parametrize("seed", range(4))
def test_rounds_and_loops_agree(seed, depth, monkeypatch):
    tape = random_tape(seed, depth)

    def results():
        simple, origin = simplify.simplify(tape)
        return [
            activity.active_values(tape, [0], tape.outputs.tolist()),
            activity.active_values(tape, [1, 2], None),
            activity.depends_on(tape, [4]),
            activity.needed_for(tape, [40]),
            simple.sigs, simple.args, simple.outputs, origin,
        ]  # fmt: skip

    by_rounds = results()
    monkeypatch.setattr(activity, "_ROUNDS", 0)
    monkeypatch.setattr(simplify, "_ROUNDS", 0)
    for a, b in zip(by_rounds, results(), strict=True):
        np.testing.assert_array_equal(a, b)
