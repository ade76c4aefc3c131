"""Losses by name, module or function, and what each asks of the targets.

The arithmetic is in `ranvier.nn`; this file only finds it.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from ranvier import nn
from ranvier._C import Tensor, float64, ops
from ranvier._grad import no_grad
from ranvier.nn import functional as F
from ranvier.training.batches import Batch, Step
from ranvier.training.errors import look_up

# labels: whole numbers, one a row, or shares of the classes. shares: numbers from 0 to 1 shaped as
# the model's output, which are such too. targets: the same for any output. values: numbers shaped
# as the model's output. free: whatever the function takes.
Kind = Literal["labels", "shares", "targets", "values", "free"]


class Known(NamedTuple):
    """A loss of `ranvier.nn`: its class, its function, the names it goes by, and its targets."""

    module: str
    function: str
    names: tuple[str, ...]
    kind: Kind


_KNOWN = (
    Known("CrossEntropyLoss", "cross_entropy", ("cross_entropy",), "labels"),
    Known("MSELoss", "mse_loss", ("mse", "mse_loss", "mean_squared_error"), "values"),
    Known("HalfSquaredError", "half_squared_error", ("half_squared_error",), "values"),
    Known("BCELoss", "binary_cross_entropy", ("binary_cross_entropy", "bce"), "shares"),
    Known("BCEWithLogitsLoss", "binary_cross_entropy_with_logits",
          ("binary_cross_entropy_with_logits", "bce_with_logits"), "targets"),
    Known("L1Loss", "l1_loss", ("l1", "l1_loss", "mae", "mean_absolute_error"), "values"),
    Known("SmoothL1Loss", "smooth_l1_loss", ("smooth_l1", "smooth_l1_loss"), "values"),
    Known("HuberLoss", "huber_loss", ("huber", "huber_loss"), "values"),
    Known("NLLLoss", "nll_loss", ("nll", "nll_loss"), "labels"),
    Known("MultiMarginLoss", "multi_margin_loss", ("multi_margin", "multi_margin_loss"), "labels"),
    Known("KLDivLoss", "kl_div", ("kl_div",), "values"),
    Known("PoissonNLLLoss", "poisson_nll_loss", ("poisson_nll", "poisson_nll_loss"), "values"),
    Known("SoftMarginLoss", "soft_margin_loss", ("soft_margin", "soft_margin_loss"), "values"),
    Known("HingeEmbeddingLoss", "hinge_embedding_loss",
          ("hinge_embedding", "hinge_embedding_loss"), "values"),
    Known("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss",
          ("multilabel_soft_margin", "multilabel_soft_margin_loss"), "targets"),
)  # fmt: skip

Each = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss with its name and the kind of targets it takes."""

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    kind: Kind
    each: Each | None = None  # one number a row or an element, of a loss that knows `reduction`
    reduction: str = "mean"
    by_name: bool = False

    @property
    def border(self) -> float:
        """What parts the two answers of a single output: that of probabilities, or of scores."""
        return 0.0 if self.kind == "targets" else 0.5

    def __call__(self, where: str, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of some rows: one number."""
        value = self.function(prediction, target)
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.dtype.is_floating_point:
            got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(
                f"[{where}] loss: expected {self.name} to give a tensor with one floating-point "
                f"number, got {got}; average over the rows"
            )
        return value

    def part(
        self, where: str, prediction: Tensor, batch: Batch, step: Step
    ) -> tuple[Tensor, float | Tensor]:
        """The loss of a batch, and by what to multiply it to get its part of the step's loss.

        The parts of a step have the same gradients, bit by bit, as its rows in a single batch:
        what a row's loss is divided by is that of the whole step.
        """
        if len(step) == 1 and batch.weight is None:
            return self(where, prediction, batch.target), 1.0
        rows = sum(other.rows for other in step)
        if self.each is None:
            return self(where, prediction, batch.target), batch.rows / rows
        each = self.each(prediction, batch.target)
        by_row = self.reduction == "batchmean"
        count = rows if by_row else each.numel() // batch.rows * rows
        if batch.weight is not None:
            each = each * batch.weight.reshape(batch.rows, *[1] * (each.ndim - 1))
        if self.reduction == "sum":
            return each.sum(), 1.0
        weight = _weight_of(self.function, step)
        return each.sum(), 1.0 / (
            count if weight is None else ops.where(weight == 0, count, weight)
        )

    def weighted(self, where: str, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """The loss of some rows that count differently: what they are divided by is theirs."""
        batch = Batch(None, target, prediction.shape[0], weight)
        loss, scale = self.part(where, prediction, batch, [batch])
        return loss * (float(scale) * batch.rows / float(weight.sum().item()))


@no_grad()
def _weight_of(function: Any, step: Step) -> Tensor | None:
    """What a mean over labels divides by where they have weights or are left out: float64.

    That of PyTorch's CrossEntropyLoss: the sum of the weights of the labels that count.
    """
    weight, ignored = (getattr(function, name, None) for name in ("weight", "ignore_index"))
    if ignored is None or step[0].target.dtype.is_floating_point:
        return None
    total: Tensor | None = None
    for batch in step:
        counted = batch.target != ignored
        if weight is None:
            part = counted.sum()
        else:
            labels = (batch.target * counted).reshape(batch.target.numel())
            each = weight.index_select(0, labels) * counted.reshape(labels.shape[0])
            part = each.sum()
        part = part.to(float64)
        total = part if total is None else total + part
    return total


def that_count(where: str, loss: Loss, labels: Any) -> Any:
    """Those of some labels that a loss does not leave out.

    Raises
    ------
    ValueError
        If it leaves out all of them: their mean would be 0 / 0.
    """
    ignored = getattr(loss.function, "ignore_index", None)
    if ignored is None:
        return labels
    counted = labels[labels != ignored]
    if not len(counted):
        raise ValueError(
            f"[{where}] y: expected rows with other labels than {loss.name}'s ignore_index, got "
            f"only {ignored}"
        )
    weight = getattr(loss.function, "weight", None)
    if weight is not None and not weight.detach().numpy()[counted].any():
        raise ValueError(
            f"[{where}] loss: expected a weight above 0 for at least one class of y, got "
            f"{loss.name} with 0 for all of {counted.tolist()!s:.60}"
        )
    return counted


def resolve(where: str, loss: Any, last: Loss | None = None) -> Loss:
    """The loss that a name, an `nn` module or a function of prediction and target means.

    Where `last` came of the same name it is that very loss: what was recorded with it still holds.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        kind: Callable[[], nn.Module] = look_up(f"[{where}] loss", loss, _named())
        if last is not None and last.by_name and type(last.function) is kind:
            return last
        return replace(_of_callable(kind()), by_name=True)
    if isinstance(loss, type) and issubclass(loss, nn.Module):
        raise TypeError(
            f"[{where}] loss: expected an object, got the class {loss.__name__}; write "
            f"{loss.__name__}()"
        )
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"[{where}] loss: expected a name ({', '.join(_named())}), a module such as "
            f"nn.MSELoss() or a function of prediction and target, got {loss!r:.60}"
        )
    return _of_callable(loss)


def _of_callable(loss: Any) -> Loss:
    name = getattr(loss, "__name__", type(loss).__name__)
    each, reduction = _each(loss)
    return Loss(name, loss, _kind(loss), each, reduction)


@functools.cache
def _named() -> dict[str, type[nn.Module]]:
    """Every loss that is there, by its names."""
    return {
        name: getattr(nn, known.module)
        for known in _KNOWN
        if hasattr(nn, known.module)
        for name in known.names
    }


def _kind(loss: Any) -> Kind:
    """What a module or a function of Ranvier asks of the targets; "free" for all others."""
    for known in _KNOWN:
        module, function = getattr(nn, known.module, None), getattr(F, known.function, None)
        ours = loss is function or loss is getattr(ops, known.function, None)
        if ours or (module is not None and isinstance(loss, module)):
            return known.kind
    return "free"


def _each(loss: Any) -> tuple[Each | None, str]:
    """The loss without its reduction, where it has one, and the reduction that it was made with."""
    if isinstance(loss, nn.Module):
        reduction = getattr(loss, "reduction", None)
        if reduction not in ("mean", "sum", "batchmean"):
            return None, "mean"
        twin = copy.copy(loss)
        twin.reduction = "none"
        return twin, reduction
    if any(loss is getattr(F, known.function, None) for known in _KNOWN):
        return functools.partial(loss, reduction="none"), "mean"
    return None, "mean"
