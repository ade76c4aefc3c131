"""The demos of `python -m ranvier demo`: short programs against the public interface.

Plain text in 80 columns, no control characters but those of `fit`'s progress line, and nothing
beyond ASCII where the output cannot show it.
"""

from __future__ import annotations

from ranvier._demo import digits, perceptron, regression, spirals, xor

DEMOS = {
    "digits": (digits.run, "reads real handwritten digits, 98 of 100 right; about a second"),
    "perceptron": (perceptron.run, "the first rule of learning, and what it cannot do"),
    "regression": (regression.run, "a curve through noisy points"),
    "spirals": (spirals.run, "the border between two spirals, drawn"),
    "xor": (xor.run, "the smallest network that does what one neuron cannot"),
}


def run(name: str | None, seed: int = 0) -> int:
    """Run a demo, or list them; the exit status."""
    if name is not None:
        DEMOS[name][0](seed)
        return 0
    print("python -m ranvier demo NAME, where NAME is")
    for each, (_, words) in DEMOS.items():
        print(f"  {each:<12}{words}")
    return 0
