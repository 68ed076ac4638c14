"""Seeing a tape: instructions with their source lines, values and adjoints of the nodes."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from jittape import tree
from jittape.api.call import is_dynamic
from jittape.api.gradients import optional_function
from jittape.evaluate import evaluate, evaluate_all
from jittape.ops.declare import Kind
from jittape.passes.differentiate import inexact_outputs, reverse
from jittape.tape import Tape
from jittape.tracing.captured import reached
from jittape.tracing.embed import new_input, result_numbers
from jittape.tracing.reach import reach_function
from jittape.tracing.recorder import Trace, close_above, open_traces


class InspectableTape(Tape):
    """A Tape that can be printed, evaluated and drawn. Nodes are numbered as in the text."""

    def __str__(self) -> str:
        return "\n".join(_line(self, v) for v in range(self.n_values)) + "\n" + _outputs(self)

    def values(self, *args: Any) -> list[np.ndarray]:
        """The value of each node for these arguments (numbers and arrays, flattened)."""
        return [np.asarray(v) for v in evaluate_all(self, self._inputs(args))]

    def adjoints(self, *args: Any) -> list[np.ndarray | None]:
        """d(output)/d(node) for each node: shape of the node, None where no derivative flows.

        Raises ValueError unless the tape has one output of one element.
        """
        seeds = inexact_outputs(self)
        if len(self.outputs) != 1 or len(seeds) != 1 or self.aval(seeds[0]).size != 1:
            raise ValueError(
                "adjoints are derivatives of one number, but the traced function has "
                f"{[self.aval(v) for v in self.outputs.tolist()]} as outputs"
            )
        wrt = [v for v in range(self.n_values) if self.aval(v).inexact]
        inputs = self._inputs(args)
        seed = np.ones(self.aval(seeds[0]).shape, self.aval(seeds[0]).dtype)
        out = evaluate(reverse(self, wrt), [*inputs, seed])[len(self.outputs) :]
        known = dict(zip(wrt, out, strict=True))
        return [known.get(v) for v in range(self.n_values)]

    def show(self, *args: Any) -> str:
        """The text of the tape with the value and the adjoint of each node at these arguments."""
        values, adjoints = self.values(*args), self.adjoints(*args)
        rows = [("node", "value", "adjoint")]
        for v in range(self.n_values):
            a = adjoints[v]
            rows.append((_line(self, v), _short(values[v]), "" if a is None else _short(a)))
        widths = [max(len(r[c]) for r in rows) for c in range(2)]
        return "\n".join(f"{r[0]:<{widths[0]}}  {r[1]:<{widths[1]}}  {r[2]}".rstrip() for r in rows)

    def dot(self, *args: Any) -> str:
        """The graph in Graphviz's language; with arguments, values and adjoints on the nodes."""
        labels = [_name(self, v) for v in range(self.n_values)]
        if args:
            values, adjoints = self.values(*args), self.adjoints(*args)
            for v in range(self.n_values):
                a = adjoints[v]
                labels[v] += f"\\n{_short(values[v])}"
                labels[v] += "" if a is None else f"\\nadjoint {_short(a)}"
        lines = ["digraph tape {", "  rankdir=LR;"]
        for v, label in enumerate(labels):
            shape = "box" if v < self.first else "ellipse"
            lines.append(f'  n{v} [label="{label}", shape={shape}];')
        for i in range(len(self)):
            lines += [f"  n{u} -> n{self.first + i};" for u in self.operands(i)]
        return "\n".join([*lines, "}"])

    def _inputs(self, args: tuple) -> list[np.ndarray]:
        leaves: list[Any] = []
        tree.flatten(args, leaves)
        arrays = [np.asarray(x) for x in leaves if is_dynamic(x) or type(x) is int]
        if [a.shape for a in arrays] != [a.shape for a in self.inputs]:
            raise ValueError(
                f"the tape was recorded for inputs {list(self.inputs)}, but the arguments have "
                f"the shapes {[a.shape for a in arrays]}"
            )
        return [a.astype(i.dtype) for a, i in zip(arrays, self.inputs, strict=True)]


@optional_function
def trace(fun: Callable) -> Callable[..., InspectableTape]:
    """Record fun once: `trace(fun)(*args)` gives its Tape.

    All floating-point leaves of the arguments become inputs; integers in a container of numbers
    are promoted to float64. The tape prints as text (one line per node, with the user's source
    line); `tape.show(*args)` adds values and adjoints, `tape.dot()` draws it.
    """

    def recorded(*args: Any, **kwargs: Any) -> InspectableTape:
        recording = Trace(getattr(fun, "__qualname__", str(fun)))
        recording.captures = reached(fun)
        leaves: list[Any] = []
        structure = tree.flatten((args, kwargs), leaves)
        level = len(open_traces())
        try:
            return record(recording, structure, leaves)
        finally:
            close_above(level)

    def record(recording: Trace, structure: Any, leaves: list[Any]) -> InspectableTape:
        with np.errstate(all="ignore"), recording:
            reach_function(fun)
            traced = [
                new_input(recording, float(x) if type(x) is int else x)
                if is_dynamic(x) or type(x) is int
                else x
                for x in leaves
            ]
            new_args, new_kwargs = tree.unflatten(structure, traced)
            results: list[Any] = []
            tree.flatten(fun(*new_args, **new_kwargs), results)
            tape = recording.finish(result_numbers(recording, results))
        return InspectableTape(**{name: getattr(tape, name) for name in Tape.FIELDS})

    return recorded


def _name(tape: Tape, v: int) -> str:
    if v < tape.n_inputs:
        return f"input {v}"
    if v < tape.first:
        value = tape.consts[v - tape.n_inputs].value
        return _short(value) if value.size <= 4 else f"array {tape.aval(v)}"
    sig = tape.signature(v - tape.first)
    params = ", ".join(f"{k}={p!r}" for k, p in sig.kwargs.items())
    return f"{sig.op.name}({params})" if params else sig.op.name


def _line(tape: Tape, v: int) -> str:
    kind = "input" if v < tape.n_inputs else "const"
    if v < tape.n_inputs:
        return f"%{v} = {kind} {tape.aval(v)}"
    if v < tape.first:
        const = tape.consts[v - tape.n_inputs]
        live = " (read live)" if const.live else ""
        return f"%{v} = {kind} {_name(tape, v)}{live}"
    i = v - tape.first
    operands = " ".join(f"%{u}" for u in tape.operands(i))
    left = "guard" if tape.signature(i).op.kind is Kind.GUARD else f"%{v} ="
    text = f"{left} {_name(tape, v)} {operands} : {tape.aval(v)}"
    where = tape.position(i)
    if where is None:
        return text
    source = linecache.getline(where.code.co_filename, where.line).strip()
    return f"{text:<48}  # {where}" + (f": {source}" if source else "")


def _outputs(tape: Tape) -> str:
    return "return " + ", ".join(f"%{v}" for v in tape.outputs.tolist())


def _short(x: Any) -> str:
    return np.array2string(np.asarray(x), precision=4, threshold=6, separator=", ").replace(
        "\n", ""
    )
