"""Runs of a group's kernels become one kernel that keeps values in vector registers.

A kernel per instruction reads and writes the cache for each. A run of float64 kernels becomes the
code of a small machine instead (execute/strips.py, compiled once per installation): it works on
strips of a few vectors, one of which, the accumulator, never leaves the registers; an instruction
combines it with a strip in memory. What is read once is never stored.

A run's values form trees: a value that is read once, by the run, is computed where it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jittape import cpu
from jittape.passes.strip_code import MAX_OPERANDS, Line, place_lines, words

MAX_RUN = 400  # kernels
MAX_DEPTH = 40  # of trees, which recursion walks
# (ufunc, dtypes) -> instruction; of bools, bitwise is logical
UFUNCS: dict[tuple[Any, str], str] = {
    (np.negative, "dd"): "negative", (np.square, "dd"): "square", (np.sqrt, "dd"): "sqrt",
    (np.absolute, "dd"): "absolute", (np.reciprocal, "dd"): "reciprocal",
    (np.add, "ddd"): "add", (np.subtract, "ddd"): "subtract", (np.multiply, "ddd"): "multiply",
    (np.divide, "ddd"): "divide", (np.maximum, "ddd"): "maximum", (np.minimum, "ddd"): "minimum",
    (np.equal, "dd?"): "equal", (np.not_equal, "dd?"): "not_equal", (np.less, "dd?"): "less",
    (np.less_equal, "dd?"): "less_equal", (np.greater, "dd?"): "greater",
    (np.greater_equal, "dd?"): "greater_equal", (np.logical_and, "???"): "logical_and",
    (np.bitwise_and, "???"): "logical_and", (np.logical_or, "???"): "logical_or",
    (np.bitwise_or, "???"): "logical_or", (np.logical_not, "??"): "logical_not",
    (np.invert, "??"): "logical_not",
}  # fmt: skip
if cpu.vector_fma():
    UFUNCS |= {(np.exp, "dd"): "exp", (np.tanh, "dd"): "tanh"}
OWN = {
    ("amul", (8, 0, 0)): ("amul", "ddd"),
    ("cast", (0, 3)): ("number", "?d"),
    ("move", (6, 8)): ("where", "?ddd"),
    ("move", (3, 8)): ("copy", "dd"),  # no instruction: what is loaded is stored
}
# acc op m with the operands exchanged
SWAPPED = {name: name for name in ("add", "multiply", "amul", "logical_and", "logical_or")} | {
    "subtract": "subtract_from", "divide": "divide_into", "equal": "equal",
    "not_equal": "not_equal", "less": "greater", "less_equal": "greater_equal",
    "greater": "less", "greater_equal": "less_equal",
}  # fmt: skip
ALONE = ("amul",)
"""Instructions that are faster than their kernels even as a run of one, over a whole block."""
TWICE = {"multiply": "square", "add": "double"}
"""Operations whose operands are one and the same value."""


def recognise(kernel: tuple, steps: Sequence[int]) -> tuple[str, str] | None:
    """(instruction, dtypes of the operands and the result) of a kernel that the machine has."""
    if isinstance(kernel[0], np.ufunc):
        kinds = kernel[0].types[kernel[1]].replace("->", "")
        name = UFUNCS.get((kernel[0], kinds), "")
    else:
        name, kinds = OWN.get(kernel, ("", ""))
    if not name:
        return None
    if len(steps) == 3 and steps[0] == steps[2] == 0:  # a reduction
        return ("sum", kinds) if name == "add" and steps[1] == 8 else None
    for kind, step in zip(kinds, steps, strict=True):
        if not (step == 1 if kind == "?" else step in (0, 8)):
            return None
    return name, kinds


def key(arg: Any) -> Any:
    """What tells arguments apart."""
    return id(arg.temp) if arg.temp is not None else (arg.slot, arg.offset, arg.step)


@dataclass(eq=False)
class Node:
    """One kernel of a run. operands: Nodes of this run, or arguments from outside of it."""

    name: str
    kinds: str
    operands: list
    out: Any  # the kernel's argument for the result
    stored: bool  # read outside of the run, too
    uses: int = 0
    place: Any = None  # operand that holds it, once computed


@dataclass(eq=False)
class Code:
    """Instructions under construction: (name, operand or None, second operand or None)."""

    rows: list = field(default_factory=list)
    held: Any = None  # what the accumulator holds: a Node or the key of an argument

    def put(self, name: str, a: Any = None, b: Any = None) -> None:
        self.rows.append((name, a, b))


def _available(x: Any) -> bool:
    return not isinstance(x, Node) or x.place is not None


def _operand(x: Any) -> Any:
    return x.place if isinstance(x, Node) else x


def _holds(code: Code, x: Any) -> bool:
    return code.held is x or (not isinstance(x, Node) and code.held == key(x))


def _to_line(code: Code, x: Node) -> None:
    """Compute a value that is to be an operand."""
    _compute(code, x)
    x.place = Line()
    code.put("store", x.place)


def _bring(code: Code, x: Any, kind: str) -> None:
    """Get a value into the accumulator."""
    if not _available(x):
        _compute(code, x)
    elif not _holds(code, x):
        at = _operand(x)
        code.put("load" if kind == "d" or isinstance(at, Line) else "load_bool", at)
        code.held = x if isinstance(x, Node) else key(x)


def _as_operand(code: Code, x: Any, kind: str) -> Any:
    """Where the machine can read a value as an operand; truth has to be in a line for that."""
    if not _available(x):
        _to_line(code, x)
    at = _operand(x)
    if kind == "?" and not isinstance(at, Line):
        code.put("load_bool", at)
        at = Line()
        code.put("store", at)
        code.held = x if isinstance(x, Node) else key(x)
        if isinstance(x, Node):
            x.place = at
    return at


def _compute(code: Code, x: Node) -> None:
    ops = x.operands
    if x.name == "where":
        places = [_as_operand(code, y, "d") for y in ops[1:]]
        _bring(code, ops[0], "?")
        code.put("where", *places)
    elif x.name == "sum":
        _bring(code, ops[1], "d")
        code.put("sum", ops[0])
        return  # the accumulator keeps what was added
    elif len(ops) == 1:
        _bring(code, ops[0], x.kinds[0])
        if x.name != "copy":
            code.put(x.name)
    elif _same(*ops) and x.name in TWICE:
        _bring(code, ops[0], "d")
        code.put(TWICE[x.name])
    else:
        _binary(code, x)
    code.held = x


def _same(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, Node) and not isinstance(b, Node) and key(a) == key(b))


def _binary(code: Code, x: Node) -> None:
    a, b = x.operands
    kind = x.kinds[0]
    swap = SWAPPED.get(x.name)
    if swap is None:  # maximum, minimum: which of two zeros or NaNs comes out depends on the order
        at = _as_operand(code, b, kind)
        _bring(code, a, kind)
        code.put(x.name, at)
        return
    if _available(a) and (not _available(b) or _holds(code, b)):
        a, b, name = b, a, swap
    else:
        name = x.name
    if not _available(b) and _begins_with_held(code, a):  # then a goes first
        a, b, name = b, a, swap
    at = _as_operand(code, b, kind)
    _bring(code, a, kind)
    code.put(name, at)


def _begins_with_held(code: Code, x: Any) -> bool:
    """Whether the tree x begins with what the accumulator holds."""
    while not _available(x):
        x = x.operands[0]
    return _holds(code, x)


def _emit(nodes: list[Node]) -> Code:
    code = Code()
    for x in nodes:
        if x.name == "sum":
            _compute(code, x)
            continue
        if not x.stored and x.uses < 2:  # computed where it is read
            continue
        if x.place is None:
            _compute(code, x)
        truth = x.kinds[-1] == "?"
        if x.stored:
            code.put("store_bool" if truth else "store", x.out)
            if not truth:
                x.place = x.out
        if x.uses and x.place is None:
            x.place = Line()
            code.put("store", x.place)
    return code


def _nodes(run: list, recognised: list, outside: Callable[[Any], bool]) -> list[Node]:
    made: dict[Any, Node] = {}
    nodes = []
    for m, (name, kinds) in zip(run, recognised, strict=True):
        args = m.args[:-1]
        operands: list = [made.get(key(a), a) for a in args]
        if name == "sum":
            operands[0] = m.args[0]
        out = m.args[-1]
        node = Node(name, kinds, operands, out, name != "sum" and outside(out))
        square = len(operands) == 2 and _same(*operands) and name in TWICE
        for x in operands[:1] if square else operands:
            if isinstance(x, Node):
                x.uses += 1
        nodes.append(node)
        if name != "sum":
            made[key(out)] = node
    _cut_trees(nodes)
    return nodes


def _cut_trees(nodes: list[Node]) -> None:
    """Let values at MAX_DEPTH be computed where they stand, as if they were read twice."""
    depth: dict[Node, int] = {}
    for x in nodes:
        below = [depth[y] for y in x.operands if isinstance(y, Node) and y.uses < 2]
        depth[x] = 1 + max(below, default=0)
        if depth[x] == MAX_DEPTH:
            depth[x] = 0
            x.uses += 1


def assemble(
    run: list, recognised: list, outside: Callable[[Any], bool]
) -> tuple[tuple, list, tuple] | None:
    """(data, arguments, steps) of the machine's kernel; None where there are too many operands."""
    emitted = _emit(_nodes(run, recognised, outside)).rows
    read = {id(a) for name, a, _ in emitted if isinstance(a, Line) and name != "store"}
    read |= {id(b) for _, _, b in emitted if isinstance(b, Line)}
    rows = [r for r in emitted if not (r[0] == "store" and isinstance(r[1], Line)
                                         and id(r[1]) not in read)]  # fmt: skip
    ins: dict[Any, tuple[Any, int]] = {}
    outs: dict[Any, tuple[Any, int]] = {}
    accs: dict[Any, tuple[Any, int]] = {}
    steps = {id(a): st for m in run for a, st in zip(m.args, m.steps, strict=True)}
    for name, a, _ in rows:
        if name in ("store", "store_bool") and not isinstance(a, Line):
            outs[key(a)] = (a, steps[id(a)])
        elif name == "sum":
            accs[key(a)] = (a, 0)
    for name, *ops in rows:
        for a in ops:
            if a is None or isinstance(a, Line) or name == "sum":
                continue
            if key(a) not in outs:
                # one operand that is read with two steps cannot be: a step is part of the layout
                ins[key(a)] = (a, steps[id(a)])
    table = [*ins, *outs, *accs]
    where = {k: n for n, k in enumerate(table)}
    lines, n_lines = place_lines(rows, len(table))
    if len(table) + n_lines > MAX_OPERANDS:
        return None

    def number(a: Any) -> int:
        if a is None:
            return 0
        return 1 + (lines[id(a)] if isinstance(a, Line) else where[key(a)])

    code = words([(name, number(a), number(b)) for name, a, b in rows])
    args = [*ins.values(), *outs.values(), *accs.values()]
    data = (len(ins), len(outs), len(accs), n_lines, len(code), *code)
    return data, [a for a, _ in args], tuple(st for _, st in args)


def fuse(body: list, make: Callable[[tuple, list, int, tuple], Any]) -> list:
    """The kernels of a group with each run of at least two replaced by one.

    make(data, arguments, dims, steps) makes the new kernel."""
    readers: dict[Any, list[int]] = {}
    for k, m in enumerate(body):
        for a in m.args[:-1]:
            readers.setdefault(key(a), []).append(k)
    known = [recognise(m.kernel, m.steps) if m.data is None else None for m in body]
    out: list = []
    k = 0
    while k < len(body):
        end = k
        while (
            end < len(body)
            and end - k < MAX_RUN
            and known[end] is not None
            and body[end].dims == body[k].dims
        ):
            end += 1
        made = None
        first = known[k]
        alone = first is not None and first[0] in ALONE and not body[k].dims
        while end - k >= (1 if alone else 2):

            def outside(a: Any, lo: int = k, hi: int = end) -> bool:
                return a.temp is None or any(not lo <= r < hi for r in readers.get(key(a), ()))

            made = assemble(body[k:end], known[k:end], outside)
            if made is not None:
                break
            end = k + (end - k) // 2
        if made is None:
            out.append(body[k])
            k += 1
            continue
        data, args, steps = made
        out.append(make(data, args, body[k].dims, steps))
        k = end
    return out
