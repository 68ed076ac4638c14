"""Random programs as `programs` has them, and wilder: helpers, closures, generators, recursion,
state that changes between calls, early returns, handled errors, overlapping views, nested
transforms. A class of its own, so that the seeds of the other keep their programs."""

from __future__ import annotations

from typing import Any

from programs import Program, compiled

PRELUDE = """
K = 0.75
TABLE = [0.5, -1.25, 2.0]
MODES = {"a": 1.5, "b": -0.5}
WEIGHTS = np.array([0.5, -1.0, 1.5, 0.25])

class Box:
    factor = 1.0
    def __init__(self):
        self.shift, self.parts = 0.25, [1.0, 2.0]
    def __call__(self, t):
        return np.tanh(t * self.factor) + self.shift * self.parts[0]
    @property
    def twice(self):
        return 2.0 * self.shift

BOX = Box()

def squash(t):
    return np.sin(t) * K + BOX.twice

def collatz(t, n):
    if n == 0:
        return t
    return collatz(t * 0.5, n - 1) if t > 0.3 else collatz(t * -0.75 + 0.2, n - 1)

def positive(v):
    for t in v:
        if t > 0:
            yield t * t
        else:
            yield -0.5 * t

def bubble(v):
    v = list(v)
    for i in range(len(v)):
        for j in range(len(v) - 1 - i):
            if v[j] > v[j + 1]:
                v[j], v[j + 1] = v[j + 1], v[j]
    return v
"""

# what may change between two calls, as text that is run in the program's namespace
CHANGES = [
    "K = 0.75", "K = -0.5", "TABLE[0] = 1.5", "TABLE[0] = 0.5", "TABLE.append(0.1)",
    "TABLE[1:] = TABLE[1:2]", "MODES['a'] = 0.3", "MODES['a'] = 1.5", "WEIGHTS[2] = 0.75",
    "WEIGHTS[2] = 1.5", "WEIGHTS = WEIGHTS * 1.0", "BOX.shift = -0.5", "BOX.shift = 0.25",
    "BOX.parts = [0.5]", "BOX.parts[0] = 2.0", "Box.factor = 0.5", "Box.factor = 1.0",
    "BOX = Box()", "squash = lambda t: t * K", "squash.__defaults__ = None",
]  # fmt: skip


# see programs.py; {k} is a number or the name of one, {v} that of a vector, {m} of a matrix
ANY_SHAPE = [
    "squash({a})",
    "BOX({a})",
    "(lambda t, u=K: t * u)({a})",
    "functools.reduce(lambda p, q: p * 0.5 + q, [{a}, {b}, {a}])",
    "np.clip({a}, -0.5, {number})",
    "np.hypot({a}, 1.0 + abs({b}))",
    "np.arctan2({a}, 2.0 + abs({b}))",
    "np.fmin({a}, {b}) * TABLE[0]",
    "np.logaddexp({a}, {b})",
    "({a} if {condition} else {b})",
    "np.exp(1j * {a}).imag",
    "abs({a} + 1j * {b} + 0.5) * 0.5",
    "jittape.jit(lambda t: np.cos(t) * {k})({a})",
]
OF_SHAPE = {
    "()": [
        "sum(positive({v})) * 0.2",
        "collatz({a}, 3)",
        "bubble({v})[{place}]",
        "sorted({v}, key=lambda t: abs(t))[1]",
        "sum(t * w for t, w in zip({v}, TABLE))",
        "sum([t for t in {v} if t > {number}]) * 0.5",
        "{{True: {a}, False: {b}}}[bool({a} > {b})]",
        "functools.reduce(max, {v})",
        "jittape.grad(lambda t: t * np.sin(t * {k}))({a})",
        "jittape.grad(jittape.grad(lambda t: np.tanh(t * {k})))({a}) * 0.3",
        "np.einsum('i,i->', {v}, WEIGHTS) * 0.3",
        "WEIGHTS @ {v} * 0.3",
        "np.interp({a}, [-2.0, 0.0, 1.0], [0.5, TABLE[0], -1.0])",
        "math.sqrt({a} * {a} + 0.25) + math.exp(-abs({b}))",
        "{v}[int(np.argmin({v}))] * MODES['b']",
        "np.std({v}) + np.median({v})",
        "np.linalg.norm({matrix}) * 0.2",
        "divmod(abs({a}) + 0.3, 0.7)[1]",
        "max(({a}, {b}, K))",
    ],
    "(n,)": [
        "np.array([squash(t) for t in {a}])",
        "np.array(bubble({a}))",
        "np.vectorize(lambda t: t * K if t > 0 else t * t)({a})",
        "np.where({a} > WEIGHTS, {a} * WEIGHTS, {b})",
        "np.einsum('ij,j->i', {m}.T[:, :3], {a}[:3]) * 0.3",
        "{a} * WEIGHTS + {b}[[1, 0, 3, 2]]",
        "np.diff(np.append({a}, {k}))",
        "np.take({a}, np.argsort({b}))",
        "np.vstack([{a}, {b}]).max(axis=0)",
        "jittape.jacobian(lambda q: np.tanh(q) * {k})({a}).sum(axis=0)",
        "jittape.vjp(lambda q: q * q * {k}, {a})[1]({b})[0] * 0.3",
        "jittape.hvp(lambda q: np.sum(np.sin(q) * q))({a}, {b}) * 0.3",
        "jittape.vmap(lambda t: np.sin(t) * {k})({a})",
        "np.flip({a}).cumsum() * 0.2",
        "{m}[:, 1:].ravel()[:4]",
        "np.outer({a}, {b})[:, {place}]",
    ],
    "(m,n)": [
        "np.array([{vector} for _ in range(3)])",
        "np.sort({a}, axis=1)",
        "{a}[[2, 0, 1]] * WEIGHTS",
        "np.einsum('ij,j->ij', {a}, {vector})",
        "np.apply_along_axis(lambda r: r / (1.0 + r @ r), 1, {a})",
        "np.concatenate([{a}[1:], {b}[:1]])",
    ],
    "(n,n)": [
        "np.linalg.cholesky({a} @ {a}.T * 0.1 + np.eye(4))",
        "{a} @ {b} * 0.1",
        "np.triu({a}) + np.diag(WEIGHTS)",
        "np.kron({a}[:2, :2], {b}[1:3, 1:3]) * 0.3",
    ],
}


class WildProgram(Program):
    def __init__(self, seed: int):
        super().__init__(seed)
        self.source = PRELUDE + "\n" + self.source
        self.fun = compiled(self.source, seed)
        self.namespace = self.fun.__globals__

    def change(self, rng: Any) -> None:
        """Change something that the program may read."""
        exec(CHANGES[rng.integers(len(CHANGES))], self.namespace)

    def condition(self) -> str:
        if self.random.random() < 0.6:
            return super().condition()
        v, t = self.name("(n,)"), self.name("()")
        return self.pick(
            [
                f"all(q > -1.5 for q in {v})",
                f"sum({v}) > K",
                f"int({t}) % 2 == 0",
                f"max({v}) > {t}",
                f"np.argmax({v}) == 1",
                f"bool({t} > 0) is True",
                f"MODES['a'] > 1 and {t} > 0",
                f"len({v}[{v} > 0]) > 2",
                f"float({t}) > 0.2",
                f"np.isclose({t}, 0.5) or {v}[1] > {t}",
                f"np.round({t}) == 1",
            ]
        )

    def compute(self, shape: str) -> str:
        if self.random.random() < 0.55:
            return super().compute(shape)
        given = {"a": self.value(shape), "b": self.value(shape), "k": self.scalar()}
        if shape == "()":
            given["v"] = self.name("(n,)")
        if shape == "(n,)":
            given["m"] = self.name("(m,n)")
        return self.filled(self.pick(ANY_SHAPE + OF_SHAPE[shape]), **given)

    def statement(self) -> None:
        if self.random.random() < 0.6:
            super().statement()
            return
        kinds = [self.closure, self.overlaps, self.masked, self.unpacked, self.written_out]
        if self.depth < 3:
            kinds += [self.handled, self.events, self.early, self.skipping, self.grouped]
        self.pick(kinds)()

    def closure(self) -> None:
        name = self.new("()", self.compute("()"))
        self.emit(f"def turn{name}(t):")
        self.emit(f"    nonlocal {name}")
        self.emit(f"    {name} = {name} * 0.5 + t * {self.scalar()}")
        self.emit(f"    return {name}")
        self.new("()", f"turn{name}(0.3) + turn{name}({self.scalar()})")

    def overlaps(self) -> None:
        name = self.new("(n,)", f"np.array({self.name('(n,)')})")
        for _ in range(self.random.randint(1, 3)):
            self.emit(
                self.pick(
                    [
                        f"{name}[1:] = {name}[:-1]",
                        f"{name}[:-1] += {name}[1:] * 0.5",
                        f"{name}[::-1][:2] -= {name}[:2]",
                        f"{name}.reshape(2, 2)[0] = {name}.reshape(2, 2)[:, 1]",
                        f"{name}.reshape(2, 2).T[...] = {name}.reshape(2, 2) * K",
                        f"{name}[[0, 2]] = {name}[[2, 0]]",
                        f"{name}[0], {name}[3] = {name}[3], {name}[0]",
                        f"np.multiply({name}[1:], {name}[:-1], out={name}[:-1])",
                        f"{name}[np.argsort({name})] *= WEIGHTS",
                    ]
                )
            )

    def masked(self) -> None:
        name = self.new("(n,)", f"{self.name('(n,)')} * 1.0")
        other = self.name("(n,)")
        self.emit(
            self.pick(
                [
                    f"{name}[{name} > {other}] *= -0.5",
                    f"{name}[{other} > 0] = {other}[{other} > 0]",
                    f"np.putmask({name}, {other} < 0, {other} * 0.5)",
                    f"np.copyto({name}, {other}, where={name} < {other})",
                    f"np.add.at({name}, [0, 0, 3], {other}[:3])",
                ]
            )
        )

    def unpacked(self) -> None:
        v = self.name("(n,)")
        self.count += 1
        a, b = f"v{self.count}a", f"v{self.count}b"
        self.emit(f"{a}, *rest{self.count}, {b} = {v}")
        self.known["()"] += [a, b]
        self.new("()", f"sum(rest{self.count}) * {a}")

    def written_out(self) -> None:
        source = self.name("(n,)")
        name = self.new("(n,)", f"np.empty_like({source})")
        self.emit(f"np.sin({source}, out={name})")
        self.emit(f"np.add({name}, {self.name('(n,)')}, {name})")

    def handled(self) -> None:
        name = self.new("()", self.compute("()"))
        matrix = self.pick([f"np.diag({self.name('(n,)')}) + 0.5", "np.ones((4, 4))"])
        self.emit("try:")
        self.emit(f"    {name} = np.sum(np.linalg.cholesky({matrix}))")
        self.emit("except np.linalg.LinAlgError:")
        self.emit(f"    {name} = {self.compute('()')}")

    def events(self) -> None:
        """A ball that bounces."""
        name = self.new("()", f"abs({self.value('()')}) + 0.5")
        self.emit(f"speed{name} = {self.scalar()}")
        self.emit(f"for _ in range({self.random.randint(3, 8)}):")
        self.emit(f"    speed{name} = speed{name} - 0.3")
        self.emit(f"    {name} = {name} + 0.3 * speed{name}")
        self.emit(f"    if {name} < 0:")
        self.emit(f"        {name}, speed{name} = -{name}, -0.8 * speed{name}")

    def early(self) -> None:
        if self.depth == 1 and self.random.random() < 0.5:
            self.emit(f"if {self.condition()} and {self.condition()}:")
            self.emit(f"    return np.sum({self.name('(n,)')} * {self.number()}) + {self.scalar()}")

    def skipping(self) -> None:
        name = self.new("()", self.compute("()"))
        v = self.name("(n,)")
        self.emit(f"for i, t in enumerate({v}):")
        self.emit(f"    if t < {self.number()}:")
        self.emit("        continue")
        self.emit(f"    {name} = {name} * 0.5 + t * i")
        self.emit(f"    if {name} > 1.5:")
        self.emit("        break")
        if self.random.random() < 0.5:
            self.emit("else:")
            self.emit(f"    {name} = {name} * 2.0")

    def grouped(self) -> None:
        name = self.new("()", "0.0")
        v = self.name("(n,)")
        self.emit(f"groups{name} = {{}}")
        self.emit(f"for t in {v}:")
        self.emit(f"    key = int(t > 0) + int(t > {self.number()})")
        self.emit(f"    groups{name}[key] = groups{name}.get(key, 0.0) + t * t")
        self.emit(f"{name} = sum(k * g + 0.1 * g for k, g in groups{name}.items())")
