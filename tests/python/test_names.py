"""Names beside the ops: where a condition holds, bytes as another dtype, shapes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.utils.dlpack import from_dlpack, to_dlpack

HALF = (rv.float16, rv.bfloat16)


def test_where_of_a_condition_alone() -> None:
    x = rv.tensor([[1.0, -2.0], [3.0, 0.0]])
    rows, columns = rv.where(x > 0)
    assert rows.tolist() == [0, 1] and columns.tolist() == [0, 0]
    assert [t.tolist() for t in rv.where(x)] == [[0, 0, 1], [0, 1, 0]]
    assert rv.where(rv.tensor(True))[0].tolist() == [0]
    for given in ((1.0,), (1.0, None), (None, 1.0)):
        with pytest.raises(TypeError, match=r"\[where\]"):
            rv.where(x > 0, *given)


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_in_questions(dtype: Any) -> None:
    x = rv.tensor([1.0, 2.0, 2.0, float("nan")]).to(dtype)
    assert rv.equal(x[:3], x[:3].clone()) and not rv.equal(x, x)
    assert rv.allclose(x, x, equal_nan=True) and not rv.allclose(x, x)
    assert rv.isclose(x, x).tolist() == [True, True, True, False]
    values, counts = rv.unique(x[:3], return_counts=True)
    assert values.dtype is dtype and values.tolist() == [1, 2] and counts.tolist() == [1, 2]
    assert rv.unique_consecutive(x[:3]).tolist() == [1, 2]
    assert rv.unique(x[:3].view(3, 1), dim=0).tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("dtype", "most"),
    [(rv.float16, 65504.0), (rv.bfloat16, 2.0**128 - 2.0**120), (rv.float32, None)],
)
def test_nan_to_num(dtype: Any, most: float | None) -> None:
    most = float(np.finfo(np.float32).max) if most is None else most
    x = rv.tensor([float("nan"), float("inf"), -float("inf"), 2.0]).to(dtype)
    assert x.nan_to_num().tolist() == [0, most, -most, 2]
    assert rv.nan_to_num(x, 1.0, posinf=3.0, neginf=4.0).tolist() == [1, 3, 4, 2]
    assert x.nan_to_num_() is x and x.tolist() == [0, most, -most, 2]
    assert rv.nan_to_num(rv.arange(3)).tolist() == [0, 1, 2]
    leaf = rv.tensor([1.0, float("nan")], requires_grad=True)
    rv.nan_to_num(leaf).sum().backward()
    assert leaf.grad is not None and leaf.grad.tolist() == [1, 0]


def test_answers_in_place() -> None:
    x = rv.tensor([1.0, 2.0, 0.0])
    assert x.clone().eq_(2).tolist() == [0, 1, 0] and x.clone().eq_(2).dtype is rv.float32
    assert x.clone().gt_(0.5).tolist() == [1, 1, 0]
    assert x.clone().logical_not_().tolist() == [0, 0, 1]
    assert x.clone().logical_and_(rv.tensor([0, 1, 1])).tolist() == [0, 1, 0]
    assert x.bool().logical_xor_(rv.tensor(True)).tolist() == [False, False, True]
    assert rv.tensor([1, 2]).gt_(1.5).tolist() == [0, 1]
    assert x.clone().greater_equal_(2).tolist() == [0, 1, 0]
    with pytest.raises(rv.ShapeError, match="lt_"):
        x.lt_(rv.ones(2, 3))
    with pytest.raises(RuntimeError, match="leaf"):
        rv.ones(2, requires_grad=True).ne_(1)


def test_square_of_bools_counts() -> None:
    assert rv.tensor([True, False]).square().dtype is rv.int64
    with pytest.raises(TypeError, match=r"\[square_\].*bool"):
        rv.tensor([True]).square_()


# --- memory under another dtype -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64", "float64", "float16"])
def test_bytes_under_another_dtype(dtype: str) -> None:
    x = rv.randn(3, 4)
    seen = x.view(getattr(rv, dtype))
    assert seen.numpy().tobytes() == x.numpy().view(dtype).tobytes()
    assert seen.shape == x.numpy().view(dtype).shape
    assert seen.data_ptr() == x.data_ptr()
    assert x.view(dtype=getattr(rv, dtype)).shape == seen.shape


def test_bytes_of_views() -> None:
    x = rv.arange(24, dtype=rv.int32).view(4, 6)
    part = x[1:, 2:]
    assert part.view(rv.int64).numpy().tobytes() == part.numpy().copy().view("int64").tobytes()
    assert part.view(rv.uint8).tolist() == part.numpy().copy().view("uint8").tolist()
    assert x.t().view(rv.float32).stride() == (1, 6)
    part.view(rv.uint8).fill_(0)
    assert x[1:, 2:].sum() == 0 and x[0, 5] == 5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rv.ones(3).view(rv.int64), "whole elements"),
        (lambda: rv.tensor(1.0).view(rv.uint8), r"shape \(\)"),
        (lambda: rv.ones(2, 4).t().view(rv.int64), "contiguous"),
        (lambda: rv.ones(5)[1:].view(rv.int64), "offset"),
        (lambda: rv.from_numpy(np.zeros(9, "u1")[1:]).view(rv.int64), r"aligned"),
    ],
)
def test_bytes_that_do_not_fit(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        make()
    with pytest.raises(TypeError, match=r"\[view\]"):
        rv.ones(4).view(rv.int32, 2)


def test_bytes_have_no_gradient_and_count_changes() -> None:
    x = rv.ones(2, requires_grad=True)
    y = x.exp()
    bits = y.view(rv.int32)
    assert not bits.requires_grad
    bits.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


# --- storages -----------------------------------------------------------------------------------


def test_storages_are_shared_by_views() -> None:
    x = rv.arange(6.0).view(2, 3)
    bytes_, numbers = x.untyped_storage(), x.t().storage()
    assert bytes_.data_ptr() == x.data_ptr() == x[1].untyped_storage().data_ptr()
    assert bytes_.nbytes() == len(bytes_) == bytes_.size() == 24 and bytes_.element_size() == 1
    assert numbers.tolist() == list(numbers) == [0, 1, 2, 3, 4, 5]
    assert len(numbers) == 6 and numbers.nbytes() == 24 and numbers[1:3] == [1, 2]
    numbers[4] = 9.0
    assert x[1, 1] == 9
    assert repr(x[0, :2].storage()).endswith("[ranvier.TypedStorage(dtype=float32) of size 6]")
    assert numbers.untyped().tolist() == bytes_.tolist()
    assert rv.zeros(0).untyped_storage().nbytes() >= 0


# --- shapes changed in place --------------------------------------------------------------------

SHAPED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "t_": (lambda x: x.t_(), lambda x: x.t()),
    "transpose_": (lambda x: x.transpose_(0, -1), lambda x: x.transpose(0, 1)),
    "swapaxes_": (lambda x: x.swapaxes_(0, 1), lambda x: x.transpose(0, 1)),
    "swapdims_": (lambda x: x.swapdims_(0, 1), lambda x: x.transpose(0, 1)),
    "unsqueeze_": (lambda x: x.unsqueeze_(1), lambda x: x.unsqueeze(1)),
    "squeeze_": (lambda x: x.unsqueeze_(0).squeeze_(), lambda x: x.squeeze()),
    "squeeze_ of one": (lambda x: x.unsqueeze_(0).squeeze_(0), lambda x: x),
}


@pytest.mark.parametrize("name", SHAPED)
def test_a_shape_in_place(name: str) -> None:
    change, form = SHAPED[name]
    x = rv.arange(6.0).view(2, 3).clone()
    address, wanted = x.data_ptr(), form(x.clone())
    assert change(x) is x
    assert x.shape == wanted.shape and x.tolist() == wanted.tolist() and x.data_ptr() == address


@pytest.mark.parametrize("name", SHAPED)
def test_gradients_through_a_shape_in_place(name: str) -> None:
    change, form = SHAPED[name]
    weights = rv.arange(6.0, dtype=rv.float64)
    grads = []
    for f in (change, form):
        x = rv.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=rv.float64, requires_grad=True)
        y = x * 2
        part = y[0]
        z = f(y)
        (z * weights.view(z.shape)).sum().backward(retain_graph=True)
        part.sum().backward()
        grads.append(x.grad)
    assert rv.equal(*grads)


def test_a_view_in_another_shape_leaves_its_base() -> None:
    x = rv.ones(2, 3, requires_grad=True)
    y = x * 2
    part = y[1:].t_()
    part.mul_(3)
    assert part.shape == (3, 1) and y.shape == (2, 3)
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[2, 2, 2], [6, 6, 6]]


def test_shapes_in_place_that_are_refused() -> None:
    leaf = rv.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\[t_\].*leaf"):
        leaf.t_()
    assert leaf.shape == (2, 3)
    y = leaf.exp()
    z = y * 1
    y.t_()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()
    with pytest.raises(rv.ShapeError, match=r"\[t\]"):
        rv.ones(2, 2, 2).t_()
    leaf.sum().backward()
    with pytest.raises(RuntimeError, match=r"\[t_\].*holds no gradient.*grad to None"):
        leaf.requires_grad_(False).t_()
    leaf.grad = None
    assert leaf.t_().shape == (3, 2)


# --- writing at places --------------------------------------------------------------------------


def test_masks_among_indices_to_put() -> None:
    x = rv.zeros(2, 3)
    mask = rv.tensor([[True, False, True], [False, True, False]])
    assert x.index_put_((mask,), rv.tensor([1.0, 2.0, 3.0])) is x
    assert x.tolist() == [[1, 0, 2], [0, 3, 0]]
    row = rv.tensor([False, True])
    assert x.index_put((row, rv.tensor([0])), rv.tensor(9.0)).tolist() == [[1, 0, 2], [9, 3, 0]]
    assert x.index_put((None, rv.tensor([1])), rv.tensor(5.0)).tolist() == [[1, 5, 2], [0, 5, 0]]
    assert rv.index_put(x, [mask], rv.ones(3), accumulate=True).sum() == 9
    with pytest.raises(IndexError, match="mask"):
        x.index_put_((rv.tensor([True]),), rv.tensor(1.0))
    with pytest.raises(TypeError, match="indices"):
        x.index_put_(rv.tensor([0]), rv.tensor(1.0))


# --- DLPack by its older words ------------------------------------------------------------------


def test_capsules() -> None:
    x = rv.arange(3)
    capsule = to_dlpack(x)
    y = from_dlpack(capsule)
    y[0] = 7
    assert x.tolist() == [7, 1, 2]
    with pytest.raises(ValueError, match="taken"):
        from_dlpack(capsule)
    assert rv.utils.dlpack.from_dlpack(np.arange(2)).tolist() == [0, 1]
    with pytest.raises(TypeError, match="tensor"):
        to_dlpack([1])  # type: ignore[arg-type]


def test_small_words() -> None:
    x = rv.tensor([[1, 2], [3, 4]])
    assert rv.t(x).tolist() == [[1, 3], [2, 4]]
    assert rv.positive(x) is x
    with pytest.raises(RuntimeError, match="bool"):
        rv.tensor([True]).positive()


# --- arguments that are no tensors --------------------------------------------------------------

ODD: list[Callable[[], Any]] = [
    *(lambda f=f: f(2, out=3) for f in (rv.zeros, rv.ones, rv.eye, rv.rand, rv.randn, rv.randperm)),
    lambda: rv.empty(2, out="x"),  # type: ignore[call-overload]
    lambda: rv.full((2,), 1.0, out=3),  # type: ignore[arg-type]
    lambda: rv.linspace(0, 1, 3, out=3),  # type: ignore[arg-type]
    lambda: rv.randint(3, (2,), out=3),  # type: ignore[call-overload]
    *(lambda f=f: f(16, [1]) for f in (rv.atleast_1d, rv.atleast_2d, rv.atleast_3d)),
    lambda: rv.atleast_3d([1, 2]),
    *(lambda f=f: f([1.0], 1) for f in (rv.hsplit, rv.vsplit, rv.dsplit, rv.tensor_split)),
    lambda: rv.split([1.0], 1),  # type: ignore[arg-type]
    lambda: rv.repeat_interleave(3),  # type: ignore[arg-type]
    lambda: rv.broadcast_tensors(rv.ones(1), 8),
    lambda: rv.ones(2).view_as(0.0),  # type: ignore[arg-type]
    lambda: rv.ones(2).is_same_size((2,)),  # type: ignore[arg-type]
    lambda: rv.t([[1.0]]),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_is_no_tensor_is_named(number: int) -> None:
    with pytest.raises(TypeError, match=r"\[\w+\] .*expected a tensor"):
        ODD[number]()


def test_a_view_cannot_leave_its_graph() -> None:
    y = rv.ones(2, 2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match=r"\[detach_\].*view"):
        y[0].detach_()
    assert not y.detach_().requires_grad
