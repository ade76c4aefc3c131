"""What `fit` takes as data: frames, sparse rows, loaders, Datasets, and those of the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, X, classifier, fit, weights

import ranvier as rv
from ranvier import nn

PLAIN: dict[str, Any] = {"shuffle": False, "batch_size": None, "optimizer": "sgd", "lr": 0.1}
WEIGHTS = np.random.default_rng(5).uniform(0.1, 3, 50)


def line(seed: int = 0) -> nn.Linear:
    rv.manual_seed(seed)
    return nn.Linear(4, 1)


def parameters(model: nn.Module) -> np.ndarray[Any, Any]:
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


# --- data of every kind ---------------------------------------------------------------------------


class Frame:
    """As much of a DataFrame as it takes."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array
        self.columns = [f"c{i}" for i in range(array.shape[1])]
        self.dtypes = [np.dtype("O") if i == 1 else np.dtype("f8") for i in range(4)]

    def to_numpy(self) -> np.ndarray[Any, Any]:
        return self.array

    def __len__(self) -> int:
        return len(self.array)


def test_frames() -> None:
    nets = [classifier() for _ in range(2)]
    fit(nets[0], Frame(X), LABELS, seed=0)
    fit(nets[1], seed=0)
    assert weights(nets[0]) == weights(nets[1])
    assert rv.predict(nets[0], Frame(X)).tolist() == rv.predict(nets[1], X).tolist()
    words = X.astype(object)
    words[:, 1] = "word"
    with pytest.raises(TypeError, match=r"X: expected columns of numbers, got c1; rv.data.OneHot"):
        fit(classifier(), Frame(words), LABELS)


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.where(np.abs(X) > 0.7, X, 0)
    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array):
        nets = [classifier() for _ in range(2)]
        matrix = kind(dense)
        histories = [fit(net, rows, LABELS, seed=0, validation=0.2, metrics="accuracy")
                     for net, rows in zip(nets, (matrix, dense), strict=True)]  # fmt: skip
        assert weights(nets[0]) == weights(nets[1])
        assert histories[0].history == histories[1].history
        assert rv.predict(nets[0], matrix).tolist() == rv.predict(nets[0], dense).tolist()
        assert rv.evaluate(nets[0], matrix, LABELS) == rv.evaluate(nets[0], dense, LABELS)
    bad = dense.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="X: expected finite"):
        fit(classifier(), sparse.csr_matrix(bad), LABELS)
    with pytest.raises(ValueError, match="as many rows in both, got 50 and 49"):
        fit(classifier(), sparse.csr_matrix(dense), LABELS[:49])


class Loader:
    """What a DataLoader is, as far as `fit` goes by it."""

    dataset = None

    def __init__(self, *tensors: Any, batch_size: int = 16) -> None:
        self.tensors_, self.batch_size = tensors, batch_size

    def __len__(self) -> int:
        return -(-50 // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, 50, self.batch_size):
            yield tuple(t[start : start + self.batch_size] for t in self.tensors_)


def test_loaders() -> None:
    plain: dict[str, Any] = {"shuffle": False, "batch_size": 16, "metrics": ["accuracy"]}
    nets = [classifier() for _ in range(2)]
    loader, others = Loader(X, LABELS), Loader(X[:50], LABELS)
    first = rv.fit(nets[0], loader, loss="cross_entropy", validation=others, verbose=0,
                   metrics="accuracy")  # fmt: skip
    second = fit(nets[1], validation=(X, LABELS), **plain)
    assert weights(nets[0]) == weights(nets[1]) and first.history == second.history
    assert rv.evaluate(nets[0], loader) == rv.evaluate(nets[0], X, LABELS)
    assert rv.predict(nets[0], loader).tolist() == rv.predict(nets[0], X).tolist()
    weighted = Loader(X, LABELS, WEIGHTS)
    rv.fit(nets[0], weighted, loss="cross_entropy", accumulate=2, validation=weighted, verbose=0)
    with pytest.raises(ValueError, match="sample_weight: expected None beside a DataLoader"):
        rv.fit(nets[0], loader, loss="cross_entropy", sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match=r"validation: .* beside a DataLoader, got 0.2"):
        rv.fit(nets[0], loader, loss="cross_entropy", validation=0.2)
    with pytest.raises(TypeError, match=r"batches of rows and targets .*, got 1 parts"):
        rv.fit(nets[0], Loader(X), loss="cross_entropy", verbose=0)
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        rv.fit(nets[0], Loader(X, LABELS + 1), loss="cross_entropy", verbose=0)


class TensorDataset:
    """What holds its tensors is used as arrays are."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tensors


def test_tensor_datasets() -> None:
    nets = [classifier() for _ in range(2)]
    data = TensorDataset(rv.tensor(X), rv.tensor(LABELS))
    rv.fit(nets[0], data, loss="cross_entropy", seed=0, verbose=0, validation=data)
    fit(nets[1], seed=0, validation=(X, LABELS))
    assert weights(nets[0]) == weights(nets[1])
    assert rv.evaluate(nets[0], data) == rv.evaluate(nets[1], X, LABELS)
    assert rv.predict(nets[0], data).shape == (50, 3)


def test_data_that_come_with_the_package() -> None:
    data = pytest.importorskip("ranvier.utils.data")
    nets = [classifier() for _ in range(2)]
    rows = data.TensorDataset(rv.tensor(X), rv.tensor(LABELS))
    rv.fit(nets[0], data.DataLoader(rows, batch_size=16), loss="cross_entropy", verbose=0)
    fit(nets[1], shuffle=False, batch_size=16)
    assert weights(nets[0]) == weights(nets[1])

    class Squares(data.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 20

        def __getitem__(self, i: int) -> tuple[rv.Tensor, rv.Tensor]:
            return rv.tensor([float(i)]), rv.tensor([float(i * i)])

    net = nn.Linear(1, 1)
    history = rv.fit(net, Squares(), loss="mse", lr=0.01, verbose=0, validation=Squares())
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert rv.predict(net, Squares()).shape == (20, 1)
    starts = [nn.Linear(1, 1) for _ in range(3)]
    for start, seed in zip(starts, (1, 1, 2), strict=True):
        start.load_state_dict(net.state_dict())
        rv.rand(3)
        rv.fit(start, Squares(), loss="mse", lr=0.01, seed=seed, batch_size=4, verbose=0)
    assert weights(starts[0]) == weights(starts[1]) != weights(starts[2])
