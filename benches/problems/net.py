"""net: a two-layer softmax classifier on scikit-learn's digits, and its Hessian times a vector."""

import importlib.util
from pathlib import Path

import numpy as np

from .. import peers
from ..problem import Problem, direction

DECAY = 1e-3
HIDDEN = 100
KEYS = ("b1", "b2", "w1", "w2")  # sorted, as JAX returns a dict


def digits():
    """The table inside scikit-learn, without importing scikit-learn (and its memory)."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn: pip install scikit-learn")
    table = np.loadtxt(Path(spec.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    return table[:, :-1] / 16.0, table[:, -1].astype(np.int64)


def make(batch):
    x, y = digits()
    r = np.random.default_rng(0)
    if batch is not None:
        chosen = r.permutation(len(y))[:batch]
        x, y = x[chosen], y[chosen]
    params = {
        "w1": r.normal(size=(64, HIDDEN)) * 0.15,
        "b1": r.normal(size=HIDDEN) * 0.1,
        "w2": r.normal(size=(HIDDEN, 10)) * 0.1,
        "b2": r.normal(size=10) * 0.1,
    }
    return params, np.ascontiguousarray(x), y


def make_hvp(batch):
    params, x, y = make(batch)
    sizes = [params[k].size for k in KEYS]
    parts = np.split(direction(sum(sizes)), np.cumsum(sizes)[:-1])
    along = {k: v.reshape(params[k].shape) for k, v in zip(KEYS, parts, strict=True)}
    return params, x, y, along


def primal(params, x, y):
    h = np.maximum(0, x @ params["w1"] + params["b1"])
    z = h @ params["w2"] + params["b2"]
    z = z - np.max(z, axis=1, keepdims=True)
    logp = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    decay = np.sum(params["w1"] ** 2) + np.sum(params["w2"] ** 2)
    return -np.mean(logp[np.arange(len(y)), y]) + 0.5 * DECAY * decay


def primal_hvp(params, x, y, along):
    return primal(params, x, y)


def closed_form(params, x, y):
    """The gradient in the textbook's words; also right for complex parameters."""
    a = x @ params["w1"] + params["b1"]
    on = (a.real > 0).astype(float)
    z = (a * on) @ params["w2"] + params["b2"]
    e = np.exp(z - z.real.max(axis=1)[:, None])
    dz = (e / e.sum(axis=1)[:, None] - np.eye(10)[y]) / len(y)
    da = (dz @ params["w2"].T) * on
    return {
        "b1": da.sum(axis=0),
        "b2": dz.sum(axis=0),
        "w1": x.T @ da + DECAY * params["w1"],
        "w2": (a * on).T @ dz + DECAY * params["w2"],
    }


def reference_hvp(params, x, y, along):
    """Complex step of the closed-form gradient."""
    g = closed_form({k: params[k] + 1e-100j * along[k] for k in KEYS}, x, y)
    return {k: g[k].imag / 1e-100 for k in KEYS}


def with_jittape(params, x, y):
    import jittape

    g = jittape.grad(primal)
    return lambda: g(params, x, y)


def jax_loss(jax, jnp, x, y):
    def loss(params):
        h = jax.nn.relu(x @ params["w1"] + params["b1"])
        logp = jax.nn.log_softmax(h @ params["w2"] + params["b2"])
        nll = -jnp.mean(jnp.take_along_axis(logp, y[:, None], axis=1))
        return nll + 0.5 * DECAY * (jnp.sum(params["w1"] ** 2) + jnp.sum(params["w2"] ** 2))

    return loss


def with_jax(params, x, y):
    jax, jnp = peers.jax_modules()
    return peers.jax_run(
        lambda params, x, y: jax.grad(jax_loss(jax, jnp, x, y))(params), params, x, y
    )


def torch_loss(x, y):
    import torch

    x, y = torch.tensor(x), torch.tensor(y)

    def loss(b1, b2, w1, w2):
        h = torch.relu(torch.addmm(b1, x, w1))
        nll = torch.nn.functional.cross_entropy(torch.addmm(b2, h, w2), y)
        return nll + 0.5 * DECAY * (w1.square().sum() + w2.square().sum())

    return loss


def with_torch(params, x, y, compiled=False):
    leaves = [peers.torch_leaf(params[k]) for k in KEYS]
    return peers.torch_run(torch_loss(x, y), leaves, compiled)


def autograd_loss(x, y):
    anp = peers.autograd_numpy()
    rows = np.arange(len(y))

    def loss(params):
        h = anp.maximum(0, anp.dot(x, params["w1"]) + params["b1"])
        z = anp.dot(h, params["w2"]) + params["b2"]
        z = z - anp.max(z, axis=1, keepdims=True)
        logp = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
        decay = anp.sum(params["w1"] ** 2) + anp.sum(params["w2"] ** 2)
        return -anp.mean(logp[rows, y]) + 0.5 * DECAY * decay

    return loss


def with_autograd(params, x, y):
    import autograd

    g = autograd.grad(autograd_loss(x, y))
    return lambda: g(params)


def casadi_gradient(x, y):
    """Symbols in KEYS' order (matrices transposed, so that columns are rows), and the gradient."""
    import casadi as ca

    n = len(y)
    shapes = {"b1": (HIDDEN, 1), "b2": (10, 1), "w1": (HIDDEN, 64), "w2": (10, HIDDEN)}
    s = {k: ca.MX.sym(k, *shapes[k]) for k in KEYS}
    h = ca.fmax(0, s["w1"] @ ca.DM(x.T) + ca.repmat(s["b1"], 1, n))
    z = s["w2"] @ h + ca.repmat(s["b2"], 1, n)
    top = z[0, :]
    for i in range(1, 10):
        top = ca.fmax(top, z[i, :])
    logs = top + ca.log(ca.sum1(ca.exp(z - ca.repmat(top, 10, 1))))
    f = (ca.sum2(logs) - ca.sum1(ca.sum2(z * ca.DM(np.eye(10)[y].T)))) / n
    f += 0.5 * DECAY * (ca.sumsqr(s["w1"]) + ca.sumsqr(s["w2"]))
    symbols = [s[k] for k in KEYS]
    return symbols, [ca.densify(ca.gradient(f, v)) for v in symbols]


def with_casadi(params, x, y):
    import casadi as ca

    symbols, gradient = casadi_gradient(x, y)
    return peers.casadi_run(ca.Function("g", symbols, gradient), *(params[k] for k in KEYS))


def by_hand(params, x, y):
    rows, n = np.arange(len(y)), len(y)
    xt = np.ascontiguousarray(x.T)

    def run():
        w1, w2 = params["w1"], params["w2"]
        h = x @ w1
        h += params["b1"]
        np.maximum(h, 0.0, out=h)
        z = h @ w2
        z += params["b2"]
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z *= 1.0 / (n * z.sum(axis=1, keepdims=True))
        z[rows, y] -= 1.0 / n
        dw2 = h.T @ z
        dw2 += DECAY * w2
        da = z @ w2.T
        da *= h > 0
        dw1 = xt @ da
        dw1 += DECAY * w1
        return {"b1": da.sum(axis=0), "b2": z.sum(axis=0), "w1": dw1, "w2": dw2}

    return run


def hvp_jittape(params, x, y, along):
    import jittape

    h = jittape.hvp(lambda params: primal(params, x, y))
    return lambda: h(params, along)


def hvp_jax(params, x, y, along):
    """Forward over reverse."""
    jax, jnp = peers.jax_modules()

    def product(params, x, y, along):
        gradient = jax.grad(jax_loss(jax, jnp, x, y))
        return jax.jvp(gradient, (params,), (along,))[1]

    return peers.jax_run(product, params, x, y, along)


def hvp_torch(params, x, y, along):
    """Reverse over reverse, which is the faster form on this problem in eager mode."""
    import torch

    leaves = [peers.torch_leaf(params[k]) for k in KEYS]
    v = [torch.tensor(along[k]) for k in KEYS]
    loss = torch_loss(x, y)

    def run():
        g = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
        return torch.autograd.grad(g, leaves, grad_outputs=v)

    return run


def hvp_autograd(params, x, y, along):
    import autograd

    pull = autograd.make_vjp(autograd.grad(autograd_loss(x, y)))
    return lambda: pull(params)[0](along)  # the Hessian is symmetric


def hvp_casadi(params, x, y, along):
    import casadi as ca

    symbols, gradient = casadi_gradient(x, y)
    v = [ca.MX.sym("v", *s.shape) for s in symbols]
    g = ca.vertcat(*(ca.vec(part) for part in gradient))
    flat = ca.Function("g", symbols, [g])
    forward = flat.forward(1)(*symbols, ca.MX(*g.shape), *v)
    f = ca.Function("h", symbols + v, [ca.densify(forward)])
    return peers.casadi_run(f, *(params[k] for k in KEYS), *(along[k] for k in KEYS))


def hvp_by_hand(params, x, y, along):
    """Pearlmutter's R operator written out."""
    target, n = np.eye(10)[y] / len(y), len(y)
    xt = np.ascontiguousarray(x.T)

    def run():
        w1, w2, v1, v2 = params["w1"], params["w2"], along["w1"], along["w2"]
        h = x @ w1 + params["b1"]
        on = h > 0
        np.maximum(h, 0.0, out=h)
        rh = x @ v1
        rh += along["b1"]
        rh *= on
        z = h @ w2 + params["b2"]
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z *= 1.0 / (n * z.sum(axis=1, keepdims=True))
        rz = h @ v2
        rz += rh @ w2
        rz += along["b2"]
        rz *= z
        rz -= (n * rz.sum(axis=1, keepdims=True)) * z
        z -= target
        ra = rz @ w2.T
        ra += z @ v2.T
        ra *= on
        return {
            "b1": ra.sum(axis=0),
            "b2": rz.sum(axis=0),
            "w1": xt @ ra + DECAY * v1,
            "w2": h.T @ rz + rh.T @ z + DECAY * v2,
        }

    return run


COMMON = {
    "sizes": {"256": 256, "full": None},
    "small": ("256",),
    "full": ("256", "full"),
    "measure": lambda batch: float(batch or 1797),
    "axis": "batch",
}
PROBLEM = Problem(
    name="net",
    what="gradient of a two-layer softmax classifier's loss (64-100-10, relu, L2), digits",
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "torch compile": lambda *inputs: with_torch(*inputs, compiled=True),
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_hand,
    },
    reference=closed_form,
    **COMMON,
)
HVP = Problem(
    name="hvp",
    what="Hessian-vector product of that classifier's loss",
    make=make_hvp,
    primal=primal_hvp,
    variants={
        "jittape": hvp_jittape,
        "jittape gradient": lambda params, x, y, along: with_jittape(params, x, y),
        "jax": hvp_jax,
        "torch": hvp_torch,
        "autograd": hvp_autograd,
        "casadi": hvp_casadi,
        "hand numpy": hvp_by_hand,
    },
    reference=reference_hvp,
    **COMMON,
)
