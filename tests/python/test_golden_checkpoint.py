"""Checkpoints that the first version wrote: every later one goes on from them, to the same bits.

`python test_golden_checkpoint.py write` wrote the files, each once.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C, nn

FOLDER = Path(__file__).with_name("golden") / "format1"
X = ((np.arange(43 * 6).reshape(43, 6) * 37 % 101 - 50) / 32).astype(np.float32)
LABELS = np.arange(43) * 5 % 7 % 3


class EndError(Exception):
    """What ended the run in the middle of its second epoch."""


class Ends(rv.Callback):
    def on_progress(self, run: Any, logs: dict[str, float]) -> None:
        if run.step == 8:
            raise EndError


def train(path: Path, *callbacks: Any) -> dict[str, Any]:
    """The run, on numbers that are the same everywhere."""
    net = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3)
    )
    history = rv.fit(
        net, X, LABELS, loss="cross_entropy", optimizer="adamw", lr=0.01,
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


def train_keras(path: Path, *callbacks: Any) -> dict[str, Any]:
    """A run of Keras' fit on the same numbers."""
    keras = rv.keras
    L = keras.layers
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(8, "gelu"), L.BatchNormalization(), L.Dropout(0.25),
         L.GaussianNoise(0.1, seed=3), L.Dense(3, "softmax")]
    )  # fmt: skip
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 20)
    model.compile(keras.optimizers.AdamW(schedule, clipnorm=1.0), "sparse_categorical_crossentropy",
                  metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])  # fmt: skip
    stopping = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    history = model.fit(
        X, LABELS, epochs=4, batch_size=8, validation_split=0.2, verbose=0,
        callbacks=[*callbacks, stopping],
        checkpoint=rv.Checkpoint(path, every=7, keep=1),
    )  # fmt: skip
    return {
        "model": [w.detach() for w in model.weights],
        "optimizer": [t.detach() for t in model.optimizer.variables],
        "history": history.history,
        "random": rv.rand(3),
    }


RUNS = {"checkpoint": train, "keras_checkpoint": train_keras}


def parts(value: Any, name: str = "") -> dict[str, Any]:
    """The numbers of a nested value, by the way to them."""
    if isinstance(value, rv.Tensor):
        return {name: value.detach().numpy()}
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in parts(one, f"{name}.{key}").items()}
    return {name: value}


def files_of(name: str) -> tuple[Path, Path]:
    """The state of a run that was ended, and what it comes to."""
    return FOLDER / f"{name}.ckpt", FOLDER / f"{name}.expected.safetensors"


@pytest.mark.parametrize("name", RUNS)
def test_the_first_checkpoint(name: str, tmp_path: Path) -> None:
    path, (begun, ended) = tmp_path / "run.ckpt", files_of(name)
    shutil.copy(begun, path)
    state = rv.load(path)
    assert state["step"] == 7 and state["sums"]["steps"] == 2
    rv.manual_seed(99)  # of no importance
    found, wanted = parts(RUNS[name](path)), parts(rv.load(ended))
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


@pytest.mark.parametrize("name", RUNS)
def test_each_instruction_set(name: str, tmp_path: Path, isa: str) -> None:
    test_the_first_checkpoint(name, tmp_path)


def write() -> None:
    """The files that are not there, from runs that are ended in the middle and go on."""
    written = []
    for name, run in RUNS.items():
        begun, ended = files_of(name)
        if begun.exists():
            continue
        rv.keras.utils.set_random_seed(20)
        with pytest.raises(EndError):
            run(begun, Ends())
        copy = FOLDER / "copy.ckpt"
        shutil.copy(begun, copy)
        rv.save(run(copy), ended)
        copy.unlink()
        written += [begun, ended]
    if not written:
        sys.exit(f"{FOLDER}: all are there, and never written again")
    with (FOLDER / "SHA256SUMS").open("a", encoding="utf-8") as sums:
        for file in written:
            sums.write(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")


if __name__ == "__main__" and sys.argv[1:] == ["write"]:
    write()
