"""ba: bundle adjustment; the sparse Jacobian of all residuals by cameras, points and weights."""

from typing import Any

import numpy as np

from .. import peers
from ..problem import DATA, Problem

# label -> (numbers of cameras, points, observations; or a data file), distinct data?
SIZES = {
    "small": ((5, 20, 60), False),
    "small distinct": ((5, 20, 60), True),
    "ba1": ("ba1_n49_m7776_p31843.txt", False),
    "ba1 distinct": ("ba1_n49_m7776_p31843.txt", True),
    "ba2": ("ba2_n21_m11315_p36455.txt", False),
    "ba5": ("ba5_n257_m65132_p225911.txt", False),
}


def counts(size):
    counted = size[0]
    if isinstance(counted, str):
        return tuple(int(w) for w in (DATA / "ba" / counted).read_text().split()[:3])
    return counted


def make(size):
    """x: cameras, points, weights in one vector; features; camera and point of each observation."""
    n, m, p = counts(size)
    name = size[0] if isinstance(size[0], str) else "ba1_n49_m7776_p31843.txt"
    given = np.array((DATA / "ba" / name).read_text().split()[3:], dtype=float)
    camera, point, weight, feature = np.split(given, [11, 14, 15])
    cameras, points = np.tile(camera, (n, 1)), np.tile(point, (m, 1))
    weights, features = np.tile(weight, p), np.tile(feature, (p, 1))
    order = np.arange(p)
    if size[1]:
        r = np.random.default_rng(0)
        cameras *= r.uniform(0.9, 1.1, size=cameras.shape)
        cameras[0, :3] = 0.0  # one camera that does not turn
        points += r.normal(size=points.shape)
        weights = r.uniform(0.2, 1.0, size=p)
        features += r.normal(size=features.shape)
        order = r.permutation(p)
    x = np.concatenate([cameras.ravel(), points.ravel(), weights])
    return x, features, order % n, order % m, n, m


def rotate(r, x):
    """Rodrigues' formula row by row; where the angle is zero its limit, x + r x x."""
    squared = np.sum(r**2, axis=1, keepdims=True)
    turns = squared > 0
    theta = np.sqrt(np.where(turns, squared, 1.0))
    v = r / theta
    c, s = np.cos(theta), np.sin(theta)
    along = np.sum(v * x, axis=1, keepdims=True)
    turned = x * c + cross(v, x) * s + v * along * (1 - c)
    return np.where(turns, turned, x + cross(r, x))


def cross(a, b):
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )


def project(camera, point, weight, features):
    """Residuals of rows of observations."""
    z = rotate(camera[:, :3], point - camera[:, 3:6])
    u = z[:, :2] / z[:, 2:]
    s = np.sum(u**2, axis=1, keepdims=True)
    distortion = 1 + camera[:, 9:10] * s + camera[:, 10:11] * s**2
    seen = u * distortion * camera[:, 6:7] + camera[:, 7:9]
    return weight[:, None] * (seen - features)


def primal(x, features, camera_of, point_of, n, m):
    cameras = x[: 11 * n].reshape(n, 11)
    points = x[11 * n : 11 * n + 3 * m].reshape(m, 3)
    weights = x[11 * n + 3 * m :]
    residuals = project(cameras[camera_of], points[point_of], weights, features)
    return np.concatenate([residuals.reshape(-1), 1 - weights**2])


def pattern(camera_of, point_of, n, m):
    """Columns and row pointers: per residual 11 + 3 + 1 entries, then one per weight."""
    p = len(camera_of)
    start = 11 * n + 3 * m
    columns = np.empty((p, 2, 15), dtype=np.int32)
    columns[:, :, :11] = (11 * camera_of[:, None] + np.arange(11))[:, None]
    columns[:, :, 11:14] = (11 * n + 3 * point_of[:, None] + np.arange(3))[:, None]
    columns[:, :, 14] = (start + np.arange(p))[:, None]
    pointers = np.append(np.arange(0, 30 * p, 15), np.arange(30 * p, 31 * p + 1))
    indices = np.append(columns.ravel(), start + np.arange(p)).astype(np.int32)
    return indices, pointers.astype(np.int32), (3 * p, start + p)


def assembler(camera_of, point_of, n, m):
    """Blocks (p, 2, 15) and the weights' slopes to CSR; for every library but jittape."""
    import scipy.sparse

    indices, pointers, shape = pattern(camera_of, point_of, n, m)

    def assemble(blocks: Any, slopes: Any) -> Any:
        data = np.concatenate([np.asarray(blocks).reshape(-1), np.asarray(slopes)])
        return scipy.sparse.csr_array((data, indices, pointers), shape=shape)

    return assemble


def gathered(x, camera_of, point_of, n, m):
    """The 15 numbers of each observation."""
    cameras = x[: 11 * n].reshape(n, 11)
    points = x[11 * n : 11 * n + 3 * m].reshape(m, 3)
    return np.hstack([cameras[camera_of], points[point_of], x[11 * n + 3 * m :, None]])


def reference(x, features, camera_of, point_of, n, m):
    """Complex step of every observation's residuals, one of its 15 numbers at a time."""
    rows = gathered(x, camera_of, point_of, n, m)
    blocks = np.empty((len(rows), 2, 15))
    for j in range(15):
        z = rows.astype(complex)
        z[:, j] += 1e-100j
        blocks[:, :, j] = project(z[:, :11], z[:, 11:14], z[:, 14], features).imag / 1e-100
    return assembler(camera_of, point_of, n, m)(blocks, -2 * rows[:, 14])


def with_jittape(*inputs):
    import jittape

    jacobian = jittape.jacobian(primal, sparse=True)
    return lambda: jacobian(*inputs)


def one(xp, where, z, features):
    """Residuals from a sequence of 15 scalars, or of 15 columns."""
    r1, r2, r3, c1, c2, c3, f, x0, y0, k1, k2, a, b, c, w = z
    a, b, c = a - c1, b - c2, c - c3
    squared = r1 * r1 + r2 * r2 + r3 * r3
    turns = squared > 0
    theta = xp.sqrt(where(turns, squared, 1.0))
    v1, v2, v3 = r1 / theta, r2 / theta, r3 / theta
    cos, sin = xp.cos(theta), xp.sin(theta)
    along = (v1 * a + v2 * b + v3 * c) * (1 - cos)
    p = where(turns, a * cos + (v2 * c - v3 * b) * sin + v1 * along, a + r2 * c - r3 * b)
    q = where(turns, b * cos + (v3 * a - v1 * c) * sin + v2 * along, b + r3 * a - r1 * c)
    d = where(turns, c * cos + (v1 * b - v2 * a) * sin + v3 * along, c + r1 * b - r2 * a)
    p, q = p / d, q / d
    s = p * p + q * q
    scale = (1 + k1 * s + k2 * s * s) * f
    return w * (p * scale + x0 - features[0]), w * (q * scale + y0 - features[1])


def with_jax(x, features, camera_of, point_of, n, m, transform):
    jax, jnp = peers.jax_modules()

    def residuals(z, features):
        return jnp.stack(one(jnp, jnp.where, z, features))

    jacobian = jax.vmap(getattr(jax, transform)(residuals))

    @jax.jit
    def blocks(x, features):
        cameras = x[: 11 * n].reshape(n, 11)[camera_of]
        points = x[11 * n : 11 * n + 3 * m].reshape(m, 3)[point_of]
        weights = x[11 * n + 3 * m :]
        return jacobian(jnp.hstack([cameras, points, weights[:, None]]), features), -2 * weights

    assemble = assembler(camera_of, point_of, n, m)
    given = jnp.asarray(x), jnp.asarray(features)
    return lambda: assemble(*blocks(*given))


def with_torch(x, features, camera_of, point_of, n, m):
    """Observations are independent: the gradient of a sum of residuals holds a row of each."""
    import torch

    assemble = assembler(camera_of, point_of, n, m)
    xt, ft = torch.tensor(x), torch.tensor(features).unbind(1)
    ci, pi = torch.tensor(camera_of), torch.tensor(point_of)

    def run():
        cameras = xt[: 11 * n].reshape(n, 11)[ci]
        points = xt[11 * n : 11 * n + 3 * m].reshape(m, 3)[pi]
        weights = xt[11 * n + 3 * m :]
        rows = torch.cat([cameras, points, weights[:, None]], 1).T.contiguous()
        rows.requires_grad_()
        across, down = one(torch, torch.where, rows.unbind(0), ft)
        (first,) = torch.autograd.grad(across.sum(), rows, retain_graph=True)
        (second,) = torch.autograd.grad(down.sum(), rows)
        return assemble(torch.stack([first, second]).permute(2, 0, 1).numpy(), -2 * weights.numpy())

    return run


def with_autograd(x, features, camera_of, point_of, n, m):
    import autograd

    anp = peers.autograd_numpy()
    assemble = assembler(camera_of, point_of, n, m)
    ft = features.T.copy()
    halves = [
        autograd.grad(lambda columns, half=half: anp.sum(one(anp, anp.where, columns, ft)[half]))
        for half in (0, 1)
    ]

    def run():
        columns = list(gathered(x, camera_of, point_of, n, m).T.copy())
        blocks = np.array([half(columns) for half in halves]).transpose(2, 0, 1)
        return assemble(blocks, -2 * x[11 * n + 3 * m :])

    return run


def with_casadi(x, features, camera_of, point_of, n, m):
    import casadi as ca

    z, f = ca.SX.sym("z", 15), ca.SX.sym("f", 2)
    r = ca.vertcat(*one(ca, ca.if_else, ca.vertsplit(z), ca.vertsplit(f)))
    # transposed, since CasADi stores columns
    block = ca.Function("block", [z, f], [ca.densify(ca.jacobian(r, z)).T])
    rows = gathered(x, camera_of, point_of, n, m)
    run = peers.casadi_run(block.map(len(rows)), rows, features)
    assemble = assembler(camera_of, point_of, n, m)
    return lambda: assemble(run()[0], -2 * x[11 * n + 3 * m :])


def by_numba(x, features, camera_of, point_of, n, m):
    import scipy.sparse

    from .compiled.ba import fill

    indices, pointers, shape = pattern(camera_of, point_of, n, m)

    def run():
        data = fill(x, features, camera_of, point_of, n, m)
        return scipy.sparse.csr_array((data, indices, pointers), shape=shape)

    return run


PROBLEM = Problem(
    name="ba",
    what="sparse Jacobian (CSR) of bundle adjustment; residuals by cameras, points, weights",
    sizes=SIZES,
    small=("small", "small distinct"),
    full=("ba1", "ba1 distinct", "ba2", "ba5"),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax jacfwd": lambda *inputs: with_jax(*inputs, transform="jacfwd"),
        "jax jacrev": lambda *inputs: with_jax(*inputs, transform="jacrev"),
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numba": by_numba,
    },
    reference=reference,
    modules={"": ("scipy.sparse",)},
    measure=lambda size: float(counts(size)[2]),
    axis="observations",
    unit="observation",
    units={label: float(counts(size)[2]) for label, size in SIZES.items()},
)
