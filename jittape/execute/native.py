"""Loops of small steps as machine code. Imports llvmlite.

A step that is one stretch of the scalar sweep, on float64 numbers and short vectors, is translated
row by row to LLVM's instructions with the loop around it, so that its values stay in registers:
about 0.3 ns for each row, against 2 to 5 ns in the sweep. The order of operations is the sweep's.
Translating takes some 10 ms, so it is done for loops that would take longer; a step with anything
else in it is left to the sweep.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import binding, ir

from jittape.passes.lower import CALLS, END, SCALARS, operand
from jittape.passes.memory import FIRST_SLOT

MOST_ROWS = 4000
MOST_LANES = 64
F, I, B = ir.DoubleType(), ir.IntType(64), ir.IntType(8)  # noqa: E741
TYPES = {"d": F, "q": I, "b": B}
KINDS = {"float64": "d", "int64": "q", "bool": "b"}
BINARY = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}
CALLED = ("exp", "log", "sin", "cos", "tanh", "tan", "sinh", "cosh", "log1p", "expm1")
COMPARED = {"greater": ">", "less": "<", "greater_equal": ">=", "less_equal": "<=",
            "equal": "==", "not_equal": "!="}  # fmt: skip
# opcodes of the scalar sweep
ROWS = {0: "add", 1: "subtract", 2: "multiply", 3: "divide", 4: "amul", 5: "negative", 6: "sqrt",
        7: "square", 8: "exp", 9: "log", 10: "sin", 11: "cos", 12: "tanh", 13: "absolute",
        14: "greater", 15: "less", 16: "greater_equal", 17: "less_equal", 18: "equal",
        19: "not_equal", 20: "reciprocal"}  # fmt: skip
UNARY = ("negative", "sqrt", "square", "absolute", "reciprocal", "sign", *CALLED)


class Unsupported(Exception):
    """Something that is left to the sweep."""


def stepper(linked: Any, n_fixed: int, n_carry: int, saving: bool) -> Any:
    """A function (low, high, pointers, strides, pair, kept, every, base), all addresses or
    counts, that does what sweep.steps does; None where a step cannot be translated."""
    known = linked.__dict__.setdefault("native", {})
    key = (n_fixed, n_carry, saving)
    if key not in known:
        try:
            known[key] = _compile(_Translation(linked, n_fixed, n_carry, saving).module)
        except Unsupported:
            known[key] = None, None
    return known[key][0]


def _compile(module: ir.Module) -> Any:
    parsed = binding.parse_assembly(str(module))
    target = binding.Target.from_default_triple()
    machine = target.create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=2,
    )
    engine = binding.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 8)(engine.get_function_address("steps"))
    return call, engine  # the engine keeps the code alive


class _Translation:
    def __init__(self, linked: Any, n_fixed: int, n_carry: int, saving: bool):
        program = linked.program
        self.linked, self.program, self.tape = linked, program, program.tape
        self.n_fixed, self.n_carry = n_fixed, n_carry
        self.check()
        self.module = ir.Module("steps")
        self.module.triple = binding.get_default_triple()
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [I] * 8), "steps")
        low, high, pointers, strides, pair, kept, every, base = function.args
        self.cells: dict[int, tuple[str, Any]] = {}  # byte offset in the arena -> its value
        entry, head, body, after = (function.append_basic_block() for _ in range(4))
        b = self.b = ir.IRBuilder(entry)
        n_in = self.tape.n_inputs
        where = dict(program.places.resident)
        for v, offset in where.items():
            if v < n_fixed:
                self.load(v, offset, self.word(pointers, v))
            elif v >= n_in and self.tape.consts[v - n_in].live:
                self.load(v, offset, self.word(base, FIRST_SLOT + v))
            elif v >= n_in:
                self.literal(v, offset)
        carried = range(n_fixed, n_fixed + n_carry)
        start = [self.read(v, self.of_pair(pair, low, v - n_fixed)) for v in carried]
        rows = range(n_fixed + n_carry, n_in)
        taken = [(v, self.word(pointers, v), self.word(strides, v)) for v in rows if v in where]
        n_out = len(self.tape.outputs)
        given = [
            (self.word(pointers, n_in + k), self.word(strides, n_in + k))
            for k in range(n_carry, n_out)
        ]
        keeping = [self.word(kept, c) for c in range(n_carry)] if saving else []
        first_save = b.udiv(b.sub(b.add(low, every), I(1)), every) if saving else I(0)
        left = b.urem(low, every) if saving else I(0)
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I)
        i.add_incoming(low, entry)
        count, saved = b.phi(I), b.phi(I)
        count.add_incoming(left, entry)
        saved.add_incoming(first_save, entry)
        carry = []
        for v, cells in zip(carried, start, strict=True):
            phis = []
            for kind, value in cells:
                phi = b.phi(TYPES[kind])
                phi.add_incoming(value, entry)
                phis.append((kind, phi))
            carry.append(phis)
            if v in where:
                self.place(where[v], phis)
        b.cbranch(b.icmp_signed("<", i, high), body, after)
        b.position_at_end(body)
        now = b.icmp_signed("==", count, I(0))
        if saving:
            with b.if_then(now):
                for c, phis in enumerate(carry):
                    size = sum(1 if kind == "b" else 8 for kind, _ in phis)
                    self.write(phis, b.add(keeping[c], b.mul(saved, I(size))))
        for v, address, stride in taken:
            self.load(v, where[v], b.add(address, b.mul(i, stride)))
        self.rows()
        for k, v in enumerate(program.places.results):
            cells = self.result(v)
            if k < n_carry:
                if [kind for kind, _ in cells] != [kind for kind, _ in carry[k]]:
                    raise Unsupported
                for (_, phi), (_, value) in zip(carry[k], cells, strict=True):
                    phi.add_incoming(value, b.block)
            else:
                address, stride = given[k - n_carry]
                self.write(cells, b.add(address, b.mul(i, stride)))
        following = b.add(count, I(1))
        wrapped = b.select(b.icmp_signed("==", following, every), I(0), following)
        i.add_incoming(b.add(i, I(1)), b.block)
        count.add_incoming(wrapped, b.block)
        saved.add_incoming(b.add(saved, b.zext(now, I)), b.block)
        b.branch(head)
        b.position_at_end(after)
        for c, phis in enumerate(carry):
            self.write(phis, self.of_pair(pair, high, c))
        b.ret_void()

    def check(self) -> None:
        """That the program is one stretch of rows and copies of results."""
        program = self.program
        if len(program.code) > MOST_ROWS or any(v is None for v in program.places.results):
            raise Unsupported
        words, at = program.words, int(program.words[0])
        while words[at] != END:
            kind, instruction = int(words[at]), int(words[at + 3])
            if kind != SCALARS and not (kind == CALLS and instruction == -1):
                raise Unsupported
            at += 4

    # -- memory --------------------------------------------------------------------------------

    def pointer(self, address: Any, kind: str) -> Any:
        return self.b.inttoptr(address, TYPES[kind].as_pointer())

    def word(self, table: Any, k: int) -> Any:
        return self.b.load(self.pointer(self.b.add(table, I(8 * k)), "q"))

    def of_pair(self, pair: Any, step: Any, c: int) -> Any:
        b = self.b
        row = b.mul(b.and_(step, I(1)), I(8 * self.n_carry))
        return self.word(b.add(pair, row), c)

    def kind(self, v: int) -> tuple[str, int]:
        a = self.tape.aval(v)
        kind = KINDS.get(a.dtype.name)
        if kind is None or a.size > MOST_LANES:
            raise Unsupported
        return kind, a.size

    def read(self, v: int, address: Any) -> list:
        kind, size = self.kind(v)
        item = 1 if kind == "b" else 8
        at = [self.pointer(self.b.add(address, I(item * k)), kind) for k in range(size)]
        return [(kind, self.b.load(p)) for p in at]

    def write(self, cells: list, address: Any) -> None:
        for kind, value in cells:
            self.b.store(value, self.pointer(address, kind))
            address = self.b.add(address, I(1 if kind == "b" else 8))

    def place(self, offset: int, cells: list) -> None:
        for kind, value in cells:
            self.cells[offset] = (kind, value)
            offset += 1 if kind == "b" else 8

    def load(self, v: int, offset: int, address: Any) -> None:
        self.place(offset, self.read(v, address))

    def literal(self, v: int, offset: int) -> None:
        kind, _ = self.kind(v)
        value = self.tape.consts[v - self.tape.n_inputs].value
        self.place(offset, [(kind, ir.Constant(TYPES[kind], x)) for x in np.ravel(value).tolist()])

    def result(self, v: int) -> list:
        place = operand(self.program.schedule, self.program.places, v)
        if place.slot:
            raise Unsupported
        kind, _ = self.kind(v)
        found = []
        for at in np.ndindex(*place.shape):
            found.append((kind, self.get(place.offset + int(np.dot(at, place.strides)), kind)))
        return found

    def get(self, offset: int, kind: str = "d") -> Any:
        found = self.cells.get(offset)
        if found is None or (kind == "b") != (found[0] == "b"):
            raise Unsupported
        return found[1] if found[0] == kind else self.b.bitcast(found[1], TYPES[kind])

    def copy(self, dst: int, src: int, size: int) -> None:
        found = {k - src: c for k, c in self.cells.items() if src <= k < src + size}
        if sum(1 if kind == "b" else 8 for kind, _ in found.values()) != size:
            raise Unsupported
        for k, c in found.items():
            self.cells[dst + k] = c

    # -- rows ----------------------------------------------------------------------------------

    def rows(self) -> None:
        code = self.program.code.tolist()
        at = 0
        while at < len(code):
            op, dst, x, y = code[at]
            which = op & 255
            if which in ROWS:
                self.cells[dst] = self.operate(ROWS[which], x, y)
            elif which == 32:
                at += 1
                self.cells[dst] = self.chosen(x, *code[at][:2])
            elif which in (33, 42):
                self.copy(dst, x, y)
            elif which in (36, 37, 38):
                places = [x, dst] if which == 36 else [x, y, dst]
                if which == 38:
                    at += 1
                    places[2:] = [code[at][0], dst]
                self.called(op >> 8, places)
            elif which == 40 and y == 0:
                at += 1
                self.copy(dst, code[at][0], x)
            elif which == 41 and x % 8 == 0:
                for k in range(0, x, 8):
                    self.cells[dst + k] = ("d", F(0.0))
            elif which == 43 and op >> 8 == 8:
                bits = (x & 0xFFFFFFFF) | (y << 32)
                self.cells[dst] = ("d", F(float(np.int64(bits).view(np.float64))))
            else:
                raise Unsupported(which)
            at += 1

    def chosen(self, condition: int, x: int, y: int) -> tuple[str, Any]:
        truth = self.b.icmp_unsigned("!=", self.get(condition, "b"), B(0))
        return "d", self.b.select(truth, self.get(x), self.get(y))

    def operate(self, name: str, at: int, other: int) -> tuple[str, Any]:
        b, x = self.b, self.get(at)
        if name in BINARY:
            return "d", getattr(b, BINARY[name])(x, self.get(other))
        if name in COMPARED:
            y = self.get(other)
            ordered = b.fcmp_unordered if name == "not_equal" else b.fcmp_ordered
            return "b", b.zext(ordered(COMPARED[name], x, y), B)
        if name == "sign":
            zero = F(0.0)
            same = b.select(b.fcmp_ordered("==", x, zero), zero, x)
            below = b.select(b.fcmp_ordered("<", x, zero), F(-1.0), same)
            return "d", b.select(b.fcmp_ordered(">", x, zero), F(1.0), below)
        if name == "amul":
            there = b.fcmp_unordered("!=", x, F(0.0))
            return "d", b.fmul(x, b.select(there, self.get(other), F(0.0)))
        if name == "negative":
            return "d", b.fneg(x)
        if name == "square":
            return "d", b.fmul(x, x)
        if name == "reciprocal":
            return "d", b.fdiv(F(1.0), x)
        if name in ("sqrt", "absolute"):
            symbol = "llvm.sqrt.f64" if name == "sqrt" else "llvm.fabs.f64"
        elif name in CALLED:
            symbol = name
        else:
            raise Unsupported
        known = self.module.globals.get(symbol)
        if known is None:
            known = ir.Function(self.module, ir.FunctionType(F, [F]), symbol)
        return "d", b.call(known, [x])

    def called(self, number: int, places: list[int]) -> None:
        """A kernel on short vectors, element by element."""
        words = self.program.words
        at = int(words[3]) + 4 * number
        kernel = next(k for word, k, _ in self.program.relocations if word == at)
        dims, steps = int(words[at + 2]), int(words[at + 3])
        n = int(words[dims])
        by = [int(words[steps + k]) for k in range(len(places))]
        name = kernel[0] if isinstance(kernel[0], str) else kernel[0].__name__
        if name == "product":
            self.product([int(x) for x in words[dims : dims + 4]], words, steps, places)
            return
        types = "" if isinstance(kernel[0], str) else kernel[0].types[kernel[1]]
        binary = types == "dd->d" and name in BINARY
        compared = types == "dd->?" and name in COMPARED
        unary = types == "d->d" and name in UNARY
        amul = kernel == ("amul", (8, 0, 0))
        truths = types in ("??->?", "?->?") and name in ("logical_and", "logical_or", "logical_not")
        from_bool = kernel == ("cast", (0, 3))
        copied, where = kernel == ("move", (3, 8)), kernel == ("move", (6, 8))
        known = binary or compared or unary or amul or copied or where or truths or from_bool
        if n > MOST_LANES or not known:
            raise Unsupported(kernel)
        for k in range(n):
            p = [place + k * step for place, step in zip(places, by, strict=True)]
            if copied:
                self.copy(p[1], p[0], 8)
            elif where:
                self.cells[p[3]] = self.chosen(p[0], p[1], p[2])
            elif truths:
                self.cells[p[-1]] = self.truth(name, *p[:-1])
            elif from_bool:
                self.cells[p[1]] = ("d", self.b.uitofp(self.get(p[0], "b"), F))
            else:
                self.cells[p[-1]] = self.operate(name, p[0], p[1])

    def truth(self, name: str, at: int, other: int = -1) -> tuple[str, Any]:
        x = self.get(at, "b")
        if name == "logical_not":
            return "b", self.b.xor(x, B(1))
        y = self.get(other, "b")
        return "b", self.b.and_(x, y) if name == "logical_and" else self.b.or_(x, y)

    def product(self, dims: list[int], words: Any, steps: int, places: list[int]) -> None:
        batch, m, inner, n = dims
        if batch != 1 or m * inner * n > MOST_LANES:
            raise Unsupported
        x0, x1, y0, y1, z0, z1 = (int(w) for w in words[steps + 3 : steps + 9])
        x, y, z = places
        for i, j in np.ndindex(m, n):
            total: Any = F(0.0)
            for k in range(inner):
                term = self.b.fmul(self.get(x + i * x0 + k * x1), self.get(y + k * y0 + j * y1))
                total = self.b.fadd(total, term)
            self.cells[z + i * z0 + j * z1] = ("d", total)
