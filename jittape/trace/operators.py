"""Python's operators on tracers, each bound to its op."""

from __future__ import annotations

import operator

from jittape.ops import elementwise as e
from jittape.trace.tracer import install_binary, install_unary

for _name, _op in {
    "add": e.add,
    "sub": e.subtract,
    "mul": e.multiply,
    "truediv": e.divide,
    "lt": e.less,
    "le": e.less_equal,
    "gt": e.greater,
    "ge": e.greater_equal,
    "eq": e.equal,
    "ne": e.not_equal,
}.items():
    install_binary(_name, _op, getattr(operator, _name))

install_unary("neg", e.negative)
install_unary("pos", e.positive)
