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
from jittape.passes.elimination import coefficients
from jittape.passes.opcodes import MOST_CARRIED
from jittape.passes.recording import Recording, element
from jittape.passes.simplify import simplify
from jittape.tape import Tape


def numbers(tape: Tape, carries: Sequence[int]) -> int:
    """How many numbers these carries are, or 0 where they are too many or not float64."""
    avals = [tape.aval(v) for v in carries]
    n = sum(a.size for a in avals)
    return n if n <= MOST_CARRIED and all(a.dtype == np.float64 for a in avals) else 0


def affine(step: Tape, n: int) -> Tape | None:
    """From the inputs of a step but its carries, the first n, to A and b by rows: A00, A01, ...,
    b0, A10, ... None where the step is not affine."""
    found = coefficients(step, n)
    return found if found is not None else _by_unit_vectors(step, n)


def _slope(step: Tape, n: int) -> Tape | None:
    """From the inputs of a step and a tangent of each carry: the tangents of its outputs, the new
    carries. None where they depend on the carries."""
    carries = list(range(n))
    try:
        both = forward(step, carries)
    except DifferentiationError:  # an op without a derivative is not linear either
        return None
    inputs = range(both.n_inputs)
    tape, _ = simplify(cut(both, inputs, both.outputs.tolist()[n:]))
    return None if depends_on(tape, carries)[tape.outputs].any() else tape


def _by_unit_vectors(step: Tape, n: int) -> Tape | None:
    """As `affine`, of any op."""
    slope = _slope(step, n)
    if slope is None:
        return None
    avals = step.inputs[:n]
    with Recording("coefficients of a step") as r:
        zeros = [r.literal(np.zeros(a.shape)) for a in avals]
        known = r.inputs(step.inputs[n:])
        columns = []
        for c, a in enumerate(avals):
            for k in range(a.size):
                one = np.zeros(a.shape)
                one.flat[k] = 1.0
                unit = [*zeros[:c], r.literal(one), *zeros[c + 1 :]]
                columns.append(r.paste(slope, [*zeros, *known, *unit]))
        columns.append(r.paste(step, [*zeros, *known]))
        parted = [[element(x, k) for x in column for k in range(x.size)] for column in columns]
        return r.tape([e for row in zip(*parted, strict=True) for e in row])
