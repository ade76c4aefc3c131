"""L-BFGS: steps that learn the curvature from the gradients before. Composed of ops.

Nocedal and Wright, "Numerical optimization", 2nd edition, 2006, algorithm 7.4. It reads numbers
to decide how to go on, so that no step of it can be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ranvier import _C
from ranvier._C import Tensor, ops
from ranvier._grad import enable_grad, no_grad
from ranvier.optim.groups import COUNT, NOT_NEGATIVE, Rule
from ranvier.optim.line_search import Point, strong_wolfe
from ranvier.optim.optimizer import Closure, Optimizer

_LEAST_CURVATURE = 1e-10  # pairs below it would spoil the approximation


def _search(value: Any) -> str | None:
    return value if value == "strong_wolfe" else None


class LBFGS(Optimizer):
    """Limited-memory BFGS, for losses of all rows. `step` takes a closure and several iterations.

    Parameters
    ----------
    params : iterable of Tensor or dict
        One group only.
    lr : float, default 1
    max_iter : int, default 20
        Iterations of one `step`.
    max_eval : int, optional
        Evaluations of the closure in one `step`; 5/4 of `max_iter` if left out.
    tolerance_grad : float, default 1e-7
        It ends where no element of the gradient is larger.
    tolerance_change : float, default 1e-9
        It ends where neither loss nor parameters change more.
    history_size : int, default 100
        How many steps are remembered; each takes twice the memory of the parameters.
    line_search_fn : {"strong_wolfe"}, optional
        Look for a good distance in place of going `lr` far.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = rv.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> first = optimizer.step(closure)
    >>> w
    tensor([1.0000, 1.0000], requires_grad=True)
    """

    rules: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "max_iter": COUNT,
        "max_eval": COUNT,
        "tolerance_grad": NOT_NEGATIVE,
        "tolerance_change": NOT_NEGATIVE,
        "history_size": COUNT,
        "line_search_fn": (_search, "'strong_wolfe' or None"),
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        settings = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max(1, max_iter * 5 // 4) if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, settings)

    @classmethod
    def checked(cls, key: str, value: Any) -> Any:
        """The value as the setting holds it; there may be no line search."""
        if key == "line_search_fn" and value is None:
            return None
        return super().checked(key, value)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """The one group; a ValueError for a second."""
        if self.param_groups:
            raise ValueError(
                "[LBFGS] params: expected one group, as all are one vector here, got another"
            )
        super().add_param_group(param_group)

    def step(self, closure: Closure | None = None) -> Any:
        """Up to `max_iter` iterations.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss, calls its `backward` and returns it.

        Returns
        -------
        What the closure returned first.

        Raises
        ------
        TypeError
            Without a closure.
        """
        if not callable(closure):
            raise TypeError(
                "[LBFGS] closure: expected a function that computes the loss and its gradients "
                f"and returns the loss, got {type(closure).__name__}; step(closure)"
            )
        self._check_not_replaced()
        with no_grad():
            return _Run(self, closure).go()


class _Run:
    """One call of `step`."""

    def __init__(self, optimizer: LBFGS, closure: Closure) -> None:
        self.group = optimizer.param_groups[0]
        self.params: list[Tensor] = self.group["params"]
        # One state for all, under the first parameter.
        self.state = optimizer.state[self.params[0]]
        self.state.setdefault("func_evals", 0)
        self.state.setdefault("n_iter", 0)
        self.optimizer = optimizer
        self.closure = closure
        self.evaluations = 0

    # --- the loss

    def evaluate(self) -> tuple[Any, float, Tensor]:
        """What the closure returns, the loss as a number, and the gradient as one vector."""
        with enable_grad():
            loss = self.closure()
        self.evaluations += 1
        self.state["func_evals"] += 1
        value = float(loss)
        if all(p.grad is None for p in self.params) and not self.optimizer._warned:
            self.optimizer._warn_of_nothing()
        parts = [(_C.zeros(p.shape, p.dtype) if p.grad is None else p.grad) for p in self.params]
        gradient = ops.cat([part.detach().reshape(-1) for part in parts], 0)
        return loss, value if value == value else float("inf"), gradient

    def move(self, distance: float, direction: Tensor) -> None:
        """Adds a part of the direction to the parameters."""
        offset = 0
        for p in self.params:
            part = direction[offset : offset + p.numel()].reshape(p.shape)
            p.add_(part, alpha=distance)
            offset += p.numel()

    def evaluate_at(self, t: float, direction: Tensor, begin: list[Tensor]) -> Point:
        """A point on the way; the parameters stay where they are."""
        self.move(t, direction)
        _, value, gradient = self.evaluate()
        for p, values in zip(self.params, begin, strict=True):
            p.copy_(values)
        return Point(t, value, gradient, _dot(gradient, direction))

    # --- the iterations

    def go(self) -> Any:
        group, state = self.group, self.state
        first, loss, gradient = self.evaluate()
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self.direction(gradient)
            state.update(d=direction, prev_flat_grad=gradient.clone(), prev_loss=loss)
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / gradient.abs().sum().item())
            slope = _dot(gradient, direction)
            state["t"] = t
            if slope > -group["tolerance_change"]:
                break
            before = loss
            if group["line_search_fn"]:
                start = Point(0.0, loss, gradient, slope)
                loss, gradient, t = self.search(start, t, direction)
                state["t"] = t
            else:
                self.move(t, direction)
                if iteration < group["max_iter"]:  # the next iteration's
                    _, loss, gradient = self.evaluate()
            if self.ends(iteration, gradient, _largest(direction) * t, abs(loss - before)):
                break
        return first

    def ends(self, iteration: int, gradient: Tensor, way: float, change: float) -> bool:
        """Whether one of the limits is reached."""
        group = self.group
        return bool(
            iteration == group["max_iter"]
            or self.evaluations >= group["max_eval"]
            or _largest(gradient) <= group["tolerance_grad"]
            or way <= group["tolerance_change"]
            or change < group["tolerance_change"]
        )

    def search(self, start: Point, t: float, direction: Tensor) -> tuple[float, Tensor, float]:
        """Goes to the best point that the line search finds."""
        begin = [p.clone() for p in self.params]
        point, _ = strong_wolfe(
            lambda t: self.evaluate_at(t, direction, begin),
            start,
            t,
            _largest(direction),
            most=self.group["max_eval"] - self.evaluations,
        )
        self.move(point.t, direction)
        return point.value, point.gradient, point.t

    def direction(self, gradient: Tensor) -> Tensor:
        """Minus the approximate inverse Hessian times the gradient: two loops over the history."""
        state = self.state
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = _dot(y, s)
        if curvature > _LEAST_CURVATURE:
            if len(changes) == self.group["history_size"]:
                for kept in (changes, steps, inverses):
                    kept.pop(0)
            changes.append(y)
            steps.append(s)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / _dot(y, y)
        q, shares = -gradient, []
        for y, s, inverse in zip(changes[::-1], steps[::-1], inverses[::-1], strict=True):
            shares.append(_dot(s, q) * inverse)
            q.add_(y, alpha=-shares[-1])
        q.mul_(state["H_diag"])
        for y, s, inverse, share in zip(changes, steps, inverses, shares[::-1], strict=True):
            q.add_(s, alpha=share - _dot(y, q) * inverse)
        return q


def _dot(a: Tensor, b: Tensor) -> float:
    return float(ops.dot(a, b).item())


def _largest(x: Tensor) -> float:
    return float(x.abs().max().item()) if x.numel() else 0.0
