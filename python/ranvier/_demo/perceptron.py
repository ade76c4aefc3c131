"""Rosenblatt's perceptron learns AND, and cannot learn XOR: why networks have hidden layers.

A demo of the public interface. It is done in a moment.
"""

from __future__ import annotations

import textwrap
import warnings

from ranvier.sklearn import Perceptron

CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]]
AND, XOR = [0, 0, 0, 1], [0, 1, 1, 0]
STEP = 0.01


def learn(answers: list[int]) -> tuple[Perceptron, list[str]]:
    """A perceptron after learning, and what it had to say."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        net = Perceptron(eta0=STEP).fit(CORNERS, answers)
    return net, [str(warning.message) for warning in said]


def show(name: str, words: str, answers: list[int]) -> None:
    """Learn, and print every pass and the truth table."""
    net, said = learn(answers)
    print(f"{name}: {words}")
    for number, wrong in enumerate(net.errors_, 1):
        print(f"  pass {number}   {wrong} of 4 rows wrong")
    (a, b), c = net.coef_[0].tolist(), net.intercept_[0]
    print(f"  answer 1 where {a:.2f} a {b:+.2f} b {c:+.2f} >= 0\n")
    print("  a  b   wanted   perceptron says")
    for (x, y), wanted, given in zip(CORNERS, answers, net.predict(CORNERS).tolist(), strict=True):
        print(f"  {x}  {y}     {wanted}        {given}   {'right' if given == wanted else 'wrong'}")
    for warning in said:
        for line in textwrap.wrap(f"It cannot: {warning.split('] ')[1].split(';')[0]}.", 76):
            print(f"  {line}")
    print()


def run(seed: int = 0) -> None:
    """AND, then XOR; the rule draws nothing, so the seed changes nothing."""
    print("Rosenblatt's perceptron, 1958: one neuron, one rule\n")
    show("AND", "1 where both inputs are 1", AND)
    show("XOR", "1 where exactly one input is 1", XOR)
    print("next:   python -m ranvier demo xor")
