"""A tensor's memory: seen under another dtype, as a storage, or in another shape in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ranvier import _C
from ranvier._arguments import tensor_in
from ranvier._C import ShapeError, Tensor
from ranvier._C import dtype as DType

# --- another dtype ------------------------------------------------------------------------------

_reshaped = Tensor.view


def view(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same memory in another shape, or under another dtype.

    Parameters
    ----------
    *shape : int, sequence of int, or dtype
        A shape, of which one size may be -1; or a dtype, under which the same bytes are read.
        The last dimension grows or shrinks where its elements have another size. There is no
        gradient through another dtype.
    **named
        `shape=` or `dtype=` by name.

    Returns
    -------
    Tensor

    Raises
    ------
    RuntimeError
        For a layout that allows no such view; `reshape`, or `contiguous` first, make a copy.
    ShapeError
        For another number of elements, or bytes that are no whole number of new elements.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.arange(4).view(2, 2)
    tensor([[0, 1],
            [2, 3]])
    >>> rv.tensor([1.0]).view(rv.int32)
    tensor([1065353216], dtype=ranvier.int32)
    """
    if shape and isinstance(shape[0], DType):
        named, shape = {"dtype": shape[0], **named}, shape[1:]
    if not isinstance(named.get("dtype"), DType):
        return _reshaped(self, *shape, **named)
    if shape or len(named) > 1:
        raise TypeError("[view] expected a shape or a dtype, got both")
    return _seen_as(self, named["dtype"])


def _seen_as(tensor: Tensor, dtype: DType) -> Tensor:
    """The bytes of a tensor under another dtype: shape, strides and offset in its elements."""
    old, new = tensor.dtype.itemsize, dtype.itemsize
    shape, strides, offset = list(tensor.shape), list(tensor.stride()), tensor.storage_offset()
    if old != new:
        if not shape:
            raise ShapeError(
                f"[view] expected 1 or more dimensions, to see {tensor.dtype.name} as {dtype.name} "
                "of another size, got shape ()"
            )
        last, *others = shape[-1] * old, offset * old, *(step * old for step in strides[:-1])
        if strides[-1] != 1 and shape[-1] > 1:
            raise RuntimeError(
                f"[view] expected neighbours along the last dimension, got strides "
                f"{tuple(strides)}; call contiguous() first"
            )
        if any(n % new for n in (last, *others)):
            raise ShapeError(
                f"[view] expected rows, steps and an offset of whole elements of {new} bytes, got "
                f"shape {tensor.shape}, strides {tuple(strides)} and offset {offset} of {old}"
            )
        shape[-1] = last // new
        offset, *steps = (n // new for n in others)
        strides = [*steps, 1]
    return _C.memory_as(tensor, dtype, shape, strides, offset)


# --- storages -----------------------------------------------------------------------------------


class UntypedStorage:
    """The bytes that tensors look at; `x.untyped_storage()` gives those of x.

    Views of one tensor have one storage: their `data_ptr()` is the same.

    Examples
    --------
    >>> import ranvier as rv
    >>> x = rv.zeros(2, 3)
    >>> x.untyped_storage().nbytes()
    24
    >>> x[1].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    True
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor_in("untyped_storage", tensor).detach()
        self._elements = self._all(_C.uint8)

    def _all(self, dtype: DType) -> Tensor:
        count = self.nbytes() // dtype.itemsize
        return _C.memory_as(self._tensor, dtype, [count], [1], 0)

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return _C.storage_of(self._tensor)[0]

    def nbytes(self) -> int:
        """The number of bytes."""
        return _C.storage_of(self._tensor)[1]

    def size(self) -> int:
        """The number of elements: bytes here."""
        return self._elements.numel()

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._elements.itemsize

    def tolist(self) -> list[Any]:
        """All elements as a list."""
        return self._elements.tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.size()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        found = self._elements[index]
        return found.tolist() if isinstance(index, slice) else found.item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements[index] = value

    def __repr__(self) -> str:
        lines = "".join(f" {value}\n" for value in self._elements[:1000].tolist())
        more = " ...\n" if self.size() > 1000 else ""
        kind, name = type(self).__name__, self._elements.dtype.name
        return f"{lines}{more}[ranvier.{kind}(dtype={name}) of size {self.size()}]"


class TypedStorage(UntypedStorage):
    """The elements that tensors look at, one after another; `x.storage()` gives those of x.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.arange(4).view(2, 2).t().storage().tolist()
    [0, 1, 2, 3]
    """

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self._elements = self._all(tensor.dtype)

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._tensor)


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes that the tensor looks at, which views share."""
    return UntypedStorage(self)


def storage(self: Tensor) -> TypedStorage:
    """The elements that the tensor looks at, which views share."""
    return TypedStorage(self)


# --- changes of the shape in place --------------------------------------------------------------


def t_(self: Tensor) -> Tensor:
    """Transposes a matrix in place; the memory stays as it is."""
    _C.take_layout(self, self.t(), "t_")
    return self


def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """Takes out dimensions of size 1 in place: all, one, or those of a tuple."""
    _C.take_layout(self, self.squeeze() if dim is None else self.squeeze(dim), "squeeze_")
    return self


def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """Puts in a dimension of size 1 in place."""
    _C.take_layout(self, self.unsqueeze(dim), "unsqueeze_")
    return self


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchanges two dimensions in place; the memory stays as it is."""
    _C.take_layout(self, self.transpose(dim0, dim1), "transpose_")
    return self


def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """Exchanges two dimensions in place, by NumPy's word."""
    return transpose_(self, axis0, axis1)


def swapdims_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchanges two dimensions in place."""
    return transpose_(self, dim0, dim1)


METHODS = {
    function.__name__: function
    for function in (
        *(view, storage, untyped_storage),
        *(t_, squeeze_, unsqueeze_, transpose_, swapaxes_, swapdims_),
    )
}
