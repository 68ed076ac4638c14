"""Random programs in plain NumPy, from a seed: branches on values, loops, in-place writes, views,
broadcasting, nesting. The text is what a user could have written."""

from __future__ import annotations

import functools
import linecache
import math
import random
from typing import Any

import numpy as np

import jittape

N, M = 4, 3
SHAPES = ["()", "(n,)", "(m,n)", "(n,n)"]


# What an expression of each shape may be. {names} are filled in by `Program.filled`, from left to
# right; {a} and {b} have the shape of the whole.
ATOMS = {
    "()": [
        "{number}",
        "np.sum({some_vector})",
        "{vector}[{signed_place}]",
        "{matrix}[{row}, -1]",
    ],
    "(n,)": [
        "np.cos({vector})",
        "{matrix}[{signed_row}]",
        "(np.arange(4.0) * {scalar})",
    ],
    "(m,n)": ["({matrix} * {vector})"],
    "(n,n)": [
        "np.outer({vector}, {vector})",
        "({matrix}.T @ {matrix})",
        "(np.eye(4) * {scalar})",
    ],
}
ANY_SHAPE = [
    "np.tanh({a} * {b})",
    "{a} + {number} * {b}",
    "np.sin({a}) - {b}",
    "{a} / (1.0 + {b} * {b})",
    "np.exp(-(({a}) ** 2))",
    "np.sqrt({a} * {a} + 0.5)",
    "np.log1p(({a}) ** 2) * {scalar}",
    "np.where({a} > {b}, {a}, {b} * 0.5)",
    "np.maximum({a}, {number})",
    "abs({a}) * 0.5",
]
OF_SHAPE = {
    "()": [
        "min({a}, {b}) + max({a}, {number})",
        "math.{sin_or_tanh}({a})",
        "np.sum({vector} * {vector}) * 0.1",
        "{vector} @ {vector} * 0.2",
        "np.mean({matrix})",
        "np.max({matrix})",
        "np.sum({vector}[{vector} > 0])",
        "sorted([{a}, {b}, {number}])[1]",
        "float(int({a} * 2)) * {b} * 0.25",
        "np.trace({some_square}) * 0.1",
        "np.prod(np.tanh({vector}))",
    ],
    "(n,)": [
        "np.sum({matrix}, axis=0) * 0.3",
        "np.max({matrix}, axis=0)",
        "np.cumsum({a}) * 0.3",
        "{a}[::-1]",
        "np.sort({a})",
        "np.concatenate([{a}[2:], {b}[:2]])",
        "np.stack([{scalar}, {scalar}, {a}[0], {b}[-1]])",
        "np.array([{scalar}, {a}[1], 0.5, {b}[2]])",
        "{some_square} @ {a} * 0.2",
        "np.roll({a}, 1)",
        "{a}[np.argsort({b})]",
        "{a}[[0, 0, 3, 1]]",
        "jittape.grad(lambda q: np.sum(np.sin(q) * {b}))({a})",
        "jittape.grad(lambda q: np.sum(q * q * {scalar}))({a})",
        "jittape.jvp(lambda q: q * q * {b}, ({a},), ({b},))[1] * 0.2",
        "np.repeat({a}[:2], 2)",
    ],
    "(m,n)": [
        "{a} * {vector}",
        "{a} + {vector}[None, :]",
        "{a} @ {some_square} * 0.2",
        "np.stack([{vector}, {vector}, {vector}])",
        "{a}.T.reshape(3, 4)",
        "{a}[::-1, ::-1]",
        "{a} - np.mean({a}, axis=1, keepdims=True)",
        "np.broadcast_to({vector}, (3, 4))",
    ],
    "(n,n)": [
        "{a}.T",
        "({a} + {a}.T) * 0.5",
        "np.linalg.inv({a} * 0.05 + 3.0 * np.eye(4))",
        "np.linalg.solve({a} * 0.05 + 3.0 * np.eye(4), {b})",
        "np.tril({a})",
    ],
}


class Program:
    """source: its text; fun(x, y, s) -> number: x of shape (n,), y of shape (m, n), s a float."""

    def __init__(self, seed: int):
        self.seed = seed
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.count = 0
        self.depth = 1
        self.known: dict[str, list[str]] = {shape: [] for shape in SHAPES}
        self.known["(n,)"].append("x")
        self.known["(m,n)"].append("y")
        self.known["()"].append("s")
        for _ in range(self.random.randint(2, 9)):
            self.statement()
        terms = [f"{self.number()} * np.sum({self.value(shape)})" for shape in SHAPES]
        terms += [f"np.sum({v})" for vs in self.known.values() for v in vs[-1:]]
        self.emit(f"return {' + '.join(terms)}")
        self.source = "def fun(x, y, s):\n" + "\n".join(self.lines) + "\n"
        self.fun = compiled(self.source, seed)

    def emit(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def new(self, shape: str, text: str) -> str:
        """A statement that gives a new variable this value."""
        self.count += 1
        name = f"v{self.count}"
        self.emit(f"{name} = {text}")
        self.known[shape].append(name)
        return name

    def pick(self, choices: list) -> Any:
        return self.random.choice(choices)

    def number(self) -> str:
        return str(self.random.choice([0.5, 0.3, 1.25, -0.7, 2.0, -1.5, 1.0]))

    # -- expressions ---------------------------------------------------------------------------

    def value(self, shape: str) -> str:
        """An expression of this shape."""
        have = self.known[shape]
        if have and self.random.random() < 0.75:
            return self.pick(have[-4:])
        if len(ATOMS[shape]) == 1:
            return self.filled(ATOMS[shape][0])
        return self.filled(self.pick(ATOMS[shape]))

    def filled(self, text: str, **given: str) -> str:
        """The text with its {names} drawn, each time one occurs, unless it is given."""
        return text.format_map(_Drawn(self, given))

    def name(self, shape: str) -> str:
        return self.pick(self.known[shape][-4:])

    def scalar(self) -> str:
        return self.pick([self.name("()"), self.number()])

    def condition(self) -> str:
        v, w = self.name("(n,)"), self.name("(n,)")
        t = self.name("()")
        return self.pick(
            [
                f"np.sum({v}) > {self.number()}",
                f"{v}[{self.random.randrange(N)}] < {w}[{self.random.randrange(N)}]",
                f"{t} >= {self.number()} or {v}[0] > 0",
                f"not {t} < 0.1",
                f"-1 < {t} < {self.number()}",
                f"np.any({v} > {w})",
                f"np.max({v}) > 1 and {t} != 0",
            ]
        )

    def compute(self, shape: str) -> str:
        """A bounded expression of this shape, of one operation or two."""
        a, b = self.value(shape), self.value(shape)
        return self.filled(self.pick(ANY_SHAPE + OF_SHAPE[shape]), a=a, b=b)

    # -- statements ----------------------------------------------------------------------------

    def statement(self) -> None:
        kinds = [self.assign] * 6 + [self.buffer, self.copied, self.views]
        if self.depth < 3:
            kinds += [self.branch, self.branch, self.loop, self.repeat]
        self.pick(kinds)()

    def assign(self) -> None:
        shape = self.pick(SHAPES)
        self.new(shape, self.compute(shape))

    def block(self, body: Any) -> None:
        """Statements one level deeper; what they name is unknown afterwards."""
        before = {k: list(v) for k, v in self.known.items()}
        self.depth += 1
        body()
        self.depth -= 1
        self.known = before

    def branch(self) -> None:
        shape = self.pick(SHAPES[:3])
        name = self.new(shape, self.compute(shape))
        self.emit(f"if {self.condition()}:")

        def body() -> None:
            for _ in range(self.random.randint(0, 2)):
                self.statement()
            self.emit(f"{name} = {self.compute(shape)}")

        self.block(body)
        if self.random.random() < 0.6:
            self.emit("else:")
            self.block(body)

    def loop(self) -> None:
        shape = self.pick(SHAPES[:2])
        name = self.new(shape, self.compute(shape))
        turns = self.random.randint(1, 4)
        self.emit(f"for k in range({turns}):")

        def body() -> None:
            if self.random.random() < 0.4:
                self.statement()
            extra = f" + {self.name('(n,)')}[k] * 0.1" if self.random.random() < 0.5 else ""
            self.emit(f"{name} = np.tanh({self.compute(shape)}{extra}) + 0.3 * {name}")

        self.block(body)

    def repeat(self) -> None:
        name = self.new("()", self.compute("()"))
        turns = f"turns{self.count}"
        self.emit(f"{turns} = 0")
        self.emit(f"while {name} * {name} > {self.pick(['0.5', '0.1', '2.0'])} and {turns} < 4:")

        def body() -> None:
            self.emit(f"{name} = {name} * 0.6 + 0.05 * {self.scalar()}")
            self.emit(f"{turns} += 1")

        self.block(body)

    def buffer(self) -> None:
        make = self.pick(["np.zeros(4)", "np.ones(4)", "np.zeros_like(x)", "np.empty(4)"])
        name = self.new("(n,)", make)
        if "empty" in make:
            self.emit(f"{name}[:] = {self.scalar()}")
        for _ in range(self.random.randint(1, 4)):
            i, j = self.random.randrange(-N, N), self.random.randrange(N)
            self.emit(
                self.pick(
                    [
                        f"{name}[{i}] = {self.value('()')}",
                        f"{name}[{i}] += {self.value('()')} * {name}[{j}]",
                        f"{name}[1:] += {name}[:-1]",
                        f"{name}[:2] = {name}[2:] * {self.number()}",
                        f"{name}[::2] *= {self.value('()')}",
                        f"{name} -= {self.value('(n,)')}",
                        f"{name}[{name} > 0.5] = 0.25",
                        f"{name}[:] = {name}[::-1]",
                        f"np.add({name}, {self.value('(n,)')}, out={name})",
                        f"np.add.at({name}, [0, 0, 1], {self.value('()')})",
                    ]
                )
            )

    def copied(self) -> None:
        source = self.name("(m,n)")
        name = self.new("(m,n)", f"{source}.copy()")
        for _ in range(self.random.randint(1, 3)):
            self.emit(
                self.pick(
                    [
                        f"{name}[0] = {self.value('(n,)')}",
                        f"{name}[:, 1] *= {self.value('()')}",
                        f"{name} += {source}",
                        f"{name}[1, 2] = {self.value('()')}",
                        f"{name}[1:, 1:] -= {name}[:-1, :-1] * 0.5",
                    ]
                )
            )

    def views(self) -> None:
        name = self.new("(n,)", f"np.zeros(4) + {self.value('()')}")
        view = f"w{self.count}"
        self.emit(f"{view} = {name}[{self.pick(['1:3', '::2', '2:', ':2'])}]")
        self.emit(f"{view} *= {self.value('()')}")
        self.emit(f"{name}[1] += 0.5")
        self.emit(f"{view}[0] = {view}[1] * {self.number()}")


class _Drawn(dict):
    """What the {names} of a text stand for."""

    def __init__(self, program: Program, given: dict[str, str]):
        super().__init__(given)
        self.program = program

    def __missing__(self, name: str) -> str:
        program, r = self.program, self.program.random
        return str(
            {
                "number": program.number,
                "scalar": program.scalar,
                "condition": program.condition,
                "vector": lambda: program.name("(n,)"),
                "matrix": lambda: program.name("(m,n)"),
                "some_number": lambda: program.value("()"),
                "some_vector": lambda: program.value("(n,)"),
                "some_square": lambda: program.value("(n,n)"),
                "place": lambda: r.randrange(N),
                "signed_place": lambda: r.randrange(-N, N),
                "row": lambda: r.randrange(M),
                "signed_row": lambda: r.randrange(-M, M),
                "sin_or_tanh": lambda: "sin" if r.random() < 0.5 else "tanh",
            }[name]()
        )


def compiled(source: str, seed: int) -> Any:
    """The function, with its lines where tracebacks find them."""
    file = f"<program {seed}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    namespace: dict[str, Any] = {
        "np": np, "math": math, "jittape": jittape, "functools": functools,
        "__name__": "a_program",
    }  # fmt: skip
    exec(compile(source, file, "exec"), namespace)
    return namespace["fun"]


def inputs(seed: int, n: int) -> list[tuple]:
    """A sequence of arguments that comes back to earlier ones."""
    rng = np.random.default_rng(seed)
    drawn = [(rng.normal(size=N), rng.normal(size=(M, N)), float(rng.normal())) for _ in range(n)]
    return [*drawn, drawn[0], *drawn[::-1], drawn[1]]
