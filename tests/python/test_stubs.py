"""The stubs are what the generator writes now, and the package is fully typed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "csrc" / "bindings" / "stubs.py"


def generated():
    spec = importlib.util.spec_from_file_location("stubs", GENERATOR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.stubs()


def test_stubs_are_up_to_date():
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, f"run python {GENERATOR.relative_to(ROOT)}"


def test_package_is_typed(tmp_path):
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


USER = """
import ranvier as rv
from ranvier import nn, optim

class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        y: rv.Tensor = self.layers(x)
        return y

@rv.no_grad()
def predict(net: Net, x: rv.Tensor) -> float:
    return float(net(x).reshape(-1, 1).sum(0).item())

net = Net().double().eval()
optimizer = optim.Adam(net.parameters(), lr=0.1)
x = rv.rand(3, 2, dtype=rv.float64)
loss = (net(x) ** 2).mean() + 2 * x[0, :1].sum() / 3 - 1
loss.backward()
optimizer.param_groups[0]["lr"] = 0.5
optimizer.step()
print(predict(net, x), x.T.shape[0] + 1, loss.dtype is rv.float64, rv.sigmoid(x) > 0.5)
"""

WRONG = """
import ranvier as rv
rv.relu()
rv.zeros(2).sum(dim="a")
rv.nn.Linear("2", 3)
rv.optim.SGD([], lr="fast")
"""


def test_what_users_write_is_typed(tmp_path):
    pytest.importorskip("mypy")
    files = {}
    for name, text in (("user.py", USER), ("wrong.py", WRONG)):
        files[name] = tmp_path / name
        files[name].write_text(text)
    options = ["--strict", "--config-file", "", "--follow-imports", "silent", "--cache-dir"]
    command = [sys.executable, "-m", "mypy", *options]
    for name, errors in (("user.py", 0), ("wrong.py", 4)):
        done = subprocess.run(
            [*command, str(tmp_path / "cache"), str(files[name])],
            cwd=ROOT / "python",
            capture_output=True,
            text=True,
        )
        found = [line for line in done.stdout.splitlines() if ": error:" in line]
        assert len(found) == errors, done.stdout + done.stderr
