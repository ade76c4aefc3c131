"""Making tensors: shapes, dtypes, what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import numpy as np
import pytest

import ranvier as rv

ALL = [
    rv.float32, rv.float64, rv.float16, rv.bfloat16, rv.int64, rv.int32, rv.int16, rv.int8,
    rv.uint8, rv.bool, rv.uint16, rv.uint32, rv.uint64,
]  # fmt: skip
NAMES = {dtype.name: dtype for dtype in ALL}


@pytest.fixture(autouse=True)
def _default_dtype() -> Iterator[None]:
    yield
    rv.set_default_dtype(rv.float32)


def values(t: rv.Tensor) -> np.ndarray:
    return t.to(rv.float64).numpy()


# --- every dtype --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_every_dtype_is_made_by_everything(dtype):
    like = rv.zeros(2, 2, dtype=dtype)
    for t, expected in [
        (rv.tensor([[0, 1], [1, 0]], dtype=dtype), [[0, 1], [1, 0]]),
        (rv.tensor([0.0, 1.0], dtype=dtype), [0, 1]),
        (rv.as_tensor([1], dtype=dtype), [1]),
        (rv.asarray([1], dtype=dtype), [1]),
        (rv.zeros(2, 1, dtype=dtype), [[0], [0]]),
        (rv.ones(2, dtype=dtype), [1, 1]),
        (rv.full((2,), 1, dtype=dtype), [1, 1]),
        (rv.scalar_tensor(1, dtype=dtype), 1),
        (rv.eye(2, dtype=dtype), [[1, 0], [0, 1]]),
        (rv.arange(2, dtype=dtype), [0, 1]),
        (rv.linspace(0, 1, 2, dtype=dtype), [0, 1]),
        (rv.logspace(0, 0, 2, dtype=dtype), [1, 1]),
        (rv.zeros_like(like), [[0, 0], [0, 0]]),
        (rv.ones_like(like), [[1, 1], [1, 1]]),
        (rv.full_like(like, 1), [[1, 1], [1, 1]]),
        (rv.ones_like(rv.zeros(1), dtype=dtype), [1]),
        (like.new_zeros(2), [0, 0]),
        (like.new_ones((2,)), [1, 1]),
        (like.new_full((2,), 1), [1, 1]),
        (like.new_tensor([0, 1]), [0, 1]),
        (like.clone(), [[0, 0], [0, 0]]),
        (rv.ones(2).to(dtype), [1, 1]),
        (rv.tensor(rv.ones(2), dtype=dtype), [1, 1]),
        (rv.tensor(np.ones(2), dtype=dtype), [1, 1]),
    ]:
        assert t.dtype is dtype and t.tolist() == values(t).tolist()
        np.testing.assert_array_equal(values(t), expected)
    for t in (rv.empty(2, 3, dtype=dtype), like.new_empty(2, 3), rv.empty_like(like[:1])):
        assert t.dtype is dtype and t.shape in ((2, 3), (1, 2))


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("again", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_every_dtype_is_copied_and_pickled(dtype, again):
    t = rv.tensor([[1, 0, 1], [0, 0, 1]], dtype=dtype).T
    other = again(t)
    assert other.dtype is dtype and other.stride() == t.stride() and other.tolist() == t.tolist()
    assert other.data_ptr() != t.data_ptr()


def test_a_plain_copy_shares_memory():
    t = rv.ones(2, requires_grad=True)
    other = copy.copy(t)
    assert other is not t and other.requires_grad and other.data_ptr() == t.data_ptr()
    assert type(copy.copy(rv.nn.Parameter(t.detach()))) is rv.nn.Parameter


# --- from data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, rv.int64),
        (1.0, rv.float32),
        (True, rv.bool),
        ([], rv.float32),
        ([[], []], rv.float32),
        ([1, 2.0], rv.float32),
        ([True, 2], rv.int64),
        (range(3), rv.int64),
        ((1, 2), rv.int64),
        (np.float64(1), rv.float64),
        ([np.float64(1)], rv.float64),
        ([np.float32(1)], rv.float32),
        ([np.int32(1)], rv.int32),
        (np.array([1.0]), rv.float64),
        ([np.array([1.0]), np.array([2.0])], rv.float64),
        (np.float16(1), rv.float16),
        (np.array([1], np.int8), rv.int8),
        ([rv.tensor(1.0), rv.tensor(2.0)], rv.float32),
        ([rv.tensor(1.0, dtype=rv.float64)], rv.float64),
        ([rv.tensor([1, 2]), rv.tensor([3, 4])], rv.int64),
        (rv.tensor([1], dtype=rv.int16), rv.int16),
        (memoryview(bytearray(3)), rv.uint8),
    ],
)
def test_data_decide_the_dtype(data, dtype):
    for make in (rv.tensor, rv.as_tensor, rv.asarray):
        t = make(data)
        assert t.dtype is dtype
        assert t.shape == np.asarray(data, dtype=object if data is None else None).shape


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([300], "uint8"),
        ([-1], "uint8"),
        ([128], "int8"),
        ([-129], "int8"),
        ([2**15], "int16"),
        ([2**31], "int32"),
        ([-(2**31) - 1], "int32"),
        ([2**63], "int64"),
        ([2**64], "uint64"),
        ([2**70], "int64"),
        ([-1], "uint64"),
        ([1e10], "int32"),
        ([9.3e18], "int64"),
        ([float("inf")], "int64"),
        ([float("nan")], "int8"),
        ([-1.0], "uint8"),
        ([2**63], None),
    ],
)
def test_numbers_that_do_not_fit_are_refused(data, dtype):
    with pytest.raises((ValueError, TypeError), match=r"\[tensor\] .*expected numbers"):
        rv.tensor(data, dtype=dtype)


@pytest.mark.parametrize(
    ("data", "dtype", "value"),
    [
        ([255], "uint8", 255),
        ([-128], "int8", -128),
        ([2**31 - 1], "int32", 2**31 - 1),
        ([2**63 - 1], "int64", 2**63 - 1),
        ([-(2**63)], "int64", -(2**63)),
        ([2**64 - 1], "uint64", 2**64 - 1),
        ([1.9], "int32", 1),
        ([-1.9], "int8", -1),
        ([2147483647.5], "int32", 2**31 - 1),
        ([2], "bool", True),
        ([1e39], "float32", float("inf")),
        ([7e4], "float16", float("inf")),
        ([1 + 2**-8], "bfloat16", 1.0),
    ],
)
def test_numbers_at_the_edge(data, dtype, value):
    assert rv.tensor(data, dtype=dtype).item() == value


def test_python_types_are_pythons_own_as_dtypes():
    for kind, dtype in ((float, rv.float64), (int, rv.int64), (bool, rv.bool)):
        assert rv.zeros(1, dtype=kind).dtype is dtype
        assert rv.zeros(1).to(kind).dtype is dtype


def test_asarray_copies_as_asked():
    a = np.zeros(2, np.float32)
    assert rv.asarray(a).data_ptr() == rv.asarray(a, copy=False).data_ptr() == a.ctypes.data
    assert rv.asarray(a, copy=True).data_ptr() != a.ctypes.data
    assert rv.asarray(a, requires_grad=True).requires_grad
    for other in ([1.0], (1, 2)):
        with pytest.raises(ValueError, match="copy"):
            rv.asarray(other, copy=False)
    with pytest.raises(ValueError, match="copy"):
        rv.asarray(a, dtype=rv.float64, copy=False)


def test_frombuffer_shares():
    data = bytearray(np.arange(4, dtype=np.float32).tobytes())
    t = rv.frombuffer(data, dtype=rv.float32)
    assert t.tolist() == [0, 1, 2, 3]
    data[:4] = np.float32(7).tobytes()
    assert t[0] == 7
    assert rv.frombuffer(data, dtype=rv.float32, count=2, offset=4).tolist() == [1, 2]


# --- filled and in steps ------------------------------------------------------------------------


def test_the_value_decides_the_dtype():
    assert rv.full((2,), True).dtype is rv.bool
    assert rv.full((2,), 1).dtype is rv.int64
    assert rv.full((2,), 1.0).dtype is rv.float32
    assert rv.full([2, 1], rv.tensor(2)).tolist() == [[2], [2]]
    assert rv.full((), np.float32(2)).dtype is rv.float32
    with pytest.raises(ValueError, match=r"uint8"):
        rv.full((2,), 300, dtype=rv.uint8)


def test_sizes_may_be_given_in_any_way():
    two, shape = rv.tensor(2), rv.ones(2, 3).shape
    for t in (rv.zeros(2, 3), rv.zeros([2, 3]), rv.zeros((2, 3)), rv.zeros(size=(2, 3))):
        assert t.shape == (2, 3)
    for t in (rv.zeros(shape), rv.zeros(two, 3), rv.zeros(np.int64(2), 3), rv.zeros(*shape)):
        assert t.shape == (2, 3)
    assert rv.zeros(()).shape == rv.zeros([]).shape == ()


@pytest.mark.parametrize(
    ("args", "expected", "dtype"),
    [
        ((5,), [0, 1, 2, 3, 4], rv.int64),
        ((2.5,), [0, 1, 2], rv.float32),
        ((1, 4), [1, 2, 3], rv.int64),
        ((1, 2.5, 0.5), [1, 1.5, 2], rv.float32),
        ((5, 0, -2), [5, 3, 1], rv.int64),
        ((0, 1, 0.1), np.arange(0, 1, 0.1).astype(np.float32), rv.float32),
        ((1, 2, 0.1), np.arange(1, 2, 0.1).astype(np.float32), rv.float32),
        ((2**40, 2**40 + 2), [2**40, 2**40 + 1], rv.int64),
        ((-(2**63), -(2**63) + 1), [-(2**63)], rv.int64),
    ],
)
def test_arange(args, expected, dtype):
    t, kind = rv.arange(*args), float if dtype is rv.float32 else int
    assert t.dtype is dtype and t.tolist() == [kind(n) for n in expected]


def test_steps_reach_their_ends_exactly():
    for start, end, steps in ((-1, 1, 7), (0, 0.1, 11), (3, -3, 100)):
        t = rv.linspace(start, end, steps)
        expected = np.linspace(start, end, steps).astype(np.float32)
        assert t.dtype is rv.float32 and t.tolist() == expected.tolist()
    assert rv.linspace(0, 1, 1).tolist() == [0] and rv.linspace(0, 1, 0).tolist() == []
    assert rv.linspace(0, 10, 5, dtype=rv.int64).tolist() == [0, 2, 5, 7, 10]
    assert rv.linspace(-10, 0, 5, dtype=rv.int64).tolist() == [-10, -7, -5, -2, 0]
    assert rv.linspace(rv.tensor(0.0), rv.tensor(1.0), steps=2).tolist() == [0, 1]
    assert rv.logspace(-1, 1, 3).tolist() == pytest.approx([0.1, 1, 10])
    assert rv.logspace(0, 3, 4, base=2).tolist() == [1, 2, 4, 8]


# --- the arguments that all of them take --------------------------------------------------------

MAKERS = {
    "zeros": lambda **k: rv.zeros(2, 2, **k),
    "ones": lambda **k: rv.ones(2, 2, **k),
    "full": lambda **k: rv.full((2, 2), 1.0, **k),
    "empty": lambda **k: rv.empty(2, 2, **k),
    "eye": lambda **k: rv.eye(2, **k),
    "arange": lambda **k: rv.arange(4.0, **k),
    "linspace": lambda **k: rv.linspace(0, 1, 4, **k),
    "logspace": lambda **k: rv.logspace(0, 1, 4, **k),
}
LIKE = {
    "zeros_like": lambda **k: rv.zeros_like(rv.ones(2, 2), **k),
    "ones_like": lambda **k: rv.ones_like(rv.ones(2, 2), **k),
    "full_like": lambda **k: rv.full_like(rv.ones(2, 2), 1.0, **k),
    "empty_like": lambda **k: rv.empty_like(rv.ones(2, 2), **k),
    "new_zeros": lambda **k: rv.ones(1).new_zeros(2, **k),
    "new_ones": lambda **k: rv.ones(1).new_ones(2, **k),
    "new_full": lambda **k: rv.ones(1).new_full((2,), 1.0, **k),
    "new_empty": lambda **k: rv.ones(1).new_empty(2, **k),
    "scalar_tensor": lambda **k: rv.scalar_tensor(1.0, **k),
}


@pytest.mark.parametrize("make", [*MAKERS.values(), *LIKE.values()], ids=[*MAKERS, *LIKE])
def test_options_are_accepted_and_checked(make):
    t = make(dtype=None, layout=rv.strided, device="cpu", pin_memory=False, requires_grad=True)
    assert t.requires_grad and t.is_leaf and t.dtype is rv.float32
    assert make(device=rv.device("cpu"), dtype=rv.float64).dtype is rv.float64
    for wrong, error in (
        ({"layout": "strided"}, RuntimeError),
        ({"device": "cuda"}, RuntimeError),
        ({"device": 1.5}, TypeError),
        ({"pin_memory": 1}, TypeError),
        ({"dtype": "complex64"}, TypeError),
        ({"dtype": rv.int64, "requires_grad": True}, RuntimeError),
        ({"colour": 1}, TypeError),
    ):
        with pytest.raises(error):
            make(**wrong)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_out_takes_the_result(make):
    out = rv.zeros_like(make(), dtype=rv.float64)
    assert make(out=out) is out and out.dtype is rv.float64
    if make is not MAKERS["empty"]:
        np.testing.assert_allclose(out.numpy(), values(make()), rtol=1e-6)
    with pytest.raises(rv.ShapeError, match="out"):
        make(out=rv.zeros(7))
    with pytest.raises(RuntimeError, match="out: expected dtype float32, got float64"):
        make(out=out, dtype=rv.float32)


def test_memory_formats():
    x = rv.zeros(2, 3, 4, 5)
    for t in (
        rv.empty(2, 3, 4, 5, memory_format=rv.channels_last),
        rv.zeros_like(x, memory_format=rv.channels_last),
        x.to(memory_format=rv.channels_last),
        x.contiguous(memory_format=rv.channels_last),
    ):
        assert t.shape == x.shape and t.stride() == (60, 1, 15, 3)
        assert t.is_contiguous(memory_format=rv.channels_last) and not t.is_contiguous()
        assert rv.ones_like(t).stride() == t.stride()
        assert rv.ones_like(t, memory_format=rv.contiguous_format).is_contiguous()
        assert t.contiguous(memory_format=rv.channels_last) is t
    assert x.to(memory_format=rv.preserve_format) is x.contiguous(rv.contiguous_format) is x
    with pytest.raises(rv.ShapeError, match="4 dimensions"):
        rv.zeros(2).to(memory_format=rv.channels_last)
    with pytest.raises(TypeError, match="memory_format"):
        x.contiguous("channels_last")


# --- older constructors -------------------------------------------------------------------------


def test_constructors_of_one_dtype():
    for name, dtype in {
        "Float": rv.float32, "Double": rv.float64, "Half": rv.float16, "BFloat16": rv.bfloat16,
        "Long": rv.int64, "Int": rv.int32, "Short": rv.int16, "Char": rv.int8, "Byte": rv.uint8,
        "Bool": rv.bool,
    }.items():  # fmt: skip
        kind = getattr(rv, f"{name}Tensor")
        assert kind([1, 0]).dtype is dtype and kind([1, 0]).tolist() == [1, 0]
        assert kind(2, 3).shape == (2, 3) and kind().shape == (0,) and kind(3).dtype is dtype
        assert isinstance(kind([1]), kind) and not isinstance(rv.arange(2, dtype=rv.uint16), kind)
        assert kind([1]).type() == f"ranvier.{name}Tensor"
        for given in (dtype, kind, f"ranvier.{name}Tensor", f"torch.{name}Tensor", dtype.name):
            assert rv.zeros(2).type(given).dtype is dtype
    assert rv.Tensor([1, 2]).dtype is rv.float32 and rv.Tensor(rv.Size([2, 3])).shape == (2, 3)
    with pytest.raises(TypeError, match=r"\[LongTensor\] data: expected a tensor of int64"):
        rv.LongTensor(rv.ones(2))
    with pytest.raises(ValueError, match="int64"):
        rv.LongTensor([2**63])


# --- dtypes -------------------------------------------------------------------------------------


def test_dtypes_know_themselves():
    for name, dtype in NAMES.items():
        assert repr(dtype) == f"ranvier.{name}"
        assert dtype.is_floating_point == ("float" in name) and not dtype.is_complex
        assert dtype.is_signed == (name != "bool" and not name.startswith("u"))
        assert pickle.loads(pickle.dumps(dtype)) is copy.deepcopy(dtype) is dtype
    aliases = {"float": "float32", "double": "float64", "half": "float16", "long": "int64"}
    for alias, name in {**aliases, "int": "int32", "short": "int16"}.items():
        assert getattr(rv, alias) is NAMES[name]


@pytest.mark.parametrize("name", ["float32", "float64", "float16"])
def test_finfo(name):
    ours, theirs = rv.finfo(getattr(rv, name)), np.finfo(name)
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution"):
        assert getattr(ours, field) == pytest.approx(float(getattr(theirs, field)), rel=1e-3)
    assert ours.dtype == name


def test_limits():
    b = rv.finfo(rv.bfloat16)
    assert (b.bits, b.eps, b.tiny) == (16, 2**-7, 2**-126) and b.max == 3.3895313892515355e38
    assert repr(b) == (
        "finfo(resolution=0.01, min=-3.38953e+38, max=3.38953e+38, eps=0.0078125, "
        "smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=bfloat16)"
    )
    assert rv.finfo().dtype == "float32" and rv.iinfo(rv.int8).min == -128
    assert repr(rv.iinfo(rv.uint8)) == "iinfo(min=0, max=255, dtype=uint8)"
    with pytest.raises(TypeError, match="iinfo"):
        rv.finfo(rv.int64)
    with pytest.raises(TypeError, match="float32"):
        rv.iinfo(rv.float32)


def test_numbers_by_name():
    assert (rv.pi, rv.e, rv.inf) == (np.pi, np.e, np.inf) and rv.nan != rv.nan
    assert rv.arange(2)[:, rv.newaxis].shape == (2, 1)


def test_promotion_of_dtypes():
    for a, b, both in (
        (rv.float32, rv.float64, rv.float64),
        (rv.float16, rv.bfloat16, rv.float32),
        (rv.int64, rv.float16, rv.float16),
        (rv.uint8, rv.int8, rv.int16),
        (rv.bool, rv.uint8, rv.uint8),
        (rv.uint16, rv.uint16, rv.uint16),
    ):
        assert rv.promote_types(a, b) is rv.promote_types(b, a) is both
    with pytest.raises(TypeError, match="uint16 and int32"):
        rv.promote_types(rv.uint16, rv.int32)
    assert rv.result_type(rv.ones(2, dtype=rv.int8), 3) is rv.int8
    assert rv.result_type(rv.ones(2, dtype=rv.int8), 1.5) is rv.float32
    assert rv.result_type(rv.ones(2), rv.tensor(1.0, dtype=rv.float64)) is rv.float32
    assert rv.result_type(rv.ones(2, dtype=rv.int32), rv.tensor(1)) is rv.int32
    assert rv.result_type(True, 2) is rv.int64 and rv.result_type(1, 2.0) is rv.float32
    assert rv.can_cast(rv.uint8, rv.int8) and not rv.can_cast(rv.float32, rv.int64)
    assert rv.can_cast(rv.bool, rv.float16) and not rv.can_cast(rv.int8, rv.bool)


def test_the_default_dtype_takes_effect():
    assert rv.get_default_dtype() is rv.float32
    rv.set_default_dtype(rv.float64)
    for t in (
        rv.tensor(1.5), rv.tensor([1.5]), rv.zeros(1), rv.ones(1), rv.empty(1), rv.eye(1),
        rv.full((1,), 1.5), rv.arange(1.5), rv.linspace(0, 1, 2), rv.Tensor([1]),
        rv.tensor([1]) / 2, rv.tensor([1]) + 0.5,
    ):  # fmt: skip
        assert t.dtype is rv.float64
    assert rv.tensor([1]).dtype is rv.int64 and rv.arange(3).dtype is rv.int64
    assert (rv.ones(1, dtype=rv.float32) + 0.5).dtype is rv.float32
    with pytest.raises(TypeError, match="int64"):
        rv.set_default_dtype(rv.int64)
    assert rv.get_default_dtype() is rv.float64


# --- shapes -------------------------------------------------------------------------------------


def test_shapes_are_tuples_that_know_their_product():
    shape = rv.ones(2, 3, 4).shape
    assert isinstance(shape, tuple) and isinstance(shape, rv.Size)
    assert shape == (2, 3, 4) == rv.Size([2, 3, 4]) and shape.numel() == 24
    assert repr(shape) == "(2, 3, 4)" and hash(shape) == hash((2, 3, 4))
    for part in (shape[1:], shape + (5,), (5,) + shape, shape * 2, rv.Size()):  # noqa: RUF005
        assert isinstance(part, rv.Size)
    assert (1,) + shape[1:] == (1, 3, 4) and shape[-1] == 4 and rv.Size().numel() == 1  # noqa: RUF005
    assert type(pickle.loads(pickle.dumps(shape))) is rv.Size
    assert rv.ones(2, 3).size() == (2, 3) and rv.ones(2, 3).size(1) == 3
    assert rv.Size([2**40, 2**40]).numel() == 2**80
    rows, *rest = shape
    assert rows == 2 and rest == [3, 4]
    with pytest.raises(TypeError, match=r"\[Size\] .* 2.5"):
        rv.Size([2.5])
    with pytest.raises(TypeError):
        shape + [1]  # noqa: RUF005
