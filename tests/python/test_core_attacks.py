"""Attacks on the core: random arguments, many threads, settings that change meanwhile, fork.

What might take the process along runs in one of its own. Refuses to know which error is right:
that is the case table's; here every call raises something or works.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import ranvier as rv
from ranvier import _C

FAST = os.environ.get("RANVIER_CHECK_FAST") == "1"
f32 = _C.float32


def in_child(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, as what might crash must not take pytest along."""
    full = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **env}
    text = "import numpy as np\nfrom ranvier import _C\n" + code
    return subprocess.run(
        [sys.executable, "-c", text], env=full, capture_output=True, text=True, timeout=300
    )


def test_gradient_kernels_check_their_inputs() -> None:
    """Every kernel that backward calls, called wrongly: an error, in a process of its own."""
    code = """
import itertools
pool = [None, _C.zeros((2,), _C.float32), _C.zeros((100000,), _C.float32), _C.zeros((), _C.float64),
        _C.as_tensor([1, 2]), _C.as_tensor([0] * 100000), _C.zeros((2, 3), _C.float32),
        _C.as_tensor([2**40, -5]), _C.zeros((0,), _C.float32), _C.zeros((2,), _C.bool_)]
values = {"int": [0, 1, -1, 5], "bool": [False], "float": [0.5], "str": ["mean", "none"],
          "int or sequence of int": [[3], [2, 3], [-1], []], "dtype": [_C.float64]}
rng = np.random.default_rng(0)
done = 0
for entry in _C.registry():
    if not entry["gradient_of"]:
        continue
    op = getattr(_C.ops, entry["name"])
    for _ in range(COUNT):
        inputs = [pool[i] for i in rng.integers(0, len(pool), len(entry["inputs"]))]
        attrs = {a["name"]: values[a["kind"]][rng.integers(len(values[a["kind"]]))]
                 for a in entry["attrs"]}
        try:
            op(**dict(zip(entry["inputs"], inputs)), **attrs)
            done += 1
        except (ValueError, TypeError, IndexError, RuntimeError):
            pass
print("alive", done)
""".replace("COUNT", "40" if FAST else "400")
    run = in_child(code)
    assert run.returncode == 0 and "alive" in run.stdout, run.stderr[-2000:]


def test_ops_survive_random_arguments() -> None:
    """Every public op with inputs that seldom fit: it works or raises, and never crashes."""
    code = """
rng = np.random.default_rng(SEED)
f = np.float32
pool = [_C.zeros((2,), _C.float32), _C.zeros((2, 3), _C.float32), _C.zeros((3, 2), _C.float32),
        _C.zeros((), _C.float32), _C.zeros((), _C.float64), _C.zeros((0, 3), _C.float32),
        _C.as_tensor([1, 0]), _C.as_tensor([[0, 1, 2], [2, 1, 0]]), _C.as_tensor([5, -7]),
        _C.zeros((2, 3), _C.float32).transpose(0, 1), _C.zeros((1,), _C.float32).expand(2, 3),
        _C.zeros((2, 3, 4), _C.float64), _C.zeros((2, 3), _C.bool_), _C.zeros((2, 3), _C.uint8),
        _C.from_numpy(np.zeros((4, 6), f)[::2, ::2]), _C.Generator(0).state, 1.5, 2, True, None,
        [1.0, 2.0], [[1, 2], [3]], "text", _C.zeros((1,), _C.int64).expand(2)]
values = {"int": [0, 1, -1, 5, -9, 2**40, -2**63], "bool": [False, True], "str": ["mean", "x"],
          "float": [0.5, float("nan"), float("inf"), 1e300, -1.0, 0.0],
          "int or sequence of int": [[3], [2, 3], [-1], [], 0, 1, -5, [0, 1], [1, 0], [2**40] * 3],
          "dtype": [_C.float64, _C.int32, "float32"]}
for entry in _C.registry():
    op = getattr(_C.ops, entry["name"])
    for _ in range(COUNT):
        inputs = [pool[i] for i in rng.integers(0, len(pool), len(entry["inputs"]))]
        attrs = {a["name"]: values[a["kind"]][rng.integers(len(values[a["kind"]]))]
                 for a in entry["attrs"]}
        if attrs.get("n") == 2**40:
            continue
        try:
            op(**dict(zip(entry["inputs"], inputs)), **attrs)
        except (ValueError, TypeError, IndexError, RuntimeError, MemoryError, OverflowError):
            pass
        except AttributeError as e:
            raise SystemExit(f"{entry['name']}: {e}")
print("alive")
""".replace("COUNT", "30" if FAST else "600")
    for seed in ("1", "2"):
        run = in_child(code.replace("SEED", seed))
        assert run.returncode == 0 and "alive" in run.stdout, run.stderr[-2000:]


# ---- threads and fork


def test_many_python_threads_at_once() -> None:
    """Eight threads call ops, backward and replay; everybody gets the right numbers."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((70, 90)).astype("f4"), rng.standard_normal((40, 90)).astype("f4")
    want = _C.ops.linear(_C.from_numpy(x), _C.from_numpy(w), None, "tanh").numpy().tobytes()
    errors: list[BaseException] = []
    _C.set_num_threads(3)
    _C.set_grain(64)

    def work() -> None:
        try:
            for _ in range(5 if FAST else 40):
                p = _C.from_numpy(w).requires_grad_(True)
                y = _C.ops.linear(_C.from_numpy(x), p, None, "tanh")
                assert y.detach().numpy().tobytes() == want
                y.sum().backward()
                assert p.grad is not None
                _C.set_grad_enabled(False)
                assert not (p * 2.0).requires_grad
                _C.set_grad_enabled(True)
                program = _C.Program.record(lambda t: t.exp().sum(), _C.zeros((5000,), f32))
                assert program.replay(_C.zeros((5000,), f32)).item() == 5000
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    assert _C.is_grad_enabled(), "gradient mode belongs to the thread"


def test_settings_change_while_others_compute() -> None:
    """Threads, grain and instruction set may change at any moment: numbers stay right."""
    code = """
import threading
rng = np.random.default_rng(0)
a = _C.from_numpy(rng.standard_normal((150, 700)).astype("f4"))
b = _C.from_numpy(rng.standard_normal((700, 300)).astype("f4"))
s = _C.from_numpy(rng.standard_normal((64, 500)).astype("f4"))
_C.set_isa(_C.available_isas()[-1])
want = _C.ops.matmul(a, b).numpy().tobytes()
soft = _C.ops.softmax(s, 0).numpy().tobytes()
stop = False
def disturb():
    n = 0
    isas = [i for i in _C.available_isas() if i != "base"] or ["base"]
    while not stop:
        n += 1
        _C.set_num_threads(1 + n % 8)
        _C.set_grain([0, 1000, 100000][n % 3])
        _C.set_isa(isas[n % len(isas)])
t = threading.Thread(target=disturb)
t.start()
bad = 0
for _ in range(COUNT):
    bad += _C.ops.matmul(a, b).numpy().tobytes() != want
    bad += _C.ops.softmax(s, 0).numpy().tobytes() != soft
stop = True
t.join()
print("wrong:", bad)
""".replace("COUNT", "20" if FAST else "150")
    run = in_child(code)
    assert run.returncode == 0 and "wrong: 0" in run.stdout, run.stdout + run.stderr[-2000:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_after_parallel_work() -> None:
    """A child of fork computes, with one thread, and does not hang."""
    code = """
import os, signal
x = _C.from_numpy(np.random.default_rng(0).standard_normal((300, 300)).astype("f4"))
_C.set_num_threads(2)
want = _C.ops.matmul(x, x).numpy().tobytes()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    os._exit(0 if _C.ops.matmul(x, x).numpy().tobytes() == want else 1)
print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    run = in_child(code)
    assert "child 0" in run.stdout, run.stdout + run.stderr


# --- found by reading the core ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["numel", "item", "detach", "backward", "is_contiguous"])
def test_none_is_no_tensor(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(_C.Tensor, name)(None)
    with pytest.raises(TypeError):
        _C.Tensor.shape.fget(None)
    with pytest.raises(TypeError):
        _C.Tensor.__getitem__(None, 0)


def test_objects_without_init() -> None:
    with pytest.raises((TypeError, RuntimeError)):
        _ = _C.Generator.__new__(_C.Generator).state
    with pytest.raises((TypeError, RuntimeError)):
        _C.Program.__new__(_C.Program).replay()


def test_a_thread_that_computes_while_the_interpreter_ends() -> None:
    code = """
import threading
import ranvier as rv
from ranvier import _C
a = _C.full((300, 300), 1.0, _C.float32)
def work():
    while True:
        a + a
threading.Thread(target=work, daemon=True).start()
for _ in range(1000):
    a + a
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_threads_that_share_a_parameter() -> None:
    w = _C.full((16, 16), 1.0, _C.float32)
    w.requires_grad = True
    x = _C.full((16, 16), 1.0, _C.float32)

    def work() -> None:
        for _ in range(300):
            (w @ x).sum().backward()
            w.grad = None

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_a_partly_freed_graph_changes_nothing() -> None:
    w, v = (_C.as_tensor([2.0]).requires_grad_() for _ in range(2))
    h = w * w
    h.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        (h * v).sum().backward()
    assert v.grad is None


def test_copies_between_views_of_one_array() -> None:
    values = np.arange(200_000, dtype=np.float32)
    one, other = _C.from_numpy(values), _C.from_numpy(values)
    one[1:].copy_(other[:-1])
    assert np.array_equal(values[1:], np.arange(199_999, dtype=np.float32))


def test_augmented_assignment_keeps_shape_and_dtype() -> None:
    w = _C.as_tensor([1.0, 2.0, 3.0]).requires_grad_()
    y = w * 1
    with pytest.raises(_C.ShapeError):
        y += _C.full((2, 3), 1.0, _C.float32)
    y += _C.full((3,), 1.0, _C.float64)
    assert y.dtype is _C.float32 and y.requires_grad


def test_results_of_linear_may_change_where_backward_does_not_need_them() -> None:
    x, w = _C.full((2, 3), 1.0, _C.float32), _C.full((4, 3), 1.0, _C.float32).requires_grad_()
    plain, squashed = _C.ops.linear(x, w), _C.ops.linear(x, w, None, "tanh")
    _C.set_grad_enabled(False)
    plain.detach().mul_(2)
    squashed.detach().mul_(2)
    _C.set_grad_enabled(True)
    plain.sum().backward()
    with pytest.raises(RuntimeError, match="changed in place"):
        squashed.sum().backward()


def test_powers() -> None:
    x = _C.as_tensor([0.0, 4.0]).requires_grad_()
    x.pow(1.5).sum().backward()
    assert x.grad.numpy().tolist() == [0.0, 3.0]
    minus = _C.as_tensor([-1.0])
    assert [minus.pow(p).item() for p in (65, 100, 0, -3)] == [-1, 1, 1, -1]
    assert np.isnan(minus.pow(0.3).item())


@pytest.mark.parametrize("bounds", [(5.0, 1.0), (0.0, 1e300), (-3e38, 3e38)])
def test_uniform_bounds(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="uniform"):
        _C.ops.uniform(_C.Generator(0).state, [4], *bounds)


def test_environment_that_is_no_number() -> None:
    for name in ("RANVIER_NUM_THREADS", "RANVIER_GRAIN"):
        done = subprocess.run(
            [sys.executable, "-c", "from ranvier import _C; _C.get_num_threads()"],
            env={**os.environ, name: "many"},
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0 and f"[{name}] expected a whole number" in done.stderr


@pytest.mark.parametrize(
    "strides, offset", [((-1, -2), 0), ((1,), 0), ((1, 1), -1), ((2**62, 2**62), 2**62)]
)
def test_strided_refuses_layouts_that_cannot_be(strides: tuple[int, ...], offset: int) -> None:
    x = rv.ones(3, 4, requires_grad=True)
    with pytest.raises(ValueError, match="strides and the offset of the input"):
        _C.ops.strided(x, (2, 2), (1, 1), 0, strides, offset)


def test_axes_that_nobody_could_list() -> None:
    """An axis beside one of size 0 can have any size: refused at once."""
    x = rv.from_numpy(np.zeros((0, 2**40)))
    for split in (
        lambda: x.unbind(1),
        lambda: x.chunk(2**40, 1),
        lambda: x.split(1, 1),
        lambda: x.tensor_split(2**40, 1),
        lambda: x.hsplit(2**40),
        lambda: x.T.tolist(),
    ):
        with pytest.raises(rv.ShapeError, match="expected at most 16777216"):
            split()
    assert x.tolist() == [] and len(x.T.chunk(3)) == 3
    assert [len(part) for part in rv.zeros(2, 0).tolist()] == [0, 0]
    for same in (x.sort(0).values, x.cumsum(0), x.cummax(0).values, x.chunk(1, 0)[0]):
        assert same.shape == x.shape
    for empty in (x.sum(1), x.mean(1), x.var(1), x.nanmean(1), x.count_nonzero(1)):
        assert empty.shape == (0,)


def test_the_largest_none_of_a_number() -> None:
    """As in PyTorch the number itself, and not memory that nobody has written."""
    values, indices = rv.tensor(True).topk(0)
    assert values.item() is True and indices.item() == 0


@pytest.mark.parametrize("size", [-1, -(2**63)])
def test_strided_views_of_negative_sizes(size: int) -> None:
    with pytest.raises(rv.ShapeError, match="expected sizes of 0 or more"):
        rv.as_strided(rv.arange(6.0), [2, size], [1, 1])
