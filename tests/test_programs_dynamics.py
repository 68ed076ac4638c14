"""Programs as scientists write them: integrators, iterations, stencils, filters of state."""
# ruff: noqa: E501 (tables)

import dataclasses
import math

import numpy as np
import pytest
from sequences import follow

R = np.random.default_rng(0)


def euler_decay(k, y0, n):
    y = y0
    dt = 0.1
    for _ in range(n):
        y = y + dt * (-k * y + math.sin(k))
    return y


def rk4_pendulum(theta0, params):
    g, length = params

    def deriv(state):
        theta, omega = state
        return np.array([omega, -g / length * np.sin(theta)])

    y = np.array([theta0, 0.0])
    h = 0.05
    for _ in range(20):
        k1 = deriv(y)
        k2 = deriv(y + h / 2 * k1)
        k3 = deriv(y + h / 2 * k2)
        k4 = deriv(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y[0] ** 2 + y[1]


def verlet_bodies(x0):
    pos = x0.reshape(3, 2).copy()
    vel = np.zeros_like(pos)
    mass = np.array([1.0, 2.0, 0.5])

    def force(p):
        f = np.zeros((3, 2))
        for i in range(3):
            for j in range(3):
                if i != j:
                    d = p[j] - p[i]
                    f[i] += mass[i] * mass[j] * d / (np.linalg.norm(d) ** 3 + 0.1)
        return f

    a = force(pos) / mass[:, None]
    for _ in range(4):
        vel += 0.5 * 0.05 * a
        pos += 0.05 * vel
        a = force(pos) / mass[:, np.newaxis]
        vel += 0.5 * 0.05 * a
    energy = 0.5 * np.sum(mass * (vel**2).sum(axis=1))
    return energy + pos[0, 0]


def adaptive(k, y):
    t, h = 0.0, 0.3
    while t < 1.0:
        if t + h > 1.0:
            h = 1.0 - t
        full = y * (1 - k * h + (k * h) ** 2 / 2)
        half = y
        for _ in range(2):
            half = half * (1 - k * h / 2 + (k * h / 2) ** 2 / 2)
        error = abs(full - half)
        if error > 1e-2:
            h *= 0.5
            continue
        y = half
        t += h
    return y


def newton_root(a):
    x = 1.0
    for _ in range(30):
        fx = x**3 + a * x - 2
        step = fx / (3 * x**2 + a)
        x = x - step
        if abs(step) < 1e-12:
            break
    return x


def secant(a, b):
    f = lambda x: np.exp(-a * x) - b * x  # noqa: E731
    x0, x1 = 0.0, 1.0
    for _ in range(40):
        f0, f1 = f(x0), f(x1)
        if f1 == f0:
            break
        x0, x1 = x1, x1 - f1 * (x1 - x0) / (f1 - f0)
        if abs(x1 - x0) < 1e-13:
            break
    return x1


def heat(u0, kappa):
    u = u0.copy()
    for _ in range(8):
        u[1:-1] += kappa * (u[2:] - 2 * u[1:-1] + u[:-2])
        u[0], u[-1] = u[1], u[-2]
    return np.sum(u**2)


def laplace_2d(boundary):
    u = np.zeros((6, 6))
    u[0, :] = boundary
    u[:, -1] = boundary[::-1]
    for _ in range(6):
        u[1:-1, 1:-1] = 0.25 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2])
    return np.sum(u[1:-1, 1:-1] ** 2)


def gauss_seidel(b):
    A = np.array([[4.0, 1, 0], [1, 5, 2], [0, 2, 6]])
    x = np.zeros(3)
    for _ in range(6):
        for i in range(3):
            s = 0.0
            for j in range(3):
                if j != i:
                    s += A[i, j] * x[j]
            x[i] = (b[i] - s) / A[i, i]
    return x @ x


def wave(c, u0):
    n = len(u0)
    u, prev = np.empty(n), u0.copy()
    u[:] = u0
    for _ in range(5):
        new = np.zeros(n)
        new[1:-1] = 2 * u[1:-1] - prev[1:-1] + c**2 * np.diff(u, 2)
        prev, u = u, new
    return (u**2).sum()


def burgers_upwind(u):
    u = u.copy()
    for _ in range(4):
        back = u - np.roll(u, 1)
        ahead = np.roll(u, -1) - u
        u = u - 0.1 * np.where(u > 0, u * back, u * ahead)
    return np.mean(u**3)


def thomas(a, d):
    n = len(d)
    c = [0.0] * n
    y = [0.0] * n
    c[0] = a[0] / 3.0
    y[0] = d[0] / 3.0
    for i in range(1, n):
        m = 3.0 - a[i] * c[i - 1]
        c[i] = a[i] / m
        y[i] = (d[i] - a[i] * y[i - 1]) / m
    x = [0.0] * n
    x[-1] = y[-1]
    for i in range(n - 2, -1, -1):
        x[i] = y[i] - c[i] * x[i + 1]
    return sum(v * v for v in x)


def kalman(z, q, r):
    F = np.array([[1.0, 1.0], [0.0, 1.0]])
    H = np.array([[1.0, 0.0]])
    x, P = np.zeros(2), np.eye(2)
    ll = 0.0
    for obs in z:
        x = F @ x
        P = F @ P @ F.T + q * np.eye(2)
        S = H @ P @ H.T + r
        K = P @ H.T @ np.linalg.inv(S)
        v = obs - H @ x
        x = x + K @ v
        P = (np.eye(2) - K @ H) @ P
        ll += -0.5 * (v @ np.linalg.solve(S, v) + np.log(np.linalg.det(S)))
    return ll


def hmm_forward(logits, obs):
    A = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    B = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    alpha = np.array([0.5, 0.5]) * B[:, obs[0]]
    ll = 0.0
    for o in obs[1:]:
        scale = alpha.sum()
        ll += np.log(scale)
        alpha = (alpha / scale) @ A * B[:, o]
    return ll + np.log(alpha.sum())


def hmm_log_space(logits, obs):
    logA = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    logB = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]))
    alpha = np.log([0.5, 0.5]) + logB[:, obs[0]]
    for o in obs[1:]:
        alpha = np.array(
            [np.logaddexp.reduce([alpha[i] + logA[i, j] for i in range(2)]) for j in range(2)]
        )
        alpha = alpha + logB[:, o]
    return np.logaddexp(*alpha)


@dataclasses.dataclass
class Particle:
    x: float
    v: float

    def step(self, dt, k=1.0):
        self.v += -k * self.x * dt
        self.x += self.v * dt
        return self


def particle(x, k):
    p = Particle(x, v=0.0)
    for _ in range(10):
        p.step(0.1, k=k)
    return p.x**2 + p.v


class Lorenz:
    sigma = 10.0

    def __init__(self, rho, beta=8 / 3):
        self.rho, self.beta = rho, beta

    def __call__(self, s):
        x, y, z = s
        return [self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z]


def lorenz(rho, s0):
    system = Lorenz(rho)
    s = list(s0)
    for _ in range(10):
        s = [a + 0.01 * b for a, b in zip(s, system(s), strict=True)]
    return max(s) + 0.1 * min(s) + sum(s)


def sir(beta, gamma):
    history = []
    s, i, r = 0.99, 0.01, 0.0
    for _ in range(20):
        new = beta * s * i
        s, i, r = s - new, i + new - gamma * i, r + gamma * i
        history.append(i)
    peak = max(history)
    return peak + np.array(history).sum() + np.trapezoid(history, dx=0.5)


def bisection(a):
    lo, hi = 0.0, 3.0
    for _ in range(8):
        mid = 0.5 * (lo + hi)
        if math.cos(mid) - a * mid > 0:
            lo = mid
        else:
            hi = mid
    x = 0.5 * (lo + hi)
    return x - (np.cos(x) - a * x) / (-np.sin(x) - a)


def ping_pong_recursion(x, n):
    if n == 0:
        return x
    return 0.5 * ping_pong_recursion(np.sin(x), n - 1) + x * ping_pong_recursion(
        x / 2, n - 2 if n > 1 else 0
    )


def collatz_like(x):
    steps = 0
    while x > 1.0 and steps < 50:
        x = x / 2 if int(x) % 2 == 0 else x * 0.75 + 0.1
        steps += 1
    return x * steps


def crank_nicolson(u, kappa):
    n = u.size
    main = np.diag(np.full(n, 1.0)) * (1 + 2 * kappa)
    off = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    A = main - kappa * off
    for _ in range(3):
        rhs = u.copy()
        rhs[1:-1] = u[1:-1] + kappa * (u[2:] - 2 * u[1:-1] + u[:-2])
        u = np.linalg.solve(A, rhs)
    return np.linalg.norm(u) ** 2


def n_body_potential(x):
    d = x[:, None, :] - x[None, :, :]
    r2 = (d**2).sum(-1) + 1e-2
    iu = np.triu_indices(len(x), k=1)
    return -(1 / np.sqrt(r2[iu])).sum()


def lennard_jones(flat):
    x = flat.reshape(-1, 3)
    total = 0.0
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            r = np.sqrt(np.sum((x[i] - x[j]) ** 2))
            if r < 2.5:
                s6 = (1.0 / r) ** 6
                total += 4 * (s6**2 - s6)
    return total


def mandelbrot_escape(c):
    z = 0j
    for n in range(12):
        z = z * z + complex(0.1, 0.2) * c + 0.3
        if abs(z) > 4:
            return abs(z) + n
    return z.real**2 + z.imag


_POINTS = R.normal(size=(4, 3)) * 1.5
CASES = {
    "euler": (euler_decay, [(0.5, 1.0, 10), (1.5, 2.0, 10), (0.3, -1.0, 7)], {"hessian": True}),
    "rk4": (rk4_pendulum, [(0.5, (9.8, 1.0)), (1.5, (9.8, 2.0))], {"hessian": True}),
    "verlet": (verlet_bodies, [(R.normal(size=6) + np.arange(6),), (R.normal(size=6) * 2,)], {}),
    "adaptive": (adaptive, [(0.5, 1.0), (3.0, 1.3), (0.7, 0.8), (2.0, 0.1)], {}),
    "newton": (newton_root, [(1.0,), (5.0,), (0.2,)], {}),
    "secant": (secant, [(1.0, 1.0), (0.3, 2.0)], {}),
    "heat": (heat, [(R.normal(size=7), 0.2), (R.normal(size=7), 0.3)], {"hessian": True, "vmap": True}),
    "laplace": (laplace_2d, [(R.normal(size=6),), (R.normal(size=6),)], {"vmap": True}),
    "gauss_seidel": (gauss_seidel, [(R.normal(size=3),), (R.normal(size=3),)], {"hessian": True}),
    "wave": (wave, [(0.5, R.normal(size=6)), (0.9, R.normal(size=6))], {"hessian": True}),
    "burgers": (burgers_upwind, [(R.normal(size=6),), (R.normal(size=6),)], {"vmap": True}),
    "thomas": (thomas, [(R.uniform(size=5), R.normal(size=5)), (R.uniform(size=5), R.normal(size=5))], {}),
    "kalman": (kalman, [(R.normal(size=5), 0.1, 0.5), (R.normal(size=5), 0.3, 0.2)], {"hessian": True}),
    "hmm": (hmm_forward, [(R.normal(size=(2, 2)), [0, 1, 2, 1]), (R.normal(size=(2, 2)), [2, 1, 0])], {}),
    "hmm_log": (hmm_log_space, [(R.normal(size=(2, 2)), (0, 1, 2)), (R.normal(size=(2, 2)), (0, 2, 2))], {}),
    "particle": (particle, [(1.0, 2.0), (-0.5, 0.5)], {"hessian": True}),
    "lorenz": (lorenz, [(28.0, (1.0, 1.1, 0.9)), (10.0, (3.0, -1.1, 5.9))], {"rtol": 1e-5}),
    "sir": (sir, [(0.9, 0.2), (0.3, 0.4)], {"hessian": True}),
    "bisection": (bisection, [(1.0,), (0.31,), (1.01,)], {}),
    "recursion": (ping_pong_recursion, [(0.7, 3), (0.9, 4)], {"hessian": True}),
    "collatz": (collatz_like, [(8.3,), (13.7,), (8.4,), (5.3,)], {}),
    "crank_nicolson": (crank_nicolson, [(R.normal(size=5), 0.3), (R.normal(size=5), 0.4)], {"hessian": True}),
    "potential": (n_body_potential, [(R.normal(size=(4, 2)),), (R.normal(size=(4, 2)),)], {"hessian": True}),
    "lennard_jones": (lennard_jones, [(_POINTS.ravel(),), (_POINTS.ravel() * 1.4,)], {"rtol": 1e-5}),
    "mandelbrot": (mandelbrot_escape, [(0.5,), (6.0,), (0.7,)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_dynamics(name):
    fun, calls, options = CASES[name]
    follow(fun, *calls, **options)
