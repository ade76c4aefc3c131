"""autograd beyond backward(): hooks, grad, Function, gradcheck, graphs of gradients."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from typing import Any

import pytest

import ranvier as rv
from ranvier import autograd


def leaf(*values: float) -> Any:
    return rv.tensor(values, dtype=rv.float64, requires_grad=True)


class Cube(autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, factor: float = 1.0) -> Any:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x * x * factor

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x * x * 3 * ctx.factor, None


# ---- hooks


def test_hooks_of_leaves_and_results() -> None:
    x = leaf(1.0, 2.0)
    seen = []
    y = x * 2
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    second = y.register_hook(lambda g: g * 3)
    third = x.register_hook(lambda g: g + 1)
    y.sum().backward(retain_graph=True)
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [7, 7]
    for handle in (first, second, third):
        handle.remove()
        handle.remove()
    x.grad = None
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert seen == [[1, 1]]


def test_a_hook_in_a_with_block() -> None:
    x = leaf(1.0)
    with x.register_hook(lambda g: g * 10):
        x.sum().backward()
    x.sum().backward()
    assert x.grad.tolist() == [11]


def test_a_hook_sees_the_sum_of_all_uses() -> None:
    x = leaf(1.0)
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3).sum().backward()
    assert seen == [5]


def test_bad_hooks() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="register_hook"):
        x.detach().register_hook(lambda g: None)
    with pytest.raises(TypeError, match="function"):
        x.register_hook(3)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(rv.ShapeError, match=r"\(2,\).*\(\)"):
        (x * 2).sum().backward()
    y = leaf(1.0)
    y.register_hook(lambda g: "no")
    with pytest.raises(TypeError, match=r"\[hook\].*str"):
        (y * 2).sum().backward()
    z = leaf(1.0)
    z.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (z * 2).sum().backward()
    assert z.grad is None


def test_retain_grad() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad and not x.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [4, 8]
    unused = x * 3
    unused.retain_grad()
    del unused
    (x * 1).sum().backward()
    with pytest.raises(RuntimeError, match="retain_grad"):
        x.detach().retain_grad()


# ---- grad


def test_grad_of_leaves_and_results() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    y = (h * h).sum()
    gx, gh = autograd.grad(y, [x, h], retain_graph=True)
    assert gh.tolist() == [6, 16]
    assert gx.tolist() == [18, 64]
    assert x.grad is None and w.grad is None
    assert autograd.grad(y, (w,))[0].tolist() == [6, 32]


def test_grad_takes_weights_and_several_outputs() -> None:
    x = leaf(1.0, 2.0)
    (g,) = autograd.grad([x * 2, x.sum()], x, [rv.tensor([1.0, 10.0], dtype=rv.float64), None])
    assert g.tolist() == [3, 21]
    with pytest.raises(ValueError, match="2 results, got 1"):
        autograd.grad([x * 2, x * 3], x, [None])
    with pytest.raises(rv.ShapeError, match=r"\(2,\).*\(3,\)"):
        autograd.grad(x * 2, x, rv.ones(3, dtype=rv.float64))


def test_grad_of_what_is_not_used() -> None:
    x, z = leaf(1.0), leaf(5.0)
    y = (x * 2).sum()
    with pytest.raises(RuntimeError, match=r"input 1.*allow_unused"):
        autograd.grad(y, [x, z], retain_graph=True)
    assert autograd.grad(y, [x, z], retain_graph=True, allow_unused=True)[1] is None
    assert autograd.grad(y, [x, z], materialize_grads=True)[1].tolist() == [0]


def test_grad_refusals() -> None:
    x = leaf(1.0, 2.0)
    plain = rv.ones(2)
    with pytest.raises(RuntimeError, match="requires_grad"):
        autograd.grad((x * 2).sum(), plain)
    with pytest.raises(RuntimeError, match="graph"):
        autograd.grad(plain.sum(), x)
    with pytest.raises(RuntimeError, match="one element"):
        autograd.grad(x * 2, x)
    with pytest.raises(TypeError, match="tensors"):
        autograd.grad(3.0, x)
    with pytest.raises(ValueError, match="is_grads_batched"):
        autograd.grad((x * 2).sum(), x, is_grads_batched=True)
    y = (x * x).sum()
    autograd.grad(y, x)
    with pytest.raises(RuntimeError, match="retain_graph"):
        autograd.grad(y, x)


def test_only_the_path_to_the_inputs_is_walked() -> None:
    class Never(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise AssertionError("not on the way")

    x, z = leaf(1.0), leaf(2.0)
    y = x * 2 + Never.apply(z)
    assert autograd.grad(y.sum(), x)[0].tolist() == [2]


def test_backward_of_several_results_into_chosen_inputs() -> None:
    x, w = leaf(1.0), leaf(2.0)
    autograd.backward([x * w, w * 3], inputs=[w])
    assert w.grad.tolist() == [4]
    assert x.grad is None
    (x * w).backward(inputs=[x])
    assert x.grad.tolist() == [2] and w.grad.tolist() == [4]


def test_gradients_have_a_graph_on_request() -> None:
    x = leaf(3.0)
    (first,) = autograd.grad(x @ x, x, create_graph=True)
    assert first.requires_grad
    assert autograd.grad(first, x)[0].tolist() == [2]
    (plain,) = autograd.grad(x @ x, x)
    assert not plain.requires_grad


def test_the_modes() -> None:
    x = leaf(1.0)
    with rv.inference_mode():
        assert not (x * 2).requires_grad
        with rv.enable_grad():
            assert (x * 2).requires_grad

    @rv.inference_mode()
    def plain(t: Any) -> Any:
        return t * 2

    @rv.inference_mode
    def bare(t: Any) -> Any:
        return t * 2

    assert not plain(x).requires_grad and not bare(x).requires_grad
    with rv.inference_mode(False):
        assert (x * 2).requires_grad


def test_nothing_under_no_grad_has_a_graph() -> None:
    x = leaf(1.0)
    with rv.no_grad():
        y = (x * 2).sum()
        with pytest.raises(RuntimeError, match="requires_grad"):
            y.backward()
    with pytest.raises(RuntimeError, match="floating"):
        rv.ones(2, dtype=rv.int64).requires_grad_()


def test_grad_fn_names_the_op() -> None:
    x = leaf(1.0)
    y = (x * 2).sum()
    assert y.grad_fn.name() == "sum"
    ((parent, _),) = y.grad_fn.next
    assert parent.name() == "mul"
    assert parent.next[0][0] is x
    assert x.grad_fn is None


def test_variable() -> None:
    x = autograd.Variable(rv.ones(2), requires_grad=True)
    assert x.requires_grad
    with pytest.raises(TypeError, match="tensor"):
        autograd.Variable([1.0])


# ---- Function


def test_function() -> None:
    x = leaf(1.0, 2.0)
    y = Cube.apply(x, 2.0)
    assert y.grad_fn.name() == "Cube"
    y.sum().backward()
    assert x.grad.tolist() == [6, 24]
    assert autograd.gradcheck(Cube.apply, x)
    assert not Cube.apply(x.detach()).requires_grad
    with rv.no_grad():
        assert not Cube.apply(x).requires_grad
    with pytest.raises(RuntimeError, match="apply"):
        Cube()


def test_function_with_setup_context_and_several_results() -> None:
    class Both(autograd.Function):
        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x * y, x + y, (x > 1)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.mark_non_differentiable(output[2])

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any, unused: Any) -> Any:
            _x, y = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            assert h.tolist() == [0, 0]  # nothing came: zeros
            return g * y + h, None

    x, y = leaf(1.0, 2.0), rv.tensor([3.0, 4.0], dtype=rv.float64)
    product, total, mask = Both.apply(x, y)
    assert total.requires_grad and not mask.requires_grad
    product.sum().backward()
    assert x.grad.tolist() == [3, 4]


def test_function_that_saves_its_result_is_freed() -> None:
    class Exp(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (y,) = ctx.saved_tensors
            freed.append(weakref.ref(ctx))
            return g * y

    freed: list[Any] = []
    x = leaf(0.0)
    y = Exp.apply(x)
    y.sum().backward()
    assert x.grad.tolist() == [1]
    del y
    gc.collect()
    assert freed[0]() is None


def test_function_notices_changed_inputs() -> None:
    x = leaf(1.0)
    y = x * 2
    z = Cube.apply(y)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"Cube.*changed in place"):
        z.sum().backward()


def test_function_in_place() -> None:
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = leaf(1.0)
    y = x * 3
    z = Double.apply(y)
    assert z is y
    z.sum().backward()
    assert x.grad.tolist() == [6]
    with pytest.raises(RuntimeError, match="leaf"):
        Double.apply(x)


def test_function_mistakes() -> None:
    class Short(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x * y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    class Wrong(Short):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.sum(), "x"

    class Lost(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"Short.*expected 2.*got 1"):
        Short.apply(x, 2.0).sum().backward()
    with pytest.raises((TypeError, rv.ShapeError), match=r"\(2,\)|str"):
        Wrong.apply(x, x).sum().backward()
    with pytest.raises(TypeError, match="backward"):
        Lost.apply(x).sum().backward()
    with pytest.raises(TypeError, match="save_for_backward"):
        autograd.function.FunctionCtx(()).save_for_backward(3)


def test_function_identity() -> None:
    class Same(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 10

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [10]


# ---- gradcheck


def test_gradcheck_finds_a_wrong_gradient() -> None:
    class Wrong(Cube):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * x, None

    x = leaf(0.5, 2.0)
    with pytest.raises(autograd.GradcheckError, match="central"):
        autograd.gradcheck(Wrong.apply, x)
    assert not autograd.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(ValueError, match="requires a gradient"):
        autograd.gradcheck(Cube.apply, x.detach())
    assert x.tolist() == [0.5, 2.0] and x.grad is None


def test_gradcheck_of_several_inputs_and_results() -> None:
    x, w = leaf(0.5, 2.0), leaf(1.5, -1.0)
    assert autograd.gradcheck(lambda a, b: (a * b, a @ b), (x, w))


# ---- odds and ends


def test_gradients_from_many_threads() -> None:
    """Each thread has its own graph over shared, unchanged leaves."""
    w = leaf(1.0, 2.0, 3.0)
    errors = []

    def work() -> None:
        try:
            for _ in range(200):
                (g,) = autograd.grad((w * w).sum(), w)
                assert g.tolist() == [2, 4, 6]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert w.grad is None


def test_a_deep_graph_of_functions() -> None:
    x = y = leaf(1.0)
    for _ in range(300):
        y = Cube.apply(y)
    y.sum().backward()
    assert x.grad.item() == pytest.approx(3.0**300)


def test_a_copied_leaf_keeps_its_gradient_apart() -> None:
    x = leaf(1.0)
    x.sum().backward()
    y = copy.deepcopy(x)
    y.sum().backward()
    assert x.grad.tolist() == [1] and y.grad.tolist() == [2]


def test_expanded_view_of_a_changed_base_adds_up() -> None:
    """Each element of the base has the sum of the gradients of all places that show it."""
    x, base = rv.tensor([1.0, 2.0], requires_grad=True), rv.ones(2)
    view = base.expand(3, 2)
    base.add_(x)
    view.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_overlapping_view_of_a_changed_base_adds_up() -> None:
    """Windows that share elements, as `unfold` gives."""
    x, base = rv.ones(5, requires_grad=True), rv.ones(5)
    windows = base.unfold(0, 3, 1)
    base.mul_(x)
    windows.sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_of_a_function_fit_its_inputs(create_graph: bool) -> None:
    """Summed where they broadcast, in the dtype of the input, refused otherwise; as in PyTorch."""

    class Given(rv.autograd.Function):
        answer = rv.ones(1)

        @staticmethod
        def forward(ctx: Any, x: rv.Tensor) -> rv.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: rv.Tensor) -> rv.Tensor:
            return Given.answer

    for Given.answer, wanted in (
        (rv.ones(4, 3, dtype=rv.float64), [[4.0, 4.0, 4.0]]),
        (rv.full((1, 3), 0.5, dtype=rv.float16), [[0.5, 0.5, 0.5]]),
    ):
        x = rv.zeros(1, 3, requires_grad=True)
        Given.apply(x).sum().backward(create_graph=create_graph)
        assert x.grad is not None and x.grad.dtype is rv.float32 and x.grad.tolist() == wanted
    for Given.answer, words in (
        (rv.tensor(1.0), r"\[Given\] backward: expected a gradient of shape \(1, 3\).* got \(\)"),
        (rv.ones(3), r"got \(3,\)"),
        (rv.ones(1, 3).long(), "expected a gradient of dtype float32, got int64"),
    ):
        x = rv.zeros(1, 3, requires_grad=True)
        with pytest.raises((rv.ShapeError, TypeError), match=words):
            Given.apply(x).sum().backward(create_graph=create_graph)
        assert x.grad is None
