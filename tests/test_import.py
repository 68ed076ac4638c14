"""What `import jittape` loads: a script that differentiates once pays for each module."""

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import jittape.functions
import jittape.ops
from jittape import reference
from jittape.tracing.dispatch import LATE

SCRIPT = """
import sys
import numpy as np
before = set(sys.modules)
import jittape
assert jittape.grad(lambda x: np.sum(x * x) / 3)(np.arange(3.0))[1] == 2 / 3
print(*sorted(set(sys.modules) - before))
"""


def test_a_first_gradient_loads_little():
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    ).stdout.split()
    slow = "numba llvmlite scipy dataclasses fractions threading pkgutil concurrent pathlib urllib"
    slow = slow.split()
    assert not [m for m in out if m.split(".")[0] in slow or m.startswith("numpy.ma")]
    assert not [m for m in out if m.startswith(("jittape.execute", "jittape.program"))]


def test_every_module_of_ops_and_functions_is_loaded_sometime():
    reference.load()
    for package in (jittape.functions, jittape.ops):
        for m in iter_modules(package.__path__):
            assert f"{package.__name__}.{m.name}" in sys.modules, m.name


def test_late_functions_register_what_they_name():
    from jittape.tracing import dispatch

    dispatch.load_all()
    for part, names in LATE.items():
        for name in names:
            module = import_module(f"jittape.functions.{name}")
            mine = [c for c in dispatch.composites if c.run.__module__ == module.__name__]
            assert mine, name
            for c in mine:
                for f in c.numpy:
                    assert name in LATE[f.__module__], (f, part)
