"""A Comparison as one page: no request leaves it, it reads without scripts, prints, and follows a dark screen.

Everything that a stranger wrote is escaped by the template. Differences are drawn on one scale per pair, so that their
intervals can be compared by eye.
"""

from dataclasses import dataclass

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.report.compare_rows import LEGEND, Row, identities_text, method_text, pair_rows, pair_title
from piq_bench.report.html import render
from piq_bench.scoring.compare import Comparison, Pair

HALF = 100.0  # of the width of a plot, 0 in the middle
NAME_WIDTH = 200


@dataclass(frozen=True)
class Track:
    """A row and what is drawn of it.

    Attributes:
        row: its texts.
        place: of the difference, from -HALF to HALF.
        ends: of its interval, likewise; None where it is undefined.
    """

    row: Row
    place: float
    ends: tuple[float, float] | None


def compare_html(comparison: Comparison) -> str:
    """The page's text."""
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
        ("benchmark", f"{comparison.benchmark['name']} {comparison.benchmark['version']}"),
        ("fingerprint", comparison.benchmark["fingerprint"]),
        ("average precision", comparison.protocol.ap),
        ("left out", ", ".join(comparison.protocol.exclude) or "nothing"),
        ("computed by", f"piq-bench {__version__}"),
    ]
    shown = [(name, printable(text, NAME_WIDTH)) for name, text in facts]
    return render("compare.html", pairs=pairs, facts=shown, legend=LEGEND, method=method_text(comparison), half=HALF)


def _widest(pair: Pair) -> float:
    """The largest number that a pair's plot shows; as a fraction, never 0."""
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
