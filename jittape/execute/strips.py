"""The machine that runs the code of passes/strip_code.py. Imports Numba.

The accumulator is LENGTH vectors of 8 doubles, one strip, which LLVM keeps in registers from
instruction to instruction: a loop over a switch whose state are the vectors. Dispatch costs some
two nanoseconds per instruction and strip, but no instruction has to store its result, and a load
is part of the operation; a block of 512 through a kernel per instruction takes 0.085 ns per
element and kernel, this 0.055 (Zen 4). What must be loaded before or stored after an instruction
is part of it, too, two fields of its word: a dispatch costs more than two branches.

Operands are a table of (address, mask, width of a vector in bytes): vector j of the strip that
begins `at` bytes into the block lies at address + (at & mask) + j * width. Scalars are a
vector that is read again and again (mask and width 0), strips of the machine's own have mask 0.
The last strip of a block overlaps the one before it, since what it computes again comes out the
same; only sums leave these elements out. A block that is shorter than a strip is copied.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from jittape import cpu
from jittape.execute import maths
from jittape.execute.maths import LANES, VD, VI, isplat, splat
from jittape.execute.primitives import kernel, load8, loadd, local, move, store8, stored
from jittape.passes.strip_code import CODES, FIELD, HEADER, MAX_OPERANDS

LENGTH = 8 if cpu.wide_vectors() else 4  # vectors; half of the registers hold the accumulator
STRIP = 8 * LANES * LENGTH  # bytes
BARRIER = 4 if cpu.wide_vectors() else 0
ROW = 24  # bytes per row of the table of operands; the row of number 0 is read and not used
TABLE_WORDS = (MAX_OPERANDS + 1) * ROW // 8
LINES_WORDS = MAX_OPERANDS * STRIP // 8 + 8

_I64 = ir.IntType(64)
_I8 = ir.IntType(8)
_BYTES = ir.VectorType(_I8, LANES)


def _word(n: int) -> Any:
    return ir.Constant(_I64, n)


def _truth(b: Any, x: Any) -> Any:
    return b.icmp_signed("<", b.bitcast(x, VI), isplat(0))


def _bits(b: Any, mask: Any) -> Any:
    return b.bitcast(b.sext(mask, VI), VD)


def _larger(sign: str) -> Any:
    """As NumPy: nan where either is."""

    def pick(b: Any, x: Any, y: Any) -> Any:
        both = b.select(b.fcmp_ordered(sign, x, y), x, y)
        return b.select(b.fcmp_unordered("uno", x, x), x, both)

    return pick


def _compare(sign: str) -> Any:
    ordered = sign != "!="

    def bits(b: Any, x: Any, y: Any) -> Any:
        test = b.fcmp_ordered if ordered else b.fcmp_unordered
        return _bits(b, test(sign, x, y))

    return bits


def _logic(name: str) -> Any:
    def bits(b: Any, x: Any, y: Any) -> Any:
        return b.bitcast(getattr(b, name)(b.bitcast(x, VI), b.bitcast(y, VI)), VD)

    return bits


# of the accumulator and the operand
BINARY: dict[str, Any] = {
    "load": lambda b, x, y: y,
    "add": lambda b, x, y: b.fadd(x, y),
    "subtract": lambda b, x, y: b.fsub(x, y),
    "subtract_from": lambda b, x, y: b.fsub(y, x),
    "multiply": lambda b, x, y: b.fmul(x, y),
    "divide": lambda b, x, y: b.fdiv(x, y),
    "divide_into": lambda b, x, y: b.fdiv(y, x),
    "maximum": _larger(">"),
    "minimum": _larger("<"),
    "equal": _compare("=="),
    "not_equal": _compare("!="),
    "less": _compare("<"),
    "less_equal": _compare("<="),
    "greater": _compare(">"),
    "greater_equal": _compare(">="),
    "logical_and": _logic("and_"),
    "logical_or": _logic("or_"),
}
# of the accumulator alone
UNARY: dict[str, Any] = {
    "negative": lambda b, x: b.fneg(x),
    "square": lambda b, x: b.fmul(x, x),
    "double": lambda b, x: b.fadd(x, x),
    "sqrt": maths.square_root,
    "absolute": maths.absolute,
    "reciprocal": lambda b, x: b.fdiv(splat(1.0), x),
    "logical_not": lambda b, x: _bits(b, b.icmp_signed(">=", b.bitcast(x, VI), isplat(0))),
    "number": lambda b, x: b.select(_truth(b, x), splat(1.0), splat(0.0)),
}
if cpu.vector_fma():
    UNARY |= maths.FUNCTIONS


class _Machine:
    """Builds the loop over the instructions of one strip."""

    def __init__(self, b: Any, table: Any, code: Any, stop: Any, at: Any, skip: Any):
        self.b, self.table, self.at, self.skip = b, table, at, skip
        blocks = ("head", "before", "pick", "join", "after", "next", "end")
        start, block = b.block, {name: b.append_basic_block(name) for name in blocks}
        b.branch(block["head"])

        b.position_at_end(block["head"])
        pc = b.phi(_I64)
        pc.add_incoming(code, start)
        kept = [b.phi(VD) for _ in range(LENGTH)]
        self.word = b.load(b.inttoptr(pc, _I64.as_pointer()))
        first = self.number(2)
        b.cbranch(b.icmp_unsigned("==", first, _word(0)), block["pick"], block["before"])
        b.position_at_end(block["before"])
        here = self.place(self.entry(first))
        loaded = [self.vector(here, j) for j in range(LENGTH)]
        b.branch(block["pick"])

        b.position_at_end(block["pick"])
        self.acc = [b.phi(VD) for _ in range(LENGTH)]
        for a, x, y in zip(self.acc, kept, loaded, strict=True):
            a.add_incoming(x, block["head"])
            a.add_incoming(y, block["before"])
        self.row = self.entry(self.number(0))
        self.first, self.width = self.place(self.row)
        default = b.append_basic_block("default")
        switch = b.switch(b.and_(self.word, _word(255)), default)
        b.position_at_end(default)
        b.unreachable()

        b.position_at_end(block["join"])
        new = [b.phi(VD) for _ in range(LENGTH)]
        last = self.number(3)
        b.cbranch(b.icmp_unsigned("==", last, _word(0)), block["next"], block["after"])
        b.position_at_end(block["after"])
        here = self.place(self.entry(last))
        for j, x in enumerate(new):
            b.store(x, self.address(here, j), align=8)
        b.branch(block["next"])

        b.position_at_end(block["next"])
        following = b.add(pc, _word(8))
        pc.add_incoming(following, block["next"])
        for a, n in zip(kept, new, strict=True):
            a.add_incoming(splat(0.0), start)
            a.add_incoming(n, block["next"])
        b.cbranch(b.icmp_unsigned("==", following, stop), block["end"], block["head"])
        for number, name in enumerate(CODES):
            own = b.append_basic_block(name)
            b.position_at_end(own)
            made = self.instruction(name)
            if made is None:
                continue
            switch.add_case(_word(number), own)
            for n, v in zip(new, made, strict=True):
                n.add_incoming(v, b.block)
            b.branch(block["join"])
        b.position_at_end(block["end"])

    def number(self, field: int) -> Any:
        """Of an operand of this instruction, from 1; 0: there is none."""
        b = self.b
        shifted = b.lshr(self.word, _word(8 + FIELD * field))
        return b.and_(shifted, _word((1 << FIELD) - 1))

    def entry(self, number: Any) -> Any:
        return self.b.add(self.table, self.b.mul(number, _word(ROW)))

    def field(self, row: Any, k: int) -> Any:
        b = self.b
        return b.load(b.inttoptr(b.add(row, _word(8 * k)), _I64.as_pointer()))

    def place(self, row: Any) -> tuple[Any, Any]:
        """(address of the first vector of this strip, distance of vectors)."""
        first = self.b.add(self.field(row, 0), self.b.and_(self.at, self.field(row, 1)))
        return first, self.field(row, 2)

    def address(self, place: tuple[Any, Any], j: int, kind: Any = VD) -> Any:
        b = self.b
        return b.inttoptr(b.add(place[0], b.mul(place[1], _word(j))), kind.as_pointer())

    def vector(self, place: tuple[Any, Any], j: int) -> Any:
        return self.b.load(self.address(place, j), align=8)

    def bools(self) -> tuple[Any, Any]:
        """As place, of bytes."""
        b = self.b
        at = b.lshr(b.and_(self.at, self.field(self.row, 1)), _word(3))
        return b.add(self.field(self.row, 0), at), self.width

    def instruction(self, name: str) -> list | None:
        b, here, acc = self.b, (self.first, self.width), self.acc
        every = range(LENGTH)
        if name in BINARY:
            return [BINARY[name](b, acc[j], self.vector(here, j)) for j in every]
        if name in maths.FUNCTIONS and name in UNARY:
            return self.apart(UNARY[name])
        if name in UNARY:
            return [UNARY[name](b, x) for x in acc]
        if name == "load_bool":
            here = self.bools()
            found = [b.load(self.address(here, j, _BYTES), align=1) for j in every]
            zero = ir.Constant(_BYTES, None)
            return [_bits(b, b.icmp_unsigned("!=", x, zero)) for x in found]
        if name == "store_bool":
            here = self.bools()
            for j in every:
                truth = b.zext(_truth(b, acc[j]), _BYTES)
                b.store(truth, self.address(here, j, _BYTES), align=1)
            return acc
        if name == "where":
            other = self.place(self.entry(self.number(1)))
            return [
                b.select(_truth(b, acc[j]), self.vector(here, j), self.vector(other, j))
                for j in every
            ]
        if name == "amul":
            return self.amul(here)
        if name == "sum":
            self.sum(here)
            return acc
        return None

    def apart(self, function: Any) -> list:
        """A long function of each vector, four at a time: an empty piece of assembler that takes
        and gives all vectors keeps LLVM from interleaving more, and so from spilling some."""
        b = self.b
        if not BARRIER:
            return [function(b, x) for x in self.acc]
        xs = list(self.acc)
        for j in range(0, LENGTH, BARRIER):
            for k in range(j, j + BARRIER):
                xs[k] = function(b, xs[k])
            kind = ir.FunctionType(ir.LiteralStructType([VD] * LENGTH), [VD] * LENGTH)
            same = ",".join(["=v"] * LENGTH + [str(k) for k in range(LENGTH)])
            both = b.asm(kind, "", same, xs, True)
            xs = [b.extract_value(both, k) for k in range(LENGTH)]
        return xs

    def amul(self, here: tuple[Any, Any]) -> list:
        """The product, and 0 where a factor is 0: which differs only where the product is nan, and
        that is rare. One comparison looks at two vectors of products for nan."""
        b = self.b
        ys = [self.vector(here, j) for j in range(LENGTH)]
        products = [b.fmul(x, y) for x, y in zip(self.acc, ys, strict=True)]
        odd = [
            b.fcmp_unordered("uno", p, q)
            for p, q in zip(products[::2], products[1::2], strict=True)
        ]
        while len(odd) > 1:
            odd = [b.or_(p, q) for p, q in zip(odd[::2], odd[1::2], strict=True)]
        some = b.icmp_unsigned("!=", b.bitcast(odd[0], _I8), ir.Constant(_I8, 0))
        usual, mend, after = b.block, b.append_basic_block("mend"), b.append_basic_block("after")
        b.cbranch(some, mend, after)
        b.position_at_end(mend)
        zero = splat(0.0)
        mended = []
        for x, y, p in zip(self.acc, ys, products, strict=True):
            none = b.or_(b.fcmp_ordered("==", x, zero), b.fcmp_ordered("==", y, zero))
            mended.append(b.select(none, zero, p))
        b.branch(after)
        b.position_at_end(after)
        found = []
        for p, q in zip(products, mended, strict=True):
            value = b.phi(VD)
            value.add_incoming(p, usual)
            value.add_incoming(q, mend)
            found.append(value)
        return found

    def sum(self, here: tuple[Any, Any]) -> None:
        """Onto a vector of partial sums; the first `skip` elements do not count."""
        b = self.b
        place = self.address(here, 0)
        nothing = ir.Constant(VI, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
        first = b.insert_element(nothing, self.skip, _word(0))
        skip = b.shuffle_vector(first, nothing, everywhere)
        terms: list = []
        for j, x in enumerate(self.acc):
            lanes = ir.Constant(VI, [_word(LANES * j + k) for k in range(LANES)])
            terms.append(b.select(b.icmp_signed(">=", lanes, skip), x, splat(0.0)))
        while len(terms) > 1:
            terms = [b.fadd(x, y) for x, y in zip(terms[::2], terms[1::2], strict=True)]
        b.store(b.fadd(b.load(place, align=8), terms[0]), place, align=8)


@intrinsic
def run(typingctx, table, code, stop, at, skip):
    """All instructions on the strip `at` bytes into the block."""

    def codegen(context, builder, signature, args):
        _Machine(builder, *args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@njit
def turn_to_lines(args, steps, table, lines, n_in, n_moved, skip, n):
    """Copy the inputs to the ends of strips of our own, and let results go to such."""
    for k in range(n_moved):
        step = load8(steps + 8 * k)
        if step:
            line = lines + STRIP * k
            if k < n_in:
                move(line + skip * step, load8(args + 8 * k), n * step)
            store8(table + ROW * (k + 1), line)
            store8(table + ROW * (k + 1) + 8, 0)


@kernel
def strips(args, dims, steps, data):
    """data: (inputs, results, accumulators, lines, length of the code, code...)."""
    n = load8(dims)
    n_in = load8(data)
    n_moved = n_in + load8(data + 8)
    n_args = n_moved + load8(data + 16)
    n_all = n_args + load8(data + 24)
    code = data + 8 * HEADER
    stop = code + 8 * load8(data + 32)
    table = local(TABLE_WORDS)
    lines = (local(LINES_WORDS) + 63) & -64
    row = table + ROW
    line = lines
    for k in range(n_all):
        store8(row, line)
        store8(row + 8, 0)
        store8(row + 16, 0)
        if k >= n_args:
            store8(row + 16, 8 * LANES)
        elif k >= n_moved:
            for j in range(LANES):
                stored(line + 8 * j, 0.0)
        else:
            source = load8(args + 8 * k)
            step = load8(steps + 8 * k)
            if step == 0:
                v = load8(source)
                for j in range(LANES):
                    store8(line + 8 * j, v)
            else:
                store8(row, source)
                store8(row + 8, -1)
                store8(row + 16, LANES * step)
        row += ROW
        line += STRIP
    full = LANES * LENGTH
    at = 0
    left = n
    skip = 0
    if n < full:
        skip = full - n
        turn_to_lines(args, steps, table, lines, n_in, n_moved, skip, n)
    while left > 0:
        if at and left < full:
            skip = full - left
            at -= 8 * skip
        run(table, code, stop, at, skip)  # once in the text: it is long
        at += STRIP
        left -= full
    if n < full:
        for k in range(n_in, n_moved):
            step = load8(steps + 8 * k)
            move(load8(args + 8 * k), lines + STRIP * k + skip * step, n * step)
    for k in range(n_moved, n_args):
        line = lines + STRIP * k
        acc = load8(args + 8 * k)
        total = 0.0
        for j in range(LANES):
            total += loadd(line + 8 * j)
        stored(acc, loadd(acc) + total)
