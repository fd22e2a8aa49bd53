"""Computes the geometry of a board's chart: PIQ with its interval, and the range of ranks, one line per entry.

Positions are in per cent of the width of a track; the template draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from piq_bench.board.rank import Board, Standing
from piq_bench.board.rows import Row
from piq_bench.report.rows import NOT_DEFINED

STEPS = (1, 2, 5, 10, 20)  # distances between ticks of PIQ, in per cent
MOST_TICKS = 8
MOST_RANKS = 12  # ticks of ranks


@dataclass(frozen=True)
class Tick:
    """A value on an axis and its position."""

    place: float
    text: str


@dataclass(frozen=True)
class Mark:
    """One entry.

    Attributes:
        row: texts of the entry.
        place: position of PIQ.
        ends: positions of the ends of its interval; None where the result has no interval.
        ranks: positions of the left and right edge of its range of ranks.
        group: number of its rank group, from 0: every entry of an earlier group is significantly better than every
            entry of a later one.
        tip: what the chart says about the entry when it is pointed at.
    """

    row: Row
    place: float
    ends: tuple[float, float] | None
    ranks: tuple[float, float]
    group: int
    tip: str


@dataclass(frozen=True)
class BoardChart:
    """The chart of a board: its entries in their order, the ticks of PIQ and of ranks."""

    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    rank_ticks: tuple[Tick, ...]


def board_chart(board: Board, rows: Sequence[Row]) -> BoardChart | None:
    """The chart of the entries that have a PIQ; None if there are fewer than two."""
    shown = [(one, row) for one, row in zip(board.standings, rows, strict=True) if one.piq is not None and one.ranks]
    if len(shown) < 2:
        return None
    values = [100.0 * value for one, _ in shown for value in (one.piq or 0.0, *(_ends(one) or ()))]
    low, high, ticks = _axis(min(values), max(values))

    def place(value: float) -> float:
        return 100.0 * (100.0 * value - low) / (high - low)

    groups = rank_groups([one.ranks for one, _ in shown if one.ranks])
    marks = []
    for (one, row), group in zip(shown, groups, strict=True):
        first, last = one.ranks or (1, len(shown))
        ends = _ends(one)
        interval = row.cells[0].interval
        within = "" if interval == NOT_DEFINED else f", 95% interval {interval}"
        marks.append(
            Mark(
                row=row,
                place=place(one.piq or 0.0),
                ends=None if ends is None else (place(ends[0]), place(ends[1])),
                ranks=(100.0 * (first - 1) / len(shown), 100.0 * last / len(shown)),
                group=group,
                tip=f"PIQ {row.cells[0].text}{within}; rank {row.ranks}",
            )
        )
    step = ceil(len(shown) / MOST_RANKS)
    rank_ticks = [Tick(100.0 * (n - 0.5) / len(shown), str(n)) for n in range(1, len(shown) + 1, step)]
    return BoardChart(tuple(marks), tuple(ticks), tuple(rank_ticks))


def rank_groups(ranks: Sequence[tuple[int, int]]) -> list[int]:
    """Number of the rank group of each entry, from 0, for entries in the order of a board.

    A new group starts where every entry above is significantly better than every entry below.

    >>> rank_groups([(1, 2), (1, 3), (2, 3), (4, 4)])
    [0, 0, 0, 1]
    """
    groups, group = [], 0
    for place in range(len(ranks)):
        if place and all(last <= place for _, last in ranks[:place]):
            group += 1
        groups.append(group)
    return groups


def _ends(standing: Standing) -> tuple[float, float] | None:
    ends = (standing.score["intervals"] or {}).get("piq")
    return None if ends is None else (float(ends[0]), float(ends[1]))


def _axis(lowest: float, highest: float) -> tuple[float, float, list[Tick]]:
    """Lower and upper end of the axis in per cent, at round values around all marks, and its ticks."""
    step = next((step for step in STEPS if (highest - lowest) / step <= MOST_TICKS - 2), STEPS[-1])
    low = max(0, step * floor(lowest / step))
    high = max(low + step, min(100, step * ceil(highest / step)))
    ticks = [Tick(100.0 * (value - low) / (high - low), str(value)) for value in range(low, high + 1, step)]
    return low, high, ticks
