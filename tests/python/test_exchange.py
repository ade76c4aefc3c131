"""Memory and values that cross between tensors and others: buffers, arrays, ufuncs.

DLPack has a file of its own, test_dlpack.py.
"""

from __future__ import annotations

import array
import ctypes
import gc
import hashlib
from typing import Any

import numpy as np
import pytest

import ranvier as rv

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
