"""Student's t distribution, exact enough for decisions and without a numerical library."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300


def tail(t: float, degrees: float) -> float:
    """P(T >= t)."""
    if t < 0:
        return 1.0 - tail(-t, degrees)
    square = t * t
    half = _incomplete_beta(
        degrees / 2, 0.5, degrees / (degrees + square), square / (degrees + square)
    )
    return half / 2


@lru_cache(maxsize=1024)  # the tests of a run share a few levels and numbers of runs
def quantile(probability: float, degrees: float) -> float:
    """The t that is reached or exceeded with ``probability`` (more than 0, less than 1)."""
    if probability > 0.5:
        return -quantile(1.0 - probability, degrees)
    t = 0.0
    # the tail is convex here: Newton's steps only climb and never jump over the solution
    for _ in range(500):
        step = (tail(t, degrees) - probability) / _density(t, degrees)
        t += step
        if step <= 1e-13 * t:
            break
    return t


def _density(t: float, degrees: float) -> float:
    log_scale = (
        math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(degrees * math.pi) / 2
    )
    return math.exp(log_scale - (degrees + 1) / 2 * math.log1p(t * t / degrees))


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularized I_x(a, b); ``rest`` is 1 - x, given apart because subtracting loses it."""
    if x <= 0.0:
        return 0.0
    if rest <= 0.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on one side only
        return 1.0 - _incomplete_beta(b, a, rest, x)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 1000):
        change = 1.0
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _not_zero(1.0 + factor * d)
            c = _not_zero(1.0 + factor / c)
            change = c * d
            result *= change
        if abs(change - 1.0) < 1e-15:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
