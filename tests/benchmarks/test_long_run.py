"""The long run: what grows is named, and what only varies is not."""

from collections.abc import Callable

import numpy as np
import pytest
from benchmarks.long_run import SLOPE, State, faults

NOISE = np.random.default_rng(0).normal(0, 100_000, 400)  # bytes


def states(change: Callable[[int], dict[str, int]]) -> list[State]:
    """States of a process that varies in memory, and otherwise only as told."""
    same = {"objects": 100, "files": 5, "threads": 3, "children": 0, "temporary": 0}
    return [State(**{"memory": 200_000_000 + int(NOISE[place]), **same, **change(place)}) for place in range(400)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda place: {}, []),
        (lambda place: {"threads": 3 + (place == 3), "files": 6 - (place > 5)}, []),
        (lambda place: {"memory": 200_000_000 + 2 * SLOPE * place}, ["memory grows by 8,192 bytes a submission"]),
        (lambda place: {"files": 5 + place // 6}, ["files: 5 after the first submissions, 71 at the end"]),
        (lambda place: {"temporary": place // 300}, ["temporary: 0 after the first submissions, 1 at the end"]),
        (lambda place: {"children": place // 200}, ["children: 0 after the first submissions, 1 at the end"]),
    ],
)
def test_what_grows_is_named(change: Callable[[int], dict[str, int]], found: list[str]) -> None:
    assert faults(states(change)) == found
