"""exp and tanh of float64 as straight-line LLVM IR on vectors: what NumPy's loops compute, inline.

Cody-Waite reduction to |r| <= ln(2)/2 and a polynomial (interpolated at Chebyshev nodes, relative
error 1.3e-17), without branches and tables; special values follow from the arithmetic. Within 1 ulp
(exp) and 3 ulp (tanh), subnormal results included. The same instructions run whether they stand
alone behind NumPy's loop signature (vector.py) or in a kernel that does more: same bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

LANES = 8
D = ir.DoubleType()
I64 = ir.IntType(64)
VD = ir.VectorType(D, LANES)
VI = ir.VectorType(I64, LANES)
VB = ir.VectorType(ir.IntType(1), LANES)

LOG2E = float.fromhex("0x1.71547652b82fep+0")
LN2_HIGH = float.fromhex("0x1.62e42fefa39efp-1")
LN2_LOW = float.fromhex("0x1.abc9e3b39803fp-56")
ROUND = float.fromhex("0x1.8p52")  # adding it rounds to an integer, which then is in the low bits
# (exp(r) - 1 - r) / r**2
EXP = [
    float.fromhex(c)
    for c in (
        "0x1.0000000000001p-1", "0x1.5555555555556p-3", "0x1.5555555553d63p-5",
        "0x1.11111111109b3p-7", "0x1.6c16c1788bd90p-10", "0x1.a01a01a7c41d5p-13",
        "0x1.a019b90d2ae7ap-16", "0x1.71de0dae63bb3p-19", "0x1.289185613a3d6p-22",
        "0x1.af38a9b0ec855p-26",
    )
]  # fmt: skip


def splat(v: float) -> Any:
    return ir.Constant(VD, [ir.Constant(D, v)] * LANES)


def isplat(v: int) -> Any:
    return ir.Constant(VI, [ir.Constant(I64, v)] * LANES)


def intrinsic(b: Any, name: str, kind: Any, args: list) -> Any:
    fn = b.module.globals.get(name)
    if fn is None:
        fn = ir.Function(b.module, ir.FunctionType(kind, [a.type for a in args]), name)
    return b.call(fn, args)


def fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    return intrinsic(b, f"llvm.fma.v{LANES}f64", VD, [x, y, z])


def absolute(b: Any, x: Any) -> Any:
    return intrinsic(b, f"llvm.fabs.v{LANES}f64", VD, [x])


def square_root(b: Any, x: Any) -> Any:
    return intrinsic(b, f"llvm.sqrt.v{LANES}f64", VD, [x])


def polynomial(b: Any, x: Any, c: list[float]) -> Any:
    """Estrin's scheme: short chains of dependent operations."""
    terms = [splat(v) for v in c]
    power = x
    while len(terms) > 1:
        pairs = [fma(b, terms[k + 1], power, terms[k]) for k in range(0, len(terms) - 1, 2)]
        terms = pairs + terms[len(pairs) * 2 :]
        if len(terms) > 1:
            power = b.fmul(power, power)
    return terms[0]


def _reduce(b: Any, x: Any) -> tuple[Any, Any]:
    """(k as an integer, exp(r) - 1) with x = k ln 2 + r."""
    shifted = fma(b, x, splat(LOG2E), splat(ROUND))
    k = b.fsub(shifted, splat(ROUND))
    r = fma(b, k, splat(-LN2_HIGH), x)
    r = fma(b, k, splat(-LN2_LOW), r)
    q = polynomial(b, r, EXP)
    p = fma(b, b.fmul(r, r), q, r)
    whole = b.sub(b.bitcast(shifted, VI), isplat(0x4338000000000000))
    return whole, p


def _power(b: Any, k: Any) -> Any:
    """2.0**k for -1022 <= k <= 1023."""
    return b.bitcast(b.shl(b.add(k, isplat(1023)), isplat(52)), VD)


def exp(b: Any, x: Any) -> Any:
    # beyond these everything is inf or 0; comparisons leave nan as it is
    x = b.select(b.fcmp_ordered(">", x, splat(711.0)), splat(711.0), x)
    x = b.select(b.fcmp_ordered("<", x, splat(-746.0)), splat(-746.0), x)
    k, p = _reduce(b, x)
    half = b.ashr(k, isplat(1))
    # in two steps, of which only the second can round (a subnormal) or overflow
    y = b.fadd(p, splat(1.0))
    return b.fmul(b.fmul(y, _power(b, half)), _power(b, b.sub(k, half)))


def tanh(b: Any, x: Any) -> Any:
    """E / (E + 2) with E = exp(2|x|) - 1 = 2**k p + (2**k - 1), and the sign of x."""
    a = absolute(b, x)
    y = b.fadd(a, a)
    y = b.select(b.fcmp_ordered(">", y, splat(40.0)), splat(40.0), y)
    k, p = _reduce(b, y)
    scale = _power(b, k)
    e = fma(b, scale, p, b.fsub(scale, splat(1.0)))
    t = b.fdiv(e, b.fadd(e, splat(2.0)))
    sign = b.and_(b.bitcast(x, VI), isplat(-(1 << 63)))
    return b.bitcast(b.or_(b.bitcast(t, VI), sign), VD)


FUNCTIONS = {"exp": exp, "tanh": tanh}
