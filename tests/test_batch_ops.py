"""Every op and composite of the tables under vmap, and its sparsity pattern, at every Case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_ops import COMPOSITE_CASES, OP_CASES, by_its_name, callable_of, rng_for, sample

from jittape import grad, jacobian, tree, vmap
from jittape.errors import TraceError

LANES = 3

# what asks for values: how many elements are true, whether eigenvalues are real, ...
ASKS = {
    "allclose",
    "arange",
    "arccos",  # this and log, power, sqrt and the like are numpy.emath's: is the result complex?
    "arcsin",
    "arctanh",
    "argwhere",
    "array_equal",
    "array_equiv",
    "digitize",
    "flatnonzero",
    "histogram",
    "histogram2d",
    "histogram_bin_edges",
    "histogramdd",
    "intersect1d",
    "log",
    "log10",
    "log2",
    "logn",
    "lstsq",
    "nonzero",
    "polydiv",
    "polyfit",
    "power",
    "roots",
    "setdiff1d",
    "setxor1d",
    "sqrt",
    "union1d",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
}
if np.linalg.eigvals(np.eye(1)).dtype.kind == "f":  # NumPy before 2.5
    ASKS |= {"eig", "eigvals"}
ASKING_CASES = {("poly", 1)}


def leaves_of(x: Any) -> list[Any]:
    leaves: list[Any] = []
    tree.flatten(x, leaves)
    return leaves


def lanes(args: Any, domain: Any, rng: np.random.Generator) -> tuple[list, list, list]:
    """Arguments of each lane, stacked arguments, and their in_axes: floats are batched."""
    each = [sample(args, domain, rng) for _ in range(LANES)]
    structure = tree.flatten(each[0], [])
    columns = list(zip(*[leaves_of(a) for a in each], strict=True))
    moving = [
        isinstance(c[0], (float, np.floating, np.ndarray)) and np.asarray(c[0]).dtype.kind == "f"
        for c in columns
    ]
    # concrete arrays of a case are the same in all lanes: make them differ
    columns = [
        tuple(x * (1 + 0.01 * k) for k, x in enumerate(c)) if m else c
        for c, m in zip(columns, moving, strict=True)
    ]
    each = [tree.unflatten(structure, row) for row in zip(*columns, strict=True)]
    stacked = [np.stack(c) if m else c[0] for c, m in zip(columns, moving, strict=True)]
    axes = [0 if m else None for m in moving]
    return each, tree.unflatten(structure, stacked), tree.unflatten(structure, axes)


def hold(fun: Any, args: Any, kwargs: dict, domain: Any, name: str, differentiable: bool) -> None:
    """vmap of fun, and of its gradient, against a loop over lanes."""
    each, stacked, axes = lanes(args, domain, rng_for(name))
    if not any(a == 0 for a in leaves_of(axes)):
        pytest.skip("no floating-point operand")

    def call(*xs: Any) -> Any:
        return fun(*xs, **kwargs)

    with np.errstate(all="ignore"):
        want = [leaves_of(call(*xs)) for xs in each]
    got = leaves_of(vmap(call, in_axes=tuple(axes))(*stacked))
    assert len(got) == len(want[0])
    for k, x in enumerate(got):
        np.testing.assert_allclose(x, np.stack([w[k] for w in want]), rtol=1e-9, atol=1e-11)
    if not differentiable:
        return

    def loss(xs: Any) -> Any:
        total = 0.0
        for y in leaves_of(call(*xs)):
            total = total + (y * np.cos(np.arange(y.size)).reshape(y.shape)).sum()
        return total

    if any(np.asarray(y).dtype.kind != "f" for y in want[0]):
        return
    moving = [i for i, a in enumerate(axes) if all(b == 0 for b in leaves_of(a))]

    def some(xs: Any) -> Any:
        return grad(lambda *ys: loss(merged(xs, ys)), argnums=tuple(range(len(moving))))(
            *[xs[i] for i in moving]
        )

    def merged(xs: Any, ys: Any) -> list:
        out = list(xs)
        for i, y in zip(moving, ys, strict=True):
            out[i] = y
        return out

    if not moving:
        return
    wanted = [leaves_of(some(xs)) for xs in each]
    got = leaves_of(vmap(lambda *xs: some(list(xs)), in_axes=tuple(axes))(*stacked))
    for k, x in enumerate(got):
        np.testing.assert_allclose(x, np.stack([w[k] for w in wanted]), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("op, case", OP_CASES)
def test_op(op, case):
    differentiable = op.vjp is not None or op.jvp is not None or op.linear
    first = case is op.cases[0]
    arguments = case.args, case.kwargs, op.domain, op.name
    hold(callable_of(op), *arguments, differentiable and first)


@pytest.mark.parametrize("composite, case", COMPOSITE_CASES)
def test_composite(composite, case):
    fun = by_its_name(composite.numpy[0])
    known = composite.name, next(k for k, c in enumerate(composite.cases) if c is case)
    first = known[1] == 0
    if composite.name == "lexsort":
        pytest.skip("NumPy does not dispatch on a list of keys")
    arguments = case.args, case.kwargs, composite.domain, composite.name
    if composite.name in ASKS or known in ASKING_CASES:
        with pytest.raises(TraceError, match=r"np\.where"):
            hold(fun, *arguments, False)
    else:
        hold(fun, *arguments, composite.differentiable and first)


@pytest.mark.parametrize("op, case", OP_CASES)
def test_pattern_holds_every_nonzero(op, case):
    if op.vjp is None and op.jvp is None and not op.linear:
        pytest.skip("no derivative")
    fun = callable_of(op)
    args = sample(case.args, op.domain, rng_for(op.name))
    moving = tuple(i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f")
    if not moving:
        pytest.skip("no floating-point operand")

    def call(*xs: Any) -> Any:
        return fun(*xs, **case.kwargs)

    if np.asarray(call(*args)).dtype.kind != "f":
        pytest.skip("complex result")
    blocks = jacobian(call, argnums=moving)(*args)
    n = np.size(call(*args))
    sized = [(b, np.size(args[i])) for i, b in zip(moving, blocks, strict=True)]
    dense = np.concatenate([b.reshape(n, size) for b, size in sized], axis=1)
    J = jacobian(call, argnums=moving, sparse=True)(*args)
    np.testing.assert_allclose(J.toarray(), dense, rtol=1e-9, atol=1e-11)
