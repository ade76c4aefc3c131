"""`python -m ranvier show FILE`: what it says, at any width, and of strangers' files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import __main__, _show, nn
from ranvier.data import Impute, MinMax, OneHot, Standardize
from ranvier.io import kinds, tensors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


@pytest.fixture
def show(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is printed about the file, which must succeed."""

    def run(*options: str, width: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        assert __main__.main(["show", str(path), *options]) == 0
        text = capsys.readouterr().out
        assert all(len(line) <= max(width, 10) for line in text.splitlines())
        assert all(c.isprintable() for c in text.replace("\n", ""))
        return text

    return run


def iris() -> nn.Sequential:
    """A model with everything that there is to show."""
    rv.manual_seed(0)
    rows = np.array([[4.0, 1.0], [6.0, 3.0], [5.0, 5.0], [5.0, 3.0]])
    net = nn.Sequential(
        Standardize(), nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.25),
        nn.Linear(8, 3),
    )  # fmt: skip
    rv.fit(net, rows, [0, 1, 2, 1], loss="cross_entropy", epochs=2, lr=0.5, seed=0, verbose=0)
    net[1].bias.requires_grad = False
    return net.eval()


MODEL = """\
net.safetensors: a model, {size}
written by Ranvier {version}, format 1

Layer    Type             Output shape        Parameters  Bytes
---------------------------------------------------------------
(model)  Sequential()     (N, 3)                       0      0
  0      Standardize()    (N, 2)                       0     16
  1      Linear(2, 8)     (N, 8)        24 partly frozen     96
  2      BatchNorm1d(8)   (N, 8)                      16    136
  3      ReLU()           (N, 8)                       0      0
  4      Dropout(p=0.25)  (N, 8)                       0      0
  5      Linear(8, 3)     (N, 3)                      27    108
---------------------------------------------------------------
Parameters: 67, trainable 59, not trainable 8; with buffers 356 bytes
Dtypes: float32 x 10, int64 x 1
Mode: evaluation
Preprocessing: 0 (Standardize), 2 columns, mean 5, 3; deviation 0.7071, 1.414
Input: rows of shape (2,), float32
Labels: setosa, versicolor, virginica
Training: loss CrossEntropyLoss, optimizer Adam, lr 0.5, batch_size 4, version
  {version}, epochs 2
Measured last: loss {loss:.4g}
"""


def test_a_model(path: Path, show: Any) -> None:
    net = iris()
    rv.save(net, path, labels=["setosa", "versicolor", "virginica"])
    loss = rv.io.about(net).training["history"]["loss"]
    size = f"{path.stat().st_size / 1000:.1f} KB"
    assert show() == MODEL.format(size=size, version=rv.__version__, loss=loss)


@pytest.mark.parametrize("width", [1, 10, 17, 30, 45, 59, 60, 79, 200])
def test_any_width(path: Path, show: Any, width: int) -> None:
    rv.save(iris(), path, labels=["setosa", "versicolor", "virginica"])
    text = show(width=width)
    assert "virginica" in "".join(text.split())
    if width >= 45:
        assert "Linear(2" in text
    rv.save(iris().state_dict(), path)
    assert "(8, 2)" in show(width=width)


def test_what_preprocessing_knows(path: Path, show: Any) -> None:
    rows = np.array([[0.0, 10.0, 7.0], [2.0, 30.0, 9.0], [2.0, 10.0, 8.0]])
    net = nn.Sequential(
        Impute("most_frequent").fit(rows), MinMax().fit(rows), OneHot([0]).fit(rows / 2)
    )
    rv.save(net, path)
    text = show()
    assert "0 (Impute), 3 columns, in place of NaN 2, 10, 7" in text
    assert "1 (MinMax), 3 columns, from 0, 10, 7; width 2, 20, 2" in text
    assert "2 (OneHot), 3 columns, column 0: 0, 1" in text
    rv.save(Standardize().fit(np.random.default_rng(0).normal(size=(5, 100))), path)
    assert text.count("more") == 0 and show().count("and 94 more") == 2
    assert "more" not in show("--all")
    rv.save(Standardize(), path)
    assert "Preprocessing" not in show()  # it knows nothing yet


class Own(nn.Module):
    """A class that a file cannot make."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(2, 3)
        self.again = self.body
        self.scale = nn.Parameter(rv.ones(5))


@pytest.mark.filterwarnings("ignore:.*not what it computes:ranvier.RanvierWarning")
def test_own_classes_and_what_is_there_twice(path: Path, show: Any) -> None:
    rv.save(Own(), path)
    text = show()
    assert "test_show.Own" in text and "the same as body" in text
    assert "Parameters: 14, trainable 14" in text
    assert "Tied: again.weight is body.weight, again.bias is body.bias" in text
    assert "Not Ranvier's own: test_show.Own" in text and "rv.load(file, model=...)" in text


class Runs(nn.Module):
    """A class whose forward is in its file."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(2, 3)

    def forward(self, x: Any) -> Any:
        return self.body(x).tanh() * rv.tensor([1.0, 2.0, 3.0])


def test_own_classes_with_their_forward(path: Path, show: Any) -> None:
    rv.save(Runs(), path, input=(2,))
    text = show()
    assert "(model)  test_show.Runs  (N, 3)" in text
    assert "Forward: in the file as instructions" in text and "rv.load(" not in text


@pytest.mark.filterwarnings("ignore:.*not what it computes:ranvier.RanvierWarning")
def test_own_names_of_states(path: Path, show: Any) -> None:
    class Renamed(Own):
        def state_dict(self, *_: Any, **__: Any) -> Any:
            return {"my.weight": rv.ones(7, 2)}

    rv.save(Renamed(), path)
    assert "my.weight" in show() and "(7, 2)" in show()


def test_tensors_of_anybody(path: Path, show: Any) -> None:
    rv.save({"a": rv.ones(2, 3), "b.c": rv.tensor(1, dtype=rv.int8)}, path)
    text = show()
    assert "tensors by name" in text and "written by Ranvier" in text
    assert "a     float32  (2, 3)     24" in text and "Tensors: 2, 7 numbers, 25 bytes" in text
    assert "Dtypes: float32 x 1, int8 x 1" in text
    tensors.write(path, {"a": rv.ones(1)}, {"author": "somebody", "licence": "none"})
    text = show()
    assert "of another program" in text and "author: somebody" in text and "written" not in text
    tensors.write(path, {}, {})
    assert "Tensors: 0, 0 numbers" in show()


def test_nested_values(path: Path, show: Any) -> None:
    value = {"epoch": 3, "best": float("inf"), "sizes": (2, 3), "model": {"w": rv.ones(2)},
             "log": [{"lr": 0.1}, {"lr": 0.2}], "name": "x"}  # fmt: skip
    rv.save(value, path)
    text = show()
    assert "a nested value" in text and "model.w  float32  (2,)" in text
    for line in ("epoch: 3", "best: inf", "sizes: (2, 3)", "log.0.lr: 0.1", "name: x"):
        assert f"\n{line}\n" in text


def test_large_files_do_not_flood(path: Path, show: Any) -> None:
    rv.save(nn.Sequential(*[nn.Identity() for _ in range(500)]), path, labels=range(1000))
    text = show()
    assert len(text.splitlines()) < 80 and "and 441 more; --all shows them" in text
    assert "Labels: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 988 more" in text
    whole = show("--all")
    assert "more" not in whole and len(whole.splitlines()) > 500 and "  499" in whole
    rv.save({f"{i}" * 100: rv.ones(1) for i in range(300)}, path)
    assert len(show().splitlines()) < 80 and "and 240 more" in show()
    rv.save({"many": {str(i): i for i in range(300)}}, path)
    assert len(show().splitlines()) < 80 and "and 240 more" in show()
    tensors.write(path, {}, {f"{i}": "x" * 10_000 for i in range(100)})
    assert len(show().splitlines()) < 300


EVIL = "\x1b[31m\r\n\x07\u202e\x00"


def test_control_characters_stay_out_of_the_terminal(path: Path, show: Any) -> None:
    """`show` checks that everything it prints is printable."""
    rv.save({EVIL: rv.ones(1)}, path)
    assert r"\x1b[31m\r\n\x07\u202e\x00" in show()
    tensors.write(path, {EVIL: rv.ones(1)}, {EVIL: EVIL})
    show()
    rv.save({EVIL: EVIL, "b": [EVIL, {EVIL: EVIL}]}, path)
    show()
    tree = {
        "class": f"{EVIL}.Net",
        "own": True,
        "why": EVIL,
        "holds": [[EVIL, "parameter"]],
        "layers": [{"name": EVIL, "class": "nn.ReLU", "arguments": {"inplace": False}},
                   {"name": "b", "same": EVIL}],
    }  # fmt: skip
    description = {
        "model": tree,
        "tied": {EVIL: EVIL},
        "labels": [EVIL, "b"],
        "training": {EVIL: EVIL, "history": {EVIL: 1.0}},
    }
    metadata = kinds.metadata(kinds.MODEL, description) | {"version": EVIL}
    tensors.write(path, {EVIL: rv.ones(1)}, metadata)
    text = show()
    assert "Net" in text and "ReLU()" in text


def test_shapes_are_left_out_where_they_cannot_be_told(path: Path, show: Any) -> None:
    rv.save(nn.Sequential(nn.Linear(3, 2)), path, input=(5,))  # which does not fit
    assert "(N" not in show()
    rv.save(nn.Sequential(nn.Flatten(), nn.Identity()), path, input=(2**30, 2**30))
    assert "(N" not in show()
    state = rv.get_rng_state()
    rv.save(nn.Sequential(nn.RReLU()), path, input=(3,))
    assert "(N, 3)" in show() and rv.equal(rv.get_rng_state(), state)


def test_mistakes_are_told_in_one_line(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"nothing of the sort")
    model = tmp_path / "model"
    description = {"model": {"class": "os.system"}, "tied": {}}
    tensors.write(model, {}, kinds.metadata(kinds.MODEL, description))
    for file in (path, model, tmp_path / "not there", tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "ranvier", "show", str(file)],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(Path(rv.__file__).parent.parent), "PATH": ""},
        )
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("show: ") and done.stderr.count("\n") == 1
        assert len(done.stderr) < 1100


def test_terminals_of_few_letters(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    class Ascii:
        encoding = "ascii"

        def write(self, text: str) -> int:
            written.append(text.encode("ascii"))
            return len(text)

        def flush(self) -> None:
            pass

    written: list[bytes] = []
    rv.save({"\u00e4": rv.ones(1)}, path)
    monkeypatch.setattr(sys, "stdout", Ascii())
    assert _show.show(str(path)) == 0
    assert b"\\xe4" in b"".join(written)
