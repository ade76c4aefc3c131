"""Learning to read handwritten digits, from 1,437 of them to 360 that were kept aside.

A demo of the public interface: what it does is in `train`, the rest prints. The digits kept aside
are looked at once, after training.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ranvier as rv
from ranvier import nn
from ranvier._C import Tensor
from ranvier._demo.pictures import draw, has_blocks
from ranvier.data import load_digits
from ranvier.training.metrics import Metric, accuracy
from ranvier.training.progress import ProgressLines, percent

HIDDEN, RATE, BATCH, EPOCHS = 128, 0.005, 32, 50
RIGHT = frozenset({"right"})  # printed in per cent
_FILE = "build/digits.safetensors"
_KERNELS = {"base": "x86-64", "avx2": "AVX2", "avx512": "AVX-512"}
_MARGIN = " " * 6


def train(X: Tensor, y: Tensor, seed: int = 0, verbose: int = 0) -> tuple[nn.Module, rv.History]:
    """The network of the demo, trained on the given rows and nothing else."""
    rv.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    right = Metric("right", accuracy, fraction=True)
    history = rv.fit(
        net, X, y, loss="cross_entropy", lr=RATE, epochs=EPOCHS, batch_size=BATCH, seed=seed,
        metrics=[right], verbose=0, callbacks=ProgressLines(EPOCHS, verbose, RIGHT, few=True),
    )  # fmt: skip
    return net, history


def run(seed: int = 0) -> None:
    """Train, print what came out, and save the weights."""
    (X, y), (X_aside, y_aside) = load_digits(test=0.2, seed=seed)
    weights = 64 * HIDDEN + HIDDEN + HIDDEN * 10 + 10
    info = rv.cpu_info()
    threads = "1 thread" if info["threads"] == 1 else f"{info['threads']} threads"
    kernels = _KERNELS.get(info["isa"], info["isa"])
    print("Learning to read handwritten digits: 1,797 real ones, 8 x 8 pixels")
    print(f"  network   64 -> {HIDDEN} relu -> 10     {weights:,} weights", end="")
    print(f", Adam {RATE}, batches of {BATCH}")
    print(f"  machine   {kernels} kernels, {threads}, seed {seed}: the same bits on every run")
    print(f"  data      {len(y):,} to learn from, {len(y_aside)} kept aside", end="")
    print(" and not looked at until the end", flush=True)
    net, _ = train(X, y, seed, verbose=1)

    chances = rv.predict(net, X_aside).softmax(1)
    answers = chances.argmax(1).tolist()
    labels = y_aside.tolist()
    right = sum(a == b for a, b in zip(answers, labels, strict=True))
    share = percent(right / len(labels))
    print(f"\nThe {len(labels)} it has never seen:  {right} right  =  {share}")
    sure = [row[a] for row, a in zip(chances.tolist(), answers, strict=True)]
    beside = _gallery(X_aside.tolist(), labels, answers, sure)
    for line, extra in zip(_matrix(labels, answers), beside, strict=True):
        print((line + extra).rstrip())
    _save(net)
    _what_next()


def _matrix(labels: list[int], answers: list[int]) -> list[str]:
    """The confusion matrix: a heading and ten rows, 44 characters wide."""
    counts = [[0] * 10 for _ in range(10)]
    for label, answer in zip(labels, answers, strict=True):
        counts[label][answer] += 1
    lines = ["       read as" + "".join(f"{digit:>3}" for digit in range(10))]
    for digit, row in enumerate(counts):
        head = f"  {'is' if digit == 0 else '  '} {digit}".ljust(14)
        lines.append(head + "".join(f"{count or '.':>3}" for count in row))
    return lines


def _gallery(
    pixels: list[list[float]], labels: list[int], answers: list[int], sure: list[float]
) -> list[str]:
    """Eleven lines beside the matrix: two digits that were read right, one that was not."""
    blocks = has_blocks()

    def picture(row: int) -> list[str]:
        return draw([pixels[row][start : start + 8] for start in range(0, 64, 8)], blocks)

    right = [row for row, label in enumerate(labels) if answers[row] == label]
    wrong = [row for row, label in enumerate(labels) if answers[row] != label]
    # The second one shows another digit than the first.
    shown = right[:1] + [row for row in right if labels[row] != labels[right[0]]][:1]
    lines = [""] * 11
    lines[1] = "".join(f"{labels[r]} at {percent(sure[r])}".ljust(13) for r in shown)
    for i, parts in enumerate(zip(*map(picture, shown), strict=True)):
        lines[2 + i] = "  " + "     ".join(parts)
    if wrong:
        row = wrong[0]
        article = "an" if labels[row] == 8 else "a"
        caption = ["", f"wrong: {article} {labels[row]},", f"read as {answers[row]}"]
        caption += [f"at {percent(sure[row])}"]
        for i, (part, words) in enumerate(zip(picture(row), caption, strict=True)):
            lines[7 + i] = f"  {part}   {words}"
    return [_MARGIN + line for line in lines]


def _save(net: nn.Module) -> None:
    try:
        os.makedirs(os.path.dirname(_FILE), exist_ok=True)
        rv.save(net, _FILE, labels=range(10))
    except OSError as error:
        print(f"could not save {_FILE} here: {error.strerror or error}")
        return
    size = round(os.path.getsize(_FILE) / 1000)
    print(f"saved {_FILE} ({size} kB): any reader of safetensors opens it")


def _what_next() -> None:
    activate = Path(".venv/bin/activate")
    inside = activate.exists() and Path(sys.prefix).resolve() == activate.parent.parent.resolve()
    enter = f". {activate}   &&   " if inside and "VIRTUAL_ENV" not in os.environ else ""
    print(f"next:   {enter}python -m ranvier demo xor")
    readme = _readme_line()
    print("more:   python -m ranvier demo | info | show" + (f"        {readme}" if readme else ""))


def _readme_line() -> str:
    """Where the README of this folder shows its first Python program, if it is ours."""
    try:
        lines = Path("README.md").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    if lines[:1] != ["# Ranvier"] or "```python" not in lines:
        return ""
    return f"README.md, line {lines.index('```python') + 2}"
