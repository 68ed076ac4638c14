"""README.md and docs/: their links lead somewhere, what they name exists, their code runs."""

import contextlib
import doctest
import io
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import jittape

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MAPPED = ["api", "execute", "passes", "tracing"]


def ids(path):
    return path.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)", document.read_text())
    missing = [
        link for link in links if "://" not in link and not (document.parent / link).exists()
    ]
    assert not missing


def exists(name: str) -> bool:
    """Whether a path is one of the repository; a module may lack its `jittape/` and `.py`."""
    places = [base / name for base in (ROOT, ROOT / "jittape", ROOT / "docs")]
    return any(p.exists() or p.with_suffix(".py").exists() for p in places)


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_files_that_are_named_exist(document):
    text = document.read_text()
    folders = "|".join(p.name for p in (ROOT / "jittape").iterdir() if p.is_dir())
    of_folders = rf"\b(?:(?:jittape/)?(?:{folders})|jittape|tests|docs|benches|examples)/[\w./]+"
    named = {n.rstrip(".") for n in re.findall(of_folders, text)}
    named |= set(re.findall(r"`(\w+\.py)`", text))
    missing = {n for n in named if not exists(n) and not list(ROOT.glob(f"*/**/{n}"))}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_names_of_jittape_exist(document):
    for name in set(re.findall(r"`jittape((?:\.\w+)+)", document.read_text())):
        found = jittape
        for part in name.strip(".").split("."):
            if not hasattr(found, part):
                import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


def blocks(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


EXAMPLES = [(d, k) for d in DOCUMENTS for k in range(len(blocks(d)))]


@pytest.mark.parametrize("document, k", EXAMPLES, ids=[f"{d.name} {k}" for d, k in EXAMPLES])
def test_code_runs(document, k):
    """What is shown as a session prints what is shown."""
    block = blocks(document)[k]
    names: dict = {}
    exec("import numpy as np, jittape", names)
    if ">>>" not in block:
        exec(compile(block, document.name, "exec"), names)
        return
    for example in doctest.DocTestParser().get_examples(block):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(example.source, "<stdin>", "single"), names)
        assert out.getvalue().splitlines() == example.want.splitlines()


@pytest.mark.parametrize("name", MAPPED)
def test_the_map_of_a_package_names_its_modules(name):
    package = import_module(f"jittape.{name}")
    modules = {m.name for m in iter_modules(package.__path__)}
    words = set(re.findall(r"\w+", package.__doc__))
    missing = modules - words
    assert not missing


def test_the_design_names_every_part():
    words = set(re.findall(r"\w+", (ROOT / "docs" / "design.md").read_text()))
    assert not {m.name for m in iter_modules(jittape.__path__)} - words


def test_the_readme_names_all_that_is_public():
    words = set(re.findall(r"\w+", (ROOT / "README.md").read_text()))
    assert not set(jittape.__all__) - words


def test_the_tests_that_the_design_names_exist():
    text = (ROOT / "docs" / "design.md").read_text()
    named = set(re.findall(r"`(test_[\w*]+\.py)`", text))
    assert len(named) > 30
    assert not [n for n in named if not list((ROOT / "tests").glob(n))]
