"""Writes a Comparison as one HTML page that loads nothing, prints well and has a dark mode.

The template escapes everything that a stranger wrote. All differences of a pair are drawn on the same scale, so that
their intervals can be compared by eye.
"""

from dataclasses import dataclass

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.report.compare_rows import LEGEND, Row, identities_text, method_text, pair_rows, pair_title
from piq_bench.report.html import render
from piq_bench.report.rows import excluded_text, fact
from piq_bench.scoring.compare import Comparison, Pair

HALF = 100.0  # half the width of a plot, whose zero is in the middle
NAME_WIDTH = 200  # characters of a submission's name


@dataclass(frozen=True)
class Track:
    """A row of the table and its plot.

    Attributes:
        row: texts of the row.
        place: position of the difference, from -HALF to HALF.
        ends: positions of the ends of its interval, from -HALF to HALF; None if it is undefined.
    """

    row: Row
    place: float
    ends: tuple[float, float] | None


def compare_html(comparison: Comparison) -> str:
    """The text of the page."""
    pairs = []
    for pair in comparison.pairs:
        first, second = (printable(name, NAME_WIDTH) for name in pair_title(comparison, pair))
        widest = _widest(pair)
        pairs.append(
            {
                "first": first,
                "second": second,
                "tracks": _tracks(pair, widest),
                "widest": f"{100.0 * widest:.2f}",
                "identities": identities_text(pair),
            }
        )
    facts = [
        ("benchmark", f"{comparison.benchmark['name']} {comparison.benchmark['version']}".strip()),
        ("fingerprint", comparison.benchmark["fingerprint"]),
        ("average precision", comparison.protocol.ap),
        ("left out", f"gallery images: {excluded_text(comparison.protocol.exclude)}"),
        ("computed by", f"piq-bench {__version__}"),
    ]
    shown = [(name, fact(name, text, NAME_WIDTH)) for name, text in facts]
    return render(
        "compare.html",
        pairs=pairs,
        facts=shown,
        level=f"{100 * comparison.level:g}%",
        legend=LEGEND,
        method=method_text(comparison),
        half=HALF,
    )


def _widest(pair: Pair) -> float:
    """The largest absolute value in the plots of a pair, as a fraction; never 0."""
    shown = [abs(value) for one in pair.differences for value in (one.difference, *(one.interval or ()))]
    return max(shown, default=0.0) or 1.0


def _tracks(pair: Pair, widest: float) -> list[Track]:
    scale = HALF / widest
    return [
        Track(
            row=row,
            place=scale * one.difference,
            ends=None if one.interval is None else (scale * one.interval[0], scale * one.interval[1]),
        )
        for row, one in zip(pair_rows(pair), pair.differences, strict=True)
    ]
