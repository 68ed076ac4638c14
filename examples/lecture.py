"""The three graphs of the reverse-mode lecture (CS231n, lecture 4), node by node.

Run: python examples/lecture.py
"""

import numpy as np

import jittape


def product_of_sum(x, y, z):
    """f = (x + y) z: add distributes its gradient, mul switches its operands."""
    q = x + y
    return q * z


def neuron(w, x):
    """A sigmoid neuron of two inputs."""
    s = w[0] * x[0] + w[1] * x[1] + w[2]
    return 1.0 / (1.0 + np.exp(-s))


def squared_norm(W, x):
    """f = ||W x||^2."""
    q = W @ x
    return np.sum(q**2)


GRAPHS = {
    "f = (x + y) z": (product_of_sum, (-2.0, 5.0, -4.0)),
    "sigmoid neuron": (neuron, (np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0]))),
    "f = ||W x||^2": (
        squared_norm,
        (np.array([[0.1, 0.5], [-0.3, 0.8]]), np.array([0.2, 0.4])),
    ),
}


def main() -> None:
    for title, (fun, args) in GRAPHS.items():
        print(f"== {title}")
        print(jittape.trace(fun)(*args).show(*args))
        value, gradient = jittape.value_and_grad(fun, argnums=tuple(range(len(args))))(*args)
        print("value", value)
        for i, g in enumerate(gradient):
            print(f"gradient by argument {i}:", np.array2string(np.asarray(g), precision=4))
        print()

    x = np.linspace(-1.0, 1.0, 4096)
    out, pullback = jittape.vjp(lambda x: np.maximum(0.0, x), x)
    (g,) = pullback(np.ones_like(x))
    print(f"max(0, x) on {x.size} numbers: {int(g.sum())} gradients routed, no Jacobian formed")


if __name__ == "__main__":
    main()
