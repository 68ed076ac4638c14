"""Runs of elementwise kernels in hot groups, compiled to one loop. Imports llvmlite.

A group runs block by block through NumPy's loops; each reads and writes the L1 cache, about
0.1 ns per float64, where the arithmetic takes a tenth of that. Once a program has spent in such
runs what compiling them costs (a few milliseconds), each is replaced by one kernel whose
temporaries are registers: straight-line IR on vectors, no optimiser needed but the back end's.
What is computed does not change, not by a bit: the same IEEE operations in the same order, no
contraction, and functions only where the interpreted sweep runs the same code (maths.py).

Before: 15 kernels for the gradient of chain; after: one.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import binding, ir

from jittape.execute import choose, maths
from jittape.execute.maths import LANES, VB, VD, splat
from jittape.passes.groups import Group, Micro

NS_PER_OP = 0.1  # what a fused element operation saves
COMPILE_NS = 4e6  # for one kernel, and as much again for each 12 operations
SHORT = 20  # operations
OPTIMISE = 2  # level of LLVM's back end
LONGEST = 200  # operations in one kernel

_I1, _I8, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(64)
_V8 = ir.VectorType(_I8, LANES)


def _maximum(b: Any, x: Any, y: Any) -> Any:
    larger = b.select(b.fcmp_ordered(">", x, y), x, y)
    return b.select(b.fcmp_unordered("uno", x, x), x, larger)


def _minimum(b: Any, x: Any, y: Any) -> Any:
    smaller = b.select(b.fcmp_ordered("<", x, y), x, y)
    return b.select(b.fcmp_unordered("uno", x, x), x, smaller)


def _amul(b: Any, g: Any, v: Any) -> Any:
    """As kernels.amul: 0 where either is 0."""
    zero = splat(0.0)
    left = b.select(b.fcmp_unordered("!=", v, zero), g, zero)
    right = b.select(b.fcmp_unordered("!=", g, zero), v, zero)
    return b.fmul(left, right)


def _scale(b: Any, g: Any, v: Any) -> Any:
    """As kernels.amul where g is a single value: not even a sign where it is 0."""
    zero = splat(0.0)
    product = b.fmul(b.select(b.fcmp_unordered("!=", v, zero), g, zero), v)
    return b.select(b.fcmp_unordered("!=", g, zero), product, zero)


def _compare(sign: str) -> Any:
    def emit(b: Any, x: Any, y: Any) -> Any:
        return (b.fcmp_unordered if sign == "!=" else b.fcmp_ordered)(sign, x, y)

    return emit


# (operand types, result type, emitter) by ufunc
FLOAT: dict[Any, tuple[str, str, Any]] = {
    np.add: ("dd", "d", lambda b, x, y: b.fadd(x, y)),
    np.subtract: ("dd", "d", lambda b, x, y: b.fsub(x, y)),
    np.multiply: ("dd", "d", lambda b, x, y: b.fmul(x, y)),
    np.divide: ("dd", "d", lambda b, x, y: b.fdiv(x, y)),
    np.maximum: ("dd", "d", _maximum),
    np.minimum: ("dd", "d", _minimum),
    np.negative: ("d", "d", lambda b, x: b.fneg(x)),
    np.square: ("d", "d", lambda b, x: b.fmul(x, x)),
    np.reciprocal: ("d", "d", lambda b, x: b.fdiv(splat(1.0), x)),
    np.absolute: ("d", "d", maths.absolute),
    np.sqrt: ("d", "d", maths.square_root),
    np.greater: ("dd", "?", _compare(">")),
    np.greater_equal: ("dd", "?", _compare(">=")),
    np.less: ("dd", "?", _compare("<")),
    np.less_equal: ("dd", "?", _compare("<=")),
    np.equal: ("dd", "?", _compare("==")),
    np.not_equal: ("dd", "?", _compare("!=")),
    np.logical_and: ("??", "?", lambda b, x, y: b.and_(x, y)),
    np.logical_or: ("??", "?", lambda b, x, y: b.or_(x, y)),
    np.logical_not: ("?", "?", lambda b, x: b.not_(x)),
}
OWN: dict[Any, tuple[str, str, Any]] = {
    ("amul", (8, 0, 0)): ("dd", "d", _amul),
    ("move", (6, 8)): ("?dd", "d", lambda b, c, x, y: b.select(c, x, y)),
    ("cast", (0, 3)): ("?", "d", lambda b, x: b.uitofp(x, VD)),
}
SIZE = {"d": 8, "?": 1}


def operation(m: Micro, functions: dict) -> tuple[str, str, Any] | None:
    """(operand types, result type, emitter) of a kernel that can be fused, or None."""
    if isinstance(m.kernel[0], str):
        found = OWN.get((m.kernel[0], m.kernel[1] if len(m.kernel) > 1 else None))
        if m.data is not None:
            return None
    else:
        found = FLOAT.get(m.kernel[0]) or functions.get(m.kernel[0])
        if found is None or m.kernel[0].types[m.kernel[1]] != f"{found[0]}->{found[1]}":
            return None
    if found is None or len(m.args) != len(found[0]) + 1:
        return None
    if found[2] is _amul and m.steps == (0, 8, 8):
        return ("dd", "d", _scale)
    for t, a, step in zip(found[0], m.args, m.steps, strict=False):
        if step not in (0, SIZE[t]) and (t == "?" or a.temp is not None):
            return None
    return found if m.steps[-1] == SIZE[found[1]] else None


def runs(g: Group, functions: dict) -> list[tuple[int, int]]:
    """Ranges of the body that can be one kernel each."""
    found, start = [], 0
    body = g.body
    for k in range(len(body) + 1):
        ends = (
            k == len(body)
            or operation(body[k], functions) is None
            or (k > start and body[k].dims != body[start].dims)
            or k - start == LONGEST
        )
        if ends:
            if k - start > 1:
                found.append((start, k))
            stays = k < len(body) and operation(body[k], functions) is not None
            start = k if stays else k + 1
    return found


def saving(g: Group, functions: dict) -> float:
    """ns that fusing would save per run of the group."""
    total = 0
    for lo, hi in runs(g, functions):
        wide = g.columns if g.body[lo].dims == 0 else 1
        total += (hi - lo - 1) * g.rows * wide
    return NS_PER_OP * total


class _Emitter:
    """One run as a function of NumPy's loop signature; `args` is the group's whole table."""

    def __init__(self, g: Group, lo: int, hi: int, functions: dict):
        self.functions = functions
        self.micros = g.body[lo:hi]
        at = sum(len(m.args) for m in g.prologue) + sum(len(m.args) for m in g.body[:lo])
        self.at = at  # argument indices in the kernel are relative to the first of the run
        self.numbers: list[list[int]] = []
        n = 0
        for m in self.micros:
            self.numbers.append(list(range(n, n + len(m.args))))
            n += len(m.args)
        self.later = {id(a.temp) for m in g.body[hi:] for a in m.args if a.temp is not None}

    def text(self) -> str:
        module = ir.Module("fused")
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 4)
        fn = ir.Function(module, kind, "kernel")
        entry, test, body, rest, tail, done = (fn.append_basic_block() for _ in range(6))
        b = ir.IRBuilder(entry)
        self.table = b.inttoptr(fn.args[0], _I64.as_pointer())
        n = b.load(b.inttoptr(fn.args[1], _I64.as_pointer()))
        self.pointers: dict[Any, Any] = {}
        self.scalars: dict[Any, Any] = {}
        self.open(b)
        b.branch(test)
        b = ir.IRBuilder(test)
        i = b.phi(_I64)
        i.add_incoming(ir.Constant(_I64, 0), entry)
        after = b.add(i, ir.Constant(_I64, LANES))
        # A long kernel's loop is masked, if masks are free, rather than followed by a second body.
        once = len(self.micros) > SHORT and choose.masks_are_free()
        b.cbranch(b.icmp_signed("<" if once else "<=", i if once else after, n), body, rest)
        b = ir.IRBuilder(body)
        self.emit(b, i, self.mask(b, i, n) if once else None)
        i.add_incoming(after, b.block)
        b.branch(test)
        b = ir.IRBuilder(rest)
        b.cbranch(b.icmp_signed("<", i, n), tail, done)
        b = ir.IRBuilder(tail)
        if not once:
            self.emit(b, i, self.mask(b, i, n))
        b.branch(done)
        ir.IRBuilder(done).ret_void()
        return str(module)

    def mask(self, b: Any, i: Any, n: Any) -> Any:
        """Which of the elements from i on are there."""
        lanes = ir.Constant(maths.VI, [ir.Constant(_I64, k) for k in range(LANES)])
        return b.icmp_signed("<", lanes, self.spread(b, b.sub(n, i), maths.VI))

    @staticmethod
    def spread(b: Any, x: Any, kind: Any) -> Any:
        one = b.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(_I64, 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [ir.IntType(32)(0)] * LANES)
        return b.shuffle_vector(one, one, zeros)

    @staticmethod
    def key(a: Any, step: int) -> Any:
        return ("temp", id(a.temp)) if a.temp is not None else (a.slot, a.offset, a.step, step)

    def open(self, b: Any) -> None:
        """Load what the kernel needs before its loop: addresses, and single values."""
        written = set()
        for m, numbers in zip(self.micros, self.numbers, strict=True):
            types = operation(m, self.functions)[0]  # type: ignore[index]
            for a, step, number, t in zip(m.args, m.steps, numbers, types, strict=False):
                key = self.key(a, step)
                if key in written or key in self.pointers:
                    continue
                p = self.pointers[key] = self.address(b, number)
                if step == 0:
                    x = b.load(b.inttoptr(p, (maths.D if t == "d" else _I8).as_pointer()), align=1)
                    if t == "?":
                        x = b.icmp_unsigned("!=", x, ir.Constant(_I8, 0))
                    self.scalars[key] = self.spread(b, x, VD if t == "d" else VB)
            out = self.key(m.args[-1], m.steps[-1])
            written.add(out)
            if self.stored(m) and out not in self.pointers:
                self.pointers[out] = self.address(b, numbers[-1])

    def address(self, b: Any, number: int) -> Any:
        return b.load(b.gep(self.table, [ir.Constant(_I64, number)]))

    def stored(self, m: Micro) -> bool:
        t = m.args[-1].temp
        return t is None or id(t) in self.later

    def emit(self, b: Any, i: Any, mask: Any) -> None:
        known = dict(self.scalars)
        writes: dict[Any, tuple[str, Any]] = {}
        for m in self.micros:
            types, result, function = operation(m, self.functions)  # type: ignore[misc]
            xs = []
            for a, step, t in zip(m.args, m.steps, types, strict=False):
                key = self.key(a, step)
                if key not in known:
                    if step == SIZE[t]:
                        known[key] = self.load(b, self.pointers[key], i, t, mask)
                    else:
                        known[key] = self.gather(b, self.pointers[key], i, step, mask)
                xs.append(known[key])
            out = self.key(m.args[-1], m.steps[-1])
            known[out] = function(b, *xs)
            if self.stored(m):
                writes[out] = (result, known[out])
        for key, (t, x) in writes.items():
            self.store(b, self.pointers[key], i, t, x, mask)

    def place(self, b: Any, p: Any, i: Any, t: str) -> Any:
        at = b.add(p, b.mul(i, ir.Constant(_I64, SIZE[t])))
        return b.inttoptr(at, (VD if t == "d" else _V8).as_pointer())

    def load(self, b: Any, p: Any, i: Any, t: str, mask: Any) -> Any:
        place = self.place(b, p, i, t)
        kind, name = (VD, "v8f64") if t == "d" else (_V8, "v8i8")
        if mask is None:
            x = b.load(place, align=1)
        else:
            none = splat(1.0) if t == "d" else ir.Constant(_V8, [_I8(0)] * LANES)
            args = [place, ir.Constant(ir.IntType(32), 1), mask, none]
            x = maths.intrinsic(b, f"llvm.masked.load.{name}.p0", kind, args)
        if t == "?":
            x = b.icmp_unsigned("!=", x, ir.Constant(_V8, [_I8(0)] * LANES))
        return x

    def gather(self, b: Any, p: Any, i: Any, step: int, mask: Any) -> Any:
        """Doubles that lie `step` bytes apart; past the end, the last one again."""
        x = ir.Constant(VD, ir.Undefined)
        at = b.add(p, b.mul(i, ir.Constant(_I64, step)))
        for k in range(LANES):
            if mask is None:
                place = b.add(at, ir.Constant(_I64, k * step))
            elif k:
                lane = b.extract_element(mask, ir.Constant(_I64, k))
                place = b.select(lane, b.add(place, ir.Constant(_I64, step)), place)
            else:
                place = at
            value = b.load(b.inttoptr(place, maths.D.as_pointer()), align=1)
            x = b.insert_element(x, value, ir.Constant(_I64, k))
        return x

    def store(self, b: Any, p: Any, i: Any, t: str, x: Any, mask: Any) -> None:
        place = self.place(b, p, i, t)
        if t == "?":
            x = b.zext(x, _V8)
        if mask is None:
            b.store(x, place, align=1)
            return
        name = "v8f64" if t == "d" else "v8i8"
        args = [x, place, ir.Constant(ir.IntType(32), 1), mask]
        maths.intrinsic(b, f"llvm.masked.store.{name}.p0", ir.VoidType(), args)


@functools.cache
def _engine() -> Any:
    """The engine that owns the code (and the target machine, which is why there is one)."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=OPTIMISE,
        jit=True,
    )
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)


_addresses: dict[str, int] = {}


def compiled(text: str) -> int:
    """Address of the kernel with this IR."""
    from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        known = _addresses.get(text)
        if known is None:
            name = f"kernel{len(_addresses)}"
            module = binding.parse_assembly(text.replace('@"kernel"', f'@"{name}"'))
            engine = _engine()
            engine.add_module(module)
            engine.finalize_object()
            known = _addresses[text] = engine.get_function_address(name)
        return known


def _functions(exact: bool) -> dict:
    """Functions that the interpreted sweep computes with the same code."""
    return {
        f: ("d", "d", maths.FUNCTIONS[name])
        for f, name in choose.OWN.items()
        if not exact and choose.own_function(f, "d->d")
    }


def calls_until_hot(groups: list[tuple[int, Group]], exact: bool) -> int:
    """After how many calls fusing would have saved what it costs; 0: never worth it."""
    functions = _functions(exact)
    saved = sum(saving(g, functions) for _, g in groups)
    kernels = sum(1 + (hi - lo) / 12 for _, g in groups for lo, hi in runs(g, functions))
    return 1 + int(kernels * COMPILE_NS / saved) if saved else 0


def fused(words: np.ndarray, groups: list[tuple[int, Group]], exact: bool) -> np.ndarray:
    """A copy of the linked words in which runs are one kernel each."""
    functions = _functions(exact)
    words = words.copy()
    for at, g in groups:
        body, n = int(words[at + 12]), len(g.body)
        rows = words[body : body + 5 * n].reshape(n, 5).copy()
        keep = np.ones(n, np.bool_)
        for lo, hi in runs(g, functions):
            rows[lo, 0] = compiled(_Emitter(g, lo, hi, functions).text())
            rows[lo, 1] = 0
            keep[lo + 1 : hi] = False
        left = rows[keep]
        words[body : body + 5 * len(left)] = left.ravel()
        words[at + 11] = len(left)
    return words
