"""Devices, default dtypes and what tensors say about themselves."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import ranvier as rv

ALL = [
    rv.float32, rv.float64, rv.float16, rv.bfloat16, rv.int64, rv.int32, rv.int16, rv.int8,
    rv.uint8, rv.bool, rv.uint16, rv.uint32, rv.uint64,
]  # fmt: skip
NAMES = {dtype.name: dtype for dtype in ALL}


def values(t: rv.Tensor) -> np.ndarray:
    return t.to(rv.float64).numpy()


# --- devices ------------------------------------------------------------------------------------


def test_devices_are_values():
    cpu, gpu = rv.device("cpu"), rv.device("cuda:1")
    assert str(cpu) == "cpu" and repr(cpu) == "device(type='cpu')"
    assert str(gpu) == "cuda:1" and repr(gpu) == "device(type='cuda', index=1)"
    assert (
        gpu == rv.device("cuda", 1) == rv.device(type="cuda", index=1) == rv.device(1) == "cuda:1"
    )
    assert cpu != gpu and cpu != rv.device("cpu:0") and cpu != 3 and rv.device(gpu) == gpu
    assert {cpu: 1}["cpu"] == 1 and pickle.loads(pickle.dumps(gpu)) == gpu
    assert rv.ones(2).device == cpu and rv.ones(2).device.type == "cpu"
    assert rv.ones(2).to(cpu).device == rv.get_default_device()
    with cpu:
        assert rv.ones(1).device == cpu
    with pytest.raises(AttributeError):
        cpu.type = "cuda"
    for wrong in ("gpu", "", "cuda:", "cuda:x", "cuda:-1"):
        with pytest.raises(RuntimeError, match=r"\[device\]"):
            rv.device(wrong)
    with pytest.raises(TypeError):
        rv.device(1.5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: rv.ones(1).cuda(),
        lambda: rv.ones(1).cuda(0),
        lambda: rv.ones(1).to("cuda"),
        lambda: rv.ones(1).to(rv.device("mps")),
        lambda: rv.ones(1).to("meta", rv.float64),
        lambda: rv.tensor([1.0], device="cuda:0"),
        lambda: rv.rand(2, device="cuda"),
        lambda: rv.FloatTensor([1], device="cuda"),
        lambda: rv.set_default_device("cuda"),
        lambda: rv.cuda.get_device_name(0),
        lambda: rv.cuda.current_device(),
        lambda: rv.cuda.device(0),
        lambda: rv.accelerator.current_device_index(),
        lambda: rv.device("cuda").__enter__(),
    ],
)
def test_what_is_not_there_says_so(ask):
    with pytest.raises(RuntimeError, match=r"computes on the CPU only; .* rv.cuda.is_available"):
        ask()


def test_questions_about_devices():
    t = rv.ones(2)
    assert t.is_cpu and not (t.is_cuda or t.is_mps or t.is_meta or t.is_sparse or t.is_quantized)
    assert t.cpu() is t and t.get_device() == -1 and t.layout is rv.strided
    assert t.pin_memory() is t and not t.is_pinned()
    assert not rv.cuda.is_available() and rv.cuda.device_count() == 0
    assert rv.cuda.memory_allocated() == rv.cuda.max_memory_allocated() == 0
    rv.cuda.manual_seed(0), rv.cuda.manual_seed_all(0), rv.cuda.empty_cache(), rv.cuda.synchronize()
    with pytest.raises(TypeError, match=r"\[cuda.manual_seed\]"):
        rv.cuda.manual_seed("a")
    assert not rv.accelerator.is_available() and rv.accelerator.current_accelerator() is None
    assert not (rv.backends.mps.is_available() or rv.backends.mps.is_built())
    assert not (rv.backends.cudnn.is_available() or rv.backends.cuda.is_built())
    rv.set_default_device("cpu")


def test_switches_are_kept():
    import ranvier.backends.cudnn as cudnn

    for name in ("deterministic", "benchmark", "allow_tf32"):
        before = getattr(cudnn, name)
        setattr(cudnn, name, True)
        assert getattr(rv.backends.cudnn, name) is True
        setattr(cudnn, name, before)
    rv.use_deterministic_algorithms(True)
    assert rv.are_deterministic_algorithms_enabled()
    rv.use_deterministic_algorithms(False)
    rv.set_float32_matmul_precision("high")
    assert rv.get_float32_matmul_precision() == "high"
    rv.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match="'low'"):
        rv.set_float32_matmul_precision("low")
    with pytest.raises(TypeError):
        rv.use_deterministic_algorithms("yes")


def test_compile_gives_back_what_it_gets():
    def f(x: rv.Tensor) -> rv.Tensor:
        return x + 1

    assert rv.compile(f) is f and rv.compile(mode="default")(f) is f
    assert rv.compile(f, fullgraph=True, dynamic=False, backend="inductor") is f
    model = rv.nn.Linear(2, 1)
    assert rv.compile(model) is model
    with pytest.raises(TypeError, match=r"\[compile\] model"):
        rv.compile(3)


# --- what tensors say about themselves ----------------------------------------------------------


def test_sizes_in_bytes():
    t = rv.ones(2, 3, dtype=rv.float64)
    assert (t.itemsize, t.nbytes, t.element_size(), t.nelement(), t.ndimension()) == (
        8,
        48,
        8,
        6,
        2,
    )
    assert t[1:, 1:].storage_offset() == 4 and t.is_same_size(rv.zeros(2, 3))
    assert t.is_floating_point() and t.is_signed() and not t.is_complex()
    assert rv.is_floating_point(t) and not rv.is_complex(t)
    assert (
        not rv.ones(1, dtype=rv.uint8).is_signed()
        and not rv.ones(1, dtype=rv.int8).dtype.is_floating_point
    )
    assert t.real is t and rv.is_nonzero(rv.tensor(3)) and complex(rv.tensor(2)) == 2
    with pytest.raises(RuntimeError, match="complex"):
        t.imag  # noqa: B018


@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        (lambda t: t.to(rv.float64), rv.float64),
        (lambda t: t.to("cpu", rv.float64), rv.float64),
        (lambda t: t.to(rv.device("cpu"), rv.float64, False, True), rv.float64),
        (lambda t: t.to(dtype=rv.int32), rv.int32),
        (lambda t: t.to(rv.int32, non_blocking=True, copy=True), rv.int32),
        (lambda t: t.to(rv.tensor([1])), rv.int64),
        (lambda t: t.to(other=rv.tensor([1])), rv.int64),
        (lambda t: t.to(device="cpu", dtype=rv.float16), rv.float16),
        (lambda t: t.to("float64"), rv.float64),
        (lambda t: t.to(np.float64), rv.float64),
        (lambda t: t.to(None, rv.uint8), rv.uint8),
        (lambda t: t.half(), rv.float16),
        (lambda t: t.bfloat16(), rv.bfloat16),
        (lambda t: t.short(), rv.int16),
        (lambda t: t.char(), rv.int8),
        (lambda t: t.byte(), rv.uint8),
        (lambda t: t.type_as(rv.tensor([True])), rv.bool),
    ],
)
def test_conversions(call, dtype):
    t = rv.tensor([0.0, 1.0])
    assert call(t).dtype is dtype and call(t).tolist() == [0, 1]


def test_a_conversion_that_changes_nothing_gives_the_tensor_itself():
    t = rv.tensor([1.0])
    assert t.to() is t.to(rv.float32) is t.to("cpu") is t.to("cpu:0", rv.float32) is t.float() is t
    assert t.to(rv.float32, copy=True) is not t and t.to("cpu", None, False, True) is not t
    for wrong in (
        lambda: t.to(rv.float32, rv.float64),
        lambda: t.to("cpu", rv.float32, False, False, 1),
        lambda: t.to(rv.float32, copy=1),
        lambda: t.to("cpu", device="cpu"),
        lambda: t.to(colour=1),
    ):
        with pytest.raises(TypeError, match=r"\[to\]"):
            wrong()


@pytest.mark.parametrize("make", [rv.empty, lambda n, dtype: rv.zeros(n).new_empty(n, dtype=dtype)])
def test_empty_bools_are_bools(make: Any) -> None:
    """Memory that was used before holds any bytes; a bool must be 0 or 1."""
    for size in (3, 4096):
        rv.full((size,), 48, dtype=rv.uint8)
        assert make(size, dtype=rv.bool).numpy().view(np.uint8).max() <= 1
