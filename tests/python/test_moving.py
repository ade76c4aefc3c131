"""What moves elements beyond the case table: Python's spellings, storage dtypes, memory that meets
itself, long lines, recordings. Refuses to repeat what a row of the table checks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

Array = Any
STORED = ("uint16", "uint32", "uint64", "int8", "int16", "bool", "float16")


def array(t: Any) -> Array:
    return t.detach().numpy()


# --- Python's spellings ---------------------------------------------------------------------------


def test_split_takes_a_size_or_sizes() -> None:
    x = rv.arange(5)
    assert [p.tolist() for p in rv.split(x, 2)] == [[0, 1], [2, 3], [4]]
    assert [p.tolist() for p in x.split([1, 0, 4])] == [[0], [], [1, 2, 3, 4]]
    assert [p.shape for p in rv.ones(2, 5).split(3, dim=-1)] == [(2, 3), (2, 2)]
    assert [p.shape for p in rv.ones(0, 2).split(3)] == [(0, 2)]
    assert [p.shape for p in rv.ones(0, 2).split(0)] == [(0, 2)]
    with pytest.raises(ValueError, match=r"\[split\].*\(5,\).*got 0"):
        x.split(0)
    with pytest.raises(ValueError, match=r"\[split\].*got -2"):
        x.split(-2)
    with pytest.raises(TypeError, match=r"\[split\].*'two'"):
        x.split("two")  # type: ignore[arg-type]
    with pytest.raises(IndexError, match=r"\[split\]"):
        x.split(1, 1)
    with pytest.raises(IndexError, match=r"\[split\]"):
        rv.tensor(1.0).split(1)


def test_parts_share_memory() -> None:
    x = rv.zeros(6)
    for i, part in enumerate(x.split(2)):
        part.fill_(i)
    x.chunk(3)[2].add_(1)
    x.unbind()[0].fill_(9)
    assert x.tolist() == [9, 0, 1, 1, 3, 3]


@pytest.mark.parametrize("where", [1, 2, 3, 7, [1, 3], [], [0, 9, 2], (-2, 4)])
def test_tensor_split_is_numpys(where: Any) -> None:
    x = np.arange(7)
    for given in (where, rv.tensor(where) if where != [] else where):
        got = [p.tolist() for p in rv.tensor_split(rv.from_numpy(x), given)]
        assert got == [p.tolist() for p in np.array_split(x, where)]


def test_stacks_and_splits_undo_each_other() -> None:
    x = rv.arange(24).reshape(2, 4, 3)
    assert rv.equal(rv.hstack(x.hsplit(2)), x)
    assert rv.equal(rv.vstack(x.vsplit(2)), x)
    assert rv.equal(rv.dstack(x.dsplit(3)), x)
    assert rv.equal(rv.stack(x.unbind(1), 1), x)
    assert rv.equal(rv.concat(x.chunk(3, dim=1), axis=1), x)
    with pytest.raises(_C.ShapeError, match=r"\[hsplit\].*\(2, 4, 3\).*got 3"):
        x.hsplit(3)
    with pytest.raises(_C.ShapeError, match=r"\[dsplit\].*\(4,\)"):
        rv.ones(4).dsplit(2)


def test_at_least_some_axes() -> None:
    assert rv.atleast_1d(rv.tensor(1)).shape == (1,)
    assert [t.shape for t in rv.atleast_2d(rv.ones(2), rv.tensor(1), rv.ones(1, 2, 3))] == [
        (1, 2), (1, 1), (1, 2, 3)]  # fmt: skip
    assert [t.shape for t in rv.atleast_3d([rv.ones(2), rv.ones(2, 3)])] == [(1, 2, 1), (2, 3, 1)]
    assert rv.broadcast_shapes((2, 1), (3,), 1) == (2, 3)
    assert [t.shape for t in rv.broadcast_tensors(rv.ones(2, 1), rv.ones(3))] == [(2, 3)] * 2
    with pytest.raises(_C.ShapeError, match=r"\(2,\), \(3,\)"):
        rv.broadcast_shapes((2,), (3,))


def test_repeat_interleave_takes_numbers_and_tensors() -> None:
    x = rv.tensor([[1, 2], [3, 4]])
    assert x.repeat_interleave(2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert x.repeat_interleave(2, 0).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert x.repeat_interleave(rv.tensor([2, 0]), dim=1).tolist() == [[1, 1], [3, 3]]
    assert rv.repeat_interleave(rv.tensor([1, 0, 2])).tolist() == [0, 2, 2]
    assert rv.repeat_interleave(x, rv.tensor(2), 0, output_size=4).shape == (4, 2)
    with pytest.raises(_C.ShapeError, match=r"output_size 5.*got 4"):
        rv.repeat_interleave(x, rv.tensor(2), 0, output_size=5)


def test_nonzero_as_rows_or_columns() -> None:
    x = rv.tensor([[1, 0], [2, 3]])
    assert rv.nonzero(x).tolist() == [[0, 0], [1, 0], [1, 1]]
    assert [i.tolist() for i in x.nonzero(as_tuple=True)] == [[0, 1, 1], [0, 0, 1]]
    assert x[x.nonzero(as_tuple=True)].tolist() == [1, 2, 3]
    assert rv.nonzero(rv.tensor(3.0)).shape == (1, 0)
    assert [i.tolist() for i in rv.nonzero(rv.tensor(3.0), as_tuple=True)] == [[0]]
    assert rv.nonzero(rv.tensor([float("nan"), -0.0])).tolist() == [[0]]


@pytest.mark.parametrize("offset", [-3, -1, 0, 2, 9])
def test_triangle_indices_are_numpys(offset: int) -> None:
    assert np.array_equal(array(rv.tril_indices(3, 4, offset)), np.tril_indices(3, offset, 4))
    assert np.array_equal(array(rv.triu_indices(3, 4, offset)), np.triu_indices(3, offset, 4))
    assert rv.tril_indices(3, 3, dtype=rv.int32).dtype is rv.int32


def test_scatter_in_the_words_of_tutorials() -> None:
    one_hot = rv.zeros(10).scatter_(0, rv.tensor(3), value=1)
    assert one_hot.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert rv.zeros(3).scatter(0, rv.tensor([1]), 2.5).tolist() == [0, 2.5, 0]
    assert rv.zeros(3, dtype=rv.int64).scatter(0, rv.tensor([1]), 2.5).tolist() == [0, 2, 0]
    assert rv.ones(3).scatter_(0, rv.tensor([1, 1]), 3.0, reduce="multiply").tolist() == [1, 9, 1]
    scores = rv.zeros(2, 2).masked_fill(rv.ones(2, 2).tril() == 0, float("-inf"))
    assert scores.tolist() == [[0, float("-inf")], [0, 0]]
    with pytest.raises(ValueError, match=r"\[masked_fill\].*int64.*-inf"):
        rv.zeros(2, dtype=rv.int64).masked_fill(rv.tensor([True, False]), float("-inf"))
    with pytest.raises(ValueError, match=r"\[index_fill_\].*uint8.*-1"):
        rv.zeros(2, dtype=rv.uint8).index_fill_(0, rv.tensor([0]), -1)


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", STORED)
def test_every_storage_type_is_moved(dtype: str) -> None:
    a = np.arange(12).reshape(3, 4) % 7 > 2 if dtype == "bool" else np.arange(12).reshape(3, 4)
    a = a.astype(dtype)
    x, at = rv.from_numpy(a), rv.tensor([2, 0])
    mask = rv.from_numpy(np.arange(12).reshape(3, 4) % 2 == 0)
    pairs = [
        (rv.cat([x, x], 1), np.concatenate([a, a], 1)),
        (rv.stack([x, x]), np.stack([a, a])),
        (x.index_select(0, at), a[[2, 0]]),
        (
            x.gather(1, rv.tensor([[3], [0], [1]])),
            np.take_along_axis(a, np.array([[3], [0], [1]]), 1),
        ),
        (x.take(rv.tensor([-1, 5])), a.ravel()[[-1, 5]]),
        (x.flip(0, 1), a[::-1, ::-1]),
        (x.roll(1, 1), np.roll(a, 1, 1)),
        (x.repeat(2, 2), np.tile(a, (2, 2))),
        (x.repeat_interleave(2, 1), np.repeat(a, 2, 1)),
        (rv.pad(x, (1, 1)), np.pad(a, ((0, 0), (1, 1)))),
        (rv.pad(x, (1, 1), "reflect"), np.pad(a, ((0, 0), (1, 1)), "reflect")),
        (x.tril(), np.tril(a)),
        (x.T.diagonal(1), np.diagonal(a.T, 1)),
        (rv.diag(x[0]), np.diag(a[0])),
        (x.masked_fill(mask, 1), np.where(mask.numpy(), np.ones((), dtype), a)),
        (x.index_copy(0, at, x[:2]), np.array([a[1], a[1], a[0]])),
        (x.masked_select(mask), a[mask.numpy()]),
        (x.unfold(1, 2, 1), np.lib.stride_tricks.sliding_window_view(a, 2, 1)),
    ]  # fmt: skip
    for got, want in pairs:
        assert got.dtype.name == dtype
        assert np.array_equal(array(got), want)


@pytest.mark.parametrize("dtype", [rv.float16, rv.bfloat16])
def test_half_precision_is_summed_in_float32(dtype: Any) -> None:
    x = rv.zeros(1, dtype=dtype)
    ones = rv.ones(3000, dtype=dtype)
    at = rv.zeros(3000, dtype=rv.int64)
    total = rv.tensor([3000.0]).to(dtype)  # sums in half precision would stop at 256 or 2048
    assert rv.equal(x.index_add(0, at, ones).float(), total.float())
    assert rv.equal(x.scatter_add(0, at, ones).float(), total.float())
    values, indices = rv.sort(rv.tensor([2.0, float("nan"), -1.0]).to(dtype))
    assert values.dtype is dtype
    assert indices.tolist() == [2, 0, 1]
    y = rv.ones(4, dtype=dtype).requires_grad_()
    rv.cat([y.flip(0), y.index_select(0, rv.tensor([1, 1]))]).sum().backward()
    assert y.grad.dtype is dtype
    assert y.grad.float().tolist() == [1, 3, 1, 1]


def test_cat_promotes() -> None:
    assert rv.cat([rv.ones(2), rv.arange(2)]).dtype is rv.float32
    assert rv.cat([rv.arange(2), rv.ones(2, dtype=rv.int32)]).dtype is rv.int64
    assert rv.cat([rv.ones(0), rv.arange(2)]).dtype is rv.float32  # skipped, but seen
    assert rv.stack([rv.tensor(1.0), rv.tensor(2)]).dtype is rv.float32
    a, b = rv.ones(2).requires_grad_(), rv.ones(2, dtype=rv.float64).requires_grad_()
    rv.cat([a, b]).sum().backward()
    assert a.grad.dtype is rv.float32
    assert b.grad.dtype is rv.float64


# --- memory that meets itself ---------------------------------------------------------------------


def test_changes_in_place_read_what_was_there() -> None:
    x = rv.tensor([2, 0, 1])
    assert x.clone().scatter_(0, x, x).tolist() == [0, 1, 2]
    y = x.clone()
    assert y.scatter_(0, y, y).tolist() == [0, 1, 2]
    y = x.clone()
    assert y.index_copy_(0, y, y).tolist() == [0, 1, 2]
    y = rv.tensor([0, 0, 2])
    assert y.index_add_(0, y, y).tolist() == [0, 0, 4]
    z = rv.arange(6.0)
    assert z[1:].masked_scatter_(rv.ones(5, dtype=rv.bool_), z).tolist() == [0, 1, 2, 3, 4]
    m = rv.tensor([True, False, True])
    assert m.masked_fill_(m, False).tolist() == [False, False, False]


@pytest.mark.parametrize("name", ["scatter_add_", "index_add_", "index_copy_"])
def test_changes_in_place_reach_views(name: str) -> None:
    base = rv.zeros(4, 6)
    view = base.T[1::2]
    packed = view.clone()
    source = rv.arange(8.0).reshape(2, 4)
    at = rv.tensor([2, 0]) if name.startswith("index") else rv.tensor([[2] * 4, [0] * 4])
    getattr(view, name)(0, at, source)
    getattr(packed, name)(0, at, source)
    assert rv.equal(view, packed)
    assert float(base.sum()) == float(packed.sum())
    assert float(base[:, ::2].sum()) == 0


def test_as_strided_stays_within_its_memory() -> None:
    x = rv.arange(12.0)
    part = x[4:8]
    assert part.as_strided((2, 2), (2, 1)).tolist() == [[4, 5], [6, 7]]
    assert part.as_strided((3,), (4,), 0).tolist() == [0, 4, 8]
    with pytest.raises(ValueError, match=r"\[as_strided\].*12 elements"):
        part.as_strided((3,), (4,), 4)
    with pytest.raises(ValueError, match=r"\[as_strided\]"):
        _C.ops.strided(part, (13,), (1,), 0, (1,), 4)
    y = rv.arange(3.0).requires_grad_()
    windows = y.as_strided((2, 2), (1, 1))
    (windows * rv.tensor([[1.0, 2.0], [4.0, 8.0]])).sum().backward()
    assert y.grad.tolist() == [1, 6, 8]


# --- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8"]
)
@pytest.mark.parametrize("n", [1000, 1023, 1024, 5000, 70000])
def test_long_lines_are_sorted(dtype: str, n: int) -> None:
    rng = np.random.default_rng(n)
    info = np.iinfo(dtype) if not dtype.startswith("float") else None
    if info:
        a = rng.integers(info.min, info.max, n, dtype, endpoint=True)
    else:
        a = rng.standard_normal(n).astype(dtype)
        a[::7] = np.round(a[::7])  # ties, and zeros of both signs
        a[5::100] = np.nan
        a[6::100] = -np.inf
    x = rv.from_numpy(a)
    for descending in (False, True):
        values, indices = x.sort(descending=descending)
        at = array(indices)
        assert np.array_equal(np.sort(at), np.arange(n))
        assert array(values).tobytes() == a[at].tobytes()
        want = np.sort(a)
        if descending:
            want = want[::-1]
        assert np.array_equal(array(values), want, equal_nan=not info)
        ties = (a[at][1:] == a[at][:-1]) | (
            np.isnan(a[at][1:].astype("f8")) & np.isnan(a[at][:-1].astype("f8"))
        )
        assert (np.diff(at)[ties] > 0).all(), "equal elements left their order"
        for k in (1, 7, 40, 900):
            top = x.topk(k, largest=descending)
            assert array(top.values).tobytes() == array(values)[:k].tobytes()
            assert array(top.indices).tobytes() == at[:k].tobytes()
    kth = x.kthvalue(n // 3)
    assert kth.indices.item() == array(x.argsort())[n // 3 - 1]


def test_results_have_names() -> None:
    result = rv.tensor([3.0, 1.0, 2.0]).topk(2)
    assert result.values.tolist() == [3, 2]
    assert result.indices.tolist() == [0, 2]
    values, indices = rv.sort(rv.tensor([3.0, 1.0]))
    assert (values.tolist(), indices.tolist()) == ([1, 3], [1, 0])


# --- recordings -----------------------------------------------------------------------------------


def test_a_recording_repeats_what_sizes_decide() -> None:
    def step(x: Any, at: Any, times: Any) -> Any:
        picked = x.index_select(0, at)
        longer = picked.repeat_interleave(times, 0, output_size=5)
        return [longer.sort(0).values, rv.cat([x, picked]).scatter_add(0, at.unsqueeze(1), picked)]

    def inputs(seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        times = rng.permutation([0, 2, 3])
        return [rv.from_numpy(a) for a in (rng.random((4, 2)), rng.integers(0, 4, 3), times)]

    program = _C.Program.record(step, *inputs(0))
    for seed in (1, 2):
        for got, want in zip(program.replay(*inputs(seed)), step(*inputs(seed)), strict=True):
            assert rv.equal(got, want)


@pytest.mark.parametrize(
    "function",
    [
        rv.nonzero,
        lambda x: x.masked_select(x > 0),
        lambda x: x.repeat_interleave(x.long()),
        lambda x: x[x > 0],
    ],
)
def test_a_recording_refuses_what_values_decide(function: Any) -> None:
    with pytest.raises(RuntimeError, match="record"):
        _C.Program.record(lambda x: function(x), rv.ones(3))


# --- second derivatives ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: rv.cat([x, x.flip(0)]), lambda x: rv.pad(x, (2, 1), "reflect"),
        lambda x: x.gather(0, rv.tensor([0, 0, 3])), lambda x: x.take(rv.tensor([1, -1, 1])),
        lambda x: x.sort(descending=True).values, lambda x: x.topk(2).values,
        lambda x: x.unfold(0, 3, 1), lambda x: x.as_strided((2, 2), (1, 2)),
        lambda x: x.reshape(2, 2).diagonal(), lambda x: x[1:3], lambda x: x.repeat(2, 3),
        lambda x: x.masked_scatter(rv.tensor([True, False, True, False]), x.roll(1)),
        lambda x: x.index_fill(0, rv.tensor([1]), x[0]), lambda x: rv.diag(x),
        lambda x: x.scatter_reduce(0, rv.tensor([0, 0, 2]), x[1:], "mean"),
        lambda x: x.scatter_reduce(0, rv.tensor([0, 0, 2]), x[1:], "prod"),
    ],
)  # fmt: skip
def test_second_gradients(function: Any) -> None:
    x = rv.tensor([0.5, 2.0, -1.0, 1.5], dtype=rv.float64).requires_grad_()
    assert rv.autograd.gradgradcheck(lambda t: function(t) ** 3, (x,))
