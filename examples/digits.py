"""A two-layer softmax classifier for digits, trained by SciPy with the gradient of jittape.

Run: python examples/digits.py [--small] [--out digits.png]
The loss is plain NumPy; `jittape.value_and_grad` gives what minimize(jac=True) asks for.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jittape

HIDDEN, CLASSES = 100, 10


def unpack(theta, n_features):
    """The flat parameter vector as (W1, b1, W2, b2)."""
    shapes = [(n_features, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,)]
    parts, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(theta[start : start + size].reshape(shape))
        start += size
    return parts


def logits(theta, X):
    W1, b1, W2, b2 = unpack(theta, X.shape[1])
    return np.maximum(0.0, X @ W1 + b1) @ W2 + b2


def loss(theta, X, y, l2):
    """Mean cross-entropy of the labels plus l2 times the squared norm of the parameters."""
    z = logits(theta, X)
    z = z - np.max(z, axis=1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(y)), y]) + l2 * np.sum(theta**2)


def picture(path, X, y, predicted):
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no picture")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(4, 10, figsize=(10, 4.6))
    for ax, image, label, guess in zip(axes.flat, X, y, predicted, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_title(str(guess), color="black" if guess == label else "red")
        ax.axis("off")
    fig.suptitle("test images and their predicted digits (errors in red)")
    fig.savefig(path, dpi=100)
    plt.close(fig)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="few iterations, for a quick check")
    parser.add_argument("--out", type=Path, default=Path("out/digits.png"))
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(images / 16.0, labels, random_state=0)
    size = X.shape[1] * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
    theta = 0.1 * np.random.default_rng(0).standard_normal(size)

    value_and_grad = jittape.value_and_grad(loss)
    iterations = 0

    def progress(intermediate_result):
        nonlocal iterations
        iterations += 1
        if iterations % 10 == 0:
            print(f"iteration {iterations:4d}  loss {intermediate_result.fun:.5f}")

    result = minimize(
        value_and_grad,
        theta,
        args=(X, y, 1e-4),
        jac=True,
        method="L-BFGS-B",
        callback=progress,
        options={"maxiter": 20 if options.small else 200},
    )
    predicted = np.argmax(logits(result.x, X_test), axis=1)
    print(f"{result.nit} iterations, {result.nfev} gradients, loss {result.fun:.5f}")
    print(f"test accuracy {np.mean(predicted == y_test):.4f}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture(options.out, X_test, y_test, predicted)


if __name__ == "__main__":
    main()
