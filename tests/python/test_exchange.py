"""Memory and values that cross between tensors and others: buffers, arrays, ufuncs, DLPack.

PyTorch takes part where it is installed. Capsules are made by hand with ctypes, so that everything
a foreign library may send is tried, and every deleter is counted.
"""

from __future__ import annotations

import array
import ctypes
import gc
import hashlib
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

NUMPY = [
    "float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16",
    "uint32", "uint64", "bool",
]  # fmt: skip


def named(dtype: str) -> Any:
    return rv.bool if dtype == "bool" else getattr(rv, dtype)


def leaf() -> Any:
    return rv.tensor([1.0, 2.0], requires_grad=True)


# ---- buffers


@pytest.mark.parametrize("dtype", NUMPY)
def test_buffers(dtype: str) -> None:
    """Format, shape and strides are NumPy's own for the same memory."""
    values = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    for layout in (values, values.T, values[:, ::2], values[0, 0], values[:0]):
        t = rv.from_numpy(np.asarray(layout))
        view, want = memoryview(t), memoryview(np.asarray(layout))
        assert (view.format, view.shape) == (want.format, want.shape)
        assert view.itemsize == want.itemsize and view.ndim == want.ndim
        assert view.strides == want.strides or 0 in view.shape
        assert np.array_equal(np.asarray(view), layout)
        assert bytes(t) == np.asarray(layout).tobytes()


def test_buffers_keep_memory_alive_and_share_it() -> None:
    """Also when the tensor is gone."""
    t = rv.zeros(3)
    view = memoryview(t)
    assert not view.readonly
    view[1] = 5.0
    assert t.tolist() == [0, 5, 0]
    del t
    gc.collect()
    assert view.tolist() == [0, 5, 0]


def test_buffers_that_are_refused() -> None:
    """Gradients, bfloat16, writing to what is read-only, layouts nobody asked for, recordings."""
    for t, word in (
        (leaf(), "detach"),
        (rv.ones(2).to(rv.bfloat16), "bfloat16"),
    ):
        with pytest.raises(BufferError, match=word):
            memoryview(t)
    fixed = np.ones(2)
    fixed.flags.writeable = False
    t = rv.from_numpy(fixed)
    assert memoryview(t).readonly
    with pytest.raises((BufferError, TypeError)):
        (ctypes.c_char * 16).from_buffer(t)
    with pytest.raises(BufferError, match="contiguous"):
        hashlib.sha256(rv.zeros(2, 4).T[0])
    assert hashlib.sha256(rv.zeros(2)).digest() == hashlib.sha256(bytes(8)).digest()
    assert bytes((ctypes.c_char * 8).from_buffer(rv.zeros(2))) == bytes(8)
    refused = []

    def look(x: Any) -> Any:
        for ask in (memoryview, np.asarray, lambda v: v.__dlpack__(), lambda v: v.tolist()):
            try:
                ask(x)
            except (BufferError, RuntimeError):
                refused.append(ask)
        return x * 2

    rv.Program.record(look, rv.ones(2))
    assert len(refused) == 4


# ---- __array__


@pytest.mark.parametrize("dtype", NUMPY)
def test_arrays_of_every_dtype(dtype: str) -> None:
    """In and out, 0-dimensional too, without a copy."""
    for values in (np.array([[0, 1], [1, 0]], dtype), np.array(1, dtype), np.zeros((0, 2), dtype)):
        t = rv.from_numpy(values)
        assert t.dtype is named(dtype) and t.shape == values.shape
        back = np.asarray(t)
        assert back.dtype == values.dtype and np.array_equal(back, values)
        assert values.size == 0 or np.shares_memory(back, values)
        assert t.tolist() == values.tolist()


def test_dtype_and_copy_of_arrays() -> None:
    """NumPy 2's words: None copies where needed, True always, False never."""
    t = rv.ones(2)
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.shares_memory(t.__array__(), t.numpy())
    assert np.shares_memory(t.__array__(np.float32, copy=False), t.numpy())
    for fresh in (np.array(t), t.__array__(copy=True), t.__array__("f4", copy=True)):
        assert not np.shares_memory(fresh, t.numpy())
    for wide in (np.asarray(t, "f8"), t.__array__(np.float64), np.array(t, "f8", copy=True)):
        assert wide.dtype == np.float64
    for wrong in (lambda: t.__array__("f8", copy=False), lambda: np.asarray(t, "f8", copy=False)):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError, match=r"\.float\(\)"):
        np.asarray(t.to(rv.bfloat16))


def test_gradients_and_arrays() -> None:
    """A sentence with detach(); a single value, such as a loss, is read."""
    w = leaf()
    for ask in (np.asarray, np.mean, np.cbrt, lambda t: t.numpy(), lambda t: np.stack([t, t])):
        with pytest.raises(RuntimeError, match="detach"):
            ask(w)
    assert w.numpy(force=True).tolist() == [1, 2]
    losses = [(w * 2).sum(), rv.tensor(3.0)]
    assert np.asarray(losses).tolist() == [6, 3]
    assert np.asarray(losses[0]).shape == () and float(losses[0]) == 6
    with pytest.raises(RuntimeError, match="detach"):
        np.cbrt(losses[0])  # would lose the gradient unseen


def test_an_array_that_is_resized_or_freed() -> None:
    """NumPy refuses to move memory that a tensor looks at."""
    owner = np.arange(1000.0)
    t = rv.from_numpy(owner)
    for source in (owner, owner[10:20]):
        view = rv.from_numpy(source)
        with pytest.raises(ValueError, match="resize"):
            owner.resize((10**6,), refcheck=False)
        assert view.sum().item() == source.sum()
    del source, owner
    gc.collect()
    assert t.sum().item() == 499500
    again = np.arange(3.0)
    del t, view
    u = rv.from_numpy(again)
    del u
    again.resize((10,), refcheck=False)


# ---- what becomes a tensor


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (3, "int64", ()), (3.5, "float32", ()), (True, "bool", ()), ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)), ([1, 2.5], "float32", (2,)), ([True, 2], "int64", (2,)),
        ([[1], [2]], "int64", (2, 1)), ((1, 2), "int64", (2,)), (range(3), "int64", (3,)),
        (np.float32(3), "float32", ()), (np.float64(3), "float64", ()), (np.int8(3), "int8", ()),
        ([np.float64(1)], "float64", (1,)), ([np.float32(1), 2.0], "float32", (2,)),
        ([np.float16(1)] * 2, "float16", (2,)), ([np.int32(1), np.int32(2)], "int32", (2,)),
        ([np.array([1.0, 2.0])], "float64", (1, 2)), ([np.bool_(True)], "bool", (1,)),
        (array.array("d", [1, 2]), "float64", (2,)), (bytearray(b"ab"), "uint8", (2,)),
        (memoryview(b"ab"), "uint8", (2,)), (np.arange(3, dtype="u2"), "uint16", (3,)),
    ],
)  # fmt: skip
def test_data(data: Any, dtype: str, shape: tuple[int, ...]) -> None:
    """Python's floats are float32, what has a dtype keeps it."""
    for make in (rv.tensor, rv.as_tensor):
        t = make(data)
        assert t.dtype is named(dtype) and t.shape == shape
        assert np.array_equal(t.numpy(), np.asarray(data, dtype))


def test_lists_of_tensors() -> None:
    """Put together as np.array would, in the dtype that takes them all."""
    t = rv.tensor([1.0, 2.0])
    assert rv.tensor([t, t * 2]).tolist() == [[1, 2], [2, 4]]
    mixed = rv.tensor([[t[0], 5], [rv.tensor(7), 0.5]])
    assert mixed.dtype is rv.float32 and mixed.tolist() == [[1, 5], [7, 0.5]]
    assert rv.tensor([rv.tensor(1.0, dtype=rv.float64), 1.0]).dtype is rv.float64
    assert rv.tensor([rv.tensor(1), rv.tensor(2)]).dtype is rv.int64
    assert rv.tensor([leaf()[0], 1]).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="detach"):
        rv.tensor([leaf(), leaf()])
    with pytest.raises(ValueError, match="length"):
        rv.tensor([t, t[:1]])


class Shown:
    """Something that is no array and shows one, as DataFrames and pictures do."""

    def __init__(self, values: Any, by: str) -> None:
        self.values = values
        if by == "interface":
            self.__array_interface__ = values.__array_interface__

    def __getattr__(self, name: str) -> Any:
        if name == "__array__":
            return lambda dtype=None, copy=None: np.asarray(self.values, dtype)
        raise AttributeError(name)


class Frame:
    """As pandas' DataFrame: `__array__` on the class."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.values, dtype)


def test_objects_that_show_an_array() -> None:
    """`__array__` and `__array_interface__`, with their dtype."""
    values = np.arange(6.0).reshape(2, 3)
    picture = Shown(np.arange(6, dtype=np.uint8).reshape(2, 3), "interface")
    assert rv.tensor(Frame(values)).dtype is rv.float64
    assert rv.as_tensor(Frame(values), dtype=rv.float32).tolist() == values.tolist()
    assert rv.tensor(picture).dtype is rv.uint8 and rv.tensor(picture).shape == (2, 3)
    with pytest.raises(TypeError, match="object"):
        rv.tensor(Frame(np.array([["a", 1], ["b", 2]], object)))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([[1, 2], [3]], ValueError, ("lengths 2 and 1", "axis 1")),
        ([[1, 2], 3], ValueError, ("number and a list",)), ([1, [2]], ValueError, ("side by",)),
        ([[[]], 3], ValueError, ("number",)), ([2**63], ValueError, ("int64", str(2**63))),
        ([-1, 2**63], ValueError, ("int64",)), (-(2**63) - 1, ValueError, ("int64",)),
        ("abc", TypeError, ("str",)), (["1"], TypeError, ("astype",)), (None, TypeError, ()),
        ([None], TypeError, ("object",)), ({1, 2}, TypeError, ("set",)),
        (1j, TypeError, (".real",)),
        ({"a": 1}, TypeError, ("dict",)), ((i for i in ()), TypeError, ("generator",)),
        (b"abc", TypeError, ("bytes",)), ([b"a"], TypeError, ()), ([1j, 2], TypeError, (".imag",)),
        (np.array([1 + 2j]), TypeError, (".real",)), (np.array(["a"]), TypeError, ("astype",)),
        (np.array([object()]), TypeError, ("object",)), (object(), TypeError, ("object",)),
        (np.zeros(2, [("x", "f4")]), TypeError, ("field", "['name']")),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, ("datetime64", "int64")),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), TypeError, ("filled",)),
        (np.zeros(2, "longdouble"), TypeError, ("float64",)),
        (np.zeros((1,) * 9), ValueError, ("8", "9")),
    ],
)  # fmt: skip
def test_data_that_is_refused(data: Any, error: type, words: tuple[str, ...]) -> None:
    """What came and what to do."""
    for make in (rv.tensor, rv.as_tensor):
        with pytest.raises(error) as caught:
            make(data)
        assert all(word in str(caught.value) for word in ("[tensor] expected", *words))
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(ValueError, match="8"):
        rv.tensor(deep)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([300], "uint8"), ([-1], "uint8"), ([2**64], "uint64"), ([-1.5], "uint64"),
        ([128], "int8"), ([float("nan")], "int32"), ([float("inf")], "int64"), ([1e300], "int64"),
        (np.array([np.nan]), "int64"), (np.array([np.inf], "f2"), "int8"), ([2.0**63], "int64"),
        ([10**400], "float64"),
    ],
)  # fmt: skip
def test_numbers_out_of_range(data: Any, dtype: str) -> None:
    """Nothing wraps around."""
    with pytest.raises(ValueError, match=dtype):
        rv.tensor(data, dtype=named(dtype))


def test_data_with_a_dtype() -> None:
    """Numbers go there directly: 0.1 as float64 passes through no float32."""
    assert rv.tensor([0.1], dtype=rv.float64).item() == 0.1
    assert rv.tensor([2**64 - 1], dtype=rv.uint64).item() == 2**64 - 1
    assert rv.tensor([2**64 - 1], dtype=rv.uint64).tolist() == [2**64 - 1]
    assert rv.tensor([1.9, -1.9, True], dtype=rv.int8).tolist() == [1, -1, 1]
    assert rv.tensor([0.0, 0.5, float("nan")], dtype=rv.bool).tolist() == [False, True, True]
    assert rv.tensor([[1, 2]], dtype=rv.bfloat16).tolist() == [[1, 2]]
    assert rv.tensor([2.0**62], dtype=rv.int64).item() == 2**62
    assert rv.tensor(np.arange(3), dtype=rv.float16).tolist() == [0, 1, 2]
    halves = (
        np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-8, 5, 13 / 500)[:500]
    )
    got = rv.tensor(halves.tolist(), dtype=rv.float16).numpy()
    with np.errstate(over="ignore"):
        assert np.array_equal(got, halves.astype(np.float16))


def test_layouts_that_are_shared() -> None:
    """Fortran order, steps, repeats; what no tensor can look at is copied."""
    base = np.arange(24.0).reshape(4, 6)
    for shared in (
        np.asfortranarray(base),
        base.T,
        base[::2, 1::2],
        np.broadcast_to(base, (2, 4, 6)),
    ):
        assert np.shares_memory(rv.from_numpy(shared).numpy(), shared)
    for copied in (base[::-1], base.astype(">f8")):
        t = rv.from_numpy(copied)
        assert not np.shares_memory(t.numpy(), copied) and np.array_equal(t.numpy(), copied)
    fixed = base.copy()
    fixed.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        rv.as_tensor(fixed).add_(1)
    rv.tensor(fixed).add_(1)


# ---- ufuncs and functions


def test_ufuncs_run_ops() -> None:
    """Where there is an op the gradient goes through it."""
    w = leaf()
    for call, want in (
        (lambda: np.multiply(w, w), [2, 4]),
        (lambda: np.float64(3) * w, [3, 3]),
        (lambda: np.array([3.0, 4.0], np.float32) * w, [3, 4]),
        (lambda: np.array([[1.0, 2.0]], np.float32) @ w, [1, 2]),
        (lambda: np.maximum(w, 1.5), [0, 1]),
        (lambda: np.subtract(1, w), [-1, -1]),
        (lambda: np.square(w), [2, 4]),
    ):
        w.grad = None
        call().sum().backward()
        assert w.grad.tolist() == want
    assert np.allclose(np.exp(w).detach(), np.exp([1, 2]))
    assert (np.array([1.0, 2.0]) * rv.ones(2)).dtype is rv.float64
    assert (np.ones((2, 2)) @ rv.ones(2)).tolist() == [2, 2]
    assert (np.ones(2, int) @ rv.ones(2)).item() == 2
    assert (np.array([1.0, 5.0]) > rv.tensor([2.0, 2.0])).tolist() == [False, True]
    assert isinstance(np.equal(rv.ones(2), 1), rv.Tensor)


def test_other_ufuncs_compute_on_arrays() -> None:
    """And give tensors."""
    t = rv.tensor([1.0, 8.0])
    assert np.cbrt(t).tolist() == [1, 2] and isinstance(np.cbrt(t), rv.Tensor)
    fraction, whole = np.modf(rv.tensor([1.5, -2.25]))
    assert fraction.tolist() == [0.5, -0.25] and whole.tolist() == [1, -2]
    assert np.add.reduce(t).item() == 9 and np.add.accumulate(t).tolist() == [1, 9]
    assert np.multiply.outer(t, t).tolist() == [[1, 8], [8, 64]]
    assert np.add.reduceat(t, [0]).tolist() == [9]


def test_ufuncs_with_out_and_where() -> None:
    """Tensors that are written to know of it."""
    t, out = rv.tensor([1.0, 2.0]), rv.zeros(2)
    before = out._version()
    assert np.add(t, 1, out=out) is out and out.tolist() == [2, 3]
    assert np.cbrt(t, out=out) is out and out._version() > before
    assert np.add(t, 1, out=rv.zeros(2), where=np.array([True, False])).tolist() == [2, 0]
    plain = np.zeros(2)
    assert np.add(t, 1, out=plain) is plain and plain.tolist() == [2, 3]
    plain += t
    assert plain.tolist() == [3, 5] and type(plain) is np.ndarray
    before = t._version()
    np.add.at(t, [0, 0], 1)
    assert t.tolist() == [3, 2] and t._version() > before
    with pytest.raises(RuntimeError):
        np.add.at(leaf(), [0], 1)
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        np.cbrt(t, out=rv.zeros(2, dtype=rv.int64))


def test_operators_beside_other_arrays() -> None:
    """Another class that answers NumPy itself is asked."""

    class Other:
        def __array_ufunc__(self, *args: Any, **kwargs: Any) -> str:
            return "other"

    assert np.add(rv.ones(1), Other()) == "other"
    masked = np.ma.masked_array([1.0, 2.0], [0, 1])
    with pytest.raises(TypeError, match="filled"):
        rv.ones(2) * masked


def test_functions() -> None:
    """np.mean(t) and its like."""
    t = rv.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.mean(t) == 2.5 and np.sum(t, axis=0).tolist() == [4, 6] and np.argmax(t) == 3
    assert np.concatenate([t, t]).shape == (4, 2) and np.stack((t, t)).shape == (2, 2, 2)
    assert np.allclose(t, t) and np.array_equal(t, t) and np.shape(t) == (2, 2)
    assert np.where(t > 2, t, 0).tolist() == [[0, 0], [3, 4]]
    assert np.linalg.norm(t) == np.linalg.norm(t.numpy())
    np.testing.assert_allclose(t, t.numpy())
    np.testing.assert_array_equal(t, [[1, 2], [3, 4]])
    assert np.arange(5)[rv.tensor([0, 2])].tolist() == [0, 2]
    assert np.arange(2)[rv.tensor([True, False])].tolist() == [0]
    assert np.arange(5)[rv.tensor(3)] == 3


def test_values() -> None:
    """tolist, item, `in`, bytes."""
    assert rv.tensor([[True], [False]]).tolist() == [[True], [False]]
    assert rv.tensor([1.5]).to(rv.bfloat16).tolist() == [1.5]
    assert rv.arange(6).reshape(2, 3).T.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert rv.tensor(2.5).tolist() == 2.5 and rv.zeros(2, 0).tolist() == [[], []]
    assert rv.tensor(2**64 - 1, dtype=rv.uint64).item() == 2**64 - 1
    for t in (rv.tensor([1.0, 2.0]), rv.tensor([1, 2]), rv.tensor([1.0, 2.0]).to(rv.bfloat16)):
        assert 2 in t and 3 not in t and rv.tensor(1) in t
    with pytest.raises(TypeError, match="str"):
        "a" in rv.ones(1)  # noqa: B015


# ---- DLPack, by the libraries


@pytest.mark.parametrize("dtype", NUMPY)
def test_dlpack_with_numpy(dtype: str) -> None:
    """Both directions, sharing memory."""
    values = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    for layout in (values, values.T, values[:, ::2], values[0, 0, None], values[:0]):
        t = rv.from_dlpack(layout)
        assert t.dtype is named(dtype) and np.array_equal(t.numpy(), layout)
        assert layout.size == 0 or t.data_ptr() == layout.ctypes.data
        back = np.from_dlpack(t)
        assert back.dtype == dtype and np.array_equal(back, layout)
        assert layout.size == 0 or np.shares_memory(back, layout)
    alone = np.from_dlpack(rv.arange(5)[1:])
    gc.collect()
    assert alone.tolist() == [1, 2, 3, 4]


def test_dlpack_keeps_memory_alive() -> None:
    """In either direction, for as long as somebody looks, and no longer."""
    values = np.arange(3.0)
    gone = weakref.ref(values)
    t = rv.from_dlpack(values)
    shown = np.from_dlpack(t)
    del values, t
    gc.collect()
    assert gone() is not None and shown.tolist() == [0, 1, 2]
    del shown
    gc.collect()
    assert gone() is None
    values = np.arange(3.0)
    before = sys.getrefcount(values)
    for _ in range(100):
        values.__dlpack__()
        rv.from_dlpack(values.__dlpack__())
        rv.from_numpy(values).__dlpack__()
        np.from_dlpack(rv.from_numpy(values))
        with pytest.raises(TypeError):
            rv.from_dlpack(np.array([1j]))
    gc.collect()
    assert sys.getrefcount(values) == before


def test_dlpack_layouts_and_copies() -> None:
    """Negative strides are copied, read-only stays read-only."""
    values = np.arange(6.0)
    assert rv.from_dlpack(values[::-2]).tolist() == [5, 3, 1]
    with pytest.raises(BufferError, match="copy"):
        rv.from_dlpack(values[::-2], copy=False)
    fresh = rv.from_dlpack(values, copy=True)
    assert fresh.data_ptr() != values.ctypes.data and fresh.tolist() == values.tolist()
    fixed = values.copy()
    fixed.flags.writeable = False
    t = rv.from_dlpack(fixed)
    with pytest.raises(RuntimeError, match="read-only"):
        t.add_(1)
    assert not np.from_dlpack(t).flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        t.__dlpack__()
    odd = np.array([2, 0, 255], np.uint8).view(bool)
    assert rv.from_dlpack(odd).long().tolist() == [1, 0, 1]
    t = rv.ones(2)
    assert rv.from_dlpack(t).data_ptr() == t.data_ptr()
    assert rv.from_dlpack(t.__dlpack__(copy=True)).data_ptr() != t.data_ptr()
    assert t.__dlpack_device__() == (1, 0)


def test_dlpack_that_is_refused() -> None:
    """Gradients, streams, devices, capsules that are none or were used."""
    t = rv.ones(2)
    for call, error, word in (
        (lambda: leaf().__dlpack__(), BufferError, "detach"),
        (lambda: t.__dlpack__(stream=3), RuntimeError, "stream"),
        (lambda: t.__dlpack__(dl_device=(2, 0)), BufferError, r"\(2, 0\)"),
        (lambda: rv.from_dlpack(3), TypeError, "int"),
        (lambda: rv.from_dlpack(t, device="cuda"), ValueError, "cuda"),
    ):
        with pytest.raises(error, match=word):
            call()
    for version in (None, (1, 0), (0, 8)):
        capsule = t.__dlpack__(max_version=version)
        assert rv.from_dlpack(capsule).tolist() == [1, 1]
        with pytest.raises(ValueError, match="nobody has taken"):
            rv.from_dlpack(capsule)


@pytest.mark.parametrize("dtype", [*NUMPY, "bfloat16"])
def test_dlpack_with_pytorch(dtype: str) -> None:
    """Both directions, bfloat16 too."""
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, dtype))
    for source in (theirs, theirs.T, theirs[:, ::2], theirs[0, 0], theirs[:0]):
        for t in (rv.from_dlpack(source), rv.from_dlpack(torch.utils.dlpack.to_dlpack(source))):
            assert t.dtype is named(dtype) and t.tolist() == source.tolist()
            assert source.numel() == 0 or t.data_ptr() == source.data_ptr()
            for back in (torch.from_dlpack(t), torch.utils.dlpack.from_dlpack(t.__dlpack__())):
                assert back.dtype == source.dtype and back.tolist() == source.tolist()
                assert source.numel() == 0 or back.data_ptr() == source.data_ptr()
    assert rv.as_tensor(theirs).data_ptr() == theirs.data_ptr()
    assert rv.tensor(theirs).tolist() == theirs.tolist()
    if dtype != "bfloat16":  # a list is put together by NumPy
        assert rv.tensor([theirs[0, 0], theirs[0, 1]]).tolist() == [0, 1]


# ---- DLPack, by hand


class DLTensor(ctypes.Structure):
    """The public layout."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DESTRUCTOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    """Unversioned."""

    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class ManagedVersioned(ctypes.Structure):
    """Versioned."""

    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", DELETER), ("flags", ctypes.c_uint64), ("tensor", DLTensor),
    ]  # fmt: skip


LENDERS: list[Any] = []  # a tensor that outlives its test still finds the memory


class Lender:
    """Lends four floats (1, 2, 3, 4) in capsules, and counts how often they come back."""

    def __init__(self, versioned: bool = False, **changes: Any) -> None:
        LENDERS.append(self)
        self.memory = np.arange(1, 5, dtype=np.float32)
        self.returned = 0
        self.deleter = DELETER(self.give_back)
        sizes = changes.pop("shape", (4,))
        strides = changes.pop("strides", None)
        many = max(len(sizes), 1)
        self.shape = (ctypes.c_int64 * many)(*sizes)
        self.strides = None if strides is None else (ctypes.c_int64 * many)(*strides)
        self.struct = ManagedVersioned() if versioned else Managed()
        self.struct.deleter = self.deleter
        if versioned:
            self.struct.major = changes.pop("major", 1)
            self.struct.flags = changes.pop("flags", 0)
        fields = {
            "data": self.memory.ctypes.data, "device_type": 1, "ndim": len(sizes), "code": 2,
            "bits": 32, "lanes": 1, "byte_offset": 0, **changes,
        }  # fmt: skip
        for name, value in fields.items():
            setattr(self.struct.tensor, name, value)
        self.struct.tensor.shape = ctypes.cast(self.shape, ctypes.POINTER(ctypes.c_int64))
        if self.strides is not None:
            self.struct.tensor.strides = ctypes.cast(self.strides, ctypes.POINTER(ctypes.c_int64))
        self.name = b"dltensor_versioned" if versioned else b"dltensor"

    def give_back(self, _: Any) -> None:
        self.returned += 1

    def capsule(self) -> Any:
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, DESTRUCTOR]
        return new(ctypes.addressof(self.struct), self.name, DESTRUCTOR())


def taken(lender: Lender, **words: Any) -> Any:
    return rv.from_dlpack(lender.capsule(), **words)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, [1, 2, 3, 4]),
        ({"byte_offset": 4, "shape": (3,)}, [2, 3, 4]),
        ({"shape": (2, 2), "strides": (1, 2)}, [[1, 3], [2, 4]]),
        ({"shape": (2,), "strides": (-1,), "byte_offset": 4}, [2, 1]),
        ({"shape": ()}, 1),
        ({"shape": (0, 3), "data": None}, []),
        ({"shape": (1, 4), "strides": (-99, 1)}, [[1, 2, 3, 4]]),
        ({"shape": (3, 2), "strides": (0, 1)}, [[1, 2]] * 3),
        ({"shape": (2,), "byte_offset": 0, "code": 1, "bits": 8}, [0, 0]),
    ],
)
def test_capsules(versioned: bool, changes: dict[str, Any], want: Any) -> None:
    """Whatever the layout; the deleter is called once, when the last tensor is gone."""
    lender = Lender(versioned, **changes)
    t = taken(lender)
    assert t.tolist() == want
    first = lender.memory.ctypes.data
    shared = first <= t.data_ptr() < first + lender.memory.nbytes
    assert shared == (min(changes.get("strides", (1,))) != -1 and t.numel() > 0)
    view = t.detach()
    del t
    gc.collect()
    assert lender.returned == (0 if shared else 1)
    del view
    gc.collect()
    assert lender.returned == 1


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"device_type": 2}, ValueError, r"\(2, 0\)"),
        ({"device_type": 2, "device_id": 1}, ValueError, r"\(2, 1\)"),
        ({"code": 5, "bits": 64}, TypeError, "complex"),
        ({"lanes": 4}, TypeError, "4 lanes"),
        ({"code": 2, "bits": 8}, TypeError, "float8"),
        ({"code": 77}, TypeError, "77"),
        ({"shape": (1,) * 9}, ValueError, "9"),
        ({"ndim": -1}, ValueError, "-1"),
        ({"shape": (-3,)}, ValueError, "-3"),
        ({"shape": (2**40, 2**40)}, ValueError, "64 bits"),
        ({"data": None}, ValueError, "none"),
    ],
)
def test_capsules_that_are_refused(
    versioned: bool, changes: dict[str, Any], error: type, word: str
) -> None:
    """The capsule stays its maker's, who can still take it back."""
    lender = Lender(versioned, **changes)
    capsule = lender.capsule()
    for _ in range(2):
        with pytest.raises(error, match=word):
            rv.from_dlpack(capsule)
    assert lender.returned == 0
    assert lender.name.decode() in repr(capsule) and "used" not in repr(capsule)


def test_versions_flags_and_strangers() -> None:
    """Version 2, read-only memory, capsules of others, libraries of before 2023."""
    with pytest.raises(BufferError, match="version 2"):
        taken(Lender(True, major=2))
    lender = Lender(True, flags=1)
    t = taken(lender)
    with pytest.raises(RuntimeError, match="read-only"):
        t.add_(1)
    copied = taken(Lender(True), copy=True)
    copied.add_(1)
    lender.name = b"something"
    with pytest.raises(TypeError, match="something"):
        taken(lender)

    class Old:
        def __init__(self, lender: Lender) -> None:
            self.lender = lender

        def __dlpack__(self, stream: Any = None) -> Any:
            return self.lender.capsule()

        def __dlpack_device__(self) -> tuple[int, int]:
            return (self.lender.struct.tensor.device_type, 0)

    lender = Lender()
    t = rv.from_dlpack(Old(lender))
    assert t.tolist() == [1, 2, 3, 4]
    del t
    assert lender.returned == 1
    with pytest.raises(ValueError, match=r"\(2, 0\)"):
        rv.from_dlpack(Old(Lender(device_type=2)))

    class Wrong:
        def __dlpack__(self, **words: Any) -> Any:
            return 3

    with pytest.raises(TypeError, match="capsule"):
        rv.from_dlpack(Wrong())


def test_shape_errors_name_the_op() -> None:
    """In the form of the house."""
    calls: list[Callable[[], Any]] = [
        lambda: _C.from_dlpack(3),
        lambda: rv.from_dlpack(np.array([1j])),
        lambda: rv.tensor([[1], [2, 3]]),
    ]
    for call in calls:
        with pytest.raises(Exception, match=r"\[\w+\] expected .*, got .*; "):
            call()
