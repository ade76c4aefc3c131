"""The network of a multi-layer perceptron, over arrays that its estimator shows.

`coefs_` and `intercepts_` are memory of the layers: whoever writes into them changes the network.
Nothing here trains.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import _C, nn
from ranvier._C import Tensor
from ranvier.nn._sparse import takes_sparse
from ranvier.nn._start import without_weights
from ranvier.training import inputs, predictions
from ranvier.training.evaluation import outputs
from ranvier.training.inputs import Rows, SparseRows

if TYPE_CHECKING:
    import numpy.typing as npt

_PART = 1 << 18  # numbers drawn at a time: they come in float64, whatever they become
_BATCH = 256

SKLEARN = {"identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
_OTHERS = (
    nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.ELU, nn.CELU,
    nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.LogSigmoid,
)  # fmt: skip
ACTIVATIONS: dict[str, Any] = {
    **SKLEARN,
    **{kind.__name__.lower(): kind for kind in _OTHERS},
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "swish": nn.SiLU,
}


class Exp(nn.Module):
    """e to the power of its input."""

    def forward(self, input: Tensor) -> Tensor:
        """(...) -> (...)"""
        return _C.ops.exp(input)


_OUT: dict[str, Any] = {
    "softmax": functools.partial(nn.Softmax, 1),
    "logistic": nn.Sigmoid,
    "exp": Exp,
    "identity": nn.Identity,
}


@dataclass(frozen=True)
class Form:
    """What a network is made of.

    Attributes
    ----------
    units : tuple of int
        Columns of the rows, sizes of the hidden layers, outputs.
    activations : tuple
        A name or module for each hidden layer.
    dropout : tuple of float
        A share for each hidden layer.
    norm : {"batch", "layer"}, optional
    out : str
        The activation of the outputs: "softmax", "logistic", "exp" or "identity".
    dtype : dtype
        float64 or float32.
    """

    units: tuple[int, ...]
    activations: tuple[Any, ...]
    dropout: tuple[float, ...]
    norm: str | None
    out: str
    dtype: Any


class Network:
    """A network and the arrays that are its weights.

    Parameters
    ----------
    form : Form
    coefs, intercepts : sequences of array, optional
        Weights (inputs, outputs) and biases (outputs,) of each layer, whose memory it uses where
        they are of its dtype; zeros in memory of its own if left out.

    Attributes
    ----------
    coefs, intercepts : tuple of array
    model : Sequential
        From rows to the sums of the last layer.
    """

    def __init__(
        self, form: Form, coefs: Sequence[Any] = (), intercepts: Sequence[Any] = ()
    ) -> None:
        self.form, self.dtype = form, _C.float32 if form.dtype == np.float32 else _C.float64
        self.layers: list[nn.Linear] = []
        self.shares = True  # its memory is that of the arrays it was given
        parts: list[nn.Module] = []
        last = len(form.units) - 2
        for i, sizes in enumerate(zip(form.units, form.units[1:], strict=False)):
            given = (coefs[i], intercepts[i]) if coefs else None
            self.layers.append(self._layer(sizes, given))
            parts.append(self.layers[-1])
            if i < last:
                parts += self._behind(i, sizes[1])
        self.model = nn.Sequential(*parts)
        self.answering = nn.Sequential(self.model, _OUT[form.out]())
        self.model.eval()
        self.answering.eval()
        if coefs:
            self.coefs, self.intercepts = tuple(coefs), tuple(intercepts)
        else:
            self.coefs = tuple(layer.weight.detach().T.numpy() for layer in self.layers)
            self.intercepts = tuple(_bias(layer).detach().numpy() for layer in self.layers)

    def _layer(self, sizes: tuple[int, int], given: tuple[Any, Any] | None) -> nn.Linear:
        with without_weights():
            layer = nn.Linear(*sizes, dtype=self.dtype)
        if given is None:
            weight, bias = _C.zeros(sizes, self.dtype), _C.zeros(sizes[1:], self.dtype)
        else:
            arrays = [np.asarray(part, self.form.dtype) for part in given]
            self.shares &= all(map(_is, arrays, given))
            weight, bias = map(_C.from_numpy, arrays)
        layer.weight, layer.bias = nn.Parameter(weight.transpose(0, 1)), nn.Parameter(bias)
        return layer

    def _behind(self, i: int, size: int) -> list[nn.Module]:
        """What stands between a hidden layer and the next one."""
        form, found = self.form, []
        if form.norm is not None:
            kind: Any = nn.BatchNorm1d if form.norm == "batch" else nn.LayerNorm
            found.append(kind(size, dtype=self.dtype))
        activation = form.activations[i]
        if isinstance(activation, str):
            activation = ACTIVATIONS[activation]()
        else:
            activation = copy.deepcopy(activation)
        if not isinstance(activation, nn.Identity):
            found.append(activation.to(self.dtype))
        if form.dropout[i]:
            found.append(nn.Dropout(form.dropout[i]))
        return found

    def shows(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Whether these lists hold the network's own arrays, and these its memory."""
        return (
            self.shares
            and len(coefs) == len(self.coefs)
            and len(intercepts) == len(self.intercepts)
            and all(map(_is, coefs, self.coefs))
            and all(map(_is, intercepts, self.intercepts))
        )

    # --- weights

    def begin(self, state: np.random.RandomState, factors: Sequence[float]) -> None:
        """Uniform weights and biases in +-sqrt(factor / (inputs + outputs)) (Glorot and Bengio).

        In scikit-learn's order of drawing: the weights of a layer, then its biases.
        """
        for coef, intercept, factor in zip(self.coefs, self.intercepts, factors, strict=True):
            bound = math.sqrt(factor / sum(coef.shape))
            flat = coef.reshape(-1)
            for start in range(0, flat.size, _PART):
                part = flat[start : start + _PART]
                part[:] = state.uniform(-bound, bound, part.size)
            intercept[:] = state.uniform(-bound, bound, intercept.size)

    def weights(self) -> list[Tensor]:
        """The weights of the layers without their biases; to be trained."""
        return [layer.weight for layer in self.layers]

    def extra(self) -> dict[str, Tensor]:
        """What it has learned beside coefs and intercepts, by name."""
        own = {id(t) for layer in self.layers for t in layer.state_dict().values()}
        held = {id(p) for layer in self.layers for p in layer.parameters()} | own
        named = [*self.model.named_parameters(), *self.model.named_buffers()]
        return {name: t.detach() for name, t in named if id(t) not in held}

    def load_extra(self, values: dict[str, Tensor]) -> None:
        """Takes over what `extra` gave."""
        for name, tensor in self.extra().items():
            if name in values:
                tensor.copy_(values[name])

    def copies(self) -> list[npt.NDArray[Any]]:
        """All that it has learned, copied."""
        extra = (t.numpy() for t in self.extra().values())
        return [array.copy() for array in (*self.coefs, *self.intercepts, *extra)]

    def restore(self, copies: list[npt.NDArray[Any]]) -> None:
        """Writes back what `copies` gave."""
        extra = (t.numpy() for t in self.extra().values())
        own = (*self.coefs, *self.intercepts, *extra)
        for array, values in zip(own, copies, strict=True):
            array[...] = values

    def finite(self) -> bool:
        """Whether all weights are finite."""
        return all(np.isfinite(array).all() for array in (*self.coefs, *self.intercepts))

    # --- answers

    def rows(self, X: Any, where: str = "predict") -> Rows:
        """Rows as the network takes them."""
        if inputs.is_sparse(X):
            return SparseRows.of(where, "X", X, self.dtype, takes_sparse(self.answering))
        return Rows(_C.from_numpy(X), self.dtype, X.shape[1:])

    def quick(self, X: Any) -> npt.NDArray[Any] | None:
        """The outputs for rows in a shape that came before; None where more must be done."""
        answer = predictions.quick_answer(self.answering, X)
        return None if answer is None else answer.numpy()

    def answer(self, X: Any) -> npt.NDArray[Any]:
        """The outputs for rows that are checked: (rows, outputs)."""
        return outputs("predict", self.answering, self.rows(X), _BATCH).numpy()

    def outputs(self, rows: Rows) -> Tensor:
        """The outputs for rows."""
        return outputs("predict", self.answering, rows, _BATCH)

    def sums(self, rows: Rows) -> Tensor:
        """The sums of the last layer for rows: its outputs before their activation."""
        return outputs("predict", self.model, rows, _BATCH)


def _bias(layer: nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _is(a: object, b: object) -> bool:
    return a is b
