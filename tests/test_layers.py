"""Data flows one way: trace -> Tape -> passes -> Program -> execute; imports follow it.

Every import counts, also inside a function, for type checking alone, or by `import_module` of a
literal name.
"""

import ast
import functools
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import jittape

ROOT = Path(jittape.__file__).parent

# lowest first; a module may import from its own layer and those before it
LAYERS = [
    ("errors", "types", "tree", "config", "cpu", "bits", "distinct", "locks"),
    ("objects",),
    ("compiled",),
    ("ops",),
    ("tape",),
    ("evaluate",),
    (
        "tracing.files",
        "tracing.rows",
        "tracing.recorder",
        "tracing.dispatch",
        "tracing.direct",
        "tracing.tracer",
    ),
    ("functions", "tracing"),
    ("passes",),
    ("program",),
    ("execute",),
    ("api", "numpy", "scipy", "check"),
    ("", "reference"),
]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def layer(module: str) -> int:
    best, found = -1, len(LAYERS) - 1
    for i, names in enumerate(LAYERS):
        for name in names:
            if name and (module == name or module.startswith(name + ".")) and len(name) > best:
                best, found = len(name), i
    return found


@functools.cache
def imports(path: Path) -> set[str]:
    """The modules of jittape that this file imports anywhere, without the leading "jittape"."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute here"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [n if n.removeprefix("jittape.") in MODULES else node.module for n in names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            (name,) = node.args
            names = [name.value] if isinstance(name, ast.Constant) else []
        else:
            continue
        out.update(n for n in names if n.split(".")[0] == "jittape")
    return {n.removeprefix("jittape").lstrip(".") for n in out}


def test_imports_are_seen_wherever_they_stand(tmp_path):
    file = tmp_path / "example.py"
    file.write_text(
        "import numpy\n"
        "from jittape.tape import Tape\n"
        "from jittape import ops\n"
        "if TYPE_CHECKING:\n"
        "    from jittape.api.cache import Slot\n"
        "def f():\n"
        "    import jittape.program\n"
        "    import_module('jittape.execute.run')\n"
    )
    assert imports(file) == {"tape", "ops", "api.cache", "program", "execute.run"}


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {target}"
        for module, path in MODULES.items()
        for target in imports(path)
        if layer(target) > layer(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imports(path) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as e:
        raise AssertionError(" imports ".join(reversed(e.args[1]))) from None


def test_layers_see_every_module():
    known = {name for names in LAYERS for name in names}
    for path in ROOT.rglob("*.py"):
        top = path.relative_to(ROOT).with_suffix("").parts[0]
        assert top == "__init__" or any(k == top or k.startswith(top + ".") for k in known), top
