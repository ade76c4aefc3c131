"""The demos of `python -m ranvier demo`: short programs against the public interface.

Plain text in 80 columns, no control characters but those of `fit`'s progress line, and nothing
beyond ASCII where the output cannot show it.
"""

from __future__ import annotations

from collections.abc import Callable

from ranvier._demo import digits, mnist, perceptron, regression, spirals, xor

# Each gets a seed, and returns an exit status or None for 0.
DEMOS: dict[str, tuple[Callable[[int], int | None], str]] = {
    "digits": (digits.run, "reads real handwritten digits, 98 of 100 right; about a second"),
    "mnist": (mnist.run, "60,000 digits; a download of 11 MB where they are not at hand"),
    "perceptron": (perceptron.run, "the first rule of learning, and what it cannot do"),
    "regression": (regression.run, "a curve through noisy points"),
    "spirals": (spirals.run, "the border between two spirals, drawn"),
    "xor": (xor.run, "the smallest network that does what one neuron cannot"),
}


def run(name: str | None, seed: int = 0) -> int:
    """Run a demo, or list them; the exit status."""
    if name is not None:
        return DEMOS[name][0](seed) or 0
    print("python -m ranvier demo NAME, where NAME is")
    for each, (_, words) in DEMOS.items():
        print(f"  {each:<12}{words}")
    return 0
