"""What benchmarks and their bootstrap decide without timing anything: verdicts, lists, questions.

No test here measures: a figure depends on the machine and on who else is at work on it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import CASES

ROOT = Path(__file__).parent.parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of benchmarks/suite."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"suite.{name}")


# ---- targets


@pytest.mark.parametrize(
    ("value", "target", "most", "words"),
    [
        (2.0, 1.5, False, "met"),
        (0.98, 1.0, False, "met"),  # within the allowance for noise
        (0.9, 1.0, False, "short, 90 %"),
        (1.0, 1.05, True, "met"),
        (1.08, 1.05, True, "met"),
        (2.1, 1.05, True, "short, 50 %"),
    ],
)
def test_verdicts(suite: Any, value: float, target: float, most: bool, words: str) -> None:
    assert suite("targets").verdict(value, target, most) == words


def test_targets_of_rows(suite: Any) -> None:
    """The exact name goes before the pattern; a row that is not named has no target."""
    targets = suite("targets")
    assert targets.target_of("matmul:128x128x128") == 1
    assert targets.target_of("matmul:33x33x33") == 0.95
    assert targets.target_of("matmul64:128x128x128") == 0.97
    assert targets.target_of("nothing:1") is None


# ---- the native suite


def test_native_rows_with_targets_exist(suite: Any) -> None:
    """Every row of "percent of peak" is one that products.cpp makes."""
    source = (BENCHMARKS / "native" / "products.cpp").read_text(encoding="utf-8")
    match = re.search(r"kSquares\[\] = \{(.*?)\};", source, re.DOTALL)
    assert match
    squares = {int(n) for n in re.findall(r"\d+", match[1])}
    for name, threads in suite("native").gates():
        assert threads in (1, 2)
        sides = re.fullmatch(r"matmul/f32/nn/(\d+)x(\d+)x(\d+)", name)
        assert sides and len(set(sides.groups())) == 1, name
        assert int(sides[1]) in squares, name


def test_native_filters(suite: Any) -> None:
    native = suite("native")
    for name, threads in native.gates():
        assert re.search(native.gate_filter("avx2"), f"{name}/isa:avx2/threads:{threads}")
        assert not re.search(native.gate_filter("avx2"), f"{name}/isa:avx2/threads:12")
        assert re.search(f"^({native.QUICK}).*/isa:avx2/", f"{name}/isa:avx2/threads:{threads}")
    for prefix in (*native.VECTORS, native.SQUARES):  # what the pictures show is repeated
        row = f"{prefix}/64x64x64/isa:avx2/threads:2"
        assert re.search(native.gate_filter("avx2", drawn=True), row)
        assert not re.search(native.gate_filter("avx2", drawn=True), f"bf16/{row}")


def test_native_figures_are_medians_of_repetitions(suite: Any, tmp_path: Path) -> None:
    run = {"run_type": "iteration", "run_name": "gelu/f32/forward/10/isa:base/threads:2"}
    runs = [
        {**run, "real_time": time, "%peak": share, "GB/s": 4.0, "label": "limit 5 GB/s"}
        for time, share in ((3.0, 50.0), (1.0, 90.0), (2.0, 70.0))
    ]
    data = {
        "context": {"peak/isa:base/threads:2": "f32 80 GFLOP/s", "date": ""},
        "benchmarks": runs,
    }
    path = tmp_path / "out.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    limits, (row,) = suite("native").read(path)
    assert limits == {"peak/isa:base/threads:2": "f32 80 GFLOP/s"}
    assert (row.name, row.isa, row.threads) == ("gelu/f32/forward/10", "base", 2)
    assert (row.microseconds, row.percent, row.least, row.most) == (2, 70, 50, 90)
    assert (row.gigabytes, row.gigaflops, row.limit) == (4, 0, "limit 5 GB/s")


def test_table_of_verdicts(suite: Any) -> None:
    """Rows that were not measured are in the table, and so are those that fall short."""
    native, verdicts = suite("native"), suite("verdicts")
    (name, threads), percent = next(iter(native.gates().items()))
    row = native.Row(name, "base", threads, 1.0, percent / 2, 40.0, 50.0, 1.0, 1.0, "")
    lines = verdicts.of_peak([row])
    assert len(lines) == len(native.gates())
    assert lines[0].verdict == "short, 50 %" and "(40 to 50)" in lines[0].figure
    assert {line.verdict for line in lines[1:]} == {"not measured"}

    ratios = {"a": 0.5, "b": 1.2, "c": 2.1}
    rows = [{"condition": "idle", "row": name, "ratio": r} for name, r in ratios.items()]
    idle, second, *others = verdicts.of_threads(rows)
    assert "1 of 3" in idle.what and idle.figure == "2.10: c" and idle.verdict == "short, 50 %"
    assert second.figure == "1.20: b" and second.verdict.startswith("short")
    assert [line.verdict for line in others] == ["not measured", "not measured"]
    saving, loading = verdicts.of_files(
        {"saving": {"save / by hand": 3.0}, "loading": {"mapped": {"loaded, MB": 0.0}}}
    )
    assert saving.verdict == "short, 50 %" and loading.verdict == "met"
    assert {line.verdict for line in verdicts.of_files(None)} == {"not measured"}
    table = verdicts.table([*lines, idle, second]).splitlines()
    assert len(table) == 1 + len(lines) + 2 and table[0].startswith("row ")


# ---- programs that make bench runs


def test_programs_are_followed(suite: Any, monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    """Output goes to a file, rows are counted; a program that fails shows its last lines."""
    programs = suite("programs")
    monkeypatch.setattr(suite("results"), "FOLDER", tmp_path / "a" / "b")
    command = [sys.executable, "-c", "print('row 1'); print('else'); print('row 2')"]
    others = programs.follow("three", command, r"row")
    assert others is None or others >= 0
    assert "three: 2 rows" in capsys.readouterr().out
    assert (tmp_path / "a" / "b" / "three.txt").read_text() == "row 1\nelse\nrow 2\n"
    with pytest.raises(RuntimeError, match="ended with 3"):
        programs.follow("bad", [sys.executable, "-c", "print('why'); exit(3)"], r"row")
    assert "why" in capsys.readouterr().out


def test_busy_machines_are_named(suite: Any) -> None:
    programs = suite("programs")
    assert not programs.warning({"ops": None, "native": 0.02})
    said = programs.warning({"ops": None, "native": 0.8, "threads": 1.0})
    assert "native 0.8, threads 1.0" in said and "ops" not in said


# ---- ops of the case table, and steps


def test_every_op_is_timed() -> None:
    """One forward for each row of the case table, one gradient for each that has some."""
    pytest.importorskip("pytest_benchmark")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "benchmarks"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: dict[str, set[str]] = {}
    for what, name in re.findall(r"test_op_times\.py::test_(\w+)\[(\w+)\]", listed):
        found.setdefault(what, set()).add(name)
    assert found["forward"] == set(CASES)
    assert found["forward_backward"] == {
        name for name, case in CASES.items() if case.entry["differentiable"]
    }
    assert found["replayed"] == {name for name, case in CASES.items() if case.recorded}


def test_what_is_timed_runs() -> None:
    """Some ops and steps, called once: the others are as `make bench` finds them."""
    pytest.importorskip("pytest_benchmark")
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks", "--benchmark-disable"]
    command += ["-k", "[gelu] or [sort] or [concat] or [adam_update] or xor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- make bench-peers


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bootstrap's module, which knows nothing of the suite."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "python" / "bootstrap"))
    yield importlib.import_module("peers")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def chosen(peers: Any, wanted: str) -> tuple[list[str], list[str]]:
    parts = peers.read_list(peers.LIST.read_text(encoding="utf-8"))
    parts, labels = peers.choose(parts, wanted)
    return [part.requirement for part in parts], labels


def test_list_of_peers(peers: Any) -> None:
    requirements, labels = chosen(peers, "")
    assert set(labels) == {"numpy", "torch", "jax", "sklearn", "keras", "onnxruntime"}
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", requirement) for requirement in requirements)
    with pytest.raises(peers.SetupError, match="expected"):
        peers.read_list("torch>=2.0\n")


@pytest.mark.parametrize(
    ("wanted", "packages", "labels"),
    [
        ("numpy", [], ["numpy"]),
        ("numpy jax", ["jax"], ["numpy", "jax"]),
        ("jax,numpy", ["jax"], ["numpy", "jax"]),
        ("keras", ["jax", "keras"], ["keras"]),
        ("scikit-learn", ["scikit-learn"], ["sklearn"]),
        ("onnxruntime", ["onnx", "onnxruntime"], ["onnxruntime"]),
    ],
)
def test_chosen_peers(peers: Any, wanted: str, packages: list[str], labels: list[str]) -> None:
    requirements, found = chosen(peers, wanted)
    assert [requirement.partition("==")[0] for requirement in requirements] == packages
    assert found == labels


def test_versions_of_peers(peers: Any) -> None:
    assert chosen(peers, "torch==2.12.0") == (["torch==2.12.0"], ["torch"])
    assert chosen(peers, "sklearn==1.8")[0] == ["scikit-learn==1.8"]
    onnx, runtime = chosen(peers, "onnxruntime==1.20")[0]
    assert runtime == "onnxruntime==1.20" and onnx != "onnx==1.20"
    with pytest.raises(peers.SetupError, match=r"PEERS: expected some of numpy .*'tensorflow'"):
        chosen(peers, "numpy tensorflow")


def test_nothing_is_downloaded_unasked(peers: Any, monkeypatch: Any, capsys: Any) -> None:
    """Without a terminal and without YES=1 it says so, and goes on with NumPy."""
    monkeypatch.setattr(peers, "installed", lambda python: {})
    monkeypatch.setattr(peers, "install", lambda *_: pytest.fail("nobody has agreed"))
    monkeypatch.setattr(peers, "alone", contextlib.nullcontext)  # another `make` may be at work
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    python, labels = peers.prepare_peers({"PEERS": "numpy torch"})
    assert (python, labels) == (peers.VENV_PYTHON, ["numpy"])
    said = capsys.readouterr().out
    assert "torch==" in said and "several gigabytes" in said and "nothing is downloaded" in said
    assert peers.agreed([], {"YES": "1"}) and not peers.agreed([], {"YES": "0"})


def test_failed_peer_keeps_nobody_from_the_others(
    peers: Any, monkeypatch: Any, capsys: Any
) -> None:
    class Step:
        def __init__(self, title: str, *_: str) -> None: ...

        def run(self, command: list[str], *_: str) -> None:
            ran.append(command[-1])
            if command[-1].startswith("torch"):
                raise peers.SetupError("no network")

        def finish(self) -> None: ...

    ran: list[str] = []
    monkeypatch.setattr(peers, "Step", Step)
    monkeypatch.setattr(peers, "output_of", lambda command: f"Python {sys.version.split()[0]}")
    parts, _ = peers.choose(peers.read_list(peers.LIST.read_text(encoding="utf-8")), "torch jax")
    peers.install(parts, "2.0.0")
    assert [name.partition("==")[0] for name in ran] == ["numpy", "torch", "jax"]
    assert "no network" in capsys.readouterr().out


def test_versions_of_builds_count_as_the_version(peers: Any) -> None:
    """A PyTorch for CPUs calls itself 2.13.0+cpu."""
    part = peers.Part("torch", "2.13.0+cpu", ("torch",), "")
    assert peers.is_there(part, {"torch": "2.13.0"})
    assert not peers.is_there(part, {"torch": "2.12.0"})
    assert "numpy" in peers.installed(Path(sys.executable))
