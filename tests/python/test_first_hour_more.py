"""More of the first hour: shapes, matrices, chance, gradients, NumPy, Python, tutorials.

The lines are true of PyTorch too, which is asked where it is installed; see first_hour.py.
"""

from __future__ import annotations

import pytest
from first_hour import cases, check

LINES = """
## In place
= t = rv.tensor([1.0, 2.0])
t.add_(1); t  ->  float32 [2, 3]
t.sub_(1); t  ->  float32 [0, 1]
t.mul_(2); t  ->  float32 [2, 4]
t.div_(2); t  ->  float32 [0.5, 1]
t += 1; t  ->  float32 [2, 3]
t -= 0.5; t  ->  float32 [0.5, 1.5]
t *= 2; t  ->  float32 [2, 4]
t /= 2; t  ->  float32 [0.5, 1]
t **= 2; t  ->  float32 [1, 4]
t //= 2; t  ->  float32 [0, 1]
t %= 2; t  ->  float32 [1, 0]
t.neg_(); t  ->  float32 [-1, -2]
t.exp_(); t  ->  float32 [2.7183, 7.3891]
t.sqrt_(); t  ->  float32 [1, 1.4142]
t.clamp_(max=1.5); t  ->  float32 [1, 1.5]
t.relu_(); t  ->  float32 [1, 2]
t.abs_(); t  ->  float32 [1, 2]
t.pow_(2); t  ->  float32 [1, 4]
t.sigmoid_(); t  ->  float32 [0.73106, 0.8808]
t.tanh_(); t  ->  float32 [0.76159, 0.96403]
t.round_(); t  ->  float32 [1, 2]
t.fill_(0.5); t  ->  float32 [0.5, 0.5]
t.zero_(); t  ->  float32 [0, 0]
t.add_(rv.tensor([1.0, 1.0]), alpha=2); t  ->  float32 [3, 4]
same = t; same += 1; t  ->  float32 [2, 3]
copy = t.clone(); copy += 1; t  ->  float32 [1, 2]
t.data.mul_(3); t  ->  float32 [3, 6]
rv.tensor([1, 2]).add_(1)  ->  int64 [2, 3]
rv.tensor([3.0, 1.0]).sort()[0]  ->  float32 [1, 3]
u = t.detach(); u[0] = 9; t  ->  float32 [9, 2]
t.requires_grad_().requires_grad  ->  True
t.normal_().shape  ->  (2,)
t.uniform_().shape  ->  (2,)
t.random_().shape  ->  (2,)
t.bernoulli_(0.5).shape  ->  (2,)

## Shapes and views
= t = rv.arange(6); m = rv.arange(6).reshape(2, 3)
t.reshape(2, 3)  ->  int64 [[0, 1, 2], [3, 4, 5]]
t.reshape((3, -1))  ->  int64 [[0, 1], [2, 3], [4, 5]]
t.view(2, 3)  ->  int64 [[0, 1, 2], [3, 4, 5]]
t.view(-1, 2).shape  ->  (3, 2)
t.view(6, 1).shape  ->  (6, 1)
rv.reshape(t, (2, 3))  ->  int64 [[0, 1, 2], [3, 4, 5]]
m.T  ->  int64 [[0, 3], [1, 4], [2, 5]]
m.t()  ->  int64 [[0, 3], [1, 4], [2, 5]]
m.mT  ->  int64 [[0, 3], [1, 4], [2, 5]]
m.transpose(0, 1)  ->  int64 [[0, 3], [1, 4], [2, 5]]
m.permute(1, 0)  ->  int64 [[0, 3], [1, 4], [2, 5]]
rv.permute(m, (1, 0))  ->  int64 [[0, 3], [1, 4], [2, 5]]
rv.transpose(m, 0, 1)  ->  int64 [[0, 3], [1, 4], [2, 5]]
m.swapaxes(0, 1).shape  ->  (3, 2)
rv.movedim(rv.zeros(2, 3, 4), 0, 2).shape  ->  (3, 4, 2)
m.flatten()  ->  int64 [0, 1, 2, 3, 4, 5]
rv.flatten(rv.zeros(2, 3, 4), start_dim=1).shape  ->  (2, 12)
m.ravel()  ->  int64 [0, 1, 2, 3, 4, 5]
t.unsqueeze(0).shape  ->  (1, 6)
t.unsqueeze(-1).shape  ->  (6, 1)
rv.unsqueeze(t, 1).shape  ->  (6, 1)
t.unsqueeze(0).squeeze().shape  ->  (6,)
rv.zeros(1, 3, 1).squeeze(0).shape  ->  (3, 1)
rv.zeros(1, 3, 1).squeeze(-1).shape  ->  (1, 3)
rv.zeros(1, 3).expand(4, 3).shape  ->  (4, 3)
rv.zeros(3).expand(2, -1).shape  ->  (2, 3)
rv.tensor([[1], [2]]).expand(2, 3)  ->  int64 [[1, 1, 1], [2, 2, 2]]
t.expand_as(rv.zeros(2, 6)).shape  ->  (2, 6)
t.repeat(2)  ->  int64 [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
m.repeat(2, 1)  ->  int64 [[0, 1, 2], [3, 4, 5], [0, 1, 2], [3, 4, 5]]
rv.tensor([1, 2]).repeat_interleave(2)  ->  int64 [1, 1, 2, 2]
rv.tile(rv.tensor([1, 2]), (2,))  ->  int64 [1, 2, 1, 2]
m.flip(0)  ->  int64 [[3, 4, 5], [0, 1, 2]]
rv.flip(t, dims=[0])  ->  int64 [5, 4, 3, 2, 1, 0]
m.fliplr()  ->  int64 [[2, 1, 0], [5, 4, 3]]
rv.roll(t, 1)  ->  int64 [5, 0, 1, 2, 3, 4]
rv.roll(m, 1, dims=1)  ->  int64 [[2, 0, 1], [5, 3, 4]]
rv.rot90(m)  ->  int64 [[2, 5], [1, 4], [0, 3]]
m.view_as(rv.zeros(3, 2)).shape  ->  (3, 2)
m.reshape(-1)  ->  int64 [0, 1, 2, 3, 4, 5]
t.unflatten(0, (2, 3)).shape  ->  (2, 3)
m.contiguous() is m  ->  True
m.T.contiguous().stride()  ->  (2, 1)
m.T.reshape(-1)  ->  int64 [0, 3, 1, 4, 2, 5]
t.data_ptr() == t.view(2, 3).data_ptr()  ->  True
t.data_ptr() == t.clone().data_ptr()  ->  False
rv.broadcast_to(rv.tensor([1, 2]), (2, 2))  ->  int64 [[1, 2], [1, 2]]
rv.broadcast_shapes((2, 1), (3,))  ->  (2, 3)
(rv.ones(3, 1) * rv.ones(4)).shape  ->  (3, 4)
(rv.ones(2, 1, 3) + rv.ones(4, 1)).shape  ->  (2, 4, 3)
rv.atleast_2d(rv.tensor(3)).shape  ->  (1, 1)
t.unfold(0, 2, 2)  ->  int64 [[0, 1], [2, 3], [4, 5]]
rv.zeros(2, 3).unbind(0)[0].shape  ->  (3,)
rv.nn.functional.pad(rv.tensor([1, 2]), (1, 1))  ->  int64 [0, 1, 2, 0]
rv.nn.functional.pad(rv.ones(2, 2), (0, 1), value=5.0)  ->  float32 [[1, 1, 5], [1, 1, 5]]

## Joining and splitting
= a = rv.tensor([[1, 2]]); b = rv.tensor([[3, 4]]); t = rv.arange(7)
rv.cat([a, b])  ->  int64 [[1, 2], [3, 4]]
rv.cat((a, b), dim=1)  ->  int64 [[1, 2, 3, 4]]
rv.concat([a, b])  ->  int64 [[1, 2], [3, 4]]
rv.concatenate([a, b], dim=0)  ->  int64 [[1, 2], [3, 4]]
rv.stack([a, b]).shape  ->  (2, 1, 2)
rv.stack([rv.tensor(1), rv.tensor(2)])  ->  int64 [1, 2]
rv.stack((a[0], b[0]), dim=1)  ->  int64 [[1, 3], [2, 4]]
rv.vstack([a, b])  ->  int64 [[1, 2], [3, 4]]
rv.hstack([a, b])  ->  int64 [[1, 2, 3, 4]]
rv.cat([rv.zeros(0), rv.ones(2)])  ->  float32 [1, 1]
t.split(3)  ->  int64 [0, 1, 2] & int64 [3, 4, 5] & int64 [6]
rv.split(t, [2, 5])  ->  int64 [0, 1] & int64 [2, 3, 4, 5, 6]
t.chunk(3)  ->  int64 [0, 1, 2] & int64 [3, 4, 5] & int64 [6]
rv.chunk(t, 2)  ->  int64 [0, 1, 2, 3] & int64 [4, 5, 6]
rv.tensor_split(t, 3)  ->  int64 [0, 1, 2] & int64 [3, 4] & int64 [5, 6]
a.unbind(1)  ->  int64 [1] & int64 [2]
list(rv.tensor([1, 2]))  ->  int64 1 & int64 2
rv.column_stack([rv.tensor([1, 2]), rv.tensor([3, 4])])  ->  int64 [[1, 3], [2, 4]]
first, *rest = t.split(3); first  ->  int64 [0, 1, 2]
x, y = rv.tensor([1, 2]); y  ->  int64 2

## Sorting and searching
= t = rv.tensor([3.0, 1.0, 2.0]); m = rv.tensor([[3, 1], [2, 4]])
t.sort()  ->  float32 [1, 2, 3] & int64 [1, 2, 0]
t.sort(descending=True).values  ->  float32 [3, 2, 1]
rv.sort(m, dim=0)  ->  int64 [[2, 1], [3, 4]] & int64 [[1, 0], [0, 1]]
t.argsort()  ->  int64 [1, 2, 0]
rv.argsort(t, descending=True)  ->  int64 [0, 2, 1]
t.topk(2)  ->  float32 [3, 2] & int64 [0, 2]
rv.topk(t, 2, largest=False)  ->  float32 [1, 2] & int64 [1, 2]
t.kthvalue(1)  ->  float32 1 & int64 1
rv.searchsorted(rv.tensor([1, 3, 5]), rv.tensor([2, 5]))  ->  int64 [1, 2]
rv.bucketize(rv.tensor([2, 5]), rv.tensor([1, 3, 5]))  ->  int64 [1, 2]
values, indices = t.max(0); indices  ->  int64 0
values, indices = rv.sort(t); values  ->  float32 [1, 2, 3]
t.argmax().item()  ->  0

## Matrices
= A = rv.tensor([[1.0, 2.0], [3.0, 4.0]]); v = rv.tensor([1.0, 1.0])
A @ A  ->  float32 [[7, 10], [15, 22]]
A @ v  ->  float32 [3, 7]
v @ A  ->  float32 [4, 6]
rv.matmul(A, A)  ->  float32 [[7, 10], [15, 22]]
A.matmul(v)  ->  float32 [3, 7]
rv.mm(A, A)  ->  float32 [[7, 10], [15, 22]]
A.mm(A.T)  ->  float32 [[5, 11], [11, 25]]
A.mv(v)  ->  float32 [3, 7]
rv.mv(A, v)  ->  float32 [3, 7]
rv.dot(v, v)  ->  float32 2
v.dot(v)  ->  float32 2
rv.outer(v, A[1])  ->  float32 [[3, 4], [3, 4]]
rv.inner(v, v)  ->  float32 2
rv.bmm(rv.ones(2, 2, 3), rv.ones(2, 3, 1))  ->  float32 [[[3], [3]], [[3], [3]]]
(rv.ones(5, 2, 3) @ rv.ones(3, 4)).shape  ->  (5, 2, 4)
(rv.ones(5, 1, 2, 3) @ rv.ones(4, 3, 2)).shape  ->  (5, 4, 2, 2)
rv.einsum("ij,jk->ik", A, A)  ->  float32 [[7, 10], [15, 22]]
rv.einsum("ii", A)  ->  float32 5
rv.einsum("i,i->", v, v)  ->  float32 2
rv.einsum("ij->ji", A)  ->  float32 [[1, 3], [2, 4]]
rv.einsum("bi,bj->bij", A, A).shape  ->  (2, 2, 2)
rv.tensordot(A, A, dims=1)  ->  float32 [[7, 10], [15, 22]]
rv.addmm(rv.zeros(2, 2), A, A)  ->  float32 [[7, 10], [15, 22]]
rv.addmm(rv.ones(2, 2), A, A, beta=2, alpha=0.5)  ->  float32 [[5.5, 7], [9.5, 13]]
rv.baddbmm(rv.zeros(1, 2, 2), A[None], A[None])  ->  float32 [[[7, 10], [15, 22]]]
rv.kron(rv.eye(2), v[None])  ->  float32 [[1, 1, 0, 0], [0, 0, 1, 1]]
rv.trace(A)  ->  float32 5
rv.diag(A)  ->  float32 [1, 4]
rv.diagonal(A)  ->  float32 [1, 4]
rv.tril(A)  ->  float32 [[1, 0], [3, 4]]
rv.triu(A)  ->  float32 [[1, 2], [0, 4]]
rv.tensor([[1, 2]]) @ rv.tensor([[1], [2]])  ->  int64 [[5]]
rv.nn.functional.one_hot(rv.tensor([0, 2]), num_classes=3)  ->  int64 [[1, 0, 0], [0, 0, 1]]
rv.nn.functional.softmax(A, dim=1)  ->  float32 [[0.26894, 0.73106], [0.26894, 0.73106]]
rv.nn.functional.linear(v, A)  ->  float32 [3, 7]

## Random numbers
_ = rv.manual_seed(0); rv.rand(2, 3).shape  ->  (2, 3)
rv.rand(2).dtype == rv.float32  ->  True
rv.randn(2, 3).shape  ->  (2, 3)
rv.randn((2, 3), dtype=rv.float64).dtype == rv.float64  ->  True
rv.randint(0, 10, (3,)).dtype == rv.int64  ->  True
rv.randint(10, (2, 2)).shape  ->  (2, 2)
rv.randint(3, 4, (2,))  ->  int64 [3, 3]
rv.randperm(5).sort().values  ->  int64 [0, 1, 2, 3, 4]
rv.rand_like(rv.ones(2, 3)).shape  ->  (2, 3)
rv.randn_like(rv.ones(2)).shape  ->  (2,)
rv.randint_like(rv.ones(2), 5).dtype == rv.float32  ->  True
rv.normal(0.0, 1.0, (2, 3)).shape  ->  (2, 3)
rv.normal(rv.zeros(3), rv.ones(3)).shape  ->  (3,)
rv.bernoulli(rv.ones(2))  ->  float32 [1, 1]
rv.multinomial(rv.tensor([0.0, 1.0]), 2, replacement=True)  ->  int64 [1, 1]
_ = rv.manual_seed(3); a = rv.rand(3); _ = rv.manual_seed(3); rv.equal(a, rv.rand(3))  ->  True
g = rv.Generator().manual_seed(0); rv.rand(2, generator=g).shape  ->  (2,)
rv.initial_seed() >= 0  ->  True
state = rv.get_rng_state(); a = rv.rand(2); rv.set_rng_state(state); rv.equal(a, \
rv.rand(2))  ->  True
0 <= rv.rand(1).item() < 1  ->  True
rv.distributions.Categorical(probs=rv.tensor([0.5, 0.5])).sample().shape  ->  ()
rv.distributions.Categorical(logits=rv.zeros(4)).log_prob(rv.tensor(1))  ->  float32 -1.3863
rv.distributions.Normal(0.0, 1.0).log_prob(rv.tensor(0.0))  ->  float32 -0.91894
rv.distributions.Normal(rv.zeros(2), rv.ones(2)).entropy()  ->  float32 [1.4189, 1.4189]
rv.distributions.Bernoulli(rv.tensor([0.5])).entropy()  ->  float32 [0.69315]

## Gradients
= x = rv.tensor([1.0, 2.0, 3.0], requires_grad=True); w = rv.ones(3, requires_grad=True)
x.requires_grad  ->  True
(x ** 2).sum().backward(); x.grad  ->  float32 [2, 4, 6]
(x * w).sum().backward(); w.grad  ->  float32 [1, 2, 3]
y = x.exp(); y.requires_grad  ->  True
(x * 2).is_leaf  ->  False
x.grad is None  ->  True
x.sum().backward(); x.sum().backward(); x.grad  ->  float32 [2, 2, 2]
x.sum().backward(); x.grad.zero_(); x.grad  ->  float32 [0, 0, 0]
x.sum().backward(); x.grad = None; x.grad is None  ->  True
(x * 2).backward(rv.tensor([1.0, 0.0, 1.0])); x.grad  ->  float32 [2, 0, 2]
(x * 2).backward(gradient=rv.ones(3)); x.grad  ->  float32 [2, 2, 2]
y = (x ** 2).sum(); y.backward(retain_graph=True); y.backward(); x.grad  ->  float32 [4, 8, 12]
rv.autograd.grad((x ** 2).sum(), x)[0]  ->  float32 [2, 4, 6]
rv.autograd.grad((x * w).sum(), [x, w])  ->  float32 [1, 1, 1] & float32 [1, 2, 3]
g, = rv.autograd.grad((x ** 3).sum(), x, create_graph=True); rv.autograd.grad(g.sum(), \
x)[0]  ->  float32 [6, 12, 18]
rv.autograd.grad(x.sum(), w, allow_unused=True)[0] is None  ->  True
y = x * 2; y.retain_grad(); y.sum().backward(); y.grad  ->  float32 [1, 1, 1]
seen = []; _ = x.register_hook(seen.append); (x * 3).sum().backward(); seen[0]  ->  float32 [3, \
3, 3]
_ = x.register_hook(lambda g: g * 2); x.sum().backward(); x.grad  ->  float32 [2, 2, 2]
h = x.register_hook(lambda g: g * 2); h.remove(); x.sum().backward(); x.grad  ->  float32 [1, 1, 1]
with_no = rv.no_grad(); with_no.__enter__(); r = (x * 2).requires_grad; with_no.__exit__(None, \
None, None); r  ->  False
rv.is_grad_enabled()  ->  True
x.detach().requires_grad  ->  False
x.detach().numpy().tolist()  ->  [1.0, 2.0, 3.0]
(x.detach() * x).sum().backward(); x.grad  ->  float32 [1, 2, 3]
x[0].backward(); x.grad  ->  float32 [1, 0, 0]
x[1:].sum().backward(); x.grad  ->  float32 [0, 1, 1]
x[[0, 0]].sum().backward(); x.grad  ->  float32 [2, 0, 0]
x.max().backward(); x.grad  ->  float32 [0, 0, 1]
x.mean().backward(); x.grad  ->  float32 [0.33333, 0.33333, 0.33333]
x.view(3, 1).sum().backward(); x.grad  ->  float32 [1, 1, 1]
rv.stack([x, x]).sum().backward(); x.grad  ->  float32 [2, 2, 2]
rv.cat([x, w]).prod().backward(); w.grad  ->  float32 [6, 6, 6]
rv.where(x > 1, x, w).sum().backward(); x.grad  ->  float32 [0, 1, 1]
x.clamp(1.5, 2.5).sum().backward(); x.grad  ->  float32 [0, 1, 0]
x.relu().sum().backward(); x.grad  ->  float32 [1, 1, 1]
x.softmax(0)[0].backward(); x.grad  ->  float32 [0.081925, -0.022033, -0.059892]
x.norm().backward(); x.grad  ->  float32 [0.26726, 0.53452, 0.80178]
x.std().backward(); x.grad  ->  float32 [-0.5, 0, 0.5]
(x @ w).backward(); x.grad  ->  float32 [1, 1, 1]
x.sort().values[0].backward(); x.grad  ->  float32 [1, 0, 0]
x.double().sum().backward(); x.grad  ->  float32 [1, 1, 1]
y = x.clone(); y[0] = 0; y.sum().backward(); x.grad  ->  float32 [0, 1, 1]
y = x * 1; y.mul_(2); y.sum().backward(); x.grad  ->  float32 [2, 2, 2]
y = rv.zeros(3); y[1] = x[1]; y.sum().backward(); x.grad  ->  float32 [0, 1, 0]
(x + x * x).sum().backward(); x.grad  ->  float32 [3, 5, 7]
rv.autograd.Variable(rv.ones(1), requires_grad=True).requires_grad  ->  True
rv.autograd.gradcheck(lambda t: (t ** 2).sum(), rv.ones(2, dtype=rv.float64, \
requires_grad=True))  ->  True
x.grad_fn is None  ->  True
(x * 2).grad_fn is not None  ->  True
rv.tensor([1.0], requires_grad=False).requires_grad  ->  False
x.data.requires_grad  ->  False
Square = type("Square", (rv.autograd.Function,), {"forward": staticmethod(lambda ctx, t: \
(ctx.save_for_backward(t), t * t)[1]), "backward": staticmethod(lambda ctx, g: 2 * \
ctx.saved_tensors[0] * g)}); Square.apply(x).sum().backward(); x.grad  ->  float32 [2, 4, 6]

## NumPy
= t = rv.tensor([1.0, 2.0, 3.0]); a = np.array([1.0, 2.0, 3.0])
t.numpy().tolist()  ->  [1.0, 2.0, 3.0]
t.numpy().dtype == np.float32  ->  True
np.asarray(t).shape  ->  (3,)
np.array(t).tolist()  ->  [1.0, 2.0, 3.0]
t.numpy()[0].item()  ->  1.0
n = t.numpy(); n[0] = 9; t  ->  float32 [9, 2, 3]
s = rv.from_numpy(a); a[0] = 9; s  ->  float64 [9, 2, 3]
rv.from_numpy(a).dtype == rv.float64  ->  True
rv.tensor(a).float()  ->  float32 [1, 2, 3]
np.mean(t.numpy()).item()  ->  2.0
float(np.mean(np.asarray(t)))  ->  2.0
np.exp(t.numpy()).shape  ->  (3,)
t.tolist()  ->  [1.0, 2.0, 3.0]
t[0].item()  ->  1.0
float(t[0])  ->  1.0
int(t[1])  ->  2
t.sum().item()  ->  6.0
rv.from_numpy(np.eye(2, dtype=np.float32))  ->  float32 [[1, 0], [0, 1]]
rv.from_numpy(np.arange(6).reshape(2, 3)[:, ::2])  ->  int64 [[0, 2], [3, 5]]
rv.from_numpy(np.asfortranarray(np.ones((2, 3)))).stride()  ->  (1, 2)
t.numpy(force=True).tolist()  ->  [1.0, 2.0, 3.0]
np.stack([t.numpy(), t.numpy()]).shape  ->  (2, 3)
rv.tensor(np.array([[1, 2], [3, 4]]))  ->  int64 [[1, 2], [3, 4]]
rv.tensor(np.array(5)).shape  ->  ()
[float(x) for x in t]  ->  [1.0, 2.0, 3.0]
[x.item() for x in t]  ->  [1.0, 2.0, 3.0]
sum(t)  ->  float32 6
max(t)  ->  float32 3
sorted(t.tolist())  ->  [1.0, 2.0, 3.0]
rv.from_dlpack(a)  ->  float64 [1, 2, 3]
np.from_dlpack(t).tolist()  ->  [1.0, 2.0, 3.0]
t.clone().numpy() is not None  ->  True
t.cpu().detach().numpy().sum().item()  ->  6.0
rv.tensor(a.tolist())  ->  float32 [1, 2, 3]
np.float64(2) * rv.tensor([1.0, 2.0], dtype=rv.float64)  ->  float64 [2, 4]

## Python
= t = rv.tensor([[1.0, 2.0], [3.0, 4.0]])
len(t)  ->  2
[row.sum().item() for row in t]  ->  [3.0, 7.0]
[r.tolist() for r in t]  ->  [[1.0, 2.0], [3.0, 4.0]]
bool(rv.tensor([1]))  ->  True
bool(rv.tensor(0.0))  ->  False
int(rv.tensor(3.9))  ->  3
float(rv.tensor(2))  ->  2.0
complex(rv.tensor(2.0))  ->  (2+0j)
[10, 20, 30][rv.tensor(1)]  ->  20
list(range(rv.tensor(3)))  ->  [0, 1, 2]
f"{rv.tensor(3.14159):.2f}"  ->  '3.14'
f"{rv.tensor(7):03d}"  ->  '007'
f"{rv.tensor(1.5)}"  ->  '1.5'
"%.1f" % rv.tensor(2.25)  ->  '2.2'
str(rv.tensor([1, 2]))  ->  'tensor([1, 2])'
repr(rv.tensor([1.5]))  ->  'tensor([1.5000])'
str(rv.tensor(3))  ->  'tensor(3)'
str(t)  ->  'tensor([[1., 2.],\\n        [3., 4.]])'
str(rv.zeros(0, 3))  ->  'tensor([], size=(0, 3))'
str(rv.ones(2, requires_grad=True))  ->  'tensor([1., 1.], requires_grad=True)'
str(rv.tensor([True]))  ->  'tensor([True])'
str(rv.tensor([1e-8, 1.0]))  ->  'tensor([1.0000e-08, 1.0000e+00])'
str(rv.arange(2000))  ->  'tensor([   0,    1,    2,  ..., 1997, 1998, 1999])'
hash(t) == hash(t)  ->  True
t is t.view(2, 2)  ->  False
{t: 1}[t]  ->  1
import copy; c = copy.deepcopy(t); c[0, 0] = 9; t  ->  float32 [[1, 2], [3, 4]]
import copy; c = copy.copy(t); c[0, 0] = 9; t  ->  float32 [[9, 2], [3, 4]]
import pickle; pickle.loads(pickle.dumps(t))  ->  float32 [[1, 2], [3, 4]]
1.0 in t  ->  True
t.any().item() and t.all().item()  ->  True
max(t.flatten().tolist())  ->  4.0
round(rv.tensor(2.567).item(), 1)  ->  2.6
a, b = t; b  ->  float32 [3, 4]
(a, b), (c, d) = t; d  ->  float32 4
dict(zip(["a", "b"], rv.tensor([1, 2]).tolist()))["b"]  ->  2
isinstance(t.sum().item(), float)  ->  True
isinstance(rv.tensor(1).item(), int)  ->  True
isinstance(rv.tensor(True).item(), bool)  ->  True
isinstance(t.shape, tuple)  ->  True
sum(t.shape)  ->  4
rv.zeros(t.shape).shape  ->  (2, 2)
rv.zeros(*t.shape).shape  ->  (2, 2)
rv.randn(t.size(0), 3).shape  ->  (2, 3)
any(t[0] > 1)  ->  True
(t > 1).sum().item()  ->  3
t.mean().item() == 2.5  ->  True

## As the tutorials do it
x = rv.tensor([1.0, 2.0]); torch = rv; torch.device("cuda" if torch.cuda.is_available() else \
"cpu").type  ->  'cpu'
device = "cuda" if rv.cuda.is_available() else "cpu"; rv.ones(1).to(device)  ->  float32 [1]
device = rv.accelerator.current_accelerator().type if rv.accelerator.is_available() else "cpu"; \
device  ->  'cpu'
rv.backends.cudnn.deterministic = True; rv.backends.cudnn.benchmark = False; \
rv.cuda.manual_seed_all(0) is None  ->  True
rv.backends.mps.is_available()  ->  False
rv.cuda.device_count()  ->  0
rv.compile(lambda x: x + 1, disable=True)(rv.ones(1))  ->  float32 [2]
x = rv.linspace(-1, 1, 3); y = 1 + 2 * x + 3 * x ** 2; y  ->  float32 [2, 1, 6]
a = rv.tensor(1.0, requires_grad=True); loss = (a - 3).pow(2).sum(); loss.backward(); \
a.grad  ->  float32 -4
w = rv.ones(2, requires_grad=True); (w * 2).sum().backward(); rv.no_grad().__enter__(); w -= 0.1 \
* w.grad; rv.set_grad_enabled(True); w.detach()  ->  float32 [0.8, 0.8]
inp = rv.eye(2, 3, requires_grad=True); out = (inp + 1).pow(2).t(); \
out.backward(rv.ones_like(out), retain_graph=True); inp.grad  ->  float32 [[4, 2, 2], [2, 4, 2]]
a = rv.tensor([2.0, 3.0], requires_grad=True); b = rv.tensor([6.0, 4.0], requires_grad=True); Q \
= 3 * a ** 3 - b ** 2; Q.backward(gradient=rv.tensor([1.0, 1.0])); 9 * a ** 2 == \
a.grad  ->  bool [True, True]
p = rv.tensor([1, 2, 3]); rv.tensor([2.0, 3.0]).unsqueeze(-1).pow(p)  ->  float32 [[2, 4, 8], \
[3, 9, 27]]
rv.full((), 0.5, requires_grad=True).item()  ->  0.5
logits = rv.tensor([[1.0, 2.0], [3.0, 1.0]]); target = rv.tensor([1, 0]); (logits.argmax(1) == \
target).type(rv.float).sum().item()  ->  2.0
logits = rv.tensor([[1.0, 2.0], [3.0, 1.0]]); (logits.argmax(dim=1) == rv.tensor([1, \
1])).float().mean()  ->  float32 0.5
log_softmax = lambda x: x - x.exp().sum(-1).log().unsqueeze(-1); log_softmax(rv.tensor([[0.0, \
0.0]]))  ->  float32 [[-0.69315, -0.69315]]
logp = rv.tensor([[-1.0, -2.0], [-3.0, -4.0]]); target = rv.tensor([1, 0]); \
-logp[range(target.shape[0]), target].mean()  ->  float32 2.5
x_train, y_train = map(rv.tensor, ([[1.0], [2.0]], [0, 1])); n, c = x_train.shape; (n, \
c)  ->  (2, 1)
rv.cat([rv.ones(2, 2)] * 3, dim=1).shape  ->  (2, 6)
y = rv.zeros(2, 2); rv.matmul(rv.ones(2, 2), rv.ones(2, 2), out=y); y  ->  float32 [[2, 2], [2, 2]]
z = rv.zeros(2); rv.mul(rv.ones(2), 3, out=z) is z  ->  True
t = rv.ones(3); n = t.numpy(); t.add_(1); n.tolist()  ->  [2.0, 2.0, 2.0]
n = np.ones(3); t = rv.from_numpy(n); np.add(n, 1, out=n); t  ->  float64 [2, 2, 2]
a = rv.tensor([0.0]); rv.exp_(a); a  ->  float32 [1]
b = rv.rand(2, 2); c = b; c is b  ->  True
c = rv.zeros(2, 2); d = rv.rand(2, 2, out=c); c is d  ->  True
images = rv.zeros(4, 1, 2, 2); images.view(images.size(0), -1).shape  ->  (4, 4)
x = rv.tensor([[3.0, 4.0]]); x / x.norm(dim=1, keepdim=True)  ->  float32 [[0.6, 0.8]]
x = rv.tensor([[1.0, 2.0], [3.0, 4.0]]); (x - x.mean(0)) / x.std(0)  ->  float32 [[-0.70711, \
-0.70711], [0.70711, 0.70711]]
h = rv.zeros(2, 3); h[rv.arange(2), rv.tensor([2, 0])] = 1; h  ->  float32 [[0, 0, 1], [1, 0, 0]]
rv.arange(6).view(2, 3).float().mean(dim=1, keepdim=True)  ->  float32 [[1], [4]]
mask = rv.tril(rv.ones(2, 2)); rv.zeros(2, 2).masked_fill(mask == 0, \
float("-inf")).softmax(-1)  ->  float32 [[1, 0], [0.5, 0.5]]
q = rv.ones(1, 2, 3); (q @ q.transpose(-2, -1) / 3 ** 0.5).softmax(dim=-1)  ->  float32 [[[0.5, \
0.5], [0.5, 0.5]]]
vocab = {"a": 0, "b": 1}; rv.tensor([vocab[c] for c in "abba"])  ->  int64 [0, 1, 1, 0]
probs = rv.softmax(rv.tensor([1.0, 1.0]), dim=0); rv.multinomial(probs, \
num_samples=1).shape  ->  (1,)
running = 0.0; running += rv.tensor(1.5).item(); running  ->  1.5
loss = rv.tensor(2.5); f"Epoch {1:2d}: loss {loss:.4f}, {loss.item():>7f}"  ->  'Epoch  1: loss \
2.5000, 2.500000'
total = rv.zeros(()); total += rv.tensor(2.0); total  ->  float32 2
xs = [rv.tensor(i) for i in range(3)]; rv.stack(xs)  ->  int64 [0, 1, 2]
rv.tensor([1.0, 2.0]).sum().backward is not None  ->  True
"""


@pytest.mark.parametrize(("module", "setup", "line"), cases(LINES))
def test_line(module, setup, line):
    check(module, setup, line)
