"""DLPack both ways: with NumPy, with PyTorch where it is installed, and by hand.

Capsules are made with ctypes, so that everything a foreign library may send is tried, and every
deleter is counted.
"""

from __future__ import annotations

import ctypes
import gc
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
