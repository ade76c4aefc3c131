"""A checkpoint that the first version wrote: every later one goes on from it, to the same bits.

`python test_golden_checkpoint.py write` wrote the files, once.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, nn

FOLDER = Path(__file__).with_name("golden") / "format1"
BEGUN, ENDED = FOLDER / "checkpoint.ckpt", FOLDER / "checkpoint.expected.safetensors"


class EndError(Exception):
    """What ended the run in the middle of its second epoch."""


class Ends(rv.Callback):
    def on_progress(self, run: Any, logs: dict[str, float]) -> None:
        if run.step == 8:
            raise EndError


def train(path: Path, *callbacks: Any) -> dict[str, Any]:
    """The run, on numbers that are the same everywhere."""
    X = ((np.arange(43 * 6).reshape(43, 6) * 37 % 101 - 50) / 32).astype(np.float32)
    net = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3)
    )
    history = rv.fit(
        net, X, np.arange(43) * 5 % 7 % 3, loss="cross_entropy", optimizer="adamw", lr=0.01,
        epochs=4, batch_size=8, validation=0.2, metrics=["accuracy", "f1"], schedule="cosine",
        early_stopping=3, clip_norm=1.0, l2=1e-4, callbacks=callbacks, verbose=0,
        checkpoint=rv.Checkpoint(path, every=7, keep=1),
    )  # fmt: skip
    optimizer = net.__dict__["_ranvier_last_fit"].optimizer
    return {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": history.history,
        "random": rv.rand(3),
    }


def parts(value: Any, name: str = "") -> dict[str, Any]:
    """The numbers of a nested value, by the way to them."""
    if isinstance(value, rv.Tensor):
        return {name: value.detach().numpy()}
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in parts(one, f"{name}.{key}").items()}
    return {name: value}


def test_the_first_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    shutil.copy(BEGUN, path)
    state = rv.load(path)
    assert state["step"] == 7 and state["sums"]["steps"] == 2
    rv.manual_seed(99)  # of no importance
    found, wanted = parts(train(path)), parts(rv.load(ENDED))
    assert found.keys() == wanted.keys()
    exact = _C.current_isa() in ("avx2", "avx512")  # others round differently
    for name, value in wanted.items():
        if exact or not isinstance(value, (float, np.ndarray)):
            assert repr(found[name]) == repr(value), name
            if isinstance(value, np.ndarray):
                assert found[name].tobytes() == value.tobytes(), name
        else:
            # Rounding grows over 13 steps: by Adam's division to some thousandths of a step.
            assert np.allclose(found[name], value, rtol=1e-3, atol=1e-3), name


def test_each_instruction_set(tmp_path: Path, isa: str) -> None:
    test_the_first_checkpoint(tmp_path)


def write() -> None:
    """The files, from a run that is ended in the middle and goes on."""
    if BEGUN.exists():
        sys.exit(f"{BEGUN} is there, and is never written again")
    rv.manual_seed(20)
    with pytest.raises(EndError):
        train(BEGUN, Ends())
    copy = FOLDER / "copy.ckpt"
    shutil.copy(BEGUN, copy)
    rv.save(train(copy), ENDED)
    copy.unlink()


if __name__ == "__main__" and sys.argv[1:] == ["write"]:
    write()
