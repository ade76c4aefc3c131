"""Tensor's Python side: making, printing, converting, NumPy, Python's protocols, random numbers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import ranvier as rv

DTYPES = [
    rv.float32, rv.float64, rv.float16, rv.int64, rv.int32, rv.int16, rv.int8, rv.uint8, rv.bool,
    rv.uint16, rv.uint32, rv.uint64,
]  # fmt: skip


# --- making -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        ([[1.0, 2.0]], rv.float32, (1, 2)),
        ([1, 2, 3], rv.int64, (3,)),
        ([True, False], rv.bool, (2,)),
        (1.5, rv.float32, ()),
        (np.zeros((2, 0)), rv.float64, (2, 0)),
        (np.float64(2), rv.float64, ()),
        ((1, 2.5), rv.float32, (2,)),
        ([], rv.float32, (0,)),
    ],
)
def test_tensor_takes_the_dtype_of_its_data(data, dtype, shape):
    t = rv.tensor(data)
    assert (t.dtype, t.shape) == (dtype, shape)
    np.testing.assert_array_equal(t.numpy(), np.asarray(data, dtype=t.numpy().dtype))


def test_tensor_copies_and_as_tensor_shares():
    a = np.arange(3.0)
    copied, shared = rv.tensor(a), rv.as_tensor(a)
    a[0] = 7
    assert copied.tolist() == [0, 1, 2]
    assert shared.tolist() == [7, 1, 2]
    assert rv.as_tensor(shared) is shared
    other = rv.tensor(shared)
    other[1] = 9
    assert shared.tolist() == [7, 1, 2]


def test_numbers_go_straight_to_the_dtype_that_is_asked_for():
    assert rv.tensor([0.1], dtype=rv.float64).item() == 0.1
    assert rv.tensor([2**60 + 1]).item() == 2**60 + 1
    assert rv.as_tensor(np.array([3], np.int16), dtype=rv.int64).tolist() == [3]


@pytest.mark.parametrize("like", [rv.float64, "float64", np.float64, np.dtype("float64")])
def test_dtypes_may_be_given_in_several_ways(like):
    assert rv.zeros(2, dtype=like).dtype is rv.float64


def test_aliases_of_dtypes():
    for alias, dtype in ((rv.float, rv.float32), (rv.double, rv.float64), (rv.long, rv.int64)):
        assert alias is dtype
    assert rv.int is rv.int32 and rv.bool.name == "bool"


@pytest.mark.parametrize("dtype", DTYPES)
def test_filled_tensors(dtype):
    kind = rv.zeros(1, dtype=dtype).numpy().dtype
    for t, expected in [
        (rv.zeros(2, 3, dtype=dtype), np.zeros((2, 3), kind)),
        (rv.ones((2, 3), dtype=dtype), np.ones((2, 3), kind)),
        (rv.full((2,), 1, dtype=dtype), np.full(2, 1, kind)),
        (rv.eye(2, 3, dtype=dtype), np.eye(2, 3, dtype=kind)),
        (rv.zeros_like(rv.ones(2, 2), dtype=dtype), np.zeros((2, 2), kind)),
        (rv.full_like(rv.ones(2, dtype=dtype), 1), np.ones(2, kind)),
    ]:
        assert t.dtype is dtype
        np.testing.assert_array_equal(t.numpy(), expected)
    assert rv.empty(3, 0, dtype=dtype).shape == (3, 0)


def test_full_takes_the_dtype_of_the_number():
    assert rv.full((1,), 2).dtype is rv.int64
    assert rv.full((1,), 2.0).dtype is rv.float32
    assert rv.full((1,), True).dtype is rv.bool
    assert rv.full((1,), 2**60 + 1).item() == 2**60 + 1


def test_ranges():
    assert rv.arange(3).tolist() == [0, 1, 2]
    assert rv.arange(1, 7, 2).tolist() == [1, 3, 5]
    assert rv.arange(3, 0, -1).tolist() == [3, 2, 1]
    assert rv.arange(0, 1, 0.25).dtype is rv.float32
    np.testing.assert_array_equal(
        rv.linspace(-1, 1, 5, dtype=rv.float64).numpy(), np.linspace(-1, 1, 5)
    )


def test_ranges_by_name():
    assert rv.arange(start=1, end=3).tolist() == rv.arange(1, end=3).tolist() == [1, 2]
    assert rv.arange(end=3).tolist() == [0, 1, 2] and rv.arange(1, 6, step=2).tolist() == [1, 3, 5]
    assert rv.arange(rv.tensor(2)).tolist() == [0, 1] and rv.arange(3, 0).tolist() == []
    assert rv.zeros(size=(2, 1)).shape == rv.ones(size=[2, 1]).shape == (2, 1)
    assert rv.empty(size=(2,)).shape == (2,)


@pytest.mark.parametrize(
    "make",
    [
        lambda **device: rv.arange(2, **device),
        lambda **device: rv.linspace(0, 1, 2, **device),
        lambda **device: rv.eye(2, **device),
        lambda **device: rv.empty_like(rv.ones(2), **device),
        lambda **device: rv.zeros_like(rv.ones(2), **device),
        lambda **device: rv.ones_like(rv.ones(2), **device),
        lambda **device: rv.full_like(rv.ones(2), 1, **device),
    ],
)
def test_devices(make):
    assert make(device="cpu").device == "cpu"
    with pytest.raises(RuntimeError, match="device: expected 'cpu', got 'cuda'"):
        make(device="cuda")


def test_the_constructor_is_pytorchs():
    for data in ([[0, 0], [0, 1]], np.array([[0, 0], [0, 1]]), ((0.0, 0.0), (0.0, 1.0))):
        t = rv.Tensor(data)
        assert t.dtype is rv.float32 and t.tolist() == [[0, 0], [0, 1]]
    assert rv.Tensor(2, 3).shape == (2, 3) and rv.Tensor(3).shape == (3,)
    assert rv.Tensor().shape == (0,) and isinstance(t, rv.Tensor)
    kept = rv.ones(2, dtype=rv.float64)
    assert rv.Tensor(kept).data_ptr() == kept.data_ptr() and rv.Tensor(kept).dtype is rv.float64
    assert rv.nn.Parameter(kept).data_ptr() == kept.data_ptr()
    array = np.zeros(2, np.float32)
    assert rv.Tensor(array).data_ptr() == array.ctypes.data
    for wrong in ((2.5,), ("ab",), (None,), (2, [3])):
        with pytest.raises(TypeError, match=r"\[Tensor\]"):
            rv.Tensor(*wrong)


def test_requires_grad_may_be_asked_for_at_once():
    for t in (rv.zeros(2, requires_grad=True), rv.tensor([1.0], requires_grad=True)):
        assert t.requires_grad and t.is_leaf
    with pytest.raises(RuntimeError, match="int64"):
        rv.tensor([1], requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rv.tensor([[1.0], [1.0, 2.0]]), ValueError, "equal length"),
        (lambda: rv.tensor([[1.0], [1.0, 2.0]], dtype=rv.float64), ValueError, "equal length"),
        (lambda: rv.tensor("abc"), TypeError, "numbers"),
        (lambda: rv.tensor(None), TypeError, "numbers"),
        (lambda: rv.tensor([300], dtype=rv.uint8), ValueError, "fit into uint8"),
        (lambda: rv.tensor([float("nan")], dtype=rv.int64), ValueError, "fit into int64"),
        (lambda: rv.tensor(np.array([np.nan]), dtype=rv.int64), ValueError, "fit into int64"),
        (lambda: rv.tensor(np.zeros(2, np.complex64)), TypeError, "complex64"),
        (lambda: rv.zeros(2**63), rv.ShapeError, r"\[zeros\] size: .*64 bits"),
        (lambda: rv.randn(2**63), rv.ShapeError, r"\[randn\] size: .*64 bits"),
        (lambda: rv.full((-(2**70),), 1), rv.ShapeError, r"\[full\] size: .*64 bits"),
        (lambda: rv.zeros(2, size=(2,)), TypeError, "once"),
        (lambda: rv.arange(2**63), ValueError, "int64"),
        (lambda: rv.arange(1e300), rv.ShapeError, "64 bits"),
        (lambda: rv.arange("a"), TypeError, r"\[arange\] end: .*'a'"),
        (lambda: rv.arange(1, start=2, end=3), TypeError, "start=2"),
        (lambda: rv.arange(start=2), TypeError, "start=2"),
        (lambda: rv.tensor([1.0], dtype="complex64"), TypeError, "float32"),
        (lambda: rv.tensor([1.0], device="cuda"), RuntimeError, "expected 'cpu', got 'cuda'"),
        (lambda: rv.zeros(-1), rv.ShapeError, "-1"),
        (lambda: rv.zeros(2**40, 2**40), rv.ShapeError, "64 bits"),
        (lambda: rv.zeros(2.5), TypeError, "integers"),
        (lambda: rv.eye(-1), rv.ShapeError, "-1"),
        (lambda: rv.full((1,), "x"), TypeError, "'x'"),
        (lambda: rv.arange(0, 1, 0), ValueError, "step"),
        (lambda: rv.arange(float("inf")), ValueError, "finite"),
        (lambda: rv.linspace(0, 1, -1), rv.ShapeError, "-1"),
        (lambda: rv.from_numpy([1.0]), TypeError, "list"),
        (lambda: rv.manual_seed(2**64), ValueError, str(2**64)),
        (lambda: rv.manual_seed("a"), TypeError, "'a'"),
        (lambda: rv.randint(3), TypeError, "size"),
        (lambda: rv.randint(3, 3, (2,)), ValueError, "3"),
        (lambda: rv.randperm(-1), ValueError, "-1"),
        (lambda: rv.set_num_threads(0), ValueError, "1 or more"),
    ],
)
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


# --- random numbers -----------------------------------------------------------------------------


def test_same_seed_same_numbers():
    def draw():
        return [rv.rand(3), rv.randn(2, 2), rv.randint(10, (4,)), rv.randperm(5)]

    rv.manual_seed(7)
    first = draw()
    second = draw()
    rv.manual_seed(7)
    again = draw()
    assert all(rv.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not rv.equal(first[0], second[0])
    assert rv.initial_seed() == 7


def test_a_generator_draws_by_itself():
    g = rv.Generator(3)
    a = rv.rand(4, generator=g)
    rv.rand(100)
    assert rv.equal(a, rv.rand(4, generator=rv.Generator(3)))
    assert rv.equal(rv.rand(4, generator=g.manual_seed(3)), a)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
@pytest.mark.parametrize("seed", [3, 2**64 - 1])
def test_copies_of_a_generator_go_on_where_it_is(again, seed):
    g = rv.Generator(seed)
    rv.rand(5, generator=g)
    other = again(g)
    assert other.initial_seed() == seed and other.state.tolist() == g.state.tolist()
    assert rv.equal(rv.rand(4, generator=other), rv.rand(4, generator=g))
    assert g.state.data_ptr() != other.state.data_ptr()


def test_random_numbers_are_where_they_should_be():
    rv.manual_seed(0)
    u, n, i = rv.rand(10_000), rv.randn(10_000, dtype=rv.float64), rv.randint(-2, 3, (10_000,))
    assert u.numpy().min() >= 0 and u.numpy().max() < 1
    assert abs(u.numpy().mean() - 0.5) < 0.015  # 5 standard errors
    assert abs(n.numpy().mean()) < 0.05 and abs(n.numpy().std() - 1) < 0.036
    assert set(i.tolist()) == {-2, -1, 0, 1, 2}
    assert sorted(rv.randperm(100).tolist()) == list(range(100))
    assert rv.randint(low=0, high=2, size=(3,), dtype=rv.float32).dtype is rv.float32
    assert rv.rand_like(u).shape == rv.randn_like(u).shape == u.shape


# --- printing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (rv.tensor([[1.0, 2.0]], requires_grad=True), "tensor([[1., 2.]], requires_grad=True)"),
        (rv.tensor([1, 2]), "tensor([1, 2])"),
        (rv.tensor([0.5, 0.25]), "tensor([0.5000, 0.2500])"),
        (rv.tensor([1.0], dtype=rv.float64), "tensor([1.], dtype=ranvier.float64)"),
        (rv.tensor([True, False]), "tensor([ True, False])"),
        (rv.tensor(0.125), "tensor(0.1250)"),
        (rv.tensor(3), "tensor(3)"),
        (rv.zeros(0), "tensor([])"),
        (rv.zeros(2, 0), "tensor([], size=(2, 0))"),
        (rv.tensor([1e-8, 1.5]), "tensor([1.0000e-08, 1.5000e+00])"),
        (rv.tensor([float("nan"), 1.0]), "tensor([nan, 1.])"),
        (rv.tensor([[1.0], [2.0]]), "tensor([[1.],\n        [2.]])"),
        (rv.nn.Parameter(rv.ones(1)), "Parameter containing:\ntensor([1.], requires_grad=True)"),
    ],
)
def test_repr(t, text):
    assert repr(t) == text


def test_long_tensors_are_shortened():
    assert "..." in repr(rv.zeros(2000)) and len(repr(rv.zeros(2000))) < 200


def test_format():
    assert f"{rv.tensor(0.12345):.3f}" == "0.123"
    assert f"{rv.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(TypeError, match=r"'.3f', got shape \(2,\)"):
        format(rv.tensor([1.0, 2.0]), ".3f")


# --- shapes and values --------------------------------------------------------------------------


def test_size_and_transposes():
    t = rv.arange(6).reshape(2, 3)
    assert t.size() == (2, 3) and t.size(-1) == 3 and t.numel() == rv.numel(t) == 6
    assert t.T.tolist() == t.t().tolist() == t.mT.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert rv.zeros(2, 3, 4).T.shape == (4, 3, 2)
    assert rv.zeros(2, 3, 4).mT.shape == (2, 4, 3)
    assert rv.zeros(3).t().shape == (3,)
    assert t.view_as(rv.zeros(3, 2)).shape == (3, 2)
    with pytest.raises(IndexError, match="dim"):
        t.size(2)
    with pytest.raises(rv.ShapeError):
        rv.zeros(2, 3, 4).t()
    with pytest.raises(rv.ShapeError):
        rv.zeros(3).mT  # noqa: B018


def test_contiguous():
    t = rv.arange(6).reshape(2, 3)
    assert t.contiguous() is t
    copied = t.T.contiguous()
    assert copied.is_contiguous() and copied.tolist() == t.T.tolist()


def test_len_iteration_and_membership():
    t = rv.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2
    assert [row.tolist() for row in t] == [[1, 2], [3, 4]]
    _, b = t
    assert b.tolist() == [3, 4]
    assert 3.0 in t and 5.0 not in t
    with pytest.raises(TypeError, match=r"\(\)"):
        len(rv.tensor(1.0))
    with pytest.raises(TypeError):
        iter(rv.tensor(1.0))


def test_truth_and_numbers():
    assert rv.tensor([2.0]) and not rv.tensor(0)
    with pytest.raises(rv.ShapeError, match=r"\(2,\)"):
        bool(rv.zeros(2))
    with pytest.raises(rv.ShapeError):
        bool(rv.zeros(0))
    assert float(rv.tensor(1.5)) == 1.5 and int(rv.tensor(2)) == 2
    assert [10, 20, 30][rv.tensor(1)] == 20
    with pytest.raises(TypeError, match="integer"):
        [1, 2][rv.tensor(1.0)]
    with pytest.raises(RuntimeError, match=r"\(2,\)"):
        float(rv.zeros(2))


def test_comparison_with_none_and_hash():
    t = rv.ones(2)
    assert (t == None) is False and (t != None) is True  # noqa: E711
    assert (t == t).tolist() == [True, True]
    assert {t: 1}[t] == 1 and len({t, rv.ones(2)}) == 2


def test_equal_and_allclose():
    assert rv.equal(rv.ones(2), rv.ones(2)) and not rv.equal(rv.ones(2), rv.ones(1))
    assert rv.allclose(rv.ones(2), rv.ones(2) + 1e-7)
    assert not rv.allclose(rv.ones(2), rv.ones(2) + 1e-3)
    nan = rv.tensor([float("nan")])
    assert not rv.allclose(nan, nan) and rv.allclose(nan, nan, equal_nan=True)


def test_power():
    assert (rv.tensor([3.0]) ** 2).item() == (rv.tensor([3.0]) ** np.float32(2)).item() == 9
    with pytest.raises(TypeError):
        rv.tensor([3.0]) ** "2"


def test_data_shares_memory_and_copies_in():
    w = rv.ones(2, requires_grad=True)
    w.data[0] = 5
    assert w.tolist() == [5, 1]
    before = w.data_ptr()
    w.data = rv.zeros(2)
    assert w.tolist() == [0, 0] and w.data_ptr() == before and w.requires_grad
    with pytest.raises(rv.ShapeError):
        w.data = rv.zeros(1)


def test_changes_in_place():
    t = rv.tensor([1.0, 2.0])
    same = t
    t += 1
    t *= 2
    assert same is t and t.tolist() == [4, 6]
    assert t.zero_().tolist() == [0, 0]
    w = rv.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no_grad"):
        w -= 1
    with rv.no_grad():
        kept = w
        w -= 0.5
    assert kept is w and w.requires_grad and w.tolist() == [0.5, 0.5]
    whole = rv.tensor([1])
    with pytest.raises(TypeError):
        whole += 0.5
    assert whole.tolist() == [1]


# --- dtype and device ---------------------------------------------------------------------------


def test_conversions():
    t = rv.tensor([0.0, 1.5])
    assert t.double().dtype is rv.float64 and t.long().tolist() == [0, 1]
    assert t.int().dtype is rv.int32 and t.bool().tolist() == [False, True]
    assert t.float() is t and t.to("cpu") is t and t.cpu() is t and t.to(rv.float32) is t
    assert t.to("cpu", rv.float64).dtype is rv.float64
    assert t.to(dtype="int64").dtype is rv.int64
    assert t.to(rv.tensor([1])).dtype is rv.int64
    assert t.type_as(rv.tensor([1])).dtype is rv.int64
    assert t.to("cpu", copy=True) is not t
    assert t.device == "cpu"
    assert t.new_zeros(2, 2).shape == (2, 2)
    with pytest.raises(RuntimeError, match="cuda"):
        t.to("cuda:0")
    with pytest.raises(TypeError, match="'layout'"):
        t.to(layout=1)


def test_conversion_carries_the_gradient():
    w = rv.tensor([1.0, 2.0], requires_grad=True)
    (w.double() * rv.tensor([3.0, 4.0], dtype=rv.float64)).sum().backward()
    assert w.grad.dtype is rv.float32 and w.grad.tolist() == [3, 4]


# --- NumPy --------------------------------------------------------------------------------------


def test_numpy_sees_the_same_memory():
    t = rv.zeros(2)
    t.numpy()[0] = 3
    np.asarray(t)[1] = 4
    assert t.tolist() == [3, 4]
    assert np.array(t) is not np.asarray(t)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(rv.ones(2, requires_grad=True))


def test_losses_in_a_list_become_an_array():
    losses = [rv.tensor(1.0, requires_grad=True) * 2, rv.tensor(3.0)]
    assert np.asarray(losses).tolist() == [2, 3]


def test_numpy_functions_and_operators():
    t = rv.tensor([1.0, 3.0])
    assert np.mean(t) == 2
    assert np.stack([t, t]).shape == (2, 2)
    for product in (np.float64(2) * t, np.float32(2) * t, np.ones(2, np.float32) * t):
        assert isinstance(product, rv.Tensor)
    assert (np.array([1.0, 2.0], np.float32) - t).tolist() == [0, -1]


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[::2, 1::2],
        np.arange(4.0)[::-1],
        np.arange(4, dtype=">f8"),
        np.zeros((0, 3)),
    ],
)
def test_arrays_of_any_layout(array):
    np.testing.assert_array_equal(rv.from_numpy(array).numpy(), array)


def test_read_only_arrays_stay_as_they_are():
    array = np.zeros(2)
    array.flags.writeable = False
    t = rv.from_numpy(array)
    with pytest.raises(RuntimeError):
        t += 1
    assert array.tolist() == [0, 0]


# --- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_and_pickles(again, dtype):
    t = rv.arange(6).reshape(2, 3).to(dtype).T
    other = again(t)
    assert rv.equal(other, t) and other.dtype is dtype and other.stride() == t.stride()
    assert other.data_ptr() != t.data_ptr() and not other.requires_grad
    for shape in ((), (0, 3)):
        assert again(rv.zeros(shape, dtype=dtype)).shape == shape


def test_copies_keep_what_they_are():
    w = rv.nn.Parameter(rv.ones(2))
    (w * 3).sum().backward()
    other = copy.deepcopy(w)
    assert type(other) is rv.nn.Parameter and other.requires_grad
    assert other.grad.tolist() == [3, 3] and other.grad is not w.grad
    assert type(pickle.loads(pickle.dumps(w))) is rv.nn.Parameter
    both = copy.deepcopy([w, w])
    assert both[0] is both[1]
    with pytest.raises(RuntimeError, match="leaf"):
        copy.deepcopy(w * 2)


def test_dtypes_are_pickled_as_the_same_object():
    for dtype in DTYPES:
        assert pickle.loads(pickle.dumps(dtype)) is dtype


def test_every_public_name_is_there():
    for name in rv.__all__:
        assert hasattr(rv, name), name
    assert rv.__version__
    assert rv.cpu_info()["isa"] in rv.cpu_info()["available"]


def test_show_config_prints(capsys):
    rv.show_config()
    assert capsys.readouterr().out.startswith(f"ranvier {rv.__version__}\n")
