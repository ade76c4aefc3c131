"""Switching the recording of gradients off and on: for a block, a function or from here on.

The switch itself is in the core and belongs to the calling thread; this only sets it and puts it
back, whatever happens in between.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, ClassVar, TypeVar, cast

from ranvier import _C

F = TypeVar("F", bound=Callable[..., Any])


class _GradMode:
    """A mode for the length of a `with` block, or of every call of a decorated function."""

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_C.is_grad_enabled())
        _C.set_grad_enabled(self._mode)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _C.set_grad_enabled(self._before.pop())

    def __call__(self, function: F) -> F:
        mode = self._mode
        if inspect.isgeneratorfunction(function):
            return cast(F, _steps_in_mode(function, mode))

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(mode):
                return function(*args, **kwargs)

        return cast(F, in_mode)


def _steps_in_mode(function: Callable[..., Any], mode: bool) -> Callable[..., Any]:
    # The body of a generator runs while it is asked for values, not when it is called; between
    # the values the caller's own mode holds.
    @functools.wraps(function)
    def in_mode(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = function(*args, **kwargs)
        try:
            with _GradMode(mode):
                value = next(steps)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    raise
                except BaseException as error:
                    with _GradMode(mode):
                        value = steps.throw(error)
                else:
                    with _GradMode(mode):
                        value = steps.send(sent)
        except StopIteration as end:
            return end.value
        finally:
            steps.close()

    return in_mode


class _FixedMode(_GradMode):
    """A mode that is used as `with mode():`, `@mode()` or a plain `@mode` without brackets."""

    fixed: ClassVar[bool]

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)

    def __init__(self, function: None = None) -> None:
        super().__init__(self.fixed)


class no_grad(_FixedMode):  # noqa: N801  (PyTorch's name)
    """No gradients are recorded: for a `with` block or a decorated function.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.ones(2, requires_grad=True)
    >>> with rv.no_grad():
    ...     print((w * 2).requires_grad)
    False
    >>> @rv.no_grad()
    ... def double(x):
    ...     return x * 2
    >>> double(w).requires_grad
    False
    """

    fixed = False


class inference_mode(_GradMode):  # noqa: N801
    """No gradients are recorded, as under `no_grad`: for a block or a decorated function.

    Parameters
    ----------
    mode : bool, default True
        False leaves the recording as it is.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.ones(2, requires_grad=True)
    >>> with rv.inference_mode():
    ...     print((w * 2).requires_grad)
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):  # @inference_mode without brackets
            return cls(True)(mode)
        return super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__(False)
        self._asked = mode

    def __enter__(self) -> None:
        self._before.append(_C.is_grad_enabled())
        _C.set_grad_enabled(_C.is_grad_enabled() and not self._asked)


class enable_grad(_FixedMode):  # noqa: N801
    """Gradients are recorded again, inside `no_grad`: for a block or a decorated function.

    Examples
    --------
    >>> import ranvier as rv
    >>> w = rv.ones(2, requires_grad=True)
    >>> with rv.no_grad(), rv.enable_grad():
    ...     print((w * 2).requires_grad)
    True
    """

    fixed = True


class set_grad_enabled(_GradMode):  # noqa: N801
    """Switches the recording of gradients from here on, or for a block or a decorated function.

    Parameters
    ----------
    mode : bool
        True records gradients.

    Examples
    --------
    >>> import ranvier as rv
    >>> with rv.set_grad_enabled(False):
    ...     print(rv.is_grad_enabled())
    False
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"[set_grad_enabled] mode: expected True or False, got {mode!r}")
        super().__init__(mode)
        self._outside = _C.is_grad_enabled()
        _C.set_grad_enabled(mode)

    def __enter__(self) -> None:
        # The mode is on since __init__; what was before that comes back at the end.
        self._before.append(self._outside)
        _C.set_grad_enabled(self._mode)

    def __call__(self, function: F) -> F:
        _C.set_grad_enabled(self._outside)
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether operations record gradients in the calling thread.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.is_grad_enabled()
    True
    """
    return _C.is_grad_enabled()
