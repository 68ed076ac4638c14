"""Compiled code on disk: never stale, never half a file, and no need of a disk at all."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from test_layers import imports

import jittape
from jittape.api import run
from jittape.compiled import _compiled, _interpreted
from jittape.execute import library
from jittape.objects import Unit, get, is_kept, store
from jittape.passes import activity, colour, memory, schedule, simplify


def three_times(x):
    return 3 * x


def unit(tmp_path, name="triple", function=three_times):
    """A unit that notes each of its builds in a file."""
    source = tmp_path / "source.py"
    if not source.exists():
        source.write_text("first version")

    def build():
        from numba import types

        from jittape.objects.build import build

        with open(tmp_path / "builds", "a") as file:
            file.write("x")
        return build({"triple": (function, types.int64(types.int64))})

    return Unit(name, (source,), build)


def builds(tmp_path):
    path = tmp_path / "builds"
    return len(path.read_text()) if path.exists() else 0


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JITTAPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_loaded", {})
    store._key.cache_clear()
    yield tmp_path / "cache"
    store._key.cache_clear()


def forget(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(store, "_loaded", {})
    store._key.cache_clear()


def test_code_is_compiled_once(tmp_path, monkeypatch):
    u = unit(tmp_path)
    assert not is_kept(u)
    assert get(u).function("triple")(14) == 42
    assert is_kept(u)
    forget(monkeypatch)
    again = get(u)
    assert again.function("triple")(-2) == -6
    assert again.address("triple") != 0
    assert builds(tmp_path) == 1


def test_a_function_that_was_not_compiled_is_a_key_error(tmp_path):
    with pytest.raises(KeyError, match="missing"):
        get(unit(tmp_path)).address("missing")


def test_another_source_is_compiled_anew(tmp_path, monkeypatch):
    u = unit(tmp_path)
    get(u)
    (tmp_path / "source.py").write_text("second version")
    forget(monkeypatch)
    assert get(u).function("triple")(1) == 3
    assert builds(tmp_path) == 2


@pytest.mark.parametrize("k", range(8))
def test_each_version_is_part_of_the_name(tmp_path, monkeypatch, k):
    """Interpreter, its ABI, the system, Numba, llvmlite, NumPy, target and CPU."""
    now = store._versions()
    assert sys.version in now and np.__version__ in now
    u = unit(tmp_path)
    get(u)
    other = (*now[:k], now[k] + "!", *now[k + 1 :])
    monkeypatch.setattr(store, "_versions", lambda: other)
    forget(monkeypatch)
    assert not is_kept(u)
    get(u)
    assert builds(tmp_path) == 2


def test_the_installed_numba_is_the_one_named():
    import numba

    assert any(numba.__version__ in text for text in store._versions())


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign", "header"])
def test_a_damaged_file_is_compiled_anew(tmp_path, folder, monkeypatch, damage):
    u = unit(tmp_path)
    get(u)
    (path,) = folder.glob("*.object")
    content = path.read_bytes()
    at = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:at],
            "changed": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
            "empty": b"",
            "foreign": b"something else",
            "header": content.replace(b"triple", b"tripel", 1),
        }[damage]
    )
    forget(monkeypatch)
    assert get(u).function("triple")(5) == 15
    assert builds(tmp_path) == 2
    forget(monkeypatch)
    get(u)
    assert builds(tmp_path) == 2  # and kept


def test_without_a_folder_code_stays_in_memory(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("JITTAPE_CACHE_DIR", str(blocked / "below"))
    u = unit(tmp_path)
    with pytest.warns(store.NoCacheWarning, match="JITTAPE_CACHE_DIR"):
        assert get(u).function("triple")(2) == 6
    assert get(u).function("triple")(3) == 9
    assert builds(tmp_path) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path, folder):
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.warns(store.NoCacheWarning, match="ermission"):
        assert get(unit(tmp_path)).function("triple")(2) == 6


def test_a_folder_that_refuses_new_files(tmp_path, monkeypatch):
    """As a read-only file system does, whoever asks."""

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store.tempfile, "mkstemp", refuse)
    with pytest.warns(store.NoCacheWarning, match="Read-only"):
        assert get(unit(tmp_path)).function("triple")(2) == 6
    assert builds(tmp_path) == 1


def test_the_next_folder_is_used_where_the_first_refuses(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setattr(store, "folders", lambda: [blocked / "a", tmp_path / "b"])
    u = unit(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get(u)
        forget(monkeypatch)
        get(u)
    assert builds(tmp_path) == 1
    assert list((tmp_path / "b").glob("*.object"))


def test_files_of_users_are_readable_by_others(tmp_path, folder):
    get(unit(tmp_path))
    (path,) = folder.glob("*.object")
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o644
    assert not list(folder.glob("*.new"))


SCRIPT = """
    import sys, time
    from pathlib import Path
    from jittape.objects import Unit, get
    here = Path(sys.argv[1])

    def triple(x):
        return 3 * x

    def build():
        from numba import types
        from jittape.objects.build import build
        with open(here / "builds", "a") as file:
            file.write("x")
        time.sleep(1.0)
        return build({"triple": (triple, types.int64(types.int64))})

    print(get(Unit("triple", (), build)).function("triple")(7))
"""


def test_processes_that_compile_at_once_wait_for_the_first(tmp_path):
    pytest.importorskip("fcntl")
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [p.communicate(timeout=120)[0].strip() for p in running] == ["21"] * 3
    assert builds(tmp_path) == 1


def test_a_lock_left_by_a_process_that_died_is_free(tmp_path, folder):
    folder.mkdir()
    u = unit(tmp_path)
    store._places(u)[0].with_suffix(".lock").write_text("")
    assert get(u).function("triple")(2) == 6


class Interrupted(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals of a timer")
def test_an_interrupt_leaves_no_lock_taken(tmp_path):
    """Whatever the moment: LLVM's lock is not interrupt-safe."""

    def interrupt(*_):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    hit = 0
    try:
        for k in range(40):
            u = unit(tmp_path, f"triple{k}")
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.004 * k)
                get(u).function("triple")
            except Interrupted:
                hit += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert hit
    found = []
    last = unit(tmp_path, "last")
    thread = threading.Thread(
        target=lambda: found.append(get(last).function("triple")(5)), daemon=True
    )
    thread.start()
    thread.join(60)
    assert found == [15]


def test_errors_of_the_compiler_arrive(tmp_path):
    def build():
        raise RuntimeError("no compiler today")

    with pytest.raises(RuntimeError, match="no compiler today"):
        get(Unit("broken", (), build))


def _child(address, queue):
    queue.put(get(address).function("triple")(11))


def test_code_that_was_loaded_runs_after_fork(tmp_path):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("the system has no fork")
    context = multiprocessing.get_context("fork")
    u = unit(tmp_path)
    get(u)
    queue = context.Queue()
    with warnings.catch_warnings():  # CPython warns of threads that other tests have started
        warnings.simplefilter("ignore", DeprecationWarning)
        p = context.Process(target=_child, args=(u, queue))
        p.start()
    assert queue.get(timeout=60) == 33
    p.join()
    assert builds(tmp_path) == 1


def test_a_single_sweep_waits_for_code_only_where_that_pays(tmp_path, monkeypatch):
    """Loaded, kept on disk, or to be compiled: each is another wait."""
    tape = jittape.trace(lambda x: np.sum(np.sin(x) * x))(np.ones(1_000_000))
    u = unit(tmp_path)
    monkeypatch.setattr(library, "_INTERPRETER", u)
    monkeypatch.setattr(run, "backend", run._load())
    assert library.wait() == library.COMPILING
    assert not run.worth_planning(tape)
    get(u)
    assert library.wait() == 0.0
    assert run.worth_planning(tape)
    forget(monkeypatch)
    assert library.wait() == library.LOADING
    assert not run.worth_planning(tape)
    long = jittape.trace(lambda x: x * np.sum(np.sin(x) * x))(np.ones(20_000_000))
    assert run.worth_planning(long)
    get(u)
    scalars = jittape.trace(lambda x: [x := x * 0.5 + 0.1 for _ in range(5000)][-1])(1.0)
    assert not run.worth_planning(scalars)  # Python is as quick as the planner


def may_fail(x):
    if x > 3:
        raise ValueError
    return x


def test_code_that_may_raise_is_refused(tmp_path):
    """Nobody would see the exception."""
    with pytest.raises(RuntimeError, match="compiled code needs"):
        get(unit(tmp_path, "raises", may_fail))


def test_the_interpreter_knows_all_its_sources():
    """Whatever of jittape's a compiled module imports may be inlined, or a constant in it."""
    root = Path(library.__file__).parent.parent
    todo = [f"execute.{name}" for name in library._COMPILED]
    seen = set()
    while todo:
        name = todo.pop()
        path = root.joinpath(*name.split(".")).with_suffix(".py")
        if path.exists() and path not in seen:
            seen.add(path)
            todo += imports(path)
    assert len(seen) > len(library._COMPILED)
    assert seen <= set(library._INTERPRETER.sources)


def test_compiled_loops_give_what_interpreted_ones_do(monkeypatch):
    """On all that a program with branches, colours and small values makes of them."""
    seen = set()

    def both(function, n, otherwise=None):
        def call(*args):
            before = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
            copies = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
            writeable = [isinstance(a, np.ndarray) and a.flags.writeable for a in args]
            for a, w in zip(copies, writeable, strict=True):
                if isinstance(a, np.ndarray):
                    a.flags.writeable = w
            want = _interpreted(function)(*copies)
            have = _compiled(function)(*args)
            assert want is None or int(want) == have
            for a, b in zip(copies, args, strict=True):
                np.testing.assert_array_equal(a, b)
            if otherwise is not None:  # writes the results, and need not write what is scratch
                copies = [a.copy() if isinstance(a, np.ndarray) else a for a in before]
                otherwise(*copies)
                for a, b, was in zip(copies, args, before, strict=True):
                    if not np.array_equal(a, was):
                        np.testing.assert_array_equal(a, b)
            seen.add(function.__name__)
            return have

        return call

    # the loops, in place of a few rounds of array code
    monkeypatch.setattr(simplify, "_ROUNDS", 0)
    monkeypatch.setattr(activity, "_ROUNDS", 0)
    for module in (simplify, activity, schedule, memory, colour):
        monkeypatch.setattr(module, "fast", both)

    def f(x):
        y = x[0]
        for i in range(1, 6):
            y = y * x[i] + 2.0 * x[i - 1] * 1.0 if x[i] > -9 else x[i]
        return y * y + np.sum(x[1:] * x[:-1])

    x = np.linspace(0.5, 1.0, 6)
    g = jittape.grad(f)
    first = g(x)
    for _ in range(3):
        np.testing.assert_allclose(g(x), first, rtol=1e-14)
    pytest.importorskip("scipy")
    jittape.jacobian(lambda x: x[1:] * x[:-1], sparse=True)(x)
    jittape.hessian(lambda x: np.sum(x[1:] * x[:-1]), sparse=True)(x)
    assert seen >= {
        "by_table",
        "literals",
        "levelling",
        "_depends",
        "_needed",
        "_first_fit",
        "_star",
    }
