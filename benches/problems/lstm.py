"""lstm: a diagonal LSTM through time; gradient by main and extra parameters."""

import numpy as np

from .. import peers
from ..problem import DATA, Known, Problem

BITS = 14
SIZES = {
    "l2_c64": ("lstm_l2_c1024.txt", 64),
    "l2_c1024": ("lstm_l2_c1024.txt", 1024),
    "l4_c1024": ("lstm_l4_c1024.txt", 1024),
}


def make(size):
    name, characters = size
    words = (DATA / "lstm" / name).read_text().split()
    layers, c, b = (int(w) for w in words[:3])
    shapes = ((2 * layers, 4 * b), (3, b), (2 * layers, b), (c, b))
    edges = np.cumsum([r * w for r, w in shapes])
    parts = np.split(np.array(words[3:], dtype=float)[: edges[-1]], edges[:-1])
    main, extra, state, seq = (p.reshape(s) for p, s in zip(parts, shapes, strict=True))
    return main, extra, state, seq[:characters].copy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def primal(main, extra, state, seq):
    b = seq.shape[1]
    layers = len(main) // 2
    hidden = [state[2 * i] for i in range(layers)]
    cell = [state[2 * i + 1] for i in range(layers)]
    total = 0.0
    for t in range(len(seq) - 1):
        x = seq[t] * extra[0]
        for i in range(layers):
            w, bias = main[2 * i], main[2 * i + 1]
            forget = sigmoid(x * w[:b] + bias[:b])
            ingate = sigmoid(hidden[i] * w[b : 2 * b] + bias[b : 2 * b])
            out = sigmoid(x * w[2 * b : 3 * b] + bias[2 * b : 3 * b])
            change = np.tanh(hidden[i] * w[3 * b :] + bias[3 * b :])
            cell[i] = cell[i] * forget + ingate * change
            hidden[i] = out * np.tanh(cell[i])
            x = hidden[i]
        y = x * extra[1] + extra[2]
        total = total + np.sum(seq[t + 1] * (y - np.log(2 + np.sum(np.exp(y)))))
    return -total / ((len(seq) - 1) * b)


def reference(main, extra, state, seq):
    """Complex step of all parameters at once, as a leading axis of the same recursion."""
    b, layers, n = seq.shape[1], len(main) // 2, main.size + extra.size
    z = np.tile(np.concatenate([main.ravel(), extra.ravel()]).astype(complex), (n, 1))
    z[np.arange(n), np.arange(n)] += 1e-100j
    m, e = z[:, : main.size].reshape(n, 2 * layers, 4, b), z[:, main.size :].reshape(n, 3, b)
    hidden = [np.tile(state[2 * i].astype(complex), (n, 1)) for i in range(layers)]
    cell = [np.tile(state[2 * i + 1].astype(complex), (n, 1)) for i in range(layers)]
    total = np.zeros(n)
    for now, following in zip(seq[:-1], seq[1:], strict=True):
        x = now * e[:, 0]
        for i in range(layers):
            w, bias = m[:, 2 * i], m[:, 2 * i + 1]
            gates = np.stack([x, hidden[i], x], axis=1) * w[:, :3] + bias[:, :3]
            forget, ingate, out = np.moveaxis(1 / (1 + np.exp(-gates)), 1, 0)
            change = np.tanh(hidden[i] * w[:, 3] + bias[:, 3])
            cell[i] = cell[i] * forget + ingate * change
            hidden[i] = x = out * np.tanh(cell[i])
        y = x * e[:, 1] + e[:, 2]
        lse = np.log(2 + np.exp(y).sum(axis=1))
        total += (following * (y - lse[:, None])).sum(axis=1).imag
    g = -total / 1e-100 / ((len(seq) - 1) * b)
    return g[: main.size].reshape(main.shape), g[main.size :].reshape(extra.shape)


def with_jittape(main, extra, state, seq):
    import jittape

    g = jittape.grad(primal, argnums=(0, 1))
    return lambda: g(main, extra, state, seq)


def cell_step(sigmoid, tanh, w, x, hidden, cell):
    """w: 8 rows, weights and biases of forget, in, out, change."""
    forget = sigmoid(x * w[0] + w[4])
    ingate = sigmoid(hidden * w[1] + w[5])
    out = sigmoid(x * w[2] + w[6])
    cell = cell * forget + ingate * tanh(hidden * w[3] + w[7])
    return out * tanh(cell), cell


def array_step(stack, sigmoid, tanh, weights, biases, x, hidden, cell):
    """The four gates as one (4, b) array: fewer and larger operations, for the array libraries."""
    z = stack([x, hidden, x, hidden]) * weights + biases
    gates = sigmoid(z[:3])
    cell = cell * gates[0] + gates[1] * tanh(z[3])
    return gates[2] * tanh(cell), cell


def with_jax(main, extra, state, seq, scan):
    """The read-out leaves the loop: it does not feed back, so it runs once on (c - 1, b)."""
    jax, jnp = peers.jax_modules()
    layers, b = len(main) // 2, seq.shape[1]

    def loss(main, extra, state, seq):
        rows = main.reshape(layers, 2, 4, b)

        def step(carry, x):
            hidden, cell = list(carry[0]), list(carry[1])
            for i in range(layers):
                x, cell[i] = array_step(
                    jnp.stack, jax.nn.sigmoid, jnp.tanh, *rows[i], x, hidden[i], cell[i]
                )
                hidden[i] = x
            return (tuple(hidden), tuple(cell)), x

        carry, fed = (tuple(state[0::2]), tuple(state[1::2])), seq[:-1] * extra[0]
        if scan:
            _, outputs = jax.lax.scan(step, carry, fed)
        else:
            kept = []
            for t in range(len(seq) - 1):
                carry, x = step(carry, fed[t])
                kept.append(x)
            outputs = jnp.stack(kept)
        y = outputs * extra[1] + extra[2]
        lse = jnp.log(2 + jnp.sum(jnp.exp(y), axis=1, keepdims=True))
        return -jnp.sum(seq[1:] * (y - lse)) / ((len(seq) - 1) * b)

    return peers.jax_run(jax.grad(loss, argnums=(0, 1)), main, extra, state, seq)


def with_torch(main, extra, state, seq):
    import torch

    layers, b = len(main) // 2, seq.shape[1]
    st, sq = torch.tensor(state), torch.tensor(seq)

    def loss(main, extra):
        rows = [part.unbind(0) for part in main.reshape(layers, 2, 4, b).unbind(0)]
        hidden, cell = list(st[0::2]), list(st[1::2])
        outputs = []
        for x in (sq[:-1] * extra[0]).unbind(0):
            for i in range(layers):
                weights, biases = rows[i]
                z = torch.addcmul(biases, torch.stack([x, hidden[i], x, hidden[i]]), weights)
                forget, ingate, out = torch.sigmoid(z[:3]).unbind(0)
                cell[i] = torch.addcmul(cell[i] * forget, ingate, torch.tanh(z[3]))
                x = hidden[i] = out * torch.tanh(cell[i])
            outputs.append(x)
        y = torch.stack(outputs) * extra[1] + extra[2]
        lse = torch.log(2 + torch.exp(y).sum(1, keepdim=True))
        return -(sq[1:] * (y - lse)).sum() / ((len(sq) - 1) * b)

    return peers.torch_run(loss, [peers.torch_leaf(main), peers.torch_leaf(extra)])


def with_autograd(main, extra, state, seq):
    import autograd

    anp = peers.autograd_numpy()
    layers, b = len(main) // 2, seq.shape[1]

    def logistic(x):
        return 0.5 + 0.5 * anp.tanh(0.5 * x)

    def loss(main, extra):
        parts = anp.reshape(main, (layers, 2, 4, b))
        rows = [(parts[i, 0], parts[i, 1]) for i in range(layers)]
        hidden, cell = list(state[0::2]), list(state[1::2])
        w_in, outputs = extra[0], []
        for t in range(len(seq) - 1):
            x = seq[t] * w_in
            for i in range(layers):
                x, cell[i] = array_step(
                    anp.stack, logistic, anp.tanh, *rows[i], x, hidden[i], cell[i]
                )
                hidden[i] = x
            outputs.append(x)
        y = anp.stack(outputs) * extra[1] + extra[2]
        lse = anp.log(2 + anp.sum(anp.exp(y), axis=1, keepdims=True))
        return -anp.sum(seq[1:] * (y - lse)) / ((len(seq) - 1) * b)

    g = autograd.grad(loss, argnum=(0, 1))
    return lambda: g(main, extra)


def with_casadi(main, extra, state, seq):
    """One step as a scalar function, its derivative generated once, accumulated over time."""
    import casadi as ca

    layers, b = len(main) // 2, seq.shape[1]
    m, e = ca.SX.sym("m", b, 8 * layers), ca.SX.sym("e", b, 3)
    carry, pair = ca.SX.sym("c", b, 2 * layers + 1), ca.SX.sym("s", b, 2)
    x, after = pair[:, 0] * e[:, 0], []
    for i in range(layers):
        w = [m[:, 8 * i + j] for j in range(8)]
        x, c = cell_step(
            lambda z: 1 / (1 + ca.exp(-z)), ca.tanh, w, x, carry[:, 2 * i], carry[:, 2 * i + 1]
        )
        after += [x, c]
    y = x * e[:, 1] + e[:, 2]
    total = carry[:, -1] + pair[:, 1] * (y - ca.log(2 + ca.sum1(ca.exp(y))))
    step = ca.Function("step", [carry, pair, m, e], [ca.horzcat(*after, total)])
    n = len(seq) - 1
    ms, es = ca.MX.sym("m", b, 8 * layers), ca.MX.sym("e", b, 3)
    pairs = ca.DM(np.hstack([seq[:-1], seq[1:]]).reshape(2 * n, b).T)
    start = ca.DM(np.vstack([state, np.zeros(b)]).T)
    end = step.fold(n)(start, pairs, ca.repmat(ms, 1, n), ca.repmat(es, 1, n))
    f = -ca.sum1(end[:, -1]) / (n * b)
    g = ca.Function("g", [ms, es], [ca.densify(ca.gradient(f, v)) for v in (ms, es)])
    return peers.casadi_run(g, main, extra)


def by_numba(main, extra, state, seq):
    from .compiled.lstm import adjoint

    return lambda: adjoint(main, extra, state, seq)


PROBLEM = Problem(
    name="lstm",
    what="gradient of a diagonal LSTM's loss through time, by all parameters",
    sizes=SIZES,
    small=("l2_c64",),
    full=("l2_c1024", "l4_c1024"),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax scan": lambda *inputs: with_jax(*inputs, scan=True),
        "jax unrolled": lambda *inputs: with_jax(*inputs, scan=False),
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numba": by_numba,
    },
    reference=reference,
    measure=lambda size: float(size[1] * int(size[0][6])),
    axis="layers x characters",
    known={
        "l2_c1024": Known(0.6666651795588522, 0.04935458212319118),
        "l4_c1024": Known(0.7106766385584276, -0.011916155825666509),
    },
)
