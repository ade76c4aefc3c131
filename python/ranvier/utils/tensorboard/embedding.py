"""The files that TensorBoard's projector reads: points, their labels, and a picture for each."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.utils.tensorboard import values
from ranvier.utils.tensorboard.events import needed


def write(
    folder: str,
    mat: Any,
    metadata: Sequence[Any] | None,
    label_img: Any,
    step: int,
    tag: str,
    header: Sequence[str] | None,
) -> None:
    """Writes points (N, D) into a folder of their own, and adds them to the projector's list."""
    points = values.array("mat", mat)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"[add_embedding] mat: expected points (N, D), got shape {points.shape}")
    rows = None if metadata is None else [*metadata]
    if rows is not None and len(rows) != len(points):
        raise ValueError(
            f"[add_embedding] metadata: expected one for each of {len(points)} points, got "
            f"{len(rows)}"
        )
    pictures = None if label_img is None else values.array("label_img", label_img)
    if pictures is not None and (pictures.ndim != 4 or len(pictures) != len(points)):
        raise ValueError(
            f"[add_embedding] label_img: expected pictures ({len(points)}, C, H, W), got shape "
            f"{pictures.shape}"
        )
    place = f"{step:05d}/{re.sub(r'[^A-Za-z0-9_-]', '_', tag)}"
    inside = os.path.join(folder, place)
    os.makedirs(inside, exist_ok=True)
    projector = needed("add_embedding", "plugins.projector.projector_config_pb2")
    made = projector.EmbeddingInfo(
        tensor_name=f"{tag}:{step:05d}", tensor_path=f"{place}/tensors.tsv"
    )
    _lines(os.path.join(inside, "tensors.tsv"), [[repr(float(x)) for x in p] for p in points])
    if rows is not None:
        names = header if header is not None and len(header) > 1 else None
        lines = [[str(row)] if names is None else [str(x) for x in row] for row in rows]
        lines = lines if names is None else [[*names], *lines]
        _lines(os.path.join(inside, "metadata.tsv"), lines)
        made.metadata_path = f"{place}/metadata.tsv"
    if pictures is not None:
        across = int(np.ceil(np.sqrt(len(pictures))))
        sprite = values.pixels(values.arranged("label_img", pictures, "NCHW", across))
        with open(os.path.join(inside, "sprite.png"), "wb") as file:
            file.write(values.png(sprite))
        made.sprite.image_path = f"{place}/sprite.png"
        made.sprite.single_image_dim.extend([pictures.shape[3], pictures.shape[2]])
    _add(folder, made, projector.ProjectorConfig())


def _lines(path: str, rows: list[list[str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        for row in rows:
            file.write("\t".join(re.sub(r"[\t\r\n]", " ", value) for value in row) + "\n")


def _add(folder: str, made: Any, config: Any) -> None:
    """Adds what was written to the list, in place of one of the same name."""
    text_format = importlib.import_module("google.protobuf.text_format")  # tensorboard needs it
    path = os.path.join(folder, "projector_config.pbtxt")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text_format.Parse(file.read(), config)
    kept = [one for one in config.embeddings if one.tensor_name != made.tensor_name]
    del config.embeddings[:]
    config.embeddings.extend([*kept, made])
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text_format.MessageToString(config))
    os.replace(temporary, path)
