"""np.einsum: pairs of operands are contracted in a good order, each pair as a matrix product.

Labels are letters of the subscripts; the axes under an Ellipsis have the labels -1, -2, ... from
the right, so that they line up as in broadcasting.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from jittape.functions.creation import as_array, numeric
from jittape.functions.padding import diagonal
from jittape.functions.products import same_dtype
from jittape.functions.shape import permuted, to_shape
from jittape.ops import elementwise as e
from jittape.ops.declare import Case
from jittape.ops.product import matmul
from jittape.ops.reduce import sum as sum_of
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import cast

Label = str | int
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in NumPy's order
Labels = list[Label]


def _error(text: str) -> ValueError:
    return ValueError(f"{here()}: einsum: {text}")


def _letters(sublist: Any) -> str:
    """Subscripts of the form [0, Ellipsis, 1] as text."""
    symbols = _LETTERS
    out = []
    for s in sublist:
        if s is Ellipsis:
            out.append("...")
        else:
            out.append(symbols[s.__index__()])
    return "".join(out)


def _arguments(operands: tuple) -> tuple[str, list[Any]]:
    """Subscripts as text, and the operands, from either calling convention."""
    if not operands:
        raise _error("must specify the einstein sum subscripts string and at least one operand")
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), [as_array(a) for a in operands[1:]]
    pairs = len(operands) // 2
    terms = [_letters(operands[2 * k + 1]) for k in range(pairs)]
    text = ",".join(terms)
    if len(operands) % 2:
        text += "->" + _letters(operands[-1])
    return text, [as_array(a) for a in operands[0 : 2 * pairs : 2]]


def _expand(term: str, ellipsis: int) -> Labels:
    """Labels of a term with its Ellipsis standing for this many axes."""
    head, dots, tail = term.partition("...")
    for part in (head, tail):
        if not (part.isalpha() or part == "") or not part.isascii():
            raise _error(f"invalid subscript in {term!r}: only letters and one '...' are allowed")
    middle: Labels = list(range(-ellipsis, 0)) if dots else []
    return [*head, *middle, *tail]


def _parse(text: str, arrays: list[Any]) -> tuple[list[Labels], Labels]:
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        raise _error(f"{len(terms)} terms in {text!r} for {len(arrays)} operands")
    inputs: list[Labels] = []
    longest = 0
    for term, a in zip(terms, arrays, strict=True):
        named = len(term.replace("...", ""))
        hidden = a.ndim - named
        if hidden < 0 or (hidden and "..." not in term):
            raise _error(f"operand of {a.ndim} axes does not have those of {term!r}")
        longest = max(longest, hidden if "..." in term else 0)
        inputs.append(_expand(term, hidden))
    if arrow:
        output = _expand(right, longest)
        if len(set(output)) < len(output):
            raise _error(f"output subscripts {right!r} include a label more than once")
        known = {label for labels in inputs for label in labels}
        for label in output:
            if isinstance(label, str) and label not in known:
                raise _error(f"output subscript {label!r} does not appear in the input")
        return inputs, [label for label in output if label in known]
    flat = [label for labels in inputs for label in labels]
    hidden_labels: Labels = list(range(-longest, 0))
    once = sorted(x for x in set(flat) if isinstance(x, str) and flat.count(x) == 1)
    return inputs, [*hidden_labels, *once]


def _single(a: Any, labels: Labels, sizes: dict[Label, int]) -> tuple[Any, Labels]:
    """The operand with repeated labels as diagonals, and without axes that only broadcast."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            a = diagonal(a, 0, i, j)
            labels = [x for k, x in enumerate(labels) if k not in (i, j)] + [label]
    kept = [i for i, x in enumerate(labels) if a.shape[i] == sizes[x]]
    return to_shape(a, tuple(a.shape[i] for i in kept)), [labels[i] for i in kept]


def _summed(a: Any, labels: Labels, keep: set[Label]) -> tuple[Any, Labels]:
    axes = tuple(i for i, x in enumerate(labels) if x not in keep)
    if axes:
        a = sum_of(a, axes=axes)
    return a, [x for x in labels if x in keep]


def _arranged(a: Any, labels: Labels, order: Labels) -> Any:
    return permuted(a, [labels.index(x) for x in order])


def _pair(a: Any, la: Labels, b: Any, lb: Labels, keep: set[Label]) -> tuple[Any, Labels]:
    """Two operands as one, which has the labels in `keep` that they have."""
    a, la = _summed(a, la, keep | set(lb))
    b, lb = _summed(b, lb, keep | set(la))
    a, b = same_dtype(a, b)
    batch = [x for x in la if x in lb and x in keep]
    inner = [x for x in la if x in lb and x not in keep]
    free_a = [x for x in la if x not in lb]
    free_b = [x for x in lb if x not in la]
    sizes = {**dict(zip(la, a.shape, strict=True)), **dict(zip(lb, b.shape, strict=True))}

    def dims(labels: Labels) -> tuple[int, ...]:
        return tuple(sizes[x] for x in labels)

    out = [*batch, *free_a, *free_b]
    if not inner or (batch and not free_a and not free_b):
        # no matrix product in it: elementwise, which fuses with what is around
        a = to_shape(
            _arranged(a, la, batch + inner + free_a),
            dims(batch + inner + free_a) + (1,) * len(free_b),
        )
        b = to_shape(
            _arranged(b, lb, batch + inner + free_b),
            dims(batch + inner) + (1,) * len(free_a) + dims(free_b),
        )
        return _summed(e.multiply(a, b), batch + inner + free_a + free_b, keep)
    m, k, n = prod(dims(free_a)), prod(dims(inner)), prod(dims(free_b))
    lead = dims(batch)
    a = to_shape(_arranged(a, la, batch + free_a + inner), (*lead, m, k))
    b = to_shape(_arranged(b, lb, batch + inner + free_b), (*lead, k, n))
    return to_shape(matmul(a, b), dims(out)), out


def _order(inputs: list[Labels], output: Labels, sizes: dict[Label, int]) -> list[tuple[int, ...]]:
    """Which operands to contract at each step (NumPy's greedy path)."""
    if len(inputs) <= 2:
        return [tuple(range(len(inputs)))]
    symbols = dict(zip(sizes, _LETTERS, strict=False))
    text = ",".join("".join(symbols[x] for x in labels) for labels in inputs)
    text += "->" + "".join(symbols[x] for x in output)
    stand_ins = [np.broadcast_to(0.0, [sizes[x] for x in labels]) for labels in inputs]
    return np.einsum_path(text, *stand_ins, optimize="greedy")[0][1:]


@implements(
    np.einsum,
    cases=(
        Case(("ij,jk->ik", (2, 3), (3, 4))),
        Case(("ij,jk", (2, 3), (3, 4)), name="implicit output"),
        Case(("ii", (3, 3)), name="trace"),
        Case(("ii->i", (3, 3)), name="diagonal"),
        Case(("ij->j", (2, 3)), name="sum"),
        Case(("i,j->ij", (2,), (3,)), name="outer"),
        Case(("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), name="batch"),
        Case(("...ij,...j->...i", (2, 2, 3), (3,)), name="ellipsis"),
        Case(("ij,ij->i", (2, 3), (2, 3)), name="rows"),
        Case(("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), name="three operands"),
        Case(("i,i,i->", (3,), (3,), (3,)), name="no pair alone"),
    ),
)
def einsum(
    *operands: Any, out: Any = None, dtype: Any = None, optimize: Any = False, **kwargs: Any
) -> Any:
    if out is not None:
        raise TypeError(f"{here()}: out= of einsum is not recorded; assign the result instead")
    text, arrays = _arguments(operands)
    if dtype is not None:
        arrays = [cast(a, numeric(dtype)) for a in arrays]
    inputs, output = _parse(text, arrays)
    sizes: dict[Label, int] = {}
    for labels, a in zip(inputs, arrays, strict=True):
        for label, n in zip(labels, a.shape, strict=True):
            known = sizes.get(label, 1)
            if n != known and 1 not in (n, known):
                raise _error(f"label {label!r} of {text!r} has the sizes {known} and {n}")
            sizes[label] = n if known == 1 else known
    terms = [_single(a, labels, sizes) for a, labels in zip(arrays, inputs, strict=True)]
    dtype = np.result_type(*[a.dtype for a, _ in terms])
    for step in _order([labels for _, labels in terms], output, sizes):
        chosen = [terms[k] for k in step]
        terms = [t for k, t in enumerate(terms) if k not in step]
        while len(chosen) > 1:
            (b, lb), (a, la) = chosen.pop(), chosen.pop()
            others = {x for _, labels in (*terms, *chosen) for x in labels}
            chosen.append(_pair(a, la, b, lb, others | set(output)))
        terms += chosen
    ((a, labels),) = terms
    a, labels = _summed(a, labels, set(output))
    result = cast(_arranged(a, labels, [x for x in output if x in labels]), dtype)
    return to_shape(result, tuple(sizes[x] for x in output))


@implements(np.einsum_path, differentiable=False)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    text, arrays = _arguments(operands)
    return np.einsum_path(text, *[np.empty(a.shape) for a in arrays], optimize=optimize)
