"""Data flows one way: trace -> Tape -> passes -> Program -> execute; imports follow it."""

import ast
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
    ("tracing.rows", "tracing.recorder", "tracing.dispatch", "tracing.direct", "tracing.tracer"),
    ("functions", "tracing"),
    ("passes",),
    ("program",),
    ("execute",),
    ("api", "numpy", "scipy", "check", "reference"),
    ("",),
]
# one arrow points up on purpose: values of pasted stretches are computed while tracing
ALLOWED = {("tracing.embed", "passes.evaluate")}


def layer(module: str) -> int:
    best, found = -1, len(LAYERS) - 1
    for i, names in enumerate(LAYERS):
        for name in names:
            if name and (module == name or module.startswith(name + ".")) and len(name) > best:
                best, found = len(name), i
    return found


def imports(path: Path) -> set[str]:
    out = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("jittape"):
            base = node.module.removeprefix("jittape").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                target = ROOT.joinpath(*full.split("."))
                is_module = target.with_suffix(".py").exists() or target.is_dir()
                out.add(full if is_module else base)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("jittape."):
                    out.add(alias.name.removeprefix("jittape."))
    return out


def test_imports_point_one_way():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT).with_suffix("")
        module = ".".join(p for p in relative.parts if p != "__init__")
        if not module:
            continue
        for target in imports(path):
            if (module, target) not in ALLOWED and layer(target) > layer(module):
                wrong.append(f"{module} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_layers_see_every_module():
    known = {name for names in LAYERS for name in names}
    for path in ROOT.rglob("*.py"):
        top = path.relative_to(ROOT).with_suffix("").parts[0]
        assert top == "__init__" or any(k == top or k.startswith(top + ".") for k in known), top
