"""What a bench problem is, and when a derivative counts as right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DATA = Path(__file__).parent / "data"
TOLERANCE = 1e-9

Run = Callable[[], Any]


class Known(NamedTuple):
    """Published values: of the function, and of its derivative along cos(1), cos(2), ..."""

    value: float | None = None
    directional: float | None = None


@dataclass(frozen=True)
class Problem:
    """One problem in every size and every library.

    `variants[library](*inputs)` prepares a derivative (converts the data, builds the gradient
    function) and returns a call without arguments that delivers it, materialised. Compilation
    happens on the first call. A library is imported only inside its variant.
    """

    name: str
    what: str
    sizes: Mapping[str, Any]  # label -> argument of make
    small: tuple[str, ...]
    make: Callable[[Any], tuple]
    primal: Callable  # plain NumPy; the jittape variant differentiates this, unmodified
    variants: Mapping[str, Callable[..., Run]]
    reference: Callable  # reference(*inputs): the derivative by other means than any library
    full: tuple[str, ...] = ()  # all sizes where none are named
    measure: Callable[[Any], float] = float  # size -> abscissa of the plot
    axis: str = "n"
    known: Mapping[str, Known] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)  # label -> items for "ns per item"
    unit: str = ""
    # what a library needs beyond its own module, imported and counted with it; "" is every library
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def labels(self, full: bool) -> list[str]:
        return list(self.full or self.sizes) if full else list(self.small)

    def inputs(self, label: str) -> tuple:
        return self.make(self.sizes[label])

    def factory(self, library: str) -> Callable[..., Run]:
        if library == "primal":
            return lambda *inputs: lambda: self.primal(*inputs)
        return self.variants[library]

    def libraries(self) -> list[str]:
        return [*self.variants, "primal"]


def leaves(tree: Any) -> list[np.ndarray]:
    """Arrays of a nested result; dicts in the order of their sorted keys, as JAX has it."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for branch in tree for leaf in leaves(branch)]
    if hasattr(tree, "detach"):
        tree = tree.detach()
    return [np.asarray(tree, dtype=np.float64)]


def flat(result: Any) -> Any:
    """One vector for a nest of arrays; a sparse matrix stays as it is."""
    if hasattr(result, "tocsr"):
        return result.tocsr()
    return np.concatenate([leaf.ravel() for leaf in leaves(result)])


def error(result: Any, expected: Any) -> float:
    """The largest |x - y| / max(1, |x| + |y|); infinite for another shape or a NaN."""
    x, y = flat(result), flat(expected)
    if x.shape != y.shape or hasattr(x, "tocsr") != hasattr(y, "tocsr"):
        return np.inf
    if hasattr(x, "tocsr"):
        x, y = aligned(x, y)
    if not x.size:
        return 0.0
    scaled = np.abs(x - y) / np.maximum(1.0, np.abs(x) + np.abs(y))
    return float(np.max(np.where(np.isnan(scaled), np.inf, scaled)))


def aligned(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Stored values of two CSR matrices on the union of their patterns."""
    x, y = x.copy(), y.copy()
    for m in (x, y):
        m.sum_duplicates()
    if x.nnz == y.nnz and (x.indices == y.indices).all() and (x.indptr == y.indptr).all():
        return x.data, y.data
    keys, values = [], []
    for m in (x, y):
        coo = m.tocoo()
        keys.append(coo.row.astype(np.int64) * m.shape[1] + coo.col)
        values.append(coo.data)
    union = np.union1d(*keys)
    out = np.zeros((2, union.size))
    for row, key, value in zip(out, keys, values, strict=True):
        row[np.searchsorted(union, key)] = value
    return out[0], out[1]


def direction(size: int) -> np.ndarray:
    return np.cos(np.arange(1, size + 1))


def complex_step(function: Callable, x: np.ndarray) -> np.ndarray:
    """Gradient of a real-analytic function of a vector, one entry at a time."""
    out = np.empty(x.size)
    for i in range(x.size):
        z = x.astype(complex)
        z[i] += 1e-100j
        out[i] = np.imag(function(z)) / 1e-100
    return out
