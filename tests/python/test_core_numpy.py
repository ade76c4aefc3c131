"""The core and NumPy: memory that both see, odd arrays; and states, settings, dtypes."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ranvier import _C

FAST = os.environ.get("RANVIER_CHECK_FAST") == "1"
f32, f64, i64 = _C.float32, _C.float64, _C.int64


def leaf(*values: float) -> Any:
    return _C.as_tensor(list(values)).requires_grad_(True)


# ---- NumPy


def test_read_only_arrays_are_not_written_to() -> None:
    """Shared, but every way to write raises."""
    array = np.ones(4, np.float32)
    array.flags.writeable = False
    t = _C.from_numpy(array)
    one, lr = _C.full((4,), 1.0, f32), _C.full((), 0.1, f64)
    writes: tuple[Callable[[], Any], ...] = (
        lambda: t.add_(one),
        lambda: t.fill_(2.0),
        lambda: t.copy_(one),
        lambda: t.exp_(),
        lambda: t.__setitem__(0, 2.0),
        lambda: t[1:].add_(1.0),
        lambda: t.reshape(2, 2).fill_(0.0),
        lambda: t.detach().fill_(0.0),
        lambda: _C.ops.sgd_update(t, one, lr),
    )
    for write in writes:
        with pytest.raises(RuntimeError, match="read-only"):
            write()
    assert not t.numpy().flags.writeable
    assert array.tolist() == [1, 1, 1, 1]
    t.clone().add_(1.0)


def test_memory_is_shared_and_kept_alive() -> None:
    """from_numpy holds its array, numpy() its tensor; copies are copies."""
    array = np.arange(1000.0)
    alive = weakref.ref(array)
    t = _C.from_numpy(array)
    array[0] = 5
    assert t[0].item() == 5
    view = t[10:20]
    back = t.numpy()
    back[1] = 6
    assert array[1] == 6
    del array, t
    gc.collect()
    assert alive() is not None
    assert view.sum().item() == sum(range(10, 20))
    del view
    gc.collect()
    assert alive() is not None, "the NumPy view still shows it"
    del back
    gc.collect()
    assert alive() is None
    own = np.zeros(3)
    copied = _C.copy_of_array(own)
    own[:] = 1
    assert copied.sum().item() == 0


@pytest.mark.parametrize(
    "layout",
    [
        "negative",
        "fortran",
        "big-endian",
        "misaligned",
        "field",
        "overlapping",
        "empty",
        "zero-dim",
        "bool bytes",
        "subclass",
    ],
)
def test_odd_arrays(layout: str) -> None:
    """Any layout that NumPy can make gives the same numbers."""
    base = np.arange(60.0).reshape(5, 12)
    raw = np.zeros(60 * 8 + 3, np.uint8)
    raw[3:] = base.view(np.uint8).ravel()
    record = np.zeros(7, np.dtype([("a", np.uint8), ("x", np.float64), ("b", np.int32)]))
    record["x"] = np.arange(7.0)
    array = {
        "negative": base[::-1, ::-2],
        "fortran": np.asfortranarray(base),
        "big-endian": base.astype(">f8"),
        "misaligned": raw[3:].view(np.float64),
        "field": record["x"],
        "overlapping": np.lib.stride_tricks.sliding_window_view(np.arange(9.0), 4),
        "empty": np.zeros((0, 4))[::-1],
        "zero-dim": np.array(3.5),
        "bool bytes": np.array([2, 255, 0, 1], np.uint8).view(bool),
        "subclass": np.ma.masked_array(base),
    }[layout]
    t = _C.from_numpy(array)
    assert t.shape == array.shape
    want = np.asarray(array)
    assert np.array_equal(t.numpy(), want)
    assert t.sum().item() == want.sum()
    assert np.array_equal(_C.ops.eq(t, t).numpy(), want == want)
    assert np.array_equal((t * 2).numpy(), want * 2)


@pytest.mark.parametrize("dtype", ["complex64", "O", "U3", "M8[s]", "longdouble"])
def test_unknown_dtypes(dtype: str) -> None:
    """A TypeError that names the dtype and what to do."""
    with pytest.raises(TypeError, match="expected"):
        _C.from_numpy(np.zeros(3, dtype))


@pytest.mark.parametrize(
    "data", [[[1, 2], [3]], ["a"], [None], {"a": 1}, object(), [1j], b"xyz", [2**64], [[[]], 3]]
)
def test_data_that_is_no_tensor(data: Any) -> None:
    """Ragged lists, text, None, huge integers: TypeError or ValueError."""
    with pytest.raises((TypeError, ValueError)):
        _C.as_tensor(data)


def test_numbers_that_do_not_fit() -> None:
    """Nothing wraps around silently."""
    small = _C.zeros((2,), _C.uint8)
    for value in (300, -1, 2**80):
        with pytest.raises((ValueError, OverflowError)):
            small + value
        with pytest.raises((ValueError, OverflowError)):
            small.fill_(value)
        with pytest.raises((ValueError, OverflowError)):
            _C.full((2,), value, _C.uint8)
    whole = _C.as_tensor([2**53 + 1])
    for make in (lambda: whole.clone().fill_(2**53 + 1), lambda: _C.full((1,), 2**53 + 1, i64)):
        try:
            assert make().item() == 2**53 + 1
        except ValueError as e:
            assert "9007199254740993" in str(e)  # an attribute is a float64: said, not rounded
    assert (whole + (2**62 - 1)).item() == 2**53 + 2**62
    assert _C.ops.add(_C.as_tensor([2**63 - 1]), 1).item() == -(2**63), "as NumPy"


def test_conversions_to_integers() -> None:
    """NaN and values out of range have a defined result: NumPy's on x86."""
    values = np.array([np.nan, 3e9, -3e9, np.inf, -np.inf, 1.9, -1.9, 2.0**31, -(2.0**31)])
    with np.errstate(invalid="ignore"):
        got = _C.ops.cast(_C.from_numpy(values), _C.int32).numpy()
        assert got.tolist() == [-(2**31)] * 5 + [1, -1] + [-(2**31)] * 2
        big = _C.ops.cast(_C.from_numpy(values * 1e10), i64).numpy()
        assert big[:5].tolist() == [-(2**63)] * 5
    assert _C.ops.cast(_C.from_numpy(values), _C.bool_).numpy().all()


def test_item_of_several() -> None:
    """One element or an error."""
    for shape in ((2,), (0,), (1, 2)):
        with pytest.raises((RuntimeError, ValueError), match=r"\[item\]"):
            _C.zeros(shape, f32).item()
    assert _C.full((1, 1), 2.5, f32).item() == 2.5
    assert _C.full((), True, _C.bool_).item() is True
    with pytest.raises(RuntimeError, match="detach"):
        leaf(1.0).numpy()


def test_writing_to_expanded_memory() -> None:
    """One place for several elements cannot be written to; empty tensors always can."""
    z, rate = _C.zeros((1,), f32), _C.full((), 1.0, f64)
    for write in (
        lambda: z.expand(9).add_(_C.full((9,), 1.0, f32)),
        lambda: z.expand(9).fill_(1.0),
        lambda: _C.ops.sgd_update(z.expand(9), _C.zeros((9,), f32), rate),
    ):
        with pytest.raises(RuntimeError, match=r"expanded|memory"):
            write()
    assert z.item() == 0
    _C.zeros((1, 3), f32).expand(0, 3).fill_(1.0)
    _C.zeros((1,), f32).expand(1).fill_(1.0)


# ---- states, settings, dtypes


def test_generator_states_must_be_packed() -> None:
    """A state of other strides is refused or honoured; nothing beyond it is written."""
    owner = np.zeros((2, 3), np.int64)
    try:
        _C.ops.uniform(_C.from_numpy(owner[:, 0]), [8])
        assert owner.tolist() == [[0, 0, 0], [2, 0, 0]]
    except ValueError:
        assert not owner.any()
    single = np.zeros(1, np.int64)
    with pytest.raises((ValueError, RuntimeError)):
        _C.ops.uniform(_C.from_numpy(single).expand(2), [8])
    assert single[0] == 0


def test_settings_are_checked() -> None:
    """Threads, instruction sets."""
    for n in (0, -1):
        with pytest.raises(ValueError, match="thread"):
            _C.set_num_threads(n)
    with pytest.raises(ValueError, match=r"base.*'sse9'"):
        _C.set_isa("sse9")
    _C.set_num_threads(10**6)
    assert _C.ops.exp(_C.zeros((10,), f32)).sum().item() == 10


def test_dtypes_and_ops_survive_pickle() -> None:
    """As copy and multiprocessing need."""
    assert pickle.loads(pickle.dumps(f32)) is f32
    assert copy.deepcopy({"d": i64})["d"] is i64
    assert re.search("float32", repr(f32))
    assert f32.itemsize == 4 and f64.is_floating_point and not i64.is_floating_point
