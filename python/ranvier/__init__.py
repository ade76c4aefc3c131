"""Ranvier trains and runs small and medium neural networks on the machine you have.

This file is the table of contents of the public interface and holds no code of its own. PyTorch's
names mean what they mean in PyTorch.
"""

from __future__ import annotations

from math import e as e
from math import inf, nan, pi
from typing import TYPE_CHECKING

from ranvier import _ops
from ranvier import _tensor as _tensor  # gives Tensor its Python side
from ranvier._C import (
    Generator,
    Program,
    ShapeError,
    Size,
    Tensor,
    bfloat16,
    bool_,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from ranvier._C import version as _version
from ranvier._config import cpu_info, get_num_threads, set_num_threads, show_config
from ranvier._constructors import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from ranvier._conversion import as_tensor, asarray, from_numpy, frombuffer, tensor
from ranvier._creation import (
    arange,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
    zeros,
    zeros_like,
)
from ranvier._devices import (
    are_deterministic_algorithms_enabled,
    compile,
    device,
    get_default_device,
    get_float32_matmul_precision,
    set_default_device,
    set_float32_matmul_precision,
    use_deterministic_algorithms,
)
from ranvier._dtypes import (
    can_cast,
    finfo,
    get_default_dtype,
    iinfo,
    promote_types,
    result_type,
    set_default_dtype,
)
from ranvier._exchange import from_dlpack
from ranvier._grad import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from ranvier._layouts import (
    channels_last,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from ranvier._ops import *  # noqa: F403  every op of the registry
from ranvier._printing import get_printoptions, printoptions, set_printoptions
from ranvier._products import einsum, tensordot
from ranvier._questions import (
    allclose,
    equal,
    is_complex,
    is_floating_point,
    is_nonzero,
    is_tensor,
    numel,
)
from ranvier._random import (
    get_rng_state,
    initial_seed,
    manual_seed,
    rand,
    randint,
    randn,
    randperm,
    seed,
    set_rng_state,
)
from ranvier._random_after import (
    bernoulli,
    multinomial,
    normal,
    rand_like,
    randint_like,
    randn_like,
)
from ranvier._reductions import (
    max,
    min,
    norm,
    std,
    std_mean,
    unique,
    unique_consecutive,
    var,
    var_mean,
)
from ranvier._shapes import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_shapes,
    broadcast_tensors,
    concat,
    concatenate,
    index_put,
    index_put_,
    nonzero,
    repeat_interleave,
    tril_indices,
    triu_indices,
    where,
)
from ranvier._splitting import dsplit, hsplit, split, tensor_split, vsplit
from ranvier._tensor import positive, t

# The parts below are made of the ones above.
from ranvier import autograd, data, nn, optim  # isort: skip
from ranvier._capture import capture  # isort: skip
from ranvier.io import load, save  # isort: skip

if TYPE_CHECKING:
    from ranvier import (
        accelerator,
        backends,
        callbacks,
        cuda,
        distributions,
        linalg,
        sklearn,
        utils,
    )
    from ranvier import keras as keras
    from ranvier import random as random
    from ranvier import training as training
    from ranvier.training import (
        Callback,
        EarlyStopping,
        History,
        NonFiniteError,
        RanvierWarning,
        evaluate,
        fit,
        predict,
    )
    from ranvier.training.checkpoint import Checkpoint
    from ranvier.training.summary import summary
else:
    from ranvier._lazy import __dir__ as __dir__
    from ranvier._lazy import __getattr__ as __getattr__

__version__ = _version()

# Names of Python's own types are there as rv.float, but not for `from ranvier import *`.
float, double, half, int, long, short, bool = (
    float32, float64, float16, int32, int64, int16, bool_,
)  # fmt: skip
newaxis = None

__all__ = [
    # tensors and their dtypes
    "Tensor", "Size", "device", "dtype", "float32", "float64", "double", "float16", "half",
    "bfloat16", "int64", "long", "int32", "int16", "short", "int8", "uint8", "uint16", "uint32",
    "uint64",
    "layout", "strided", "memory_format", "contiguous_format", "preserve_format", "channels_last",
    "finfo", "iinfo", "promote_types", "result_type", "can_cast", "get_default_dtype",
    "set_default_dtype", "is_floating_point", "is_complex", "pi", "inf", "nan",
    # making them
    "tensor", "as_tensor", "asarray", "from_numpy", "from_dlpack", "frombuffer", "scalar_tensor",
    "zeros", "ones", "full", "empty", "eye", "arange", "linspace", "logspace",
    "zeros_like", "ones_like", "full_like", "empty_like",
    "FloatTensor", "DoubleTensor", "HalfTensor", "BFloat16Tensor", "LongTensor", "IntTensor",
    "ShortTensor", "CharTensor", "ByteTensor", "BoolTensor",
    # random numbers
    "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "Generator",
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal",
    "bernoulli", "multinomial",
    # products with a Python side
    "einsum", "tensordot",
    # asking about them
    "is_tensor", "is_nonzero", "numel", "equal", "allclose",
    # printing them
    "set_printoptions", "get_printoptions", "printoptions",
    # reductions of several spellings
    "max", "min", "var", "std", "var_mean", "std_mean", "norm", "unique",
    "unique_consecutive", "linalg",
    # joining, splitting, repeating and searching that is more than one op
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors", "concat",
    "concatenate", "split", "tensor_split", "hsplit", "vsplit", "dsplit", "repeat_interleave",
    "nonzero", "where", "index_put", "index_put_", "t", "positive", "tril_indices", "triu_indices",
    # gradients
    "autograd", "no_grad", "enable_grad", "inference_mode", "set_grad_enabled", "is_grad_enabled",
    # networks, as in PyTorch
    "nn", "optim", "distributions", "sklearn", "utils",
    # Ranvier's own: training, files, data, recorded steps, errors
    "fit", "evaluate", "predict", "summary", "History", "Callback", "EarlyStopping", "Checkpoint",
    "callbacks", "save", "load", "data", "capture", "Program", "ShapeError",
    "NonFiniteError", "RanvierWarning",
    # where they are; what programs for other devices ask for
    "cuda", "accelerator", "backends", "get_default_device", "set_default_device", "compile",
    "use_deterministic_algorithms", "are_deterministic_algorithms_enabled",
    "set_float32_matmul_precision", "get_float32_matmul_precision",
    # this installation
    "set_num_threads", "get_num_threads", "cpu_info", "show_config",
]  # fmt: skip
__all__ += _ops.__all__
