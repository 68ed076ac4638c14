"""What code that is not recorded says when it meets traced values."""

import statistics

import numpy as np
import pytest
from oracle import check

import jittape

X = np.array([0.5, -1.0, 2.0, 0.25, 0.75])


def test_errors_of_compiled_code_get_a_note():
    sp = pytest.importorskip("scipy.sparse")
    linear = pytest.importorskip("scipy.sparse.linalg")
    clusters = pytest.importorskip("scipy.cluster.vq")
    graphs = pytest.importorskip("scipy.sparse.csgraph")
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    lu = linear.splu(sp.eye(5).tocsc())
    for f, name in (
        (lambda x: clusters.vq(x, X)[1].sum(), "vq"),
        (lambda x: graphs.shortest_path(np.outer(x, x)).sum(), "shortest_path"),
        (lambda x: lu.solve(x).sum(), "compiled code"),
        (lambda x: rotation.from_rotvec(x[:3]).as_matrix(), "rotation"),
        (lambda x: statistics.mean(x), "statistics.mean"),
    ):
        with pytest.raises((TypeError, ValueError)) as told:
            jittape.grad(f)(X)
        (note,) = told.value.__notes__
        assert "test_foreign_code.py:" in note and name in note and "custom_vjp" in note
    with pytest.raises(TypeError) as told:
        jittape.grad(lambda x: x[0] + "a")(X)
    assert not hasattr(told.value, "__notes__")


def test_scipy_by_the_array_api():
    integrate = pytest.importorskip("scipy.integrate")
    stats = pytest.importorskip("scipy.stats")
    check(lambda x: integrate.cumulative_trapezoid(x**2, dx=0.1, initial=0), X)
    check(lambda x: stats.pearsonr(x, np.arange(5.0))[0], X)
