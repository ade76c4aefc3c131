"""Gradients: what backward computes, when it refuses, and how it is switched off."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import ranvier as rv


def leaf(values, dtype=rv.float64):
    return rv.tensor(values, dtype=dtype, requires_grad=True)


# --- what comes out -----------------------------------------------------------------------------


def test_gradient_of_a_product_and_a_sum():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a * b + a).sum().backward()
    assert a.grad.tolist() == [4, 5] and b.grad.tolist() == [1, 2]
    assert a.is_leaf and not (a * b).is_leaf and (a * b).requires_grad


def test_a_tensor_used_twice_gets_both_parts():
    a = leaf([2.0])
    b = a * a
    (b * b + b).sum().backward()
    assert a.grad.item() == 4 * 2**3 + 2 * 2


def test_gradients_add_up_until_they_are_cleared():
    a = leaf([1.0])
    for expected in (2, 4):
        (a * 2).sum().backward()
        assert a.grad.item() == expected
    a.grad = None
    (a * 2).sum().backward()
    assert a.grad.item() == 2


def test_grad_is_the_same_object_every_time():
    a = leaf([1.0])
    assert a.grad is None
    (a * 2).sum().backward()
    assert a.grad is a.grad


def test_broadcasting_sums_the_gradient_back():
    a, b = leaf(np.ones((3, 1))), leaf(np.ones(4))
    (a * b).sum().backward()
    assert a.grad.tolist() == [[4], [4], [4]] and b.grad.tolist() == [3, 3, 3, 3]


def test_gradients_flow_through_views_and_indexing():
    a = leaf(np.arange(6.0).reshape(2, 3))
    (a.T[1:, 0] * rv.tensor([1.0, 2.0], dtype=rv.float64)).sum().backward()
    assert a.grad.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_backward_takes_the_gradient_of_a_result_with_several_elements():
    a = leaf([1.0, 2.0])
    (a * 3).backward(rv.tensor([1.0, 10.0], dtype=rv.float64))
    assert a.grad.tolist() == [3, 30]


def test_detach_stops_the_gradient():
    a = leaf([3.0])
    (a.detach() * a).sum().backward()
    assert a.grad.item() == 3
    assert a.detach().data_ptr() == a.data_ptr()
    b = a * 2
    assert not b.detach_().requires_grad and b.is_leaf
    assert not a.detach_().requires_grad


def test_a_deep_graph_is_freed_without_recursion():
    x = a = leaf([1.0])
    for _ in range(100_000):
        x = x + 0.0
    x.sum().backward()
    assert a.grad.item() == 1


# --- when backward refuses ----------------------------------------------------------------------


def test_backward_twice():
    a = leaf([1.0])
    loss = (a * a).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        loss.backward()
    assert a.grad.item() == 2
    again = (a * a).sum()
    again.backward(retain_graph=True)
    again.backward()
    assert a.grad.item() == 6


def test_backward_of_something_that_is_no_number():
    a = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"\(2,\)"):
        (a * 2).backward()
    assert a.grad is None
    with pytest.raises(rv.ShapeError):
        (a * 2).backward(rv.ones(3, dtype=rv.float64))


def test_backward_without_anything_to_learn():
    with pytest.raises(RuntimeError, match="requires"):
        rv.ones(1).sum().backward()


def test_a_value_that_backward_needs_must_not_change():
    a = leaf([1.0, 2.0])
    b = a * 2
    loss = (b * b).sum()
    with rv.no_grad():
        b.detach().add_(1)
    with pytest.raises(RuntimeError, match="change"):
        loss.backward()


def test_gradients_must_fit():
    a = leaf([1.0, 2.0])
    with pytest.raises(rv.ShapeError):
        a.grad = rv.ones(3, dtype=rv.float64)
    with pytest.raises(TypeError):
        a.grad = 1.0


# --- switching off ------------------------------------------------------------------------------


def test_no_grad_and_enable_grad():
    a = leaf([1.0])
    with rv.no_grad():
        assert not (a * 2).requires_grad and not rv.is_grad_enabled()
        with rv.enable_grad():
            assert (a * 2).requires_grad
        assert not rv.is_grad_enabled()
    assert rv.is_grad_enabled()


def test_the_mode_comes_back_after_an_error():
    with pytest.raises(KeyError), rv.no_grad():
        raise KeyError
    assert rv.is_grad_enabled()


def test_one_object_may_be_entered_twice():
    off = rv.no_grad()
    with off, rv.enable_grad(), off:
        assert not rv.is_grad_enabled()
    assert rv.is_grad_enabled()


def test_set_grad_enabled_holds_from_the_call_on():
    rv.set_grad_enabled(False)
    assert not rv.is_grad_enabled()
    with rv.set_grad_enabled(True):
        assert rv.is_grad_enabled()
    assert not rv.is_grad_enabled()
    rv.set_grad_enabled(True)
    with pytest.raises(TypeError, match="mode"):
        rv.set_grad_enabled(1)


def test_decorators():
    @rv.no_grad()
    def with_brackets(flag=1):
        "its text"
        return flag, rv.is_grad_enabled()

    @rv.no_grad
    def without_brackets():
        return rv.is_grad_enabled()

    @rv.set_grad_enabled(False)
    def by_value():
        return rv.is_grad_enabled()

    assert rv.is_grad_enabled()
    assert with_brackets(flag=2) == (2, False) and with_brackets.__doc__ == "its text"
    assert not without_brackets() and not by_value()
    assert rv.is_grad_enabled()


def test_a_decorated_generator_leaves_the_callers_mode_alone():
    @rv.no_grad()
    def steps():
        try:
            sent = yield rv.is_grad_enabled()
            yield sent, rv.is_grad_enabled()
        except KeyError:
            yield "caught", rv.is_grad_enabled()
        return 5

    g = steps()
    assert next(g) is False and rv.is_grad_enabled()
    assert g.send("x") == ("x", False) and rv.is_grad_enabled()
    assert g.throw(KeyError()) == ("caught", False) and rv.is_grad_enabled()
    with pytest.raises(StopIteration) as end:
        next(g)
    assert end.value.value == 5


def test_the_mode_belongs_to_the_thread():
    seen = []
    with rv.no_grad():
        thread = threading.Thread(target=lambda: seen.append(rv.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]
