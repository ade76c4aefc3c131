"""Data that somebody else makes batches of: `DataLoader`, `Dataset`, anything that gives batches.

They are known by what they can do, so that PyTorch's own work as well. Nothing is kept in memory
beyond a batch, and what a batch holds is checked when it comes.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C
from ranvier._C import Tensor
from ranvier._grad import no_grad
from ranvier.nn import Module
from ranvier.training import inputs, predictions
from ranvier.training.batches import Batch, Step

if TYPE_CHECKING:
    from ranvier.training.losses import Loss

_SHAPES = 64  # of rows, whose outputs are remembered


def arrays_of(data: Any) -> tuple[Any, Any, Any] | None:
    """Rows, targets and weights of a TensorDataset, which are simply there; None for all else."""
    tensors = getattr(data, "tensors", None)
    if isinstance(tensors, (tuple, list)) and len(tensors) in (2, 3):
        return (*tensors, None)[:3]
    return None


def is_source(data: Any) -> bool:
    """Whether this gives batches or rows, rather than being an array of them."""
    if isinstance(data, (Tensor, np.ndarray, list, tuple, str)) or hasattr(data, "to_numpy"):
        return False
    return _is_loader(data) or _is_dataset(data)


def _is_loader(data: Any) -> bool:
    return hasattr(data, "__iter__") and hasattr(data, "dataset") and hasattr(data, "batch_size")


def _is_dataset(data: Any) -> bool:
    kinds = [kind.__name__ for kind in type(data).__mro__]
    return "Dataset" in kinds or "IterableDataset" in kinds


def generators_of(loader: Any) -> list[_C.Generator]:
    """What a DataLoader draws its order by, where these are generators of ours."""
    batches = getattr(loader, "batch_sampler", None)
    holders = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    return [generator for generator in found if isinstance(generator, _C.Generator)]


class LoaderBatches:
    """The batches of a DataLoader, or of a Dataset for which one is made.

    Parameters
    ----------
    where : str
        What messages begin with.
    data : DataLoader or Dataset
    model : Module
        Floating-point numbers and the inputs are cast to the type that it computes in.
    loss : Loss
        What asks something of the targets.
    batch_size, shuffle
        Of the DataLoader that is made; one that is given has its own.
    accumulate : int
        Batches to a step.
    generator : Generator, optional
        What the DataLoader that is made shuffles by.
    """

    def __init__(
        self,
        where: str,
        data: Any,
        model: Module,
        loss: Loss,
        batch_size: int | None,
        accumulate: int,
        shuffle: bool,
        generator: _C.Generator | None = None,
    ) -> None:
        self.where, self.model, self.loss = where, model, loss
        self.accumulate = accumulate
        if not _is_loader(data):
            made = importlib.import_module("ranvier.utils.data").DataLoader
            size = batch_size or len(data)
            data = made(data, batch_size=size, shuffle=shuffle, generator=generator)
        self.loader = data
        self.outputs: dict[tuple[int, ...], inputs.Like] = {}  # by the shapes of rows that go in
        self.tell: Callable[[tuple[int, ...], str], None] | None = None  # what rows look like

    @property
    def steps(self) -> int | None:
        try:
            return -(-len(self.loader) // self.accumulate)
        except TypeError:
            return None

    def __iter__(self) -> Iterator[Step]:
        step: Step = []
        for item in self.loader:
            step.append(self._batch(item))
            if len(step) == self.accumulate:
                yield step
                step = []
        if step:
            yield step

    def _batch(self, item: Any) -> Batch:
        if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
            got = f"{len(item)} parts" if isinstance(item, (tuple, list)) else type(item).__name__
            raise TypeError(
                f"[{self.where}] X: expected batches of rows and targets (and weights), got {got}"
            )
        x = whole(self.where, item[0], self.model)
        if self.tell is not None:
            self.tell(tuple(x.shape[1:]), x.dtype.name)
        weight = None
        if len(item) == 3:
            each = inputs.rows(self.where, "weights", item[2])
            weight = _C.ops.cast(each, x.dtype).reshape(each.shape[0])
        return Batch(x, inputs.rows(self.where, "y", item[1]), x.shape[0], weight)

    def settle(self, batch: Batch, prediction: Tensor | None = None) -> None:
        """Bring the targets of a batch to what the loss takes, given what the model made of it.

        Without a prediction before there is one, if the model has made one of such rows; then
        nothing is left to do, and no value to be read, once it is there.
        """
        key, rows = tuple(batch.x.shape[1:]), batch.x.shape[0]
        known = self.outputs.get(key)
        output: Tensor | inputs.Like | None = prediction
        if prediction is None:
            output = known and inputs.Like((rows, *known.shape[1:]), known.dtype)
        elif batch.given is not None and known == _like(prediction):
            return
        else:
            if len(self.outputs) == _SHAPES:
                self.outputs.clear()
            self.outputs[key] = _like(prediction)
        if output is not None:
            given = batch.target if batch.given is None else batch.given
            batch.target = inputs.targets(self.where, "y", given, output, self.loss).all()
            batch.given = given


def _like(prediction: Tensor) -> inputs.Like:
    """What is known of it but for the number of rows."""
    return inputs.Like((0, *prediction.shape[1:]), prediction.dtype)


def whole(where: str, X: Any, model: Module) -> Tensor:
    """A batch in the model's type."""
    rows = inputs.data(where, "X", X, model)
    return rows.batch(0, len(rows), None)


def collect(
    where: str, model: Module, batches: LoaderBatches
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Outputs, targets and weights of all rows, in evaluation mode and without gradients."""
    from ranvier.training.evaluation import forward

    made = functools.partial(forward, where)
    outputs, targets, weights = [], [], []
    with no_grad():
        for step in batches:
            for batch in step:
                output = predictions.output_of(model, batch.x, made)
                batches.settle(batch, output)
                outputs.append(output)
                targets.append(batch.target)
                if batch.weight is not None:
                    weights.append(batch.weight)
    if not outputs:
        raise ValueError(f"[{where}] X: expected at least one batch, got none")
    weight = _C.ops.cat(weights, 0) if weights else None
    return _C.ops.cat(outputs, 0), _C.ops.cat(targets, 0), weight


def outputs(where: str, model: Module, data: Any, batch_size: int) -> Tensor:
    """The model's outputs for all rows of a DataLoader or Dataset."""
    from ranvier.training.evaluation import forward

    if not _is_loader(data):
        made = importlib.import_module("ranvier.utils.data").DataLoader
        data = made(data, batch_size=batch_size, shuffle=False)
    output, parts = functools.partial(forward, where), []
    with no_grad():
        for item in data:
            x = item[0] if isinstance(item, (tuple, list)) else item
            parts.append(predictions.output_of(model, whole(where, x, model), output))
    if not parts:
        raise ValueError(f"[{where}] X: expected at least one batch, got none")
    return _C.ops.cat(parts, 0)
