"""Writes the golden files of this version of the format, once: `python golden/make.py`.

They stand for every file that was ever written, so what is there is never written again. A new
version of the format gets a folder of its own.
"""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where the tables of the tests are

from models_table import LAYERS

import ranvier as rv
from ranvier import nn
from ranvier.io import kinds

HERE = Path(__file__).resolve().parent


def dense() -> tuple[nn.Module, Any]:
    """A network with preprocessing, trained a little, and rows in their own units."""
    rv.manual_seed(5)
    random = np.random.default_rng(5)
    rows = np.stack([random.normal(170, 9, 60), random.normal(0.02, 0.01, 60)], 1)
    rows = np.concatenate([rows, random.integers(0, 3, (60, 1))], 1)
    answers = (rows[:, 0] + 40 * (rows[:, 2] == 1) > 180).astype(np.float32)
    rows[::9, 1] = np.nan
    front: list[Any] = [rv.data.Impute("median"), rv.data.OneHot([2]), rv.data.Standardize()]
    seen: Any = rows
    for layer in front:
        seen = layer.fit(seen)(rv.tensor(seen)).detach().numpy()
    body = nn.Linear(16, 16)
    net = nn.Sequential(
        *front, nn.Linear(seen.shape[1], 16), nn.BatchNorm1d(16), nn.ReLU(), body, nn.Dropout(0.2),
        body, nn.GELU(), nn.Linear(16, 1), nn.Sigmoid(),
    )  # fmt: skip
    rv.fit(net, rows, answers, loss="binary_cross_entropy", lr=0.01, epochs=5, seed=5,
           validation=0.2, metrics="accuracy", verbose=0)  # fmt: skip
    net[3].bias.requires_grad = False
    return net.eval(), rv.tensor(rows, dtype=rv.float32)


class Own(nn.Module):
    """A class that files know by name only."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 3)
        self.decoder = nn.Linear(4, 3)
        self.decoder.weight = self.encoder.weight
        self.scale = nn.Parameter(rv.ones(3))

    def forward(self, x: Any) -> Any:
        return (self.encoder(x) - self.decoder(x)) * self.scale


def every_layer() -> tuple[nn.Module, dict[str, Any]]:
    """Every class of layers in one model, and what each is given and gives, in evaluation mode."""
    rv.manual_seed(6)
    layers, expected = {}, {}
    for title, case in LAYERS.items():
        name = re.sub(r"[. ]", "_", title)
        layers[name] = case.make().eval()
        for i, given in enumerate(case.inputs):
            expected[f"{name}/in{i}"] = given
        if case.inputs:
            expected[f"{name}/out"] = layers[name](*case.inputs).detach()
    return nn.ModuleDict(layers).eval(), expected


def every_dtype() -> dict[str, Any]:
    """Every dtype, with what is special about it, and odd shapes and names."""
    floats = [0.0, -0.0, 1.5, -2.5, float("inf"), -float("inf"), float("nan")]
    kept = {
        name: rv.tensor(floats, dtype=getattr(rv, name))
        for name in ("float64", "float32", "float16", "bfloat16")
    }
    for name in ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"):
        info = np.iinfo(name)
        kept[name] = rv.from_numpy(np.array([[info.min, 0, info.max]], name))
    kept["bool"] = rv.tensor([[True], [False]])
    kept["scalar"] = rv.tensor(2.25)
    kept["empty"] = rv.zeros(0, 3)
    kept["turned"] = rv.arange(6, dtype=rv.float32).reshape(2, 3).T
    kept["\u00e4/\n\u4e2d \U0001f9e0"] = rv.ones(1)
    kept[""] = rv.zeros(1)
    return kept


def nested() -> dict[Any, Any]:
    """A value as programs keep it beside their weights."""
    return {
        "epoch": 7,
        "best": float("inf"),
        "nothing": None,
        "sizes": (784, [10, 2]),
        "done": False,
        "bytes": b"\x00\xff",
        "large": 2**80,
        3: "three",
        "state": {"0.weight": rv.ones(2, 2), "0.bias": rv.zeros(2, dtype=rv.float64)},
        "\u00e4": ["\u4e2d", -1.5e-300, {}],
    }


def write_dense(folder: Path) -> None:
    net, rows = dense()
    rv.save(net, folder / "dense.safetensors", labels=["short", "tall"])
    rv.save({"in": rows, "out": rv.predict(net, rows)}, folder / "dense.expected.safetensors")


def write_layers(folder: Path) -> None:
    layers, expected = every_layer()
    rv.save(layers, folder / "layers.safetensors")
    rv.save(expected, folder / "layers.expected.safetensors")


def write_own(folder: Path) -> None:
    rv.manual_seed(7)
    rv.save(Own(), folder / "own.safetensors", labels=[1, 2, 3])


def keras_graph() -> tuple[Any, dict[str, Any]]:
    """A model of Keras' door with branches, shared layers, a model within, and its rows."""
    keras = rv.keras
    L = keras.layers
    keras.utils.set_random_seed(8)
    random = np.random.default_rng(8)
    data = {"rows": random.normal(3, 5, (40, 4)), "bytes": random.integers(0, 256, (40, 2, 3))}
    rows = keras.Input((4,), name="rows")
    pixels = keras.Input((2, 3), dtype="uint8", name="bytes")
    scale = L.Normalization(name="scale")
    scale.adapt(data["rows"])
    shared = L.Dense(6, "gelu", kernel_regularizer="l2", name="shared")
    inner = keras.Sequential(
        [keras.Input((6,)), L.BatchNormalization(name="norm"), L.Dropout(0.2, seed=3, name="drop"),
         L.Dense(6, activation=L.PReLU("ones", name="prelu"), name="dense")], name="inner",
    )  # fmt: skip
    flat = L.Flatten(name="flat")(L.Rescaling(1 / 255, name="bytes_scale")(pixels))
    left, right = inner(shared(scale(rows))), inner(shared(L.Dense(4, name="first")(flat)))
    joined = L.Concatenate(name="joined")([left * 2.0 - right, keras.ops.tanh(right)[:, :2]])
    kept = L.Lambda(lambda x: x / (1.0 + keras.ops.abs(x)), name="soft")(joined)
    out = L.Dense(3, "softmax", bias_constraint="non_neg", name="out")(kept)
    model = keras.Model([rows, pixels], {"out": out, "left": left}, name="graph")
    model.get_layer("first").trainable = False
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 20)
    answers = {"out": random.integers(0, 3, 40), "left": random.normal(size=(40, 6))}
    model.compile(
        keras.optimizers.AdamW(schedule, clipnorm=1.0),
        {"out": keras.losses.SparseCategoricalCrossentropy(), "left": "mse"},
        loss_weights={"left": 0.1}, metrics={"out": ["accuracy"], "left": ["mae"]},
    )  # fmt: skip
    given = [data["rows"].astype(np.float32), data["bytes"].astype(np.uint8)]
    model.fit(given, answers, epochs=2, batch_size=16, verbose=0)
    return model, {"rows": given[0], "bytes": given[1], **answers}


def write_keras(folder: Path) -> None:
    model, data = keras_graph()
    rv.save(model, folder / "keras.safetensors", labels=["a", "b", "c"])
    given = [data["rows"], data["bytes"]]
    first = model.predict(given, verbose=0)
    rv.keras.utils.set_random_seed(9)
    answers = {name: data[name] for name in ("out", "left")}
    model.fit(given, answers, epochs=1, batch_size=16, verbose=0)
    then = model.predict(given, verbose=0)
    found = {f"{name}/{part}": value[part] for name, value in (("first", first), ("then", then))
             for part in value}  # fmt: skip
    rv.save(
        {name: rv.tensor(value) for name, value in {**data, **found}.items()},
        folder / "keras.expected.safetensors",
    )


def write_estimators(folder: Path) -> None:
    """A perceptron of many layers with labels of text, and what it predicts, then and later."""
    random = np.random.default_rng(10)
    rows = random.normal(size=(40, 5)).astype(np.float32)
    labels = np.array(["no", "perhaps", "yes"])[(rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)]
    net = rv.sklearn.MLPClassifier(
        (6, 4), ["tanh", nn.LeakyReLU(0.2)], norm="batch", dropout=0.1, batch_size=8, max_iter=3,
        tol=0.0, random_state=11, class_weight={"no": 1.0, "perhaps": 2.0, "yes": 0.5},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        net.fit(rows, labels)
    rv.save(net, folder / "estimator.safetensors")
    found = {"rows": rows, "numbers": np.searchsorted(net.classes_, labels).astype(np.int64)}
    found["first"] = net.predict_proba(rows)
    net.partial_fit(rows, labels)
    found["then"] = net.predict_proba(rows)
    rv.save(
        {name: rv.tensor(value) for name, value in found.items()},
        folder / "estimator.expected.safetensors",
    )


# What is written by whom. More may be added; what is there is left alone.
FILES: list[tuple[tuple[str, ...], Callable[[Path], None]]] = [
    (("dense", "dense.expected"), write_dense),
    (("layers", "layers.expected"), write_layers),
    (("own",), write_own),
    (("dtypes",), lambda folder: rv.save(every_dtype(), folder / "dtypes.safetensors")),
    (("keras", "keras.expected"), write_keras),
    (("estimator", "estimator.expected"), write_estimators),
    (("nested",), lambda folder: rv.save(nested(), folder / "nested.safetensors")),
]


def main() -> None:
    """Write what is not there, and its check sums below those of the others."""
    folder = HERE / f"format{kinds.VERSION}"
    folder.mkdir(exist_ok=True)
    written = []
    for names, write in FILES:
        files = [folder / f"{name}.safetensors" for name in names]
        if not any(file.exists() for file in files):
            write(folder)
            written += files
    if not written:
        sys.exit(f"{folder}: all files are there; they are written once, and never again")
    with (folder / "SHA256SUMS").open("a", encoding="utf-8") as sums:
        for file in written:
            sums.write(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")


if __name__ == "__main__":
    main()
