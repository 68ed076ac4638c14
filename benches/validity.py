"""What the validity of a cached tape costs per call: `python -m benches.validity`.

The same ten-element function three times: leaning on nothing outside itself; on globals, a helper,
a closure and a default as typical functions do; and as a method that reads attributes. The
difference to the first is what looking at that state costs.
"""

import statistics
import time

import numpy as np

SCALE = 2.0
OFFSET = 0.5
POWER = 2


def helper(x):
    return x * SCALE + OFFSET


def bare(x):
    return np.sum(((x * 2.0 + 0.5) * 0.1) ** 2)


def typical():
    """Three globals, a helper function, two closure cells and a default argument."""
    rate, shift = 0.1, 0.0

    def function(x, extra=0.0):
        return np.sum((helper(x) * rate) ** POWER) + shift + extra

    return function


class Model:
    """Attributes of self instead of globals and cells."""

    def __init__(self):
        self.scale, self.offset, self.rate = 2.0, 0.5, 0.1

    def loss(self, x):
        return np.sum(((x * self.scale + self.offset) * self.rate) ** 2)


def functions():
    return {"bare": bare, "typical": typical(), "method": Model().loss}


def point():
    return np.linspace(-1, 1, 10)


def expected(x):
    return 2 * (x * 2.0 + 0.5) * 0.01 * 2.0


def per_call(call, x, number=2000, rounds=15):
    """Median seconds of a call."""
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(number):
            call(x)
        samples.append((time.perf_counter() - start) / number)
    return statistics.median(samples)


def main():
    import jittape

    x = point()
    calls = {name: jittape.grad(function) for name, function in functions().items()}
    for name, call in calls.items():
        worst = np.max(np.abs(call(x) - expected(x)))
        if not worst < 1e-12:
            raise SystemExit(f"{name}: wrong by {worst:.1e}")
    base = None
    for name, call in calls.items():
        seconds = per_call(call, x)
        base = seconds if base is None else base
        print(f"{name:8s} {seconds * 1e6:7.2f} us a call, {(seconds - base) * 1e9:+7.0f} ns")


if __name__ == "__main__":
    main()
