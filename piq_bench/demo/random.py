"""Draws random numbers that are the same on every machine and with every numpy, from named streams of PCG64 bits.

numpy promises stable streams only for its bit generators, not for its distributions. All draws are therefore made from
raw bits by integer arithmetic and single float64 operations. Each stream has a name, so that one person's looks do not
depend on how many people were drawn before.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

UNIT = 2.0**-53


class Draws:
    """A stream of random draws; equal names give equal streams.

    >>> Draws("person", 0, 7).below(100) == Draws("person", 0, 7).below(100)
    True
    """

    def __init__(self, *name: str | int) -> None:
        digest = hashlib.sha256("/".join(str(part) for part in name).encode()).digest()
        self._source = np.random.PCG64(int.from_bytes(digest[:16], "big"))

    def bits(self, size: int) -> NDArray[np.uint64]:
        """Shape (size,): raw 64-bit words."""
        return np.asarray(self._source.random_raw(size), dtype=np.uint64)

    def unit(self) -> float:
        """A number uniform on [0, 1)."""
        return (int(self._source.random_raw()) >> 11) * UNIT

    def between(self, low: float, high: float) -> float:
        """A number uniform on [low, high)."""
        return low + (high - low) * self.unit()

    def below(self, n: int) -> int:
        """A whole number uniform on 0 ... n - 1."""
        return (int(self._source.random_raw()) * n) >> 64

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def sign(self) -> int:
        """-1 or 1."""
        return 1 - 2 * self.below(2)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items, all equally likely."""
        return items[self.below(len(items))]

    def weighted(self, weights: Mapping[Item, int]) -> Item:
        """One of the keys, with a probability proportional to its weight."""
        left = self.below(sum(weights.values()))
        return next(item for item, end in zip(weights, accumulate(weights.values()), strict=True) if left < end)

    def shuffled(self, items: Iterable[Item]) -> list[Item]:
        """The items in random order (Fisher and Yates)."""
        deck = list(items)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck

    def deck(self, weights: Mapping[Item, int], n: int) -> list[Item]:
        """`n` keys in random order, each as often as its weight says, so that rare keys are not missing by chance."""
        counts = apportion(n, list(weights.values()))
        return self.shuffled(item for item, count in zip(weights, counts, strict=True) for _ in range(count))


def apportion(total: int, weights: Sequence[int], *, least: int = 0) -> list[int]:
    """Shares out `total` in whole numbers of at least `least`, by weight (largest remainder method).

    Raises:
        ValueError: if `total` is too small for `least` each.

    >>> apportion(10, [1, 1, 2])
    [3, 2, 5]
    """
    free = total - least * len(weights)
    if free < 0:
        raise ValueError(f"{total} cannot be shared out with {least} for each of {len(weights)}")
    whole = sum(weights)
    shares = [divmod(free * weight, whole) for weight in weights]  # integers: Python 3.12 sums floats anew
    counts = [count for count, _ in shares]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
    for i in by_remainder[: free - sum(counts)]:
        counts[i] += 1
    return [least + count for count in counts]
