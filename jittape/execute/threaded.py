"""The scalar sweep's instructions, each a function that ends by jumping to the next one's.

Written in LLVM IR through llvmlite, because what makes it fast cannot be said in Python: a switch
in a loop has one indirect jump for all rows, which a CPU predicts badly (7 ns per row where rows
follow no pattern, against 1 ns where it is right). Here each function (`code, mem, table, base,
T` in registers) ends in a jump of its own, LLVM's `musttail` call. The result of a row goes to the
next one in a register, too, `held`: through memory, it would arrive some 2 ns later.

The functions must not be aligned. Branch predictors tell the paths that led to a jump apart by
low bits of addresses; with functions at multiples of 16 bytes those bits are alike, and Zen 4
predicted nothing (6.6 ns per row of a pattern of 50 rows; 1.3 without alignment).

Rows are described in passes/opcodes.py. What is rare is left to the loop around (sweep.py).
Imports Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jittape.execute.row_values import ONE, TWO, value_of
from jittape.passes import opcodes as op

_I8, _I32, _I64, _D = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_PTR = _I8.as_pointer()
_FUNCTION = ir.FunctionType(_I64, [_I64] * 5 + [_D])  # code, mem, table, base, T, held
_LOOP = ir.FunctionType(ir.VoidType(), [_PTR] * 4)  # NumPy's inner loops


class _Packed(ir.Function):
    """A function that starts where the last one ended."""

    def __init__(self, module: ir.Module, name: str):
        super().__init__(module, _FUNCTION, name)
        self.linkage = "internal"
        self.attributes.add("nounwind")
        self.attributes.add("optsize")  # or LLVM aligns it as the target prefers

    def descr_prototype(self, buf: list[str]) -> None:
        own: list[str] = []
        super().descr_prototype(own)
        buf.append("".join(own).rstrip() + " align 1\n")


class _Rows:
    """Writes the function of one opcode. Words are numbered from the start of its (first) row."""

    def __init__(self, module: ir.Module, number: int):
        self.function = _Packed(module, f"jittape_row_{number}")
        self.b = ir.IRBuilder(self.function.append_basic_block())
        self.code, self.mem, self.table, self.base, self.T, self.held = self.function.args
        self.result = ir.Constant(_D, ir.Undefined)  # handed to the next row

    def pointer(self, address: Any, kind: ir.Type) -> Any:
        return self.b.inttoptr(address, kind.as_pointer())

    def load(self, address: Any, kind: ir.Type = _I64) -> Any:
        return self.b.load(self.pointer(address, kind), align=1)

    def store(self, value: Any, address: Any) -> None:
        self.b.store(value, self.pointer(address, value.type), align=1)

    def word(self, k: int) -> Any:
        at = self.b.add(self.code, _I64(4 * k))
        return self.b.sext(self.load(at, _I32), _I64)

    def extra(self) -> Any:
        return self.b.ashr(self.word(0), _I64(op.EXTRA))

    def place(self, k: int) -> Any:
        """Address in the arena given by word k."""
        return self.b.add(self.mem, self.word(k))

    def table_word(self, offset: Any) -> Any:
        """Address of the word of the program's table whose number stands at `offset`."""
        return self.b.add(self.T, self.b.shl(self.load(offset), _I64(3)))

    def done(self, rows: int = 1) -> None:
        self.jump(self.b.add(self.code, _I64(16 * rows)))

    def jump(self, code: Any) -> None:
        b = self.b
        which = b.zext(b.and_(self.load(code, _I32), _I32(op.CODE)), _I64)
        entries = self.pointer(self.table, _FUNCTION.as_pointer())
        target = b.load(b.gep(entries, [which]))
        operands = [code, self.mem, self.table, self.base, self.T, self.result]
        b.ret(b.call(target, operands, tail="musttail"))


def _kind(width: int) -> Any:
    return _D if width == 1 else ir.VectorType(_D, width)


def _single(
    r: _Rows,
    which: int,
    width: int = 1,
    row: int = 0,
    known: dict[int, Any] | None = None,
    seen: bool = True,
) -> Any:
    """The instruction of a plain row. known: operands that are at hand, by word."""
    words = (2,) if which in ONE else (2, 3)
    kind = _kind(width)
    xs = [(known or {}).get(k) or r.load(r.place(4 * row + k), kind) for k in words]
    value = value_of(r.b, which, xs)
    if seen:
        r.store(value, r.place(4 * row + 1))
    return value


def _plain(r: _Rows, which: int, held: int = 0) -> None:
    """held: the word of the operand that is in the register, here and for pairs."""
    value = _single(r, which, known={held: r.held})
    if which in op.HANDING:
        r.result = value
    r.done()


def _pair(r: _Rows, first: int, second: int, link: int, width: int, held: int = 0) -> None:
    value = _single(r, first, width, known={held: r.held}, seen=link < op.UNSEEN)
    known = {link % op.UNSEEN: value, held - 4: r.held}
    value = _single(r, second, width, 1, known)
    if width == 1:
        r.result = value
    r.done(2)


def _line(r: _Rows, which: int, layout: str, width: int) -> None:
    """width: elements at a time, or 0 for eights in a loop. What lies behind a line's end is
    computed too, into the room behind the target."""
    b = r.b
    kind = _kind(width or 8)
    at = [r.place(k + 1) for k in range(len(layout) + 1)]
    fixed = {}
    for k, x in enumerate(layout):
        if x == "s":
            whole = ir.Constant(kind, ir.Undefined)
            one = b.insert_element(whole, r.load(at[k + 1], _D), _I32(0))
            spread = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
            fixed[k] = b.shuffle_vector(one, whole, spread)

    def chunk(offset: Any) -> None:
        xs = [
            fixed[k] if k in fixed else r.load(b.add(at[k + 1], offset), kind)
            for k in range(len(layout))
        ]
        r.store(value_of(b, which, xs), b.add(at[0], offset))

    if width:
        chunk(_I64(0))
        r.done()
        return
    size = b.shl(r.extra(), _I64(6))
    before = b.block
    body, after = b.append_basic_block("line"), b.append_basic_block("end")
    b.branch(body)
    b.position_at_end(body)
    offset = b.phi(_I64)
    offset.add_incoming(_I64(0), before)
    chunk(offset)
    more = b.add(offset, _I64(64))
    offset.add_incoming(more, body)
    b.cbranch(b.icmp_signed("<", more, size), body, after)
    b.position_at_end(after)
    r.done()


def _call(r: _Rows, n: int) -> None:
    """A kernel called by address on n operands."""
    b = r.b
    p = b.alloca(ir.ArrayType(_I64, n + 1))
    p = b.ptrtoint(p, _I64)
    operands = [r.place(2), r.place(3), r.place(4)][:n]
    for k, x in enumerate([*operands, r.place(1)]):
        r.store(x, b.add(p, _I64(8 * k)))
    pairs = r.table_word(b.add(r.T, _I64(24)))
    k = b.add(pairs, b.shl(r.extra(), _I64(5)))
    dims = r.table_word(b.add(k, _I64(16)))
    steps = r.table_word(b.add(k, _I64(24)))
    kernel = r.pointer(r.load(k), _LOOP)
    data = r.load(b.add(k, _I64(8)))
    b.call(kernel, [b.inttoptr(x, _PTR) for x in (p, dims, steps, data)])
    r.done(2 if n == 3 else 1)


def _where(r: _Rows) -> None:
    b = r.b
    x, y = r.load(r.place(4), _D), r.load(r.place(5), _D)
    chosen = b.icmp_unsigned("!=", r.load(r.place(2), _I8), _I8(0))
    r.store(b.select(chosen, x, y), r.place(1))
    r.done(2)


def _left(r: _Rows, unless: Any) -> None:
    """Leave the row to the loop around unless this is true."""
    b = r.b
    with b.if_then(b.not_(unless), likely=False):
        b.ret(r.code)


def _move(r: _Rows) -> None:
    _left(r, r.b.icmp_signed("==", r.word(3), _I64(8)))
    r.store(r.load(r.place(2)), r.place(1))
    r.done()


def _guard(r: _Rows) -> None:
    b = r.b
    _left(r, b.icmp_signed("==", b.zext(r.load(r.place(2), _I8), _I64), r.word(1)))
    r.done()


def _load(r: _Rows) -> None:
    b = r.b
    _left(r, b.icmp_signed("==", r.word(3), _I64(8)))
    start = r.load(b.add(r.base, b.shl(r.word(2), _I64(3))))
    at = b.add(start, r.load(b.add(r.code, _I64(16))))
    r.store(r.load(at), r.place(1))
    r.done(2)


def _stream(r: _Rows, fetch: bool, short: bool, rows: int = 1) -> None:
    b = r.b
    for row in range(rows):
        at = b.add(r.base, r.word(4 * row + 2))
        here, place = r.load(at), r.place(4 * row + 1)
        r.store(b.add(here, r.load(b.add(at, _I64(8)))), at)
        source, target = (here, place) if fetch else (place, here)
        if short:
            r.store(r.load(source), target)
        else:
            kind = ir.FunctionType(ir.VoidType(), [_PTR, _PTR, _I64, ir.IntType(1)])
            copy = b.module.declare_intrinsic("llvm.memcpy", [_PTR, _PTR, _I64], kind)
            ends = [b.inttoptr(x, _PTR) for x in (target, source)]
            b.call(copy, [*ends, r.word(3), ir.Constant(ir.IntType(1), 0)])
    r.done(rows)


def _repeat(r: _Rows) -> None:
    b = r.b
    at = b.add(r.base, r.word(1))
    left = b.sub(r.load(at), _I64(1))
    r.store(left, at)
    again = b.icmp_signed(">", left, _I64(0))
    step = b.select(again, b.neg(r.word(2)), _I64(16))
    r.jump(b.add(r.code, step))


def _functions(module: ir.Module) -> list[ir.Function]:
    """By opcode; where there is none, a function that returns the row's address."""
    writers: dict[int, Callable[[_Rows], None]] = {
        op.WHERE: _where, op.MOVE: _move, op.STORE: _move, op.GUARD: _guard, op.LOAD: _load,
        op.FETCH: partial(_stream, fetch=True, short=True),
        op.FETCH + 1: partial(_stream, fetch=True, short=False),
        op.PUT: partial(_stream, fetch=False, short=True),
        op.PUT + 1: partial(_stream, fetch=False, short=False),
        op.FETCHES: partial(_stream, fetch=True, short=True, rows=2),
        op.PUTS: partial(_stream, fetch=False, short=True, rows=2),
        op.REPEAT: _repeat,
        op.CALL1: partial(_call, n=1), op.CALL2: partial(_call, n=2), op.CALL3: partial(_call, n=3),
    }  # fmt: skip

    for which in [*TWO, *ONE]:
        if which != op.COPIED:
            writers[which] = partial(_plain, which=which)
    for (which, layout), k in op.LINES.items():
        for width, start in {0: op.LINE, **op.SHORT}.items():
            writers[start + k] = partial(_line, which=which, layout=layout, width=width)
    for (first, second, link), k in op.PAIRS.items():
        for width, start in op.PAIR.items():
            writers[start + k] = partial(_pair, first=first, second=second, link=link, width=width)
    for (which, held), k in op.HELD.items():
        writers[k] = partial(_plain, which=which, held=held)
    for (first, second, link, held), k in op.HELD_PAIRS.items():
        writers[k] = partial(_pair, first=first, second=second, link=link, width=1, held=held)
    other = _Rows(module, op.CODE)
    other.b.ret(other.code)
    found = [other.function] * (op.CODE + 1)
    for k, write in sorted(writers.items()):
        rows = _Rows(module, k)
        write(rows)
        found[k] = rows.function
    return found


@intrinsic
def threaded(typingctx, T, base, code):
    """Run rows from `code` (an address) on, until one that is not done here: its address."""

    def codegen(context, builder, signature, args):
        module = builder.module
        table = module.globals.get("jittape_rows")
        if table is None:
            functions = _functions(module)
            kind = ir.ArrayType(_FUNCTION.as_pointer(), len(functions))
            table = ir.GlobalVariable(module, kind, "jittape_rows")
            table.linkage = "internal"
            table.global_constant = True
            table.initializer = ir.Constant(kind, functions)
        entries = builder.bitcast(table, _FUNCTION.as_pointer().as_pointer())
        T, base, code = args
        row = builder.load(builder.inttoptr(code, _I32.as_pointer()), align=1)
        which = builder.zext(builder.and_(row, _I32(op.CODE)), _I64)
        first = builder.load(builder.gep(entries, [which]))
        mem = builder.load(builder.inttoptr(base, _I64.as_pointer()))
        nothing = ir.Constant(_D, ir.Undefined)
        return builder.call(first, [code, mem, builder.ptrtoint(entries, _I64), base, T, nothing])

    return types.int64(types.int64, types.int64, types.int64), codegen
