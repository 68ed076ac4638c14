"""Tiles of matrix products as LLVM vectors: a compiler's own choice of what to keep in registers
is not to be relied on. Used by execute/products.py; imports Numba."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _splat(b, value, vector):
    one = b.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


class _Vectors:
    """What a tile needs of a vector type: masks, masked loads and stores, fused multiply-adds."""

    def __init__(self, b, lane, count):
        self.b, self.lane, self.count = b, lane, count
        self.type = ir.VectorType(lane, count)
        self.name = f"v{count}f{64 if isinstance(lane, ir.DoubleType) else 32}"
        self.zero = ir.Constant(self.type, [0.0] * count)

    def _intrinsic(self, name, result, operands):
        return self.b.module.declare_intrinsic(
            f"llvm.{name}.{self.name}", (), ir.FunctionType(result, operands)
        )

    def mask(self, wanted):
        """The first `wanted` lanes."""
        index = ir.VectorType(_I64, self.count)
        lanes = ir.Constant(index, list(range(self.count)))
        return self.b.icmp_signed("<", lanes, _splat(self.b, wanted, index))

    def pointer(self, address):
        return self.b.inttoptr(address, self.type.as_pointer())

    def scalar(self, address):
        return self.b.inttoptr(address, self.lane.as_pointer())

    def load(self, address, mask=None):
        if mask is None:
            return self.b.load(self.pointer(address), align=1)
        m = ir.VectorType(_I1, self.count)
        kind = ir.FunctionType(self.type, [self.type.as_pointer(), _I32, m, self.type])
        name = f"llvm.masked.load.{self.name}.p0"
        f = self.b.module.globals.get(name) or ir.Function(self.b.module, kind, name)
        return self.b.call(f, [self.pointer(address), ir.Constant(_I32, 1), mask, self.zero])

    def store(self, value, address, mask=None):
        if mask is None:
            self.b.store(value, self.pointer(address), align=1)
            return
        m = ir.VectorType(_I1, self.count)
        kind = ir.FunctionType(ir.VoidType(), [self.type, self.type.as_pointer(), _I32, m])
        name = f"llvm.masked.store.{self.name}.p0"
        f = self.b.module.globals.get(name) or ir.Function(self.b.module, kind, name)
        self.b.call(f, [value, self.pointer(address), ir.Constant(_I32, 1), mask])

    def fma(self, x, y, z):
        f = self._intrinsic("fma", self.type, [self.type] * 3)
        return self.b.call(f, [x, y, z])


def tiles(lane, shapes):
    """Tiles of the result, held in registers. shapes: per tile (widths of its vectors, rows, read).

    read: how a row of b is read. "panel": as it is, up to the tile's width. "masked": its first
    `columns` elements, contiguous. "lanes": one by one, b1 bytes apart. In the last two, rows of a
    beyond `have` are not read.
    """

    @intrinsic
    def tile(typingctx, which, a, a0, a1, b, b0, b1, k, c, c0, have, columns, add):
        """c[i, j] (+)= sum of a[i, l] * b[l, j] over l < k, for i < have and j < columns, which
        reaches into the last vector of the tile; b may be padded. which: the tile's number.
        Strides in bytes; rows of c are contiguous. add: 0, or 1 to add to c."""

        def codegen(context, builder, signature, args):
            end = builder.append_basic_block("tile.end")
            first = builder.block
            cases = []
            for widths, rows, read in shapes:
                cases.append(builder.append_basic_block("tile"))
                builder.position_at_end(cases[-1])
                _emit(builder, lane, widths, rows, read, args[1:], end)
            builder.position_at_end(first)
            switch = builder.switch(args[0], cases[-1])
            for number, case in enumerate(cases[:-1]):
                switch.add_case(ir.Constant(_I64, number), case)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 13), codegen

    return tile


def _emit(bld, lane, widths, rows, read, args, end):
    """One tile from the builder's block on, to the block `end`."""
    a, a0, a1, b, b0, b1, k, c, c0, have, columns, add = args
    item = 8 if isinstance(lane, ir.DoubleType) else 4
    starts = [sum(widths[:v]) for v in range(len(widths))]

    def number(x):
        return ir.Constant(_I64, x)

    def smaller(x, y):
        return bld.select(bld.icmp_signed("<", x, y), x, y)

    vectors = [_Vectors(bld, lane, w) for w in widths]
    whole = [v.mask(number(v.count)) for v in vectors[:-1]]
    masks = [*whole, vectors[-1].mask(bld.sub(columns, number(starts[-1])))]
    bottom, top = bld.sub(have, number(1)), bld.sub(columns, number(1))
    down = [
        bld.mul(a0, number(i) if read == "panel" else smaller(number(i), bottom))
        for i in range(rows)
    ]
    across = [bld.mul(b1, smaller(number(j), top)) for j in range(sum(widths))]
    before = bld.block
    loop = bld.append_basic_block("tile.loop")
    bld.branch(loop)
    bld.position_at_end(loop)
    count, pa, pb = (_phi(bld, x, before) for x in (k, a, b))
    sums = [[_phi(bld, v.zero, before) for v in vectors] for _ in range(rows)]
    right = []
    for v, s, m in zip(vectors, starts, masks, strict=True):
        if read == "lanes":
            x = v.zero
            for j in range(v.count):
                y = bld.load(v.scalar(bld.add(pb, across[s + j])), align=1)
                x = bld.insert_element(x, y, ir.Constant(_I32, j))
        else:
            partial = m if read == "masked" and v is vectors[-1] else None
            x = v.load(bld.add(pb, number(item * s)), partial)
        right.append(x)
    totals = []
    for i in range(rows):
        x = bld.load(vectors[0].scalar(bld.add(pa, down[i])), align=1)
        totals.append(
            [
                v.fma(_splat(bld, x, v.type), r, s)
                for v, r, s in zip(vectors, right, sums[i], strict=True)
            ]
        )
    left = bld.sub(count, number(1))
    count.add_incoming(left, loop)
    pa.add_incoming(bld.add(pa, a1), loop)
    pb.add_incoming(bld.add(pb, b0), loop)
    for line, total in zip(sums, totals, strict=True):
        for s, x in zip(line, total, strict=True):
            s.add_incoming(x, loop)
    after = bld.append_basic_block("tile.after")
    bld.cbranch(bld.icmp_signed(">", left, number(0)), loop, after)
    bld.position_at_end(after)
    adding = bld.icmp_signed("!=", add, number(0))
    none = [ir.Constant(m.type, [0] * v.count) for v, m in zip(vectors, masks, strict=True)]
    old = [bld.select(adding, m, z) for m, z in zip(masks, none, strict=True)]
    for i in range(rows):
        row = bld.append_basic_block("tile.row")
        bld.cbranch(bld.icmp_signed("<", number(i), have), row, end)
        bld.position_at_end(row)
        at = bld.add(c, bld.mul(c0, number(i)))
        for v, s, m, o, x in zip(vectors, starts, masks, old, totals[i], strict=True):
            place = bld.add(at, number(item * s))
            v.store(bld.fadd(x, v.load(place, o)), place, m if v is vectors[-1] else None)
    bld.branch(end)


def _phi(bld, start, before):
    phi = bld.phi(start.type)
    phi.add_incoming(start, before)
    return phi
