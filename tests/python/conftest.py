"""What all tests share: settings of the core are put back after every test.

Refuses to hide anything: an instruction set that the machine lacks is skipped with its name.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from ranvier import _C

ISAS = ("base", "avx2", "avx512")


def pytest_configure() -> None:
    """Ctrl-C raises also where a shell has started the tests in the background, without SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Threads, grain, instruction set and gradient mode, as they were."""
    threads, isa = _C.get_num_threads(), _C.current_isa()
    yield
    _C.set_num_threads(threads)
    _C.set_isa(isa)
    _C.set_grain(0)
    _C.set_grad_enabled(True)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    """Every instruction set in turn, switched on."""
    if request.param not in _C.available_isas():
        pytest.skip(f"this machine has no {request.param}")
    _C.set_isa(request.param)
    return str(request.param)
