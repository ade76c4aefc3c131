"""Data sets, samplers and the loader: rows, orders and batches, PyTorch's where it is installed."""

from __future__ import annotations

import collections
import importlib
import inspect
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.utils import data as ours
from ranvier.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)

X = rv.arange(20.0).reshape(10, 2)
Y = rv.arange(10)


class Rows(Dataset[Any]):
    """Rows by number, with a log of what was asked for."""

    def __init__(self, count: int = 7) -> None:
        self.count = count
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[rv.Tensor, int]:
        self.asked.append(index)
        return rv.full((3,), float(index)), index


class Stream(IterableDataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Any:
        return iter(range(self.count))

    def __len__(self) -> int:
        return self.count


def generator(seed: int = 0) -> rv.Generator:
    return rv.Generator().manual_seed(seed)


# --- names --------------------------------------------------------------------------------------


def test_ways_to_import() -> None:
    torch = importlib.import_module("ranvier")
    assert torch.utils.data.DataLoader is DataLoader
    assert importlib.import_module("ranvier.utils.data").TensorDataset is TensorDataset


def test_arguments_are_pytorchs() -> None:
    theirs = pytest.importorskip("torch").utils.data
    for name in ours.__all__:
        if name in ("Dataset", "IterableDataset", "Sampler", "default_convert"):
            continue
        a, b = (
            [(p.name, p.kind, p.default)
             for p in inspect.signature(getattr(module, name)).parameters.values()
             if p.name != "generator"]
            for module in (ours, theirs)
        )  # fmt: skip
        assert a == b, name


# --- data sets ----------------------------------------------------------------------------------


def test_tensor_dataset() -> None:
    data = TensorDataset(X, Y)
    assert len(data) == 10
    x, y = data[3]
    assert x.tolist() == [6, 7] and y.item() == 3
    assert data[-1][1].item() == 9 and data[2:4][0].shape == (2, 2)
    with pytest.raises(IndexError):
        data[10]
    with pytest.raises(rv.ShapeError, match=r"\[TensorDataset\] tensors: .*\[10, 3\]"):
        TensorDataset(X, Y[:3])
    with pytest.raises(TypeError, match="got ndarray at place 1"):
        TensorDataset(X, np.zeros(10))
    with pytest.raises(rv.ShapeError, match="single number at place 0"):
        TensorDataset(rv.tensor(1.0))
    with pytest.raises(TypeError, match="at least one"):
        TensorDataset()


def test_concatenated_and_chained() -> None:
    both = TensorDataset(X, Y) + TensorDataset(X, Y + 10)
    assert isinstance(both, ConcatDataset) and len(both) == 20
    assert [both[i][1].item() for i in (0, 9, 10, 19, -1, -20)] == [0, 9, 10, 19, 19, 0]
    for wrong in (20, -21):
        with pytest.raises(IndexError, match="below 20"):
            both[wrong]
    chained = Stream(2) + Stream(3)
    assert isinstance(chained, ChainDataset)
    assert list(chained) == [0, 1, 0, 1, 2] and len(chained) == 5
    with pytest.raises(TypeError, match="ChainDataset takes it"):
        ConcatDataset([Stream(1)])
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])
    assert StackDataset([1, 2], [3, 4])[0] == (1, 3)
    with pytest.raises(ValueError, match=r"equal lengths, got \[1, 2\]"):
        StackDataset([1], [1, 2])


@pytest.mark.parametrize(
    ("lengths", "counts"),
    [
        ([7, 3], [7, 3]),
        ([0.7, 0.3], [7, 3]),
        ([0.5, 0.25, 0.25], [6, 2, 2]),
        ([1 / 3] * 3, [4, 3, 3]),
    ],
)
def test_random_split(lengths: list[Any], counts: list[int]) -> None:
    data = TensorDataset(X, Y)
    parts = random_split(data, lengths, generator=generator())
    assert [len(part) for part in parts] == counts
    numbers = [part[i][1].item() for part in parts for i in range(len(part))]
    assert sorted(numbers) == list(range(10)) and numbers != list(range(10))
    again = random_split(data, lengths, generator=generator())
    assert [p.indices for p in again] == [p.indices for p in parts]


def test_random_split_refuses() -> None:
    data = TensorDataset(X, Y)
    for lengths in ([5, 4], [0.5, 0.4], [0.5, 3]):
        with pytest.raises(ValueError, match=r"\[random_split\] lengths"):
            random_split(data, lengths)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        random_split(data, [1.5, -0.5])
    with pytest.warns(rv.RanvierWarning, match="none for part 1"):
        random_split(data, [0.95, 0.05])


# --- samplers -----------------------------------------------------------------------------------


def test_samplers() -> None:
    assert list(SequentialSampler(Y)) == list(range(10))
    sampler = RandomSampler(Y, generator=generator(3))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert first == list(RandomSampler(Y, generator=generator(3))) and len(sampler) == 10
    assert all(type(i) is int for i in first)
    many = list(RandomSampler(Y, num_samples=25, generator=generator()))
    assert len(many) == 25 and sorted(many[:10]) == list(range(10)) == sorted(many[10:20])
    drawn = list(RandomSampler(Y, replacement=True, num_samples=1000, generator=generator()))
    assert set(drawn) == set(range(10)) and len(drawn) == 1000
    some = SubsetRandomSampler([7, 1, 5], generator=generator())
    assert sorted(some) == [1, 5, 7] and len(some) == 3
    weighted = WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=generator())
    counts = collections.Counter(weighted)
    assert counts[0] == 0 and abs(counts[2] / counts[1] - 3) < 0.3 and len(weighted) == 4000
    assert sorted(WeightedRandomSampler([1.0, 2.0], 2, replacement=False)) == [0, 1]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert (len(BatchSampler(range(5), 2, True)), len(BatchSampler(range(5), 2, False))) == (2, 3)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: RandomSampler(Y, num_samples=0), ValueError, "num_samples"),
        (lambda: RandomSampler([]), ValueError, "num_samples"),
        (lambda: RandomSampler(Y, replacement=1), TypeError, "replacement"),
        (lambda: WeightedRandomSampler([1.0], -1), ValueError, "num_samples"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "one a row"),
        (lambda: BatchSampler(Y, 0, False), ValueError, "batch_size"),
        (lambda: BatchSampler(Y, 2, None), TypeError, "drop_last"),
        (lambda: iter(Sampler()), TypeError, "__iter__"),
    ],
)
def test_samplers_refuse(make: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


# --- batches ------------------------------------------------------------------------------------


def test_default_collate() -> None:
    Pair = collections.namedtuple("Pair", "a b")
    assert default_collate([1, 2]).dtype is rv.int64
    assert default_collate([True, False]).dtype is rv.bool
    assert default_collate([1.0, 2.0]).dtype is rv.float64
    assert default_collate([np.float32(1), np.float32(2)]).dtype is rv.float32
    assert default_collate([np.zeros(2), np.ones(2)]).tolist() == [[0, 0], [1, 1]]
    assert default_collate([rv.zeros(2), rv.ones(2)]).tolist() == [[0, 0], [1, 1]]
    assert default_collate(["a", "b"]) == ["a", "b"]
    both = default_collate([{"x": 1, "n": "a"}, {"x": 2, "n": "b"}])
    assert both["x"].tolist() == [1, 2] and both["n"] == ["a", "b"]
    pair = default_collate([Pair(1, 2), Pair(3, 4)])
    assert type(pair) is Pair and pair.a.tolist() == [1, 3]
    nested = default_collate([(1, [2, 3]), (4, [5, 6])])
    assert nested[0].tolist() == [1, 4] and nested[1][0].tolist() == [2, 5]
    with pytest.raises(RuntimeError, match=r"one length, got \[1, 2\]"):
        default_collate([[1], [1, 2]])
    with pytest.raises(rv.ShapeError, match=r"one shape, got \(2,\) and \(3,\).*collate_fn"):
        default_collate([rv.zeros(2), rv.zeros(3)])
    with pytest.raises(TypeError, match="got NoneType"):
        default_collate([None, None])
    with pytest.raises(TypeError, match="got ndarray"):
        default_collate([np.array(["a"]), np.array(["b"])])
    row = (np.zeros(2), {"n": "a"}, 3)
    converted = default_convert(row)
    assert isinstance(converted[0], rv.Tensor) and converted[1:] == [{"n": "a"}, 3]


def test_a_loop_as_tutorials_write_it() -> None:
    net = rv.nn.Sequential(rv.nn.Linear(2, 8), rv.nn.ReLU(), rv.nn.Linear(8, 1))
    optimizer = rv.optim.Adam(net.parameters(), lr=0.01)
    train = TensorDataset(X / 20, (X.sum(1, keepdim=True) / 40))
    loader = DataLoader(train, batch_size=4, shuffle=True, num_workers=2, pin_memory=True)
    losses = []
    for _ in range(60):
        for x, y in loader:
            optimizer.zero_grad()
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0] and len(loader) == 3 and len(loader.dataset) == 10


def all_rows(batches: Any) -> list[Any]:
    return [[part.tolist() for part in batch] for batch in batches]


SOURCES = {
    "rows in memory": lambda: TensorDataset(X, Y),
    "a part of them": lambda: Subset(TensorDataset(X, Y), [9, 3, 3, -1, 0, 5, 7]),
    "a part of a part": lambda: Subset(Subset(TensorDataset(X, Y), range(2, 9)), [6, 0, 3]),
}


class Slow(Dataset[Any]):
    """The same rows, one by one."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("order", ["plain", "shuffle", "sampler", "batches"])
def test_gathered_batches_are_those_of_single_rows(
    source: str, drop_last: bool, order: str
) -> None:
    data = SOURCES[source]()
    found = []
    for one in (data, Slow(data)):
        options: dict[str, Any] = {"batch_size": 3, "drop_last": drop_last}
        if order == "shuffle":
            options |= {"shuffle": True, "generator": generator(5)}
        elif order == "sampler":
            options |= {"sampler": SubsetRandomSampler(range(len(data)), generator(5))}
        elif order == "batches":
            options = {"batch_sampler": [[1, 0], [2], [0, 1, 2]]}
        loader = DataLoader(one, **options)
        batches = list(loader)
        assert len(batches) == len(loader) and all(type(batch) is list for batch in batches)
        found.append(all_rows(batches))
    assert found[0] == found[1] and found[0]


def test_rows_in_memory_are_not_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = TensorDataset(rv.randn(1000, 3), rv.arange(1000))

    def refused(*_: Any) -> Any:
        raise AssertionError("rows in Python")

    for kind, method in ((TensorDataset, "__getitem__"), (Subset, "__getitem__"),
                         (rv.Tensor, "tolist")):  # fmt: skip
        monkeypatch.setattr(kind, method, refused)
    for one in (data, Subset(data, range(500))):
        batches = list(DataLoader(one, 100, shuffle=True))
        assert len(batches) == len(one) // 100 and batches[0][0].shape == (100, 3)


def test_a_batch_has_memory_of_its_own() -> None:
    data = TensorDataset(X.clone())
    for shuffle in (False, True):
        for (batch,) in DataLoader(data, 5, shuffle=shuffle):
            batch.fill_(-1.0)
    assert rv.equal(data.tensors[0], X)


def test_shuffling_follows_the_seed() -> None:
    loader = DataLoader(TensorDataset(Y), batch_size=4, shuffle=True)

    def passes() -> list[Any]:
        rv.manual_seed(7)
        return [all_rows(loader), all_rows(loader)]

    first = passes()
    assert first == passes() and first[0] != first[1]
    assert sorted(n for batch in first[0] for n in batch[0]) == list(range(10))


def test_own_data_sets_and_collate() -> None:
    data = Rows()
    loader = DataLoader(data, batch_size=3)
    (x, y), *_, last = list(loader)
    assert x.shape == (3, 3) and y.tolist() == [0, 1, 2] and last[1].tolist() == [6]
    assert data.asked == list(range(7))
    sums = DataLoader(data, 4, collate_fn=lambda rows: sum(row[1] for row in rows))
    assert list(sums) == [6, 15]
    singles = list(DataLoader(data, batch_size=None))
    assert len(singles) == len(DataLoader(data, batch_size=None)) == 7 and singles[2][1] == 2
    pairs = list(zip(np.arange(6.0), range(6), strict=True))
    assert [b[1].tolist() for b in DataLoader(pairs, 4)] == [[0, 1, 2, 3], [4, 5]]
    assert [b.shape for b in DataLoader(X, 4)] == [(4, 2), (4, 2), (2, 2)]

    class Own(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(-t for t in super().__getitem__(index))

    assert next(iter(DataLoader(Own(X), 2)))[0].tolist() == [[0, -1], [-2, -3]]

    class AtOnce(Rows):
        def __getitems__(self, indices: list[int]) -> list[int]:
            return [10 * i for i in indices]

    assert next(iter(DataLoader(AtOnce(), 2))).tolist() == [0, 10]


def test_rows_that_come_in_turn() -> None:
    loader = DataLoader(Stream(5), batch_size=2)
    assert [b.tolist() for b in loader] == [[0, 1], [2, 3], [4]] and len(loader) == 3
    cut = DataLoader(Stream(5), batch_size=2, drop_last=True)
    assert [b.tolist() for b in cut] == [[0, 1], [2, 3]] and len(cut) == 2
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"batch_size": "4"},
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
        {"timeout": -1},
        {"persistent_workers": True},
        {"prefetch_factor": 2},
    ],
)
def test_the_loader_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\[DataLoader\]"):
        DataLoader(TensorDataset(Y), **options)


def test_the_loader_refuses_orders_of_streams() -> None:
    for options in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ValueError, match="its own order"):
            DataLoader(Stream(3), **options)
    with pytest.raises(IndexError):
        list(DataLoader(TensorDataset(Y), sampler=[0, 10]))
