"""Everything public has a docstring, and every example in a docstring runs as shown."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import ranvier as rv
from ranvier import nn, optim

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(rv.__path__, "ranvier.")
    if not info.name.endswith(("__main__", "._C"))
)


@pytest.mark.parametrize("name", ["ranvier", *MODULES])
def test_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("package", [rv, nn, nn.functional, nn.init, optim])
def test_public_names_are_documented(package):
    names = getattr(package, "__all__", None) or [
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == package.__name__
    ]
    for name in names:
        value = getattr(package, name)
        if isinstance(value, rv.dtype):
            continue
        assert inspect.getdoc(value), f"{package.__name__}.{name}"
