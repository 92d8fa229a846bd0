"""Chance without state: the same numbers for the same question, whatever was asked before.

Every trait of the sandbox's organization is drawn from a key (64 bits) that is folded from the seed and from what
the trait belongs to. There is no generator to advance, so nothing has to be made before anything else. The mixer
is SplitMix64's (Steele, Lea & Flood 2014); :func:`mix_all` is the same for a whole array at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_UNIT = 2.0**-53

Numbers = NDArray[np.uint64]


def mix(value: int) -> int:
    """64 well-stirred bits out of 64 bits."""
    value = (value + GOLDEN) & MASK
    value = ((value ^ (value >> 30)) * _FIRST) & MASK
    value = ((value ^ (value >> 27)) * _SECOND) & MASK
    return value ^ (value >> 31)


def mix_all(values: Numbers) -> Numbers:
    """:func:`mix` of every element (wrapping multiplication is what the mixer wants)."""
    values = values + np.uint64(GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return values ^ (values >> np.uint64(31))


def fold(key: int, *parts: int) -> int:
    """A key for a thing within a thing: ``fold(seed, GROUP, 3)`` tells nothing of ``fold(seed, GROUP, 4)``."""
    for part in parts:
        key = mix(key ^ mix(part & MASK))
    return key


def unit(bits: int) -> float:
    """A float in [0, 1) out of 64 bits."""
    return (bits >> 11) * _UNIT


def between(bits: int, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``, both included. Its bias, at these ranges, is far below one in a million."""
    return low + bits % (high - low + 1)
