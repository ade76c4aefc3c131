"""What random calls are made of: numbers, shapes, dtypes, tensors of every layout, indices, junk.

`Values` draws everything from one `random.Random`, so that a seed gives the same values again. It
knows which names of arguments stand for what, and nothing about single functions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import _C

DTYPES = (
    *(_C.float32, _C.float64, _C.float16, _C.bfloat16, _C.int64, _C.int32, _C.int16, _C.int8),
    *(_C.uint8, _C.bool_, _C.uint16, _C.uint32, _C.uint64),
)
NUMPY = {d.name: np.dtype(d.name) for d in DTYPES if d.name != "bfloat16"}
POOL = 24  # tensors that later calls find again
LARGEST = 1500  # elements of a tensor in the pool

INTEGERS = (0, 1, 2, 3, -1, -2, -3, 4, 5, 7, 8, 16, 17, 100)
EDGES = (
    *(2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 2**63),
    *(2**64, -(2**64), 10**30, -(2**62), 2**61, 255, 256, -128, 65536),
)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, -1.5, 2.0, 3.0, 1e-3, 100.0)
EXTREMES = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1e-40, 3.4e38, 65504.0, 1e19)
STRINGS = (
    *("", "mean", "sum", "none", "nope", "float32", "cpu", "cuda:0", "cuda", "linear", "constant"),
    *("reflect", "replicate", "circular", "fro", "nuc", "floor", "trunc", "left", "right", "ij"),
    *("xy", "i,j->ij", "ij,jk->ik", "...i->i", "ii", "i,->,", "abc->", "\x00", "é", "\ud800"),
    *("a" * 300, "tanh", "relu", ".3f", "d", "lower", "tril", "%s%n", "{}", "int", "batchmean"),
)


def quiet_hook(gradient: Any) -> None:
    """A hook that changes nothing."""


class Values:
    """Random values and the pool of tensors that calls share."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.arrays = np.random.default_rng(rng.getrandbits(64))
        self.pool: list[Any] = []

    # ---- numbers

    def odds(self, p: float) -> bool:
        """True in a share `p` of the calls."""
        return self.rng.random() < p

    def integer(self) -> Any:
        """Mostly small; now and then at the edge of what a machine word holds."""
        if self.odds(0.88):
            return self.rng.choice(INTEGERS)
        if self.odds(0.8):
            return self.rng.choice(EDGES)
        return self.rng.choice((True, np.int64(1), np.uint8(3), np.array(2), rv.tensor(1), False))

    def number(self) -> Any:
        """A float or what may stand for one."""
        if self.odds(0.7):
            return self.rng.choice(NUMBERS)
        if self.odds(0.5):
            return self.rng.choice(EXTREMES)
        return self.rng.choice(
            (self.integer(), 10**400, np.float32(0.5), np.float64(2), np.float16(1), rv.tensor(0.5))
        )

    def axis(self) -> Any:
        """A dimension of some tensor, in range or not."""
        return self.rng.randint(-4, 4) if self.odds(0.93) else self.integer()

    def axes(self) -> Any:
        """One dimension or several."""
        if self.odds(0.4):
            return self.axis()
        count = self.rng.choice((0, 1, 1, 2, 2, 3, 4, 9))
        return self.rng.choice((tuple, list))(self.axis() for _ in range(count))

    def shape(self) -> tuple[int, ...]:
        """0 to 8 sizes, at most LARGEST elements."""
        dims = self.rng.choice((0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8))
        sizes = [self.rng.choice((0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 7, 17)) for _ in range(dims)]
        if self.odds(0.8):
            sizes = [s or 2 for s in sizes]
        while math.prod(sizes) > LARGEST:
            sizes[self.rng.randrange(dims)] = 1
        return tuple(sizes)

    def sizes(self) -> Any:
        """A shape as an argument: mostly one that is possible."""
        if self.odds(0.75):
            sizes = list(self.shape())
        else:
            sizes = [self.integer() for _ in range(self.rng.choice((1, 1, 2, 3, 9)))]
        if sizes and self.odds(0.2):
            sizes[self.rng.randrange(len(sizes))] = self.rng.choice((-1, -1, 0, -2, 2**40, 2**62))
        form = self.rng.choice((tuple, list, list, rv.Size, np.array))
        try:
            return form(sizes)
        except Exception:
            return tuple(sizes)

    def dtype(self) -> Any:
        """A dtype by any of its names, or something that is none."""
        if self.odds(0.8):
            return self.rng.choice(DTYPES)
        return self.rng.choice(
            (None, "float32", "int64", "bool", np.float64, np.dtype("int8"), float, int, bool,
             "float128", complex, np.complex64, "O", object, str, 17, np.dtype("i4,f8"), ">f4")
        )  # fmt: skip

    def text(self) -> str:
        """A word that some function knows, or none."""
        return self.rng.choice(STRINGS)

    def flag(self) -> Any:
        """True, False, or something else."""
        return self.odds(0.5) if self.odds(0.95) else self.anything()

    # ---- arrays and tensors

    def array(self, shape: tuple[int, ...] | None = None, dtype: Any = None) -> Any:
        """Numbers of a dtype of NumPy's: small, or anywhere in its range."""
        sizes = self.shape() if shape is None else shape
        kind = NUMPY[self.rng.choice(list(NUMPY))] if dtype is None else dtype
        if kind.kind == "b":
            return np.asarray(self.arrays.random(sizes) < self.rng.choice((0.0, 0.5, 0.5, 1.0)))
        if kind.kind == "f":
            made = np.asarray(self.arrays.normal(size=sizes)).astype(kind)
            if self.odds(0.25) and made.size:
                made.flat[self.rng.randrange(made.size)] = self.rng.choice(EXTREMES)
            return made
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        if self.odds(0.85):
            low, high = max(low, self.rng.choice((0, 0, -3))), 4
        return np.asarray(self.arrays.integers(low, high, sizes, dtype=kind, endpoint=True))

    def odd_array(self) -> Any:
        """Arrays that other libraries make: no gaps in what must be refused or copied."""
        base = self.array()
        if base.nbytes > 8 * LARGEST:
            base = base.ravel()[:LARGEST]
        makers: list[Callable[[], Any]] = [
            lambda: np.asfortranarray(base),
            lambda: base[..., ::-1] if base.ndim else base,
            lambda: base[..., ::2] if base.ndim else base,
            lambda: base.astype(base.dtype.newbyteorder()),
            lambda: (
                np.frombuffer(b"\1" + base.tobytes(), base.dtype, base.size, 1)
                if base.size
                else base
            ),
            lambda: np.lib.stride_tricks.as_strided(base, (3, *base.shape), (0, *base.strides)),
            lambda: np.lib.stride_tricks.sliding_window_view(np.arange(9.0), 3),
            lambda: np.lib.stride_tricks.as_strided(
                np.zeros(9), (4, 4), (8, 8), writeable=self.odds(0.5)
            ),
            lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
            lambda: np.array([1, "a", None], object),
            lambda: np.array(["ab", "c"]),
            lambda: np.zeros(2, "i4,f8")["f1"],
            lambda: np.zeros(2, "i4,f8"),
            lambda: np.zeros(3, "complex64"),
            lambda: np.zeros(2, "datetime64[s]"),
            lambda: np.zeros((1,) * 12),
            lambda: np.float64(2),
            lambda: np.zeros(2, np.longdouble),
            lambda: np.broadcast_to(np.float32(1), (2**30, 2**30)),
            lambda: np.empty((0, 2**40)),
        ]
        return self.rng.choice(makers)()

    def fresh(self, shape: tuple[int, ...] | None = None, dtype: Any = None) -> Any:
        """A tensor of any layout: packed, strided, expanded, overlapping, read-only."""
        kind = self.rng.choice(DTYPES) if dtype is None else dtype
        sizes = self.shape() if shape is None else shape
        array = self.array(sizes, NUMPY.get(kind.name, np.dtype("float32")))
        how = self.rng.choice(("packed", "packed", "transposed", "strided", "expanded", "readonly"))
        if how == "transposed":
            array = np.asfortranarray(array)
        elif how == "strided" and array.ndim and array.size:
            wide = np.repeat(array, 2, -1)
            array = np.concatenate([wide[..., :1], wide], -1)[..., 1::2]
        elif how == "expanded" and array.ndim and array.size:
            axis = self.rng.randrange(array.ndim)
            array = np.broadcast_to(array.take([0], axis), sizes)
        elif how == "readonly":
            array.flags.writeable = False
        made = _C.from_numpy(array)
        if kind.name == "bfloat16":
            made = made.to(kind)
        if kind.is_floating_point and self.odds(0.35):
            made.requires_grad_()
        return made

    def keep(self, tensor: Any) -> None:
        """Puts a tensor into the pool, in the place of another one when that is full."""
        if tensor.numel() > LARGEST:
            return
        if len(self.pool) < POOL:
            self.pool.append(tensor)
        else:
            self.pool[self.rng.randrange(POOL)] = tensor

    def tensor(self) -> Any:
        """One of the pool, or a new one that then belongs to it."""
        if self.pool and self.odds(0.8):
            return self.rng.choice(self.pool)
        made = self.fresh()
        self.keep(made)
        return made

    def beside(self, other: Any) -> Any:
        """A tensor that may be used together with another one."""
        if not isinstance(other, rv.Tensor) or self.odds(0.3):
            return self.operand()
        fitting = [t for t in self.pool if t.shape == other.shape]
        if fitting and self.odds(0.5):
            return self.rng.choice(fitting)
        shape = tuple(1 if self.odds(0.2) else n for n in other.shape)
        if math.prod(shape) > LARGEST:
            return self.tensor()
        if self.odds(0.2):
            shape = shape[self.rng.randint(0, len(shape)) :]
        return self.fresh(shape, other.dtype if self.odds(0.7) else None)

    def operand(self) -> Any:
        """A tensor, or now and then what may stand for one."""
        if self.odds(0.9):
            return self.tensor()
        return self.rng.choice(
            (self.number, self.integer, self.array, self.nested, self.anything)
        )()

    def tensors(self) -> Any:
        """A list of tensors that may fit together."""
        first = self.operand()
        count = self.rng.choice((0, 1, 2, 2, 3))
        items = [first, *(self.beside(first) for _ in range(count))]
        return self.rng.choice((tuple, list, list))(items) if self.odds(0.95) else self.anything()

    def nested(self, depth: int = 0) -> Any:
        """Lists in lists, of one length or ragged."""
        if depth > 3 or self.odds(0.3):
            return self.rng.choice((1, 2.5, True, -3, 2**40, math.nan))
        items = [self.nested(depth + 1) for _ in range(self.rng.choice((0, 1, 2, 2)))]
        if self.odds(0.7) and items:
            items = [items[0]] * len(items)
        return items

    # ---- indices

    def index_part(self, size: int) -> Any:
        """One part of an index into a dimension of this size."""
        size = min(size, 1000)
        bound = max(size, 1)

        def some() -> int:
            return self.rng.randint(-bound, bound - 1)

        def edge() -> Any:
            return self.rng.choice((None, None, some(), some(), self.integer()))

        choice = self.rng.random()
        if choice < 0.25:
            return some()
        if choice < 0.5:
            return slice(edge(), edge(), self.rng.choice((None, None, 1, 2, 3, -1, 0, 2**62)))
        if choice < 0.58:
            return None
        if choice < 0.66:
            return Ellipsis
        if choice < 0.76:
            shape = self.rng.choice(((2,), (3,), (0,), (2, 2), (1, 3), ()))
            picked = self.arrays.integers(-bound, bound, shape)
            if self.odds(0.4):
                return _C.from_numpy(np.array(picked)).to(self.rng.choice(DTYPES))
            return self.rng.choice((lambda: picked, picked.tolist, lambda: picked.astype("u1")))()
        if choice < 0.86:
            mask = self.arrays.random(size + self.rng.choice((0, 0, 0, 1))) < 0.5
            return self.rng.choice((lambda: mask, mask.tolist, lambda: _C.from_numpy(mask)))()
        if choice < 0.92:
            return self.integer()
        return self.anything()

    def index(self, tensor: Any) -> Any:
        """An index expression for a tensor: mostly one that has a meaning."""
        if self.odds(0.08):
            return self.rng.choice((tensor, tensor > 0, tensor == tensor, self.tensor()))
        if self.odds(0.05):
            return self.anything()
        sizes = list(tensor.shape)
        count = self.rng.randint(0, len(sizes) + (1 if self.odds(0.1) else 0))
        parts = [self.index_part(sizes[i] if i < len(sizes) else 1) for i in range(count)]
        if len(parts) == 1 and self.odds(0.7):
            return parts[0]
        return tuple(parts) if self.odds(0.97) else parts

    # ---- anything

    def anything(self) -> Any:
        """Whatever Python has."""
        makers: list[Callable[[], Any]] = [
            lambda: None,
            self.integer,
            self.number,
            self.text,
            self.tensor,
            self.nested,
            self.array,
            self.odd_array,
            self.dtype,
            self.sizes,
            lambda: self.odds(0.5),
            lambda: b"bytes",
            lambda: bytearray(12),
            lambda: memoryview(bytearray(8)),
            lambda: {},
            lambda: {"a": 1},
            lambda: {1, 2},
            object,
            lambda: quiet_hook,
            lambda: slice(None),
            lambda: ...,
            lambda: 1j,
            lambda: Fraction(1, 3),
            lambda: Decimal("0.1"),
            lambda: range(3),
            lambda: rv.Generator(3),
            lambda: np.datetime64("2020-01-01"),
            lambda: rv.Tensor,
            lambda: iter((1, 2)),
        ]
        return self.rng.choice(makers)()

    def named(self, name: str) -> Any:
        """A value for an argument by its name; most junk is kept for the names not known here."""
        if self.odds(0.06):
            return self.anything()
        return getattr(self, KINDS.get(name, "anything"))()


# What names of arguments stand for, in ops and in Python functions alike.
_BY_KIND = {
    "axis": "dim axis dim0 dim1 axis0 axis1 start_dim end_dim source destination diagonal offset k"
            " n m N M diff_dim",
    "axes": "dims axes shifts repeats tile_dims",
    "sizes": "size shape sizes shape_or_dtype split_size_or_sections sections pad kernel_size"
             " stride target_shape normalized_shape new_shape",
    "integer": "index start end step stop num_classes length low high steps chunks num_samples"
               " unfold_dimension seed count sequence num bins decimals minlength dimension",
    "number": "value fill_value p alpha beta eps base lr a b rtol atol mean std momentum exponent"
              " negative_slope lambd threshold min max q correction delta margin weight_decay",
    "dtype": "dtype from_ to_dtype from_dtype type1 type2 default_dtype",
    "text": "reduction mode device approximate ord equation spec indexing reduce rounding_mode"
            " activation side method words",
    "flag": "keepdim keepdims requires_grad unbiased descending stable largest sorted copy"
            " non_blocking force accumulate equal_nan retain_graph create_graph allow_unused"
            " replacement return_inverse return_counts endpoint pin_memory log_target full"
            " materialize_grads is_grads_batched",
    "tensor": "out condition mask gradient grad_outputs grad_tensors indices",
    "operand": "input other self x y tensor target weight bias t data obj ext_tensor src values vec"
               " vec1 vec2 mat1 mat2 batch1 batch2 mat tensor1 tensor2 elements test_elements probs"
               " logits loc scale sample_shape boundaries outputs",
    "tensors": "tensors inputs operands args roots arrays",
    "nested": "array list",
}  # fmt: skip
KINDS = {name: kind for kind, names in _BY_KIND.items() for name in names.split()}
