"""The recorder: an open trace that ops append to, and the stack of open traces of each thread.

Recording is what every op of an unrolled Python loop pays, so the trace is a few flat lists rather
than objects. Numbers of values while the trace is open: instructions are
0, 1, ...; inputs are -2, -4, ...; constants are -1, -3, ...: neither count is known beforehand.
"""

from __future__ import annotations

import sys
import weakref
from _thread import _local, get_ident  # _local is threading.local
from collections.abc import Sequence
from typing import Any

import numpy as np

from jittape.bits import same_bits
from jittape.errors import LeakedTracerError, TraceError
from jittape.ops.declare import Signature
from jittape.tape import Const, Tape, assemble
from jittape.tracing.files import FOREIGN, PACKAGE, SCIPY, users_frame
from jittape.tracing.rows import FULL, Rows
from jittape.types import Aval, aval, aval_of

_I8 = np.dtype(np.int64)
_SUSPENDED = 0x20 | 0x80 | 0x200  # inspect's CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_asarray = np.asarray  # as it is without the stand-ins of tracing.patches
_positions: dict[int, Const] = {}
_MOST_POSITIONS = 1 << 20


class _Stack(_local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []


_stack = _Stack()

# arrays that nobody writes to although they are no literals, by id: copies made by tracing.buffers
frozen_arrays: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()


# the traces open in any thread: a list, so that looking whether there is one takes no call
anywhere: list[Trace] = []


def open_traces() -> list[Trace]:
    """The traces open in this thread, outermost first."""
    return _stack.traces


def close_above(level: int) -> None:
    """For a `finally` around outermost traces: an interrupt may come before `__exit__` has begun,
    where nothing but the code around it can still close them."""
    if len(_stack.traces) > level:
        _stack.traces[level].close()


def opened(trace: Trace) -> None:
    """A trace of a user's function opens; replaced by tracing.patches."""


def closed(trace: Trace) -> None:
    """The counterpart of `opened`."""


def reach(namespace: dict[str, Any]) -> None:
    """The names of this module record from now on; replaced by tracing.patches."""


def is_frozen(a: Any) -> bool:
    """Whether this is an array of the traced function's own, as it was when it was captured."""
    return frozen_arrays.get(id(a)) is a


class Trace(Rows):
    """A program being recorded.

    concrete: tracers carry values (tracing a user's function); else only avals (templates, and
    the functions that vmap and scan record once for many elements; traces within them too).
    remedy: what to do instead of asking a tracer without a value for it.
    frame: the frame whose operators may append in plain code, see `follow`; start: where the
    places of its code start.
    """

    __slots__ = (
        "name", "concrete", "of_user", "of_batch", "differentiated", "remedy", "open", "fast",
        "level", "thread", "frame", "start", "code_ids", "foreign_codes", "inputs", "captured",
        "captured_ids", "consts", "const_ids", "literals", "flats", "samples", "held", "snapshots",
        "volatile", "refused", "captures", "__weakref__",
    )  # fmt: skip

    def __init__(self, name: str = "function", concrete: bool = True, remedy: str = ""):
        super().__init__()
        self.name = name
        self.concrete = concrete
        self.of_user = concrete or bool(remedy)  # a user's function runs in it, no rule of ours
        self.of_batch = False  # it stands for each element of a batch, or is within such a one
        self.differentiated = False  # the inputs' derivatives are being taken
        self.remedy = remedy or "a derivative rule may not look at values"
        self.open = False
        self.fast = False
        self.level = 0
        self.thread = get_ident()
        self.frame: Any = None
        self.start = -1
        self.code_ids: dict[int, int] = {}  # start of the places of a code, -1: not the user's
        self.foreign_codes: list[Any] = []
        self.inputs: list[Aval] = []
        self.captured: list[Any] = []  # outer tracers, each one input after the function's own
        self.captured_ids: dict[tuple[int, int], int] = {}
        self.consts: list[Const] = []
        self.const_ids: dict[int, int] = {}
        self.literals: dict[Any, int] = {}
        self.flats: dict[tuple[int, int], Any] = {}  # arrays read by index, flattened
        # where only shapes are known: what stands for the inputs in calls that need values
        self.samples: list[Any] | None = None
        self.held: list[Any] = []  # keeps objects alive whose id() is a key above
        # contents of live constants at their first use, by index; and why the tape is valid for
        # this one call only, if it is
        self.snapshots: dict[int, np.ndarray] = {}
        self.volatile: str | None = None
        self.refused: list[TraceError] = []  # errors that were raised while the function ran
        self.captures: Sequence[tuple[np.ndarray, str]] = ()  # see tracing.captured

    def __enter__(self) -> Trace:
        traces = _stack.traces
        if traces and not traces[-1].concrete:
            if self.concrete:
                self.of_batch = traces[-1].of_batch
            self.concrete, self.remedy = False, traces[-1].remedy
        self.level = len(traces)
        try:
            anywhere.append(self)
            traces.append(self)
            self.open = True
            self.fast = self.concrete
            if self.of_user:
                opened(self)
            return self
        except BaseException:  # KeyboardInterrupt may come anywhere
            self.close()
            raise

    def close(self) -> None:
        """Close this trace and those above, which have been left by an exception that came while
        they were closing. May be called again where that was interrupted: `open` falls last."""
        traces = _stack.traces
        for trace in traces[self.level :]:
            trace.fast = False
            trace.frame = None
            if trace.of_user:
                closed(trace)
            trace.open = False
        for trace in (*traces[self.level :], self):
            if trace in anywhere:
                anywhere.remove(trace)
        del traces[self.level :]
        self.open = False

    def __exit__(self, *exc: Any) -> None:
        self.close()
        error = exc[1] if len(exc) > 1 else None
        for refused in self.refused:
            frame = refused.__traceback__
            if frame is not None and frame.tb_frame.f_code.co_filename.startswith(PACKAGE):
                raise refused from None  # no frame but ours has seen it: C code went on without
        hidden = error
        while isinstance(hidden, (ValueError, SystemError)):
            hidden = hidden.__cause__ or hidden.__context__
        if error is not None and hidden is not error and isinstance(hidden, TraceError):
            # NumPy's "setting an array element with a sequence" hides what is to be told, as does
            # C code that goes on after a callback has raised (scipy.optimize.brentq)
            raise hidden.with_traceback(error.__traceback__) from None

    # -- values ------------------------------------------------------------------------------

    def add_input(self, aval: Aval) -> int:
        self.inputs.append(aval)
        return -2 * len(self.inputs)

    def add_const(self, value: np.ndarray, live: bool) -> int:
        """Number of a captured array. live: read the user's memory at each sweep.

        An array that is written to between two uses in one trace is two constants: what it held
        at first, frozen, and the array itself.
        """
        if type(value) is not np.ndarray and hasattr(value, "_as_const"):
            value = value._as_const()
        found = self.const_ids.get(id(value))
        if found is not None and live and self.concrete:
            k = (-found - 1) >> 1
            snapshot = self.snapshots.get(k)
            if snapshot is not None and not same_bits(value.view(np.ndarray), snapshot):
                self._freeze(k)
                found = None
        if found is None:
            live = live and not is_frozen(value)
            if value.dtype.kind not in "fciub":
                raise TraceError(
                    f"{self.here()}: an array of dtype {value.dtype} meets a traced value; "
                    "jittape differentiates real and complex numbers only - convert the array "
                    "with .astype(float) before it is used"
                )
            self.consts.append(Const(value, live, aval_of(value)))
            found = self.const_ids[id(value)] = -2 * len(self.consts) + 1
            self.held.append(value)
            if live and self.concrete:
                self.snapshots[len(self.consts) - 1] = np.array(value, order="K")
        return found

    def _freeze(self, k: int) -> None:
        """Constant k keeps what the array held when it was first used."""
        self.consts[k] = Const(self.snapshots.pop(k), False, self.consts[k].aval)

    def literal(self, number: Any, dtype: np.dtype) -> int:
        """Number of a scalar constant of this dtype."""
        if type(number) is np.float64:
            number = float(number)
        # Python floats are looked up by themselves (the operators' fast path); but 0.0 == -0.0,
        # 1 == 1.0 == True and nan != nan, so that all others need more of a key
        # (np.float64 is a float, and equal to it as a key)
        if isinstance(number, float) and number == number and number != 0 and dtype.char == "d":
            key: Any = float(number)
        elif dtype is _I8:
            return self.position_literal(int(number))
        else:
            key = (str(number), dtype)
        found = self.literals.get(key)
        if found is None:
            value = np.asarray(number, dtype=dtype)
            self.consts.append(Const(value, False, aval((), dtype)))
            found = self.literals[key] = -2 * len(self.consts) + 1
        return found

    def position_literal(self, k: int) -> int:
        """Number of an int64 constant. Traced loops read elements by the thousand, so the
        constants are shared by all traces of the process."""
        found = self.literals.get((k, "int64"))
        if found is None:
            const = _positions.get(k)
            if const is None:
                const = Const(_asarray(k, _I8), False, aval((), _I8))
                if len(_positions) < _MOST_POSITIONS:
                    _positions[k] = const
            self.consts.append(const)
            found = self.literals[k, "int64"] = -2 * len(self.consts) + 1
        return found

    def capture(self, tracer: Any) -> int:
        """Number, in this trace, of a tracer of an enclosing trace."""
        outer = tracer._trace
        if not outer.open or outer.thread != self.thread:
            raise leaked(tracer)
        if outer.level > self.level:
            raise RuntimeError(f"{here()}: a trace cannot hold a tracer of one inside of it")
        key = (id(outer), tracer._id)
        found = self.captured_ids.get(key)
        if found is None:
            found = self.captured_ids[key] = self.add_input(tracer._aval)
            self.captured.append(tracer._snapshot())  # the handle may move on before it is read
        return found

    # -- instructions ------------------------------------------------------------------------

    def emit(self, sig: Signature, operands: Sequence[int]) -> int:
        """Append an instruction and return its number."""
        index = self.base + len(self.sigs)
        self.sigs.append(sig.id)
        self.args.extend(operands)
        if not self.of_user:  # a rule; where it is pasted, it is told by the user's instruction
            self.where.append(-1)
            return index
        frame = sys._getframe(1)
        code = frame.f_code
        start = self.code_ids.get(id(code))
        if start is None:
            start = self.register_code(code, frame)
        if start < 0:
            start, frame = self.user_code(frame)
        self.where.append(start + frame.f_lasti if frame is not None else -1)
        if len(self.sigs) >= FULL:
            self.pack()
        return index

    def follow(self, frame: Any) -> bool:
        """Whether operators called in this frame may append to the trace in plain code.

        The frame is held, so that the next operator called in it need compare no more than its
        identity: it runs in one thread, and is let go when the trace closes. (A generator's frame
        may go on in another thread.)
        """
        if not self.fast or self.thread != get_ident():
            return False
        code = frame.f_code
        start = self.code_ids.get(id(code), -1)
        if start < 0:
            return False
        self.frame = None if code.co_flags & _SUSPENDED else frame
        self.start = start
        return True

    def register_code(self, code: Any, frame: Any = None) -> int:
        if code.co_filename.startswith(FOREIGN):
            start = -1
            self.foreign_codes.append(code)
            if frame is not None and self.concrete and code.co_filename.startswith(SCIPY):
                reach(frame.f_globals)  # solvers in Python (solve_ivp) record as the user's code
        else:
            start = self.add_code(code)
            if frame is not None and self.concrete:
                reach(frame.f_globals)
        self.code_ids[id(code)] = start
        return start

    def user_code(self, frame: Any) -> tuple[int, Any]:
        """The nearest frame of the user's own, from a frame of jittape's or NumPy's."""
        while frame is not None:
            code = frame.f_code
            start = self.code_ids.get(id(code))
            if start is None:
                start = self.register_code(code, frame)
            if start >= 0:
                return start, frame
            frame = frame.f_back
        return -1, None

    def here(self) -> str:
        """The user's line that is being traced, for error messages."""
        return here()

    def inline(self, tape: Tape, operands: Sequence[int]) -> np.ndarray:
        """Paste `tape` with these value numbers as its inputs; value numbers of its outputs."""
        numbers = list(operands)
        for const in tape.consts:
            if const.aval.ndim == 0 and not const.live:
                numbers.append(self.literal(const.value[()], const.aval.dtype))
            else:
                numbers.append(self.add_const(const.value, const.live))
        n = len(tape)
        base = self.count
        translate = np.empty(tape.n_values, dtype=np.int32)
        translate[: tape.first] = numbers
        translate[tape.first :] = np.arange(base, base + n)
        starts = np.array([*[self._start_of(c) for c in tape.codes], -1], dtype=np.int32)
        where = starts[tape.where_code] + tape.where_lasti
        where[tape.where_code < 0] = -1
        self.append_arrays(tape.sigs, translate[tape.args], where)
        return translate[tape.outputs]

    def _start_of(self, code: Any) -> int:
        start = self.code_ids.get(id(code))
        return self.register_code(code) if start is None else start

    def finish(self, outputs: Sequence[int]) -> Tape:
        """The immutable tape of what was recorded."""
        for k, snapshot in list(self.snapshots.items()):
            if not same_bits(self.consts[k].value.view(np.ndarray), snapshot):
                self._freeze(k)  # written to after its last use
        self.snapshots.clear()

        sigs, args, where = self.all_packed()
        where_code, where_lasti = self.places(where)
        return assemble(
            inputs=tuple(self.inputs),
            consts=tuple(self.consts),
            sigs=sigs,
            args=args,
            outputs=np.array(outputs, dtype=np.int32),
            where_code=where_code,
            where_lasti=where_lasti,
            codes=tuple(self.codes),
        )


def here() -> str:
    """file:line of the nearest frame that is neither jittape's nor NumPy's."""
    frame = users_frame(sys._getframe(1))
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "<unknown>"


def leaked(tracer: Any) -> LeakedTracerError:
    """The error for a tracer that is used where its trace is not open."""
    trace = tracer._trace
    where = trace.position(tracer._id)
    origin = f"created at {where}" if where else f"an argument of {trace.name}"
    return LeakedTracerError(
        f"{here()}: a tracer ({origin}) is used after its trace ended, or in another thread. "
        "Return the value from the differentiated function instead of storing it outside; "
        "has_aux=True passes extra results through"
    )
