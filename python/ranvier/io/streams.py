"""Files that somebody has opened, such as `io.BytesIO`: what goes into them and comes out of them.

The bytes are those of a file with a name: they pass through one in a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from ranvier._C import Tensor
from ranvier.io import tensors


def write(file: Any, named: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata to an open binary file, from where it stands.

    Raises
    ------
    TypeError
        If it takes text.
    """
    _check_binary("save", file)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        tensors.write(path, named, metadata)
        with open(path, "rb") as source:
            shutil.copyfileobj(source, file)


def read(file: Any, take: Callable[[str, dict[str, Tensor], dict[str, str]], Any]) -> Any:
    """What `take` makes of the name, the tensors and the metadata of an open binary file.

    Raises
    ------
    TypeError
        If it gives text.
    """
    _check_binary("load", file)
    name = str(getattr(file, "name", type(file).__name__))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)
        try:
            return take(name, *tensors.read(path))
        except ValueError as error:
            error.args = (str(error).replace(path, name),)
            raise


def _check_binary(where: str, file: Any) -> None:
    if hasattr(file, "encoding"):
        mode = "wb" if where == "save" else "rb"
        raise TypeError(
            f"[{where}] path: expected a path or a binary file, got {type(file).__name__}, which "
            f"is one of text; open it with mode {mode!r}"
        )
