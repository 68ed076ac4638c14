"""The verifier: a tape is well formed, by the same shape rules that recorded it. For tests."""

from __future__ import annotations

from jittape.tape import Tape


def verify(tape: Tape) -> None:
    """Raise AssertionError at the first instruction that is not well formed."""
    for c, const in enumerate(tape.consts):
        assert const.value.shape == const.aval.shape, f"constant {c} changed its shape"
        assert const.value.dtype == const.aval.dtype, f"constant {c} changed its dtype"
    for i in range(len(tape)):
        sig = tape.signature(i)
        operands = tape.operands(i)
        text = f"instruction {i} ({sig.op.name} at {tape.position(i)})"
        assert len(operands) == len(sig.avals), f"{text}: {len(operands)} operands"
        for v, expected in zip(operands, sig.avals, strict=True):
            assert 0 <= v < tape.first + i, f"{text}: operand {v} is not computed before it"
            assert tape.aval(v) is expected, f"{text}: operand {v} is {tape.aval(v)}"
        assert sig.op.infer(*sig.avals, **sig.kwargs) is sig.out, f"{text}: wrong output aval"
    for v in tape.outputs.tolist():
        assert 0 <= v < tape.n_values, f"output {v} does not exist"
