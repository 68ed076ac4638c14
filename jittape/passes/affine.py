"""Steps whose new carry is A c + b, with A and b that do not depend on the carry c.

Those of all reverse sweeps are (with another A and b at each step), and so are filters and other
linear recurrences. For a few numbers c, computing A and b for many steps at once and then the
recurrence (execute/recurrence.py) takes less time than sweeping the steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jittape.errors import DifferentiationError
from jittape.passes.activity import depends_on
from jittape.passes.cut import cut
from jittape.passes.differentiate import forward
from jittape.passes.opcodes import MOST_CARRIED
from jittape.passes.simplify import simplify
from jittape.tape import Tape


def numbers(tape: Tape, carries: Sequence[int]) -> int:
    """How many numbers these carries are, or 0 where they are too many or not float64."""
    avals = [tape.aval(v) for v in carries]
    n = sum(a.size for a in avals)
    return n if n <= MOST_CARRIED and all(a.dtype == np.float64 for a in avals) else 0


def slope(step: Tape, n_carry: int) -> Tape | None:
    """From the inputs of a step, the first of which are its carries, and a tangent of each carry:
    the tangents of its outputs, the new carries. None where they depend on the carries."""
    carries = list(range(n_carry))
    try:
        both = forward(step, carries)
    except DifferentiationError:  # an op without a derivative is not linear either
        return None
    inputs = range(both.n_inputs)
    tape, _ = simplify(cut(both, inputs, both.outputs.tolist()[n_carry:]))
    return None if depends_on(tape, carries)[tape.outputs].any() else tape
