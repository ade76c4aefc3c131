"""What somebody who knows PyTorch or NumPy types in the first hour: values, indices, sums.

The lines are true of PyTorch too, which is asked where it is installed; see first_hour.py.
"""

from __future__ import annotations

import pytest
from first_hour import cases, check

LINES = """
## Making tensors
rv.tensor([1, 2, 3])  ->  int64 [1, 2, 3]
rv.tensor([1.0, 2.5])  ->  float32 [1, 2.5]
rv.tensor([[1, 2], [3, 4]])  ->  int64 [[1, 2], [3, 4]]
rv.tensor(3.14)  ->  float32 3.14
rv.tensor(7)  ->  int64 7
rv.tensor(True)  ->  bool True
rv.tensor([True, False])  ->  bool [True, False]
rv.tensor([1, 2], dtype=rv.float32)  ->  float32 [1, 2]
rv.tensor([1.7, -1.7], dtype=rv.int64)  ->  int64 [1, -1]
rv.tensor([0, 2], dtype=rv.bool)  ->  bool [False, True]
rv.tensor([1, 2], dtype=rv.float16)  ->  float16 [1, 2]
rv.tensor([1, 2], dtype=rv.bfloat16)  ->  bfloat16 [1, 2]
rv.tensor([])  ->  float32 []
rv.tensor(np.array([1.0, 2.0]))  ->  float64 [1, 2]
rv.tensor(np.array([1, 2], dtype=np.int8))  ->  int8 [1, 2]
rv.tensor(np.float64(2))  ->  float64 2
rv.tensor(rv.ones(2))  ->  float32 [1, 1]
rv.tensor([rv.tensor(1.0), rv.tensor(2.0)])  ->  float32 [1, 2]
rv.tensor(range(4))  ->  int64 [0, 1, 2, 3]
rv.tensor([(1, 2), (3, 4)])  ->  int64 [[1, 2], [3, 4]]
rv.as_tensor([1, 2])  ->  int64 [1, 2]
rv.as_tensor(np.array([1.5], dtype=np.float32))  ->  float32 [1.5]
rv.from_numpy(np.arange(3))  ->  int64 [0, 1, 2]
rv.asarray([1.0, 2.0])  ->  float32 [1, 2]
rv.Tensor([1, 2])  ->  float32 [1, 2]
rv.FloatTensor([1, 2])  ->  float32 [1, 2]
rv.LongTensor([1, 2])  ->  int64 [1, 2]
rv.zeros(2, 3)  ->  float32 [[0, 0, 0], [0, 0, 0]]
rv.zeros((2, 3), dtype=rv.int32)  ->  int32 [[0, 0, 0], [0, 0, 0]]
rv.zeros(3, dtype=rv.bool)  ->  bool [False, False, False]
rv.ones(2)  ->  float32 [1, 1]
rv.ones([2, 2], dtype=rv.float64)  ->  float64 [[1, 1], [1, 1]]
rv.full((2, 2), 7)  ->  int64 [[7, 7], [7, 7]]
rv.full((2,), 0.5)  ->  float32 [0.5, 0.5]
rv.full((2,), True)  ->  bool [True, True]
rv.eye(3)  ->  float32 [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
rv.eye(2, 3, dtype=rv.int64)  ->  int64 [[1, 0, 0], [0, 1, 0]]
rv.arange(5)  ->  int64 [0, 1, 2, 3, 4]
rv.arange(2, 10, 3)  ->  int64 [2, 5, 8]
rv.arange(5, 0, -2)  ->  int64 [5, 3, 1]
rv.arange(0, 1, 0.25)  ->  float32 [0, 0.25, 0.5, 0.75]
rv.arange(3.0)  ->  float32 [0, 1, 2]
rv.arange(4, dtype=rv.float64)  ->  float64 [0, 1, 2, 3]
rv.linspace(0, 1, 5)  ->  float32 [0, 0.25, 0.5, 0.75, 1]
rv.linspace(-1, 1, steps=3, dtype=rv.float64)  ->  float64 [-1, 0, 1]
rv.logspace(0, 2, 3)  ->  float32 [1, 10, 100]
rv.zeros_like(rv.tensor([1, 2]))  ->  int64 [0, 0]
rv.ones_like(rv.tensor([1.5, 2.5]))  ->  float32 [1, 1]
rv.full_like(rv.ones(2), 3)  ->  float32 [3, 3]
rv.zeros_like(rv.ones(2), dtype=rv.int64)  ->  int64 [0, 0]
rv.empty(2, 3).shape  ->  (2, 3)
rv.empty_like(rv.ones(2, 3)).shape  ->  (2, 3)
rv.ones(2, dtype=rv.float64).new_zeros(3)  ->  float64 [0, 0, 0]
rv.ones(2).new_tensor([1, 2])  ->  float32 [1, 2]
rv.ones(2).new_full((2,), 4)  ->  float32 [4, 4]
rv.ones(2).new_ones(1, 2)  ->  float32 [[1, 1]]
rv.tril(rv.ones(3, 3))  ->  float32 [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
rv.triu(rv.ones(2, 3), diagonal=1)  ->  float32 [[0, 1, 1], [0, 0, 1]]
rv.diag(rv.tensor([1, 2]))  ->  int64 [[1, 0], [0, 2]]
rv.diag(rv.tensor([[1, 2], [3, 4]]))  ->  int64 [1, 4]
rv.meshgrid(rv.tensor([1, 2]), rv.tensor([3, 4]), indexing="ij")  ->  int64 [[1, 1], [2, 2]] & \
int64 [[3, 4], [3, 4]]
rv.cartesian_prod(rv.tensor([1, 2]), rv.tensor([3, 4]))  ->  int64 [[1, 3], [1, 4], [2, 3], [2, 4]]
rv.is_tensor(rv.ones(1))  ->  True
rv.numel(rv.ones(2, 3))  ->  6

## What a tensor says about itself
= t = rv.ones(2, 3, 4)
t.shape == (2, 3, 4)  ->  True
t.size()  ->  (2, 3, 4)
t.size(0)  ->  2
t.size(-1)  ->  4
t.shape[1]  ->  3
t.shape.numel()  ->  24
t.dim()  ->  3
t.ndim  ->  3
t.numel()  ->  24
t.nelement()  ->  24
len(t)  ->  2
t.dtype == rv.float32  ->  True
t.device == rv.device("cpu")  ->  True
str(t.device)  ->  'cpu'
t.requires_grad  ->  False
t.is_leaf  ->  True
t.grad is None  ->  True
t.stride()  ->  (12, 4, 1)
t.element_size()  ->  4
t.is_contiguous()  ->  True
t.permute(2, 0, 1).is_contiguous()  ->  False
t.permute(2, 0, 1).stride()  ->  (1, 12, 4)
t.storage_offset()  ->  0
t[1].storage_offset()  ->  12
t.is_floating_point()  ->  True
t.type().split(".")[-1]  ->  'FloatTensor'
t.nbytes  ->  96
t.itemsize  ->  4
t.is_cuda  ->  False
isinstance(t, rv.Tensor)  ->  True
isinstance(t, rv.FloatTensor)  ->  True
rv.is_floating_point(t)  ->  True
list(t.shape)  ->  [2, 3, 4]
t.long().is_floating_point()  ->  False

## dtypes
= t = rv.tensor([0.0, 1.5, -2.7])
t.int()  ->  int32 [0, 1, -2]
t.long()  ->  int64 [0, 1, -2]
t.double()  ->  float64 [0, 1.5, -2.7]
t.float() is t  ->  True
t.half()  ->  float16 [0, 1.5, -2.6992]
t.bfloat16().float()  ->  float32 [0, 1.5, -2.7031]
t.bool()  ->  bool [False, True, True]
t.to(rv.float64)  ->  float64 [0, 1.5, -2.7]
t.to(dtype=rv.int32)  ->  int32 [0, 1, -2]
t.to("cpu", rv.int64)  ->  int64 [0, 1, -2]
t.to(rv.ones(1, dtype=rv.float64))  ->  float64 [0, 1.5, -2.7]
t.type(rv.int64)  ->  int64 [0, 1, -2]
t.type_as(rv.tensor([1]))  ->  int64 [0, 1, -2]
rv.tensor([1, 2]).float()  ->  float32 [1, 2]
rv.tensor([250, 7]).to(rv.uint8)  ->  uint8 [250, 7]
rv.tensor([-1, 2]).short()  ->  int16 [-1, 2]
rv.tensor([1, 2]).char()  ->  int8 [1, 2]
rv.tensor([1, 2]).byte()  ->  uint8 [1, 2]
rv.promote_types(rv.int32, rv.float16) == rv.float16  ->  True
rv.result_type(rv.tensor([1, 2]), 1.0) == rv.float32  ->  True
rv.finfo(rv.float32).eps  ->  1.1921e-07
rv.finfo(rv.float64).max > 1e308  ->  True
rv.iinfo(rv.int8).max  ->  127
rv.can_cast(rv.float32, rv.int64)  ->  False
rv.get_default_dtype() == rv.float32  ->  True

## Promotion
rv.tensor([1, 2]) + 1  ->  int64 [2, 3]
rv.tensor([1, 2]) + 1.5  ->  float32 [2.5, 3.5]
rv.tensor([1, 2]) * 2.0  ->  float32 [2, 4]
rv.tensor([1, 2]) / 2  ->  float32 [0.5, 1]
rv.tensor([7, -7]) // 2  ->  int64 [3, -4]
rv.tensor([7, -7]) % 3  ->  int64 [1, 2]
rv.tensor([True, False]) + 1  ->  int64 [2, 1]
rv.tensor([True, False]) * 0.5  ->  float32 [0.5, 0]
rv.tensor([1], dtype=rv.int32) + rv.tensor([1])  ->  int64 [2]
rv.tensor([1], dtype=rv.uint8) + rv.tensor([1], dtype=rv.int8)  ->  int16 [2]
rv.tensor([1], dtype=rv.float16) + rv.tensor([1.0])  ->  float32 [2]
rv.tensor([1.0]) + rv.tensor([1.0], dtype=rv.float64)  ->  float64 [2]
rv.tensor([1.0]) + rv.tensor(1.0, dtype=rv.float64)  ->  float32 [2]
rv.tensor([1], dtype=rv.int32) + rv.tensor(1)  ->  int32 [2]
rv.tensor([1], dtype=rv.int32) * rv.tensor(1.5)  ->  float32 [1.5]
rv.tensor([1], dtype=rv.uint8) + 1  ->  uint8 [2]
rv.tensor([1], dtype=rv.float16) * 2.5  ->  float16 [2.5]
rv.tensor([1], dtype=rv.bfloat16) + rv.tensor([1], dtype=rv.bfloat16)  ->  bfloat16 [2]
rv.tensor([1, 2]).sum() / 2  ->  float32 1.5
rv.tensor([1, 2], dtype=rv.int32).sum()  ->  int64 3
rv.tensor([True, True]).sum()  ->  int64 2
rv.exp(rv.tensor([0, 0]))  ->  float32 [1, 1]
rv.sqrt(rv.tensor([4, 9]))  ->  float32 [2, 3]
rv.tensor([1, 2]) == rv.tensor([1.0, 3.0])  ->  bool [True, False]
rv.where(rv.tensor([True, False]), 1.0, rv.tensor([5, 6]))  ->  float32 [1, 6]
rv.cat([rv.tensor([1]), rv.tensor([0.5])])  ->  float32 [1, 0.5]
1 + rv.tensor([1, 2])  ->  int64 [2, 3]
1 - rv.tensor([1, 2])  ->  int64 [0, -1]
2 / rv.tensor([1, 2])  ->  float32 [2, 1]
2 ** rv.tensor([1, 2])  ->  int64 [2, 4]
7 // rv.tensor([2, 3])  ->  int64 [3, 2]
7 % rv.tensor([2, 3])  ->  int64 [1, 1]
-rv.tensor([1, 2])  ->  int64 [-1, -2]
+rv.tensor([1, 2])  ->  int64 [1, 2]
abs(rv.tensor([-1, 2]))  ->  int64 [1, 2]
~rv.tensor([True, False])  ->  bool [False, True]
~rv.tensor([0, 5])  ->  int64 [-1, -6]

## Arithmetic
= a = rv.tensor([1.0, 2.0, 3.0]); b = rv.tensor([4.0, 5.0, 6.0])
a + b  ->  float32 [5, 7, 9]
a - b  ->  float32 [-3, -3, -3]
a * b  ->  float32 [4, 10, 18]
b / a  ->  float32 [4, 2.5, 2]
a ** 2  ->  float32 [1, 4, 9]
a ** 0.5  ->  float32 [1, 1.4142, 1.7321]
2 ** a  ->  float32 [2, 4, 8]
a ** b  ->  float32 [1, 32, 729]
b // a  ->  float32 [4, 2, 2]
b % a  ->  float32 [0, 1, 0]
a + b * 2 - 1  ->  float32 [8, 11, 14]
rv.add(a, b)  ->  float32 [5, 7, 9]
rv.add(a, b, alpha=10)  ->  float32 [41, 52, 63]
a.add(1)  ->  float32 [2, 3, 4]
rv.sub(a, b)  ->  float32 [-3, -3, -3]
rv.mul(a, 3)  ->  float32 [3, 6, 9]
rv.div(b, a)  ->  float32 [4, 2.5, 2]
rv.div(b, a, rounding_mode="floor")  ->  float32 [4, 2, 2]
rv.div(-b, a, rounding_mode="trunc")  ->  float32 [-4, -2, -2]
rv.pow(a, 2)  ->  float32 [1, 4, 9]
rv.true_divide(b, a)  ->  float32 [4, 2.5, 2]
rv.floor_divide(b, a)  ->  float32 [4, 2, 2]
rv.remainder(-b, 4)  ->  float32 [0, 3, 2]
rv.fmod(-b, 4)  ->  float32 [0, -1, -2]
rv.neg(a)  ->  float32 [-1, -2, -3]
rv.abs(-a)  ->  float32 [1, 2, 3]
rv.exp(a)  ->  float32 [2.7183, 7.3891, 20.086]
rv.log(a)  ->  float32 [0, 0.69315, 1.0986]
rv.log2(a)  ->  float32 [0, 1, 1.585]
rv.log10(a)  ->  float32 [0, 0.30103, 0.47712]
rv.log1p(a)  ->  float32 [0.69315, 1.0986, 1.3863]
rv.expm1(a)  ->  float32 [1.7183, 6.3891, 19.086]
rv.sqrt(a)  ->  float32 [1, 1.4142, 1.7321]
rv.rsqrt(a)  ->  float32 [1, 0.70711, 0.57735]
rv.square(a)  ->  float32 [1, 4, 9]
rv.reciprocal(a)  ->  float32 [1, 0.5, 0.33333]
rv.sin(a)  ->  float32 [0.84147, 0.9093, 0.14112]
rv.cos(a)  ->  float32 [0.5403, -0.41615, -0.98999]
rv.tan(a)  ->  float32 [1.5574, -2.185, -0.14255]
rv.tanh(a)  ->  float32 [0.76159, 0.96403, 0.99505]
rv.sigmoid(a)  ->  float32 [0.73106, 0.8808, 0.95257]
rv.relu(a - 2)  ->  float32 [0, 0, 1]
rv.softmax(a, dim=0)  ->  float32 [0.090031, 0.24473, 0.66524]
rv.log_softmax(a, dim=0)  ->  float32 [-2.4076, -1.4076, -0.40761]
rv.atan2(a, b)  ->  float32 [0.24498, 0.38051, 0.46365]
rv.floor(a / 2)  ->  float32 [0, 1, 1]
rv.ceil(a / 2)  ->  float32 [1, 1, 2]
rv.round(a / 2)  ->  float32 [0, 1, 2]
rv.trunc(-a / 2)  ->  float32 [0, -1, -1]
rv.round(a / 3, decimals=2)  ->  float32 [0.33, 0.67, 1]
rv.sign(a - 2)  ->  float32 [-1, 0, 1]
rv.clamp(a, 1.5, 2.5)  ->  float32 [1.5, 2, 2.5]
rv.clamp(a, min=2)  ->  float32 [2, 2, 3]
a.clamp(max=2)  ->  float32 [1, 2, 2]
rv.clip(a, 2, 3)  ->  float32 [2, 2, 3]
rv.maximum(a, b - 3)  ->  float32 [1, 2, 3]
rv.minimum(a, b - 3)  ->  float32 [1, 2, 3]
rv.lerp(a, b, 0.5)  ->  float32 [2.5, 3.5, 4.5]
rv.addcmul(a, a, b, value=2)  ->  float32 [9, 22, 39]
rv.addcdiv(a, a, b)  ->  float32 [1.25, 2.4, 3.5]
rv.erf(a)  ->  float32 [0.8427, 0.99532, 0.99998]
rv.hypot(a, b)  ->  float32 [4.1231, 5.3852, 6.7082]
a.dot(b)  ->  float32 32
a @ b  ->  float32 32
rv.outer(a, b)  ->  float32 [[4, 5, 6], [8, 10, 12], [12, 15, 18]]
rv.bitwise_and(rv.tensor([6]), rv.tensor([3]))  ->  int64 [2]
rv.tensor([6]) | 1  ->  int64 [7]
rv.tensor([6]) ^ 3  ->  int64 [5]
rv.tensor([1]) << 3  ->  int64 [8]
rv.tensor([8]) >> 2  ->  int64 [2]

## Comparison and logic
= a = rv.tensor([1, 2, 3]); b = rv.tensor([3, 2, 1])
a == b  ->  bool [False, True, False]
a != b  ->  bool [True, False, True]
a < b  ->  bool [True, False, False]
a <= 2  ->  bool [True, True, False]
a > 1  ->  bool [False, True, True]
3 >= a  ->  bool [True, True, True]
rv.eq(a, b)  ->  bool [False, True, False]
rv.equal(a, a.clone())  ->  True
rv.equal(a, b)  ->  False
rv.allclose(rv.tensor([1.0]), rv.tensor([1.0 + 1e-7]))  ->  True
rv.isclose(rv.tensor([1.0, 2.0]), rv.tensor([1.0, 2.1]))  ->  bool [True, False]
(a > 1) & (b > 1)  ->  bool [False, True, False]
(a > 2) | (b > 2)  ->  bool [True, False, True]
(a > 1) ^ (b > 1)  ->  bool [True, False, True]
rv.logical_and(a > 1, b > 1)  ->  bool [False, True, False]
rv.logical_not(a > 1)  ->  bool [True, False, False]
(a > 1).any()  ->  bool True
(a > 1).all()  ->  bool False
(a > 0).all().item()  ->  True
bool(a[0] == 1)  ->  True
rv.isnan(rv.tensor([1.0, float("nan")]))  ->  bool [False, True]
rv.isinf(rv.tensor([1.0, float("-inf")]))  ->  bool [False, True]
rv.isfinite(rv.tensor([1.0, float("inf"), float("nan")]))  ->  bool [True, False, False]
a == None  ->  False
2 in a  ->  True
7 in a  ->  False
rv.where(a > 1, a, -a)  ->  int64 [-1, 2, 3]
rv.where(a > 1, a, 0)  ->  int64 [0, 2, 3]
a.eq(2).sum()  ->  int64 1
(a == 2).nonzero()  ->  int64 [[1]]
(a == 2).float().mean()  ->  float32 0.33333
rv.sign(rv.tensor([-2.0, 0.0, 2.0]))  ->  float32 [-1, 0, 1]

## Reductions
= m = rv.tensor([[1.0, 2.0], [3.0, 5.0]])
m.sum()  ->  float32 11
m.sum(0)  ->  float32 [4, 7]
m.sum(dim=1)  ->  float32 [3, 8]
m.sum(dim=1, keepdim=True)  ->  float32 [[3], [8]]
m.sum((0, 1))  ->  float32 11
m.sum(-1)  ->  float32 [3, 8]
rv.sum(m, dim=0)  ->  float32 [4, 7]
m.mean()  ->  float32 2.75
m.mean(dim=0)  ->  float32 [2, 3.5]
m.mean(1, keepdim=True)  ->  float32 [[1.5], [4]]
m.std()  ->  float32 1.7078
m.std(dim=0)  ->  float32 [1.4142, 2.1213]
m.std(0, unbiased=False)  ->  float32 [1, 1.5]
m.std(dim=0, correction=0)  ->  float32 [1, 1.5]
m.var()  ->  float32 2.9167
m.var(dim=1)  ->  float32 [0.5, 2]
m.min()  ->  float32 1
m.max()  ->  float32 5
m.max(dim=0)  ->  float32 [3, 5] & int64 [1, 1]
m.max(1).values  ->  float32 [2, 5]
m.max(1).indices  ->  int64 [1, 1]
m.min(dim=1)  ->  float32 [1, 3] & int64 [0, 0]
rv.max(m, dim=1, keepdim=True)  ->  float32 [[2], [5]] & int64 [[1], [1]]
m.argmax()  ->  int64 3
m.argmax(dim=1)  ->  int64 [1, 1]
m.argmin(dim=0)  ->  int64 [0, 0]
m.prod()  ->  float32 30
m.prod(dim=1)  ->  float32 [2, 15]
m.median()  ->  float32 2
m.median(dim=1)  ->  float32 [1, 3] & int64 [0, 0]
m.norm()  ->  float32 6.245
m.norm(dim=1)  ->  float32 [2.2361, 5.831]
m.norm(p=1)  ->  float32 11
m.logsumexp(dim=1)  ->  float32 [2.3133, 5.1269]
rv.logsumexp(m, 1)  ->  float32 [2.3133, 5.1269]
m.amax(dim=1)  ->  float32 [2, 5]
m.amin(0)  ->  float32 [1, 2]
rv.any(m > 4)  ->  bool True
rv.all(m > 0, dim=1)  ->  bool [True, True]
rv.count_nonzero(m > 2)  ->  int64 2
m.sum().item()  ->  11.0
m.sum(dtype=rv.float64)  ->  float64 11
rv.tensor([1, 2, 3]).sum()  ->  int64 6
rv.tensor([1, 2, 3]).float().mean()  ->  float32 2
rv.tensor([3, 1, 2]).max()  ->  int64 3
rv.tensor([1, 0, 2]).bool().all()  ->  bool False
rv.tensor([1.0, float("nan")]).sum()  ->  float32 nan
rv.tensor([1.0, float("nan")]).nansum()  ->  float32 1
rv.tensor([1.0, float("nan")]).max()  ->  float32 nan
rv.zeros(0).sum()  ->  float32 0
rv.zeros(0).mean()  ->  float32 nan
rv.zeros(0, 3).sum(0)  ->  float32 [0, 0, 0]
rv.zeros(3, 0).sum(1)  ->  float32 [0, 0, 0]
rv.zeros(0).prod()  ->  float32 1
rv.zeros(0).any()  ->  bool False
rv.zeros(0).all()  ->  bool True
rv.std_mean(m)  ->  float32 1.7078 & float32 2.75
rv.var_mean(m, dim=0)  ->  float32 [2, 4.5] & float32 [2, 3.5]
rv.histc(rv.tensor([0.0, 0.5, 1.0]), bins=2, min=0, max=1)  ->  float32 [1, 2]
m.trace()  ->  float32 6
rv.mode(rv.tensor([1, 2, 2]))  ->  int64 2 & int64 2

## Indexing
= m = rv.arange(12).reshape(3, 4); v = rv.arange(5)
m[0]  ->  int64 [0, 1, 2, 3]
m[0, 1]  ->  int64 1
m[-1, -1].item()  ->  11
m[:, 1]  ->  int64 [1, 5, 9]
m[1:]  ->  int64 [[4, 5, 6, 7], [8, 9, 10, 11]]
m[:2, 1:3]  ->  int64 [[1, 2], [5, 6]]
m[::2]  ->  int64 [[0, 1, 2, 3], [8, 9, 10, 11]]
m[:, ::2]  ->  int64 [[0, 2], [4, 6], [8, 10]]
m[..., 0]  ->  int64 [0, 4, 8]
m[None].shape  ->  (1, 3, 4)
m[:, None].shape  ->  (3, 1, 4)
m[0, ..., None].shape  ->  (4, 1)
m[[0, 2]]  ->  int64 [[0, 1, 2, 3], [8, 9, 10, 11]]
m[[0, 2], [1, 3]]  ->  int64 [1, 11]
m[rv.tensor([0, 2])]  ->  int64 [[0, 1, 2, 3], [8, 9, 10, 11]]
m[:, rv.tensor([0, 3])]  ->  int64 [[0, 3], [4, 7], [8, 11]]
m[rv.tensor([[0, 1], [1, 2]])].shape  ->  (2, 2, 4)
m[np.array([0, 1])]  ->  int64 [[0, 1, 2, 3], [4, 5, 6, 7]]
m[rv.tensor(1)]  ->  int64 [4, 5, 6, 7]
m[m > 5]  ->  int64 [6, 7, 8, 9, 10, 11]
m[m % 2 == 0]  ->  int64 [0, 2, 4, 6, 8, 10]
m[rv.tensor([True, False, True])]  ->  int64 [[0, 1, 2, 3], [8, 9, 10, 11]]
m[[True, False, True]]  ->  int64 [[0, 1, 2, 3], [8, 9, 10, 11]]
m[rv.tensor([True, False, True]), 0]  ->  int64 [0, 8]
m[np.array([True, False, True])]  ->  int64 [[0, 1, 2, 3], [8, 9, 10, 11]]
m[rv.arange(3), rv.tensor([0, 1, 2])]  ->  int64 [0, 5, 10]
m[:, [0, 0]]  ->  int64 [[0, 0], [4, 4], [8, 8]]
m[1][2]  ->  int64 6
m[()]  ->  int64 [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
m[1:1].shape  ->  (0, 4)
m[5:].shape  ->  (0, 4)
v[-2:]  ->  int64 [3, 4]
v[1:4:2]  ->  int64 [1, 3]
v[v > 2].sum()  ->  int64 7
v[rv.tensor([], dtype=rv.int64)].shape  ->  (0,)
m[0].tolist()  ->  [0, 1, 2, 3]
m[-1].sum()  ->  int64 38
m[rv.tensor([0, 1])][:, rv.tensor([1, 2])]  ->  int64 [[1, 2], [5, 6]]
m[[0, 1], :][:, [1, 2]]  ->  int64 [[1, 2], [5, 6]]
m[0:2, [1, 2]]  ->  int64 [[1, 2], [5, 6]]
m[[0, 1], 1:3]  ->  int64 [[1, 2], [5, 6]]
m.T[0]  ->  int64 [0, 4, 8]
m[:, -1]  ->  int64 [3, 7, 11]
v[...]  ->  int64 [0, 1, 2, 3, 4]
m[True].shape  ->  (1, 3, 4)
rv.tensor(5)[None]  ->  int64 [5]
rv.arange(24).reshape(2, 3, 4)[1, :, 2]  ->  int64 [14, 18, 22]
rv.arange(24).reshape(2, 3, 4)[:, [0, 2], 1]  ->  int64 [[1, 9], [13, 21]]
rv.arange(24).reshape(2, 3, 4)[[0, 1], :, [1, 2]]  ->  int64 [[1, 5, 9], [14, 18, 22]]
rv.arange(24).reshape(2, 3, 4)[..., [1, 2]].shape  ->  (2, 3, 2)
rv.arange(24).reshape(2, 3, 4)[:, :, None, 1].shape  ->  (2, 3, 1)
m.select(0, 1)  ->  int64 [4, 5, 6, 7]
m.narrow(1, 1, 2)  ->  int64 [[1, 2], [5, 6], [9, 10]]
m.index_select(1, rv.tensor([0, 2]))  ->  int64 [[0, 2], [4, 6], [8, 10]]
m.take(rv.tensor([0, 5]))  ->  int64 [0, 5]
m.masked_select(m > 9)  ->  int64 [10, 11]
m.gather(1, rv.tensor([[0], [1], [2]]))  ->  int64 [[0], [5], [10]]
rv.take_along_dim(m, rv.tensor([[0], [1], [2]]), dim=1)  ->  int64 [[0], [5], [10]]
m.diagonal()  ->  int64 [0, 5, 10]
m.nonzero()[:2]  ->  int64 [[0, 1], [0, 2]]
rv.nonzero(v > 2)  ->  int64 [[3], [4]]
rv.nonzero(v > 2, as_tuple=True)[0]  ->  int64 [3, 4]
rv.argwhere(v > 3)  ->  int64 [[4]]

## Assignment
= m = rv.zeros(2, 3); v = rv.arange(4)
m[0] = 1; m  ->  float32 [[1, 1, 1], [0, 0, 0]]
m[0, 1] = 5; m  ->  float32 [[0, 5, 0], [0, 0, 0]]
m[:, 0] = rv.tensor([7.0, 8.0]); m  ->  float32 [[7, 0, 0], [8, 0, 0]]
m[1] = rv.tensor([1.0, 2.0, 3.0]); m  ->  float32 [[0, 0, 0], [1, 2, 3]]
m[...] = 2; m  ->  float32 [[2, 2, 2], [2, 2, 2]]
m[:, 1:] = 9; m  ->  float32 [[0, 9, 9], [0, 9, 9]]
m[0] += 1; m  ->  float32 [[1, 1, 1], [0, 0, 0]]
m[m == 0] = -1; m  ->  float32 [[-1, -1, -1], [-1, -1, -1]]
v[v > 1] = 0; v  ->  int64 [0, 1, 0, 0]
v[[0, 3]] = 9; v  ->  int64 [9, 1, 2, 9]
v[rv.tensor([0, 1])] = rv.tensor([5, 6]); v  ->  int64 [5, 6, 2, 3]
v[-1] = 100; v  ->  int64 [0, 1, 2, 100]
v[1:3] = rv.tensor([7, 8]); v  ->  int64 [0, 7, 8, 3]
v[::2] = 0; v  ->  int64 [0, 1, 0, 3]
m[rv.tensor([0, 1]), rv.tensor([0, 2])] = 4; m  ->  float32 [[4, 0, 0], [0, 0, 4]]
m[[True, False]] = 1; m  ->  float32 [[1, 1, 1], [0, 0, 0]]
m[0] = [1, 2, 3]; m  ->  float32 [[1, 2, 3], [0, 0, 0]]  # ours: PyTorch assigns no lists
m[1] = np.array([1.0, 2.0, 3.0], dtype=np.float32); m  ->  float32 [[0, 0, 0], [1, 2, 3]]  # \
ours: PyTorch assigns no arrays
m[:, 1] = 3; m[:, 1].sum()  ->  float32 6
m[0, 0] = True; m  ->  float32 [[1, 0, 0], [0, 0, 0]]
v[0] = 2.7; v  ->  int64 [2, 1, 2, 3]
v[0] = rv.tensor(2.7); v  ->  int64 [2, 1, 2, 3]
m.fill_(3); m  ->  float32 [[3, 3, 3], [3, 3, 3]]
m.zero_(); m  ->  float32 [[0, 0, 0], [0, 0, 0]]
m.copy_(rv.tensor([1.0, 2.0, 3.0])); m  ->  float32 [[1, 2, 3], [1, 2, 3]]
m.masked_fill(m == 0, 5.0)  ->  float32 [[5, 5, 5], [5, 5, 5]]
m.masked_fill_(m == 0, 5.0); m  ->  float32 [[5, 5, 5], [5, 5, 5]]
m.index_fill(1, rv.tensor([0]), 1.0)  ->  float32 [[1, 0, 0], [1, 0, 0]]
rv.zeros(3).scatter(0, rv.tensor([0, 2]), rv.tensor([1.0, 2.0]))  ->  float32 [1, 0, 2]
rv.zeros(3).scatter_(0, rv.tensor([0, 2]), 1.0)  ->  float32 [1, 0, 1]
rv.zeros(3).scatter_add(0, rv.tensor([0, 0, 2]), rv.ones(3))  ->  float32 [2, 0, 1]
rv.zeros(2, 3).scatter_(1, rv.tensor([[1], [2]]), 1)  ->  float32 [[0, 1, 0], [0, 0, 1]]
rv.zeros(3).index_add(0, rv.tensor([0, 0]), rv.ones(2))  ->  float32 [2, 0, 0]
rv.zeros(3).index_copy(0, rv.tensor([2]), rv.ones(1))  ->  float32 [0, 0, 1]
rv.zeros(3).index_put((rv.tensor([1]),), rv.tensor([4.0]))  ->  float32 [0, 4, 0]
row = m[0]; row[0] = 7; m  ->  float32 [[7, 0, 0], [0, 0, 0]]
m.T[0, 1] = 5; m  ->  float32 [[0, 0, 0], [5, 0, 0]]
m.view(-1)[4] = 6; m  ->  float32 [[0, 0, 0], [0, 6, 0]]
"""


@pytest.mark.parametrize(("module", "setup", "line"), cases(LINES))
def test_line(module, setup, line):
    check(module, setup, line)
