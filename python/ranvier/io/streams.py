"""Files that somebody has opened, such as `io.BytesIO`: what goes into them and comes out of them.

The bytes are those of a file with a name.
"""

from __future__ import annotations

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
    file.write(tensors.to_bytes(named, metadata))


def read(file: Any, take: Callable[[str, dict[str, Tensor], dict[str, str]], Any]) -> Any:
    """What `take` makes of the name, the tensors and the metadata of an open binary file.

    Raises
    ------
    TypeError
        If it gives text.
    """
    _check_binary("load", file)
    name = str(getattr(file, "name", type(file).__name__))
    return take(name, *tensors.from_bytes(file.read(), name))


def _check_binary(where: str, file: Any) -> None:
    if hasattr(file, "encoding"):
        mode = "wb" if where == "save" else "rb"
        raise TypeError(
            f"[{where}] path: expected a path or a binary file, got {type(file).__name__}, which "
            f"is one of text; open it with mode {mode!r}"
        )
