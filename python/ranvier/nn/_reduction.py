"""The `reduction` of losses, and the two older arguments that said the same."""

from __future__ import annotations

import warnings
from typing import Any

from ranvier._C import Tensor

REDUCTIONS = ("mean", "sum", "none")
# What people write instead.
_MEANT = {"average": "mean", "avg": "mean", "batch": "mean", "total": "sum", "no": "none"}


def reduction_from(
    where: str,
    reduction: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    known: tuple[str, ...] = REDUCTIONS,
) -> str:
    """The reduction that the arguments of a loss mean.

    Parameters
    ----------
    where : str
        The loss, for the message.
    reduction : str
        One of `known`.
    size_average, reduce : bool, optional
        PyTorch's arguments of before 2018: `reduce=False` is 'none', else `size_average=False` is
        'sum' and True is 'mean'. Where one is given, `reduction` does not count.

    Raises
    ------
    ValueError
        An unknown reduction; the message names near misses.
    TypeError
        A string where a flag belongs, as in `MSELoss("sum")`.
    """
    if size_average is not None or reduce is not None:
        return _by_flags(where, size_average, reduce)
    if isinstance(reduction, str) and reduction in known:
        return reduction
    import difflib  # not needed by a mere `import ranvier`

    text = str(reduction).lower()
    near = [_MEANT[text]] if text in _MEANT else difflib.get_close_matches(text, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
    raise ValueError(f"[{where}] reduction: expected {shown}, got {reduction!r:.60}{hint}")


def _by_flags(where: str, size_average: Any, reduce: Any) -> str:
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None and not isinstance(value, bool):
            hint = f"; write reduction={value!r}" if isinstance(value, str) else ""
            if isinstance(value, Tensor) and where[0].isupper():
                hint = f"; a loss is made, then called: {where}()(input, target)"
            got = f"shape {value.shape}" if isinstance(value, Tensor) else f"{value!r:.60}"
            raise TypeError(f"[{where}] {name}: expected True, False or None, got {got}{hint}")
    meant = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"[{where}] size_average and reduce are the old words; write reduction={meant!r}",
        DeprecationWarning,
        stacklevel=4,
    )
    return meant
