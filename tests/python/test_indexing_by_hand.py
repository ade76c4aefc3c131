"""Indexing and assignment, expression by expression: what must hold and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

# ---- by hand


def test_views_and_copies() -> None:
    """Integers, slices, None and ... look at the same memory; lists and masks do not."""
    t = rv.zeros(3, 4)
    for view in (t[0], t[1:], t[:, 1], t[None], t[...], t[:], t[()], t[..., None, 0]):
        assert view is not t
        assert np.shares_memory(view.numpy(), t.numpy())
    for copy in (t[[0]], t[t == 0], t[True], t[rv.tensor([0, 1]), 1]):
        assert not np.shares_memory(copy.numpy(), t.numpy())
    assert not rv.tensor(1.0)[...].numpy().shape


def test_the_last_of_several_values_stays() -> None:
    """In the order of the indices; accumulate adds all of them."""
    t = rv.zeros(3)
    t[[0, 1, 0]] = rv.tensor([1.0, 2.0, 3.0])
    assert t.tolist() == [3, 2, 0]
    t.index_put_((rv.tensor([2, 2, 2]),), rv.tensor([1.0, 2.0, 3.0]), accumulate=True)
    assert t.tolist() == [3, 2, 6]
    big = rv.zeros(10, 300)
    rows = np.random.default_rng(0).integers(0, 10, 5000)
    values = np.random.default_rng(1).standard_normal((5000, 300)).astype(np.float32)
    want = np.zeros((10, 300), np.float32)
    for row, value in zip(rows, values, strict=True):
        want[row] = value
    big[rows] = values
    assert np.array_equal(big.numpy(), want)


def test_overlapping_sides() -> None:
    """What is assigned is read before anything is written."""
    t = rv.arange(6)
    t[1:] = t[:-1]
    assert t.tolist() == [0, 0, 1, 2, 3, 4]
    t[[0, 1, 2]] = t[[2, 1, 0]]
    assert t.tolist() == [1, 0, 0, 2, 3, 4]
    t[t] = 7  # the indices are the memory that is written
    assert t.tolist() == [7, 7, 7, 7, 7, 4]
    m = rv.arange(4).reshape(2, 2)
    m[:] = m.T
    assert m.tolist() == [[0, 2], [1, 3]]


def test_assigning_a_view_to_itself_is_free() -> None:
    """`t[:, 1:] *= 2` changes once."""
    t = rv.ones(2, 3)
    view = t[:, 1:]
    before = t._version()
    t[:, 1:] = view
    assert t._version() == before
    t[:, 1:] *= 2
    assert t._version() == before + 1 and t.tolist() == [[1, 2, 2]] * 2
    t[t > 1] += 1
    assert t.tolist() == [[1, 3, 3]] * 2


def test_values_of_other_kinds() -> None:
    """Lists go to the target's dtype directly; numbers must fit; floats are cut for integers."""
    wide = rv.zeros(2, dtype=rv.float64)
    wide[:] = [0.1, 0.2]
    assert wide.tolist() == [0.1, 0.2]
    wide[[0]] = 0.3
    assert wide[0].item() == 0.3
    whole = rv.zeros(2, dtype=rv.int64)
    whole[0], whole[[1]] = 1.7, 2**62 + 1
    assert whole.tolist() == [1, 2**62 + 1]
    whole[:] = rv.tensor([1.9, -1.9])
    assert whole.tolist() == [1, -1]
    small = rv.zeros(2, dtype=rv.uint8)
    for wrong in (300, -1, 2**70, float("nan")):
        for key in (0, [0], slice(None)):
            with pytest.raises(ValueError):
                small[key] = wrong
    for wrong in ("a", None, 1j, object()):
        with pytest.raises(TypeError):
            small[0] = wrong
    with pytest.raises(TypeError, match="delete"):
        del small[0]
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    for key in (0, [0], rv.tensor([True, False])):
        with pytest.raises(RuntimeError, match="read-only"):
            rv.from_numpy(fixed)[key] = 1


def test_every_dtype_is_indexed() -> None:
    """Those that are only stored, too."""
    for dtype in (rv.bfloat16, rv.float16, rv.uint16, rv.uint32, rv.uint64, rv.int8, rv.bool):
        t = rv.tensor([[0, 1], [1, 0]], dtype=dtype)
        assert t[[1, 0], 0].tolist() == [1, 0]
        assert t[rv.tensor([True, False])].tolist() == [[0, 1]]
        t[0] = 1
        t[[1], [1]] = 1
        t[rv.tensor([False, True]), 0] = t[1, 1]
        assert t.tolist() == [[1, 1], [1, 1]]
    for dtype in (rv.int8, rv.int16, rv.int32, rv.uint8, rv.uint16, rv.uint32):
        assert rv.arange(3)[rv.tensor([2, 0], dtype=dtype)].tolist() == [2, 0]
        assert rv.arange(3)[rv.tensor(2, dtype=dtype)].item() == 2


def test_an_integer_before_a_list() -> None:
    """The listed difference: as in PyTorch, not as in NumPy."""
    x = rv.arange(24).reshape(2, 3, 4)
    assert x[0, :, [1, 2]].shape == (3, 2)
    assert x.numpy()[0, :, [1, 2]].shape == (2, 3)
    assert x[[0, 1], :, [0, 1]].shape == x.numpy()[[0, 1], :, [0, 1]].shape == (2, 3)


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (5, IndexError, ("axis 0", "size 2", "5", "(2, 3, 4)")),
        ((0, -4), IndexError, ("axis 1", "size 3", "-4")),
        ((None, 0, 7), IndexError, ("axis 1", "7")),
        ([0, 9], IndexError, ("axis 0", "size 2", "9")),
        ((slice(None), [[0, -9]]), IndexError, ("axis 1", "-9")),
        ((0, 0, 0, 0), IndexError, ("at most 3", "(2, 3, 4)", "4")),
        ((..., ...), IndexError, ("'...'",)),
        (1.5, IndexError, ("1.5",)), ("a", IndexError, ("'a'",)), ({1}, IndexError, ("{1}",)),
        ([0.5], IndexError, ("float32",)), (2**70, IndexError, ("64 bits",)),
        (np.zeros(3, bool), IndexError, ("(3,)", "(2, 3, 4)", "axes from 0")),
        ((0, np.zeros((3, 5), bool)), IndexError, ("(3, 5)", "(2, 3, 4)", "axes from 1")),
        (([0, 1], [0, 1, 2]), IndexError, ("(2,)", "(3,)")),
        (slice(None, None, -1), ValueError, ("step", "-1", "flip")),
        (slice(None, None, 0), ValueError, ("step",)), (slice(0.0, 1), TypeError, ("__index__",)),
    ],
)  # fmt: skip
def test_what_is_refused(index: Any, error: type, words: tuple[str, ...]) -> None:
    """Axis, size, index, shapes; for reading and for writing; and nothing is changed."""
    x = rv.arange(24.0).reshape(2, 3, 4)
    for call in (lambda: x[index], lambda: x.__setitem__(index, 0.0)):
        with pytest.raises(error) as caught:
            call()
        assert all(word in str(caught.value) for word in words), caught.value
    assert x.sum().item() == 276
    for value in (rv.ones(5), np.ones((2, 3))):
        for key, shape in ((0, "(3, 4)"), ([0], "(1, 3, 4)"), (x > 20, "(3,)")):
            with pytest.raises(_C.ShapeError) as caught:
                x[key] = value
            assert shape in str(caught.value) and str(value.shape)[-3:] in str(caught.value)


def test_length_and_iteration() -> None:
    """Rows one after another; a single value has none."""
    x = rv.arange(6).reshape(3, 2)
    assert len(x) == 3 and [r.tolist() for r in x] == x.tolist()
    assert [r.tolist() for r in reversed(x)] == x.tolist()[::-1]
    _, _, c = x
    assert c.tolist() == [4, 5] and list(x[:0]) == []
    one = rv.tensor(1.0)
    for ask in (len, iter, list, lambda t: t[0]):
        with pytest.raises((TypeError, IndexError)):
            ask(one)
    w = rv.ones(3, 2, requires_grad=True)
    sum((i + 1) * row.sum() for i, row in enumerate(w)).backward()
    assert w.grad.tolist() == [[1, 1], [2, 2], [3, 3]]

    class Half(rv.Tensor):
        def __getitem__(self, index: Any) -> Any:
            return super().__getitem__(index) / 2

    assert [v.item() for v in Half([2.0, 4.0])] == [1, 2]


def test_recordings_index_without_values() -> None:
    """Lists and tensors of integers are taken anew at each replay; a mask would be frozen."""
    x, i = rv.arange(6.0).reshape(3, 2), rv.tensor([2, 0])
    program = rv.Program.record(lambda a, b: a[b, 1] + a[b[0]].sum(), x, i)
    assert program.first.tolist() == [14, 10]
    assert program.replay(x * 2, rv.tensor([1, 1])).tolist() == [16, 16]
    with pytest.raises(RuntimeError, match="mask"):
        rv.Program.record(lambda a: a[a > 1], x)
