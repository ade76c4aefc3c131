"""Where tensors live and what computes: `device`, and what programs for several devices ask for.

Every tensor of this build lives on the CPU. Another device is refused with a sentence that says
so, whichever way it is asked for; nothing here falls back silently.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# PyTorch's names of device types; the first one is there.
TYPES = ("cpu", "cuda", "mps", "xpu", "meta", "xla", "hpu", "mtia", "vulkan", "privateuseone")


class device:  # noqa: N801  (PyTorch's name)
    """Where a tensor lives: `device("cpu")`, `device("cuda:0")`, `device("cuda", 0)`.

    A device can be named without being there, so that
    `device("cuda" if rv.cuda.is_available() else "cpu")` works everywhere; only making a tensor
    on it raises. It equals the string that it is written as. As a context (`with device("cpu"):`)
    it changes nothing, because the CPU is where tensors are made anyway.

    Parameters
    ----------
    type : str, device or int
        "cpu", "cuda", or with its number, "cuda:0"; a number alone is a CUDA device's.
    index : int, optional
        The number, where it is not in the text.

    Raises
    ------
    RuntimeError
        If there is no such type of device.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.device("cuda", 0), rv.device("cuda:0").type, rv.ones(2).device == "cpu"
    (device(type='cuda', index=0), 'cuda', True)
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: str | device | int, index: int | None = None) -> None:
        if isinstance(type, (device, int)) and not isinstance(type, bool):
            type = f"cuda:{type}" if isinstance(type, int) else str(type)
        if not isinstance(type, str):
            raise TypeError(f"[device] type: expected a string, got {type!r}")
        kind, colon, number = type.partition(":")
        if kind not in TYPES or (colon and not (number.isascii() and number.isdigit())):
            raise RuntimeError(
                f"[device] type: expected one of {', '.join(TYPES[:5])}, or with a number such as "
                f"'cuda:0', got {type!r}"
            )
        if colon:
            if index is not None:
                raise RuntimeError(f"[device] index: expected it once, got {type!r} and {index!r}")
            index = int(number)
        elif index is not None:
            index = operator.index(index)
            if index < 0:
                raise RuntimeError(f"[device] index: expected 0 or more, got {index}")
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", index)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"[device] {name}: expected to be read only")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (device, str)) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        check_device(self, "device")
        return self

    def __exit__(self, *error: object) -> None:
        return None


CPU = device("cpu")


def no_device(where: str, asked: object) -> RuntimeError:
    """The error for a device that is not there."""
    return RuntimeError(
        f"[{where}] device: expected 'cpu', got {str(asked)!r}: this build of Ranvier computes on "
        "the CPU only; leave the device out, or choose it with "
        "device = 'cuda' if rv.cuda.is_available() else 'cpu'"
    )


def check_device(asked: Any, where: str) -> None:
    """Accepts None and the CPU; refuses every other device."""
    if asked is None or asked is CPU:
        return
    if not isinstance(asked, (str, device, int)):
        raise TypeError(f"[{where}] device: expected 'cpu', got {asked!r}")
    known = device(asked)
    if known.type != "cpu" or known.index not in (None, 0):
        raise no_device(where, known)


_default = CPU


def get_default_device() -> device:
    """Where tensors are made when no device is given: the CPU.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.get_default_device()
    device(type='cpu')
    """
    return _default


def set_default_device(device: device | str | None) -> None:
    """Accepts the CPU, the only device of this build, and refuses every other one.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.set_default_device("cpu")
    """
    check_device(device, "set_default_device")


# --- switches that change nothing here -----------------------------------------------------------

_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Changes nothing but the answer of `are_deterministic_algorithms_enabled`.

    The same seed gives the same bits here in any case, for any number of threads.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.use_deterministic_algorithms(True)
    >>> rv.are_deterministic_algorithms_enabled()
    True
    >>> rv.use_deterministic_algorithms(False)
    """
    global _deterministic
    if not isinstance(mode, bool):
        raise TypeError(
            f"[use_deterministic_algorithms] mode: expected True or False, got {mode!r}"
        )
    _deterministic = mode


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was last told; results are deterministic either way."""
    return _deterministic


_matmul_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Changes nothing but the answer of `get_float32_matmul_precision`.

    Products of float32 matrices are float32 arithmetic in any case.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.set_float32_matmul_precision("highest")
    """
    global _matmul_precision
    if not isinstance(precision, str) or precision not in ("highest", "high", "medium"):
        raise ValueError(
            "[set_float32_matmul_precision] precision: expected 'highest', 'high' or 'medium', "
            f"got {precision!r}"
        )
    _matmul_precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was last told: "highest" at first."""
    return _matmul_precision


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """Returns the function or module as it is: it runs without overhead already.

    Also a decorator, plain (`@rv.compile`) or with arguments (`@rv.compile(mode="default")`).
    The arguments are PyTorch's and change nothing.

    Examples
    --------
    >>> import ranvier as rv
    >>> @rv.compile(fullgraph=True)
    ... def double(x):
    ...     return 2 * x
    >>> double(rv.ones(1))
    tensor([2.])
    """
    if model is None:
        return _as_it_is
    return _as_it_is(model)


def _as_it_is(model: T) -> T:
    if not callable(model):
        raise TypeError(f"[compile] model: expected a function or module, got {model!r}")
    return model
