"""How far to go along a direction: a search for a point with the strong Wolfe conditions.

Nocedal and Wright, "Numerical optimization", 2nd edition, 2006, algorithms 3.5 and 3.6 with cubic
interpolation (equation 3.59). Works on numbers; what costs is evaluating a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ranvier._C import Tensor

_DECREASE, _CURVATURE = 1e-4, 0.9  # c1 and c2 of the book


class Point(NamedTuple):
    """A place on the way: how far, the loss, its gradient, and the slope along the direction."""

    t: float
    value: float
    gradient: Tensor
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    length: float,
    tolerance: float = 1e-9,
    most: int = 25,
) -> tuple[Point, int]:
    """The best point that is found, and how many were looked at.

    Parameters
    ----------
    evaluate : callable
        Gives the point at a distance.
    start : Point
        At distance 0, where it must go down.
    t : float
        The first distance to try.
    length : float
        The largest element of the direction: how much a distance of 1 changes.
    tolerance : float
        Smaller changes are not looked for.
    most : int
        How often to go on.

    Returns
    -------
    Point, int
    """
    search = _Search(evaluate, start, most)
    found = search.bracket(t)
    if isinstance(found, list):
        found = search.zoom(found, length, tolerance)
    return found, search.evaluations


class _Search:
    def __init__(self, evaluate: Callable[[float], Point], start: Point, most: int) -> None:
        self.evaluate = evaluate
        self.start = start
        self.left = most
        self.evaluations = 0

    def at(self, t: float) -> Point:
        self.evaluations += 1
        return self.evaluate(t)

    def too_high(self, point: Point) -> bool:
        """Whether the loss has not decreased enough for the way."""
        return point.value > self.start.value + _DECREASE * point.t * self.start.slope

    def flat(self, point: Point) -> bool:
        """Whether the slope is small enough."""
        return abs(point.slope) <= -_CURVATURE * self.start.slope

    def bracket(self, t: float) -> Point | list[Point]:
        """A point that will do, or two with one between them."""
        before, point, tries = self.start, self.at(t), 0
        while self.left > 0:
            if self.too_high(point) or (tries > 1 and point.value >= before.value):
                return [before, point]
            if self.flat(point):
                return point
            if point.slope >= 0:
                return [before, point]
            nearest, farthest = point.t + 0.01 * (point.t - before.t), point.t * 10
            t = _lowest(before, point, nearest, farthest)
            before, point = point, self.at(t)
            self.left -= 1
            tries += 1
        return [self.start, point]

    def zoom(self, ends: list[Point], length: float, tolerance: float) -> Point:
        """Narrows a bracket; the lower end in the end."""
        low = 0 if ends[0].value <= ends[1].value else 1
        at_the_edge = False
        while self.left > 0 and abs(ends[1].t - ends[0].t) * length >= tolerance:
            left, right = sorted((ends[0].t, ends[1].t))
            t = _lowest(ends[0], ends[1], left, right)
            margin = 0.1 * (right - left)
            # Close to an end for the second time, or on it: move away, or it would not narrow.
            if min(right - t, t - left) >= margin:
                at_the_edge = False
            elif at_the_edge or t >= right or t <= left:
                t = right - margin if right - t < t - left else left + margin
                at_the_edge = False
            else:
                at_the_edge = True
            point = self.at(t)
            self.left -= 1
            if self.too_high(point) or point.value >= ends[low].value:
                ends[1 - low] = point
                low = 0 if ends[0].value <= ends[1].value else 1
                continue
            if self.flat(point):
                return point
            if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = point
        return ends[low]


def _lowest(a: Point, b: Point, left: float, right: float) -> float:
    """Where the cubic through two points and their slopes is lowest, kept between two bounds."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    middle = (left + right) / 2
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0 or math.isnan(divisor):
        return middle
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / divisor)
    return middle if math.isnan(t) else min(max(t, left), right)
