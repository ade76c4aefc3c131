"""Mistakes of the first hour: each is an error whose words say what was expected and what came.

Each of them is an error in PyTorch too, which is asked where it is installed; see first_hour.py.
"""

from __future__ import annotations

import pytest
from first_hour import cases, check

MISTAKES = """
rv.ones(2, 3) + rv.ones(4)  !!  ShapeError | [add] | (2, 3) | (4,)
rv.ones(2, 3) == rv.ones(4)  !!  ShapeError | [eq] | (2, 3) | (4,)
rv.where(rv.ones(2) > 0, rv.ones(3), rv.ones(2))  !!  ShapeError | [where] | (2,) | (3,)
t = rv.ones(2); t += rv.ones(3, 2)  !!  ShapeError | [add_] | (2,) | (3, 2)
rv.ones(2, 3) @ rv.ones(2, 3)  !!  ShapeError | [matmul] | (2, 3)
rv.mm(rv.ones(2), rv.ones(2, 2))  !!  ShapeError | [mm] | (2,)
rv.bmm(rv.ones(2, 3), rv.ones(2, 3))  !!  ShapeError | [bmm] | (2, 3)
rv.dot(rv.ones(2), rv.ones(3))  !!  ShapeError | [dot] | (2,) | (3,)
rv.einsum("ij,jk", rv.ones(2, 3), rv.ones(2, 3))  !!  ShapeError | [einsum] | j
rv.ones(2, 3).view(5)  !!  ShapeError | [view] | (2, 3) | (5,)
rv.ones(2, 3).T.view(-1)  !!  RuntimeError | [view] | reshape
rv.ones(2, 3).reshape(4, 2)  !!  ShapeError | [reshape] | (2, 3) | (4, 2)
rv.ones(2, 3).reshape(-1, -1)  !!  ShapeError | [reshape] | -1
rv.ones(2, 3).expand(3, 3)  !!  ShapeError | [expand] | (2, 3) | (3, 3)
rv.cat([rv.ones(2, 3), rv.ones(2, 4)])  !!  ShapeError | [cat] | (2, 3) | (2, 4)
rv.stack([rv.ones(2), rv.ones(3)])  !!  ShapeError | [stack] | (2,) | (3,)
rv.cat([])  !!  (ValueError, RuntimeError) | [cat]
rv.cat([1, 2])  !!  (TypeError, ValueError) | [cat]
rv.ones(6).split([2, 2])  !!  (ValueError, RuntimeError) | [split]
rv.ones(2, 3).gather(0, rv.tensor([0]))  !!  ShapeError | [gather] | (2, 3) | (1,)
rv.ones(2, 3).permute(0, 0)  !!  (ValueError, IndexError, RuntimeError) | [permute]
rv.ones(2, 3).squeeze(2)  !!  IndexError | [squeeze] | 2
rv.ones(2).unsqueeze(5)  !!  IndexError | [unsqueeze] | 5
rv.ones(2, 3).sum(dim=2)  !!  IndexError | [sum] | 2
rv.ones(2, 3).transpose(0, 2)  !!  IndexError | [transpose] | 2
rv.softmax(rv.ones(2), dim=1)  !!  IndexError | [softmax] | 1
rv.ones(2, 3)[2]  !!  IndexError | 2 | axis 0 | size 2
rv.ones(2, 3)[0, 3]  !!  IndexError | 3 | axis 1 | size 3
rv.ones(2, 3)[0, 0, 0]  !!  IndexError | (2, 3) | 3
rv.ones(2, 3)[-3]  !!  IndexError | -3
rv.ones(2, 3)[[0, 5]]  !!  IndexError | 5
rv.ones(2, 3)[rv.tensor([True, False, True])]  !!  IndexError | (2, 3) | (3,)
rv.ones(2, 3)[1.0]  !!  (IndexError, TypeError)
rv.ones(2, 3)["a"]  !!  (IndexError, TypeError)
rv.ones(3)[::-1]  !!  ValueError | step
rv.ones(3)[rv.tensor([0.5])]  !!  IndexError | float32
t = rv.ones(2, 3); t[0] = rv.ones(4)  !!  ShapeError | (4,)
t = rv.ones(2, 3); t[5] = 1  !!  IndexError | 5
rv.ones(3).index_select(0, rv.tensor([3]))  !!  IndexError | 3
rv.ones(2, 3).gather(1, rv.tensor([[3]]))  !!  IndexError | [gather] | 3
rv.tensor([1, 2, 3]).topk(4)  !!  (ValueError, RuntimeError, IndexError) | [topk] | 4
bool(rv.ones(2))  !!  (ValueError, RuntimeError) | (2,)
bool(rv.zeros(0))  !!  (ValueError, RuntimeError) | (0,)
if_ = 1 if rv.tensor([1, 2]) > 0 else 0  !!  (ValueError, RuntimeError) | (2,)
rv.ones(2).item()  !!  (ValueError, RuntimeError) | (2,)
float(rv.ones(2))  !!  (ValueError, RuntimeError, TypeError) | (2,)
len(rv.tensor(1))  !!  TypeError | ()
iter(rv.tensor(1))  !!  TypeError
rv.tensor([[1], [1, 2]])  !!  ValueError | equal length
rv.tensor("abc")  !!  TypeError | numbers
rv.tensor(["a", "b"])  !!  (TypeError, ValueError) | numbers
rv.tensor(None)  !!  (TypeError, RuntimeError) | numbers
rv.tensor({"a": 1})  !!  (TypeError, RuntimeError) | numbers
rv.tensor([object()])  !!  (TypeError, RuntimeError) | numbers
rv.tensor(np.array(["a"]))  !!  TypeError
rv.tensor(np.array([object()]))  !!  TypeError | object
rv.tensor(np.zeros(2, dtype=[("x", "f4")]))  !!  TypeError
rv.tensor(np.array([1 + 2j]))  !!  TypeError | complex  # ours: PyTorch takes it
rv.tensor(np.ma.masked_array([1.0, 2.0], [True, False]))  !!  TypeError | mask  # ours: PyTorch \
takes it
rv.from_numpy([1, 2])  !!  TypeError | list
rv.tensor([300], dtype=rv.uint8)  !!  (ValueError, RuntimeError) | uint8
rv.tensor([float("nan")], dtype=rv.int64)  !!  (ValueError, RuntimeError) | int64
rv.tensor([2 ** 63])  !!  (ValueError, RuntimeError, OverflowError) | int64
rv.full((2,), 300, dtype=rv.uint8)  !!  (ValueError, RuntimeError) | uint8
rv.zeros(2).fill_("a")  !!  TypeError | [fill_]
rv.zeros(-1)  !!  (ValueError, RuntimeError) | -1
rv.zeros(2 ** 40, 2 ** 40)  !!  (ValueError, RuntimeError)
rv.zeros(2 ** 50)  !!  (MemoryError, RuntimeError)
rv.zeros(2.5)  !!  TypeError | integers
rv.arange(0, 1, 0)  !!  (ValueError, RuntimeError) | step
rv.arange(float("inf"))  !!  (ValueError, RuntimeError) | finite
rv.eye(-1)  !!  (ValueError, RuntimeError) | -1
rv.randint(3, 3, (2,))  !!  (ValueError, RuntimeError) | 3
rv.zeros(2, dtype="int128")  !!  TypeError | float32
rv.zeros(2, device="cuda")  !!  (RuntimeError, AssertionError) | CPU
rv.zeros(2).cuda()  !!  (RuntimeError, AssertionError) | CPU
rv.device("gpu")  !!  RuntimeError | gpu
rv.ones(2, requires_grad=True).numpy()  !!  RuntimeError | detach
rv.tensor([1, 2], requires_grad=True)  !!  RuntimeError | int64
rv.tensor([1, 2]).requires_grad_()  !!  RuntimeError | int64
rv.tensor([1, 2]).mean()  !!  (TypeError, RuntimeError) | [mean] | int64
x = rv.ones(2, requires_grad=True); x.backward()  !!  RuntimeError | [backward] | (2,)
x = rv.ones(2); x.sum().backward()  !!  RuntimeError | [backward]
x = rv.ones(2, requires_grad=True); y = x.sum(); y.backward(); (x * x).sum().backward(); y2 = (x \
* x).sum(); y2.backward(); y2.backward()  !!  RuntimeError | retain_graph
x = rv.ones(2, requires_grad=True); x.add_(1)  !!  RuntimeError | no_grad
x = rv.ones(2, requires_grad=True); x[0] = 1  !!  RuntimeError | no_grad
x = rv.ones(2, requires_grad=True); y = x.exp(); y.add_(1); y.sum().backward()  !!  RuntimeError \
| exp
x = rv.ones(2, requires_grad=True); w = rv.ones(2); y = x * w; w.add_(1); \
y.sum().backward()  !!  RuntimeError | mul
x = rv.ones(2, requires_grad=True); g = rv.no_grad(); g.__enter__(); y = (x * 2).sum(); \
g.__exit__(None, None, None); y.backward()  !!  RuntimeError | [backward] | no_grad
x = rv.ones(2, requires_grad=True); (x * 2).backward(rv.ones(3))  !!  RuntimeError | (3,)
x = rv.ones(2, requires_grad=True); (x * 2).requires_grad = False  !!  RuntimeError | detach
rv.autograd.grad(rv.ones(1).sum(), rv.ones(1))  !!  RuntimeError
x = rv.ones(1, requires_grad=True); w = rv.ones(1, requires_grad=True); \
rv.autograd.grad(x.sum(), w)  !!  RuntimeError | allow_unused
rv.zeros(0).max()  !!  (ValueError, RuntimeError, IndexError) | [max] | (0,)
rv.zeros(0).argmax()  !!  (ValueError, RuntimeError, IndexError) | [argmax] | (0,)
rv.zeros(0, 3).max(dim=0)  !!  (ValueError, RuntimeError, IndexError) | [max] | (0, 3)
a = np.zeros(3); t = rv.from_numpy(a); a.resize(10)  !!  ValueError
a = np.zeros(3); a.flags.writeable = False; t = rv.from_numpy(a); t.add_(1)  !!  RuntimeError  # \
ours: PyTorch takes it
c = rv.ones(2).__dlpack__(); rv.from_dlpack(c); rv.from_dlpack(c)  !!  (ValueError, \
RuntimeError)  # ours: PyTorch takes it
rv.from_dlpack([1, 2])  !!  (TypeError, AttributeError) | __dlpack__
rv.nn.Linear(2, 1)(rv.ones(3, 2, dtype=rv.float64))  !!  (TypeError, RuntimeError) | .float() | \
.double()
rv.nn.Linear(2, 1)(rv.ones(3, 4))  !!  (ValueError, RuntimeError) | (3, 4) | 2
rv.nn.Linear(2, 1)(rv.ones(3, 2, dtype=rv.int64))  !!  (TypeError, RuntimeError)
rv.nn.functional.cross_entropy(rv.zeros(2, 3), rv.tensor([0, 3]))  !!  (IndexError, ValueError) | 3
rv.nn.functional.mse_loss(rv.ones(2), rv.ones(3))  !!  (ValueError, RuntimeError) | (2,) | (3,)
rv.ones(2, dtype=rv.uint16) + 1  !!  TypeError | uint16  # ours: PyTorch takes it
rv.ones(2) + "a"  !!  TypeError
rv.ones(2) + None  !!  TypeError
rv.ones(2) @ 3  !!  (TypeError, ValueError)
rv.relu()  !!  TypeError
rv.relu(rv.ones(2), rv.ones(2), 3)  !!  TypeError | [relu]
rv.sum(rv.ones(2), colour=1)  !!  TypeError | colour
rv.ones(2).sum(dim="a")  !!  TypeError | [sum]
rv.ones(2).clamp()  !!  (ValueError, RuntimeError, TypeError) | [clamp]
rv.multinomial(rv.tensor([0.5, 0.5]), 3)  !!  (ValueError, RuntimeError) | [multinomial] | 3
rv.manual_seed("a")  !!  TypeError | seed
rv.ones(2).to("float99")  !!  (RuntimeError, TypeError) | float99
f"{rv.ones(2):.2f}"  !!  TypeError | (2,)
rv.linspace(0, 1, -1)  !!  (ValueError, RuntimeError) | -1
rv.ones(2, 3).t().T.repeat(2)  !!  (ValueError, RuntimeError) | [repeat]
rv.ones(2).roll(1, dims=3)  !!  IndexError | [roll]
rv.ones(2).expand(1, -1, 3)  !!  (ValueError, RuntimeError) | [expand]
rv.zeros(2).masked_fill(rv.tensor([1, 0]), 1.0)  !!  (TypeError, RuntimeError) | [masked_fill] | \
bool
rv.ones(2, 2).narrow(0, 1, 2)  !!  (IndexError, ValueError, RuntimeError) | [narrow]
rv.ones(4).chunk(0)  !!  (ValueError, RuntimeError) | [chunk]
"""


@pytest.mark.parametrize(("module", "setup", "line"), cases(MISTAKES))
def test_mistake(module, setup, line):
    check(module, setup, line)
