"""Writes a Comparison as one HTML page that loads nothing, prints well and has a dark mode.

The template escapes everything that a stranger wrote. All differences are drawn on the same scale, those of all pairs
too, so that their intervals can be compared by eye. Where the benchmark is known, people are shown one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.records import QUERY, Benchmark
from piq_bench.report.charts import Chart, Curve, Dot, linear, polyline, ticks, upwards
from piq_bench.report.compare_rows import LEGEND, Row, identities_text, method_text, pair_rows, pair_title, signed
from piq_bench.report.html import render
from piq_bench.report.rows import excluded_text, fact, percent
from piq_bench.report.thumbnails import thumbnails, why_missing
from piq_bench.scoring.compare import Comparison, Pair, Person

HALF = 100.0  # half the width of a plot, whose zero is in the middle
NAME_WIDTH = 200  # characters of a submission's name
SHORT = 40  # characters of a name in a chart
SIDE = 340.0  # width and height of the chart of people
MOST_DOTS = 4000  # people in a chart; more overlap and are slow to draw
N_CHANGES = 6  # people with the largest gains, and with the largest losses
PER_PERSON = 2  # pictures of each of them


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


def compare_html(comparison: Comparison, benchmark: Benchmark | None = None) -> str:
    """The text of the page.

    Args:
        comparison: comparison to show.
        benchmark: benchmark of the submissions, for names and pictures of people; None to leave people out.

    Raises:
        BadUsage: if jinja2 is not installed.
    """
    widest = _widest(comparison.pairs)
    changes = [_changes(pair) if benchmark else [] for pair in comparison.pairs]
    rows = {person.identity: _images_of(benchmark, person) for each in changes for person in each} if benchmark else {}
    shown_rows = [row for own in rows.values() for row in own]
    pictures = thumbnails(benchmark, shown_rows) if benchmark else {}
    pairs = []
    for pair, largest in zip(comparison.pairs, changes, strict=True):
        first, second = (printable(name, NAME_WIDTH) for name in pair_title(comparison, pair))
        pairs.append(
            {
                "first": first,
                "second": second,
                "tracks": _tracks(pair, widest),
                "identities": identities_text(pair),
                "people": _people_chart(pair, benchmark, first, second) if benchmark else None,
                "changes": [_change(person, benchmark, rows, pictures) for person in largest] if benchmark else [],
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
        widest=f"{100.0 * widest:.2f}",
        no_pictures=why_missing(benchmark, shown_rows, pictures) if benchmark else "",
    )


def _widest(pairs: Sequence[Pair]) -> float:
    """The largest absolute value in the plots of all pairs, as a fraction; never 0."""
    differences = [one for pair in pairs for one in pair.differences]
    return max((abs(value) for one in differences for value in (one.difference, *(one.interval or ()))), default=0) or 1


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


def _people_chart(pair: Pair, benchmark: Benchmark, first: str, second: str) -> Chart | None:
    """One dot per person: average precision with the first on the x axis, with the second on the y axis."""
    if not pair.people:
        return None
    step = -(-len(pair.people) // MOST_DOTS)
    x, y = linear(0, 1, SIDE), upwards(linear(0, 1, SIDE), SIDE)
    per_cent = (0, 20, 40, 60, 80, 100)
    return Chart(
        text=f"Average precision of {len(pair.people)} people with both submissions; above the diagonal the second is "
        "better",
        x_title=f"AP with {printable(first, SHORT)}, %",
        y_title=f"AP with {printable(second, SHORT)}, %",
        x_ticks=ticks(per_cent, linear(0, 100, SIDE)),
        y_ticks=ticks(per_cent, upwards(linear(0, 100, SIDE), SIDE)),
        curves=(Curve("", polyline([0.0, SIDE], [SIDE, 0.0]), 1, dashed=True),),
        dots=tuple(
            Dot(x(person.first), y(person.second), f"{_name(benchmark, person)}: {_values(person)}")
            for person in pair.people[::step]
        ),
        width=SIDE,
        height=SIDE,
    )


def _changes(pair: Pair) -> list[Person]:
    """The people with the largest gains, then those with the largest losses."""
    ordered = sorted(pair.people, key=lambda person: person.first - person.second)
    gains = [person for person in ordered[:N_CHANGES] if person.second > person.first]
    losses = [person for person in ordered[: -N_CHANGES - 1 : -1] if person.second < person.first]
    return gains + losses


def _images_of(benchmark: Benchmark, person: Person) -> list[int]:
    """Rows of the first images of a person: queries."""
    own = np.flatnonzero((benchmark.identity == person.identity) & (benchmark.split == QUERY))
    return [int(row) for row in own[:PER_PERSON]]


def _change(
    person: Person, benchmark: Benchmark, rows: Mapping[int, Sequence[int]], pictures: Mapping[int, str]
) -> dict[str, object]:
    return {
        "name": _name(benchmark, person),
        "scores": _values(person),
        "change": signed(person.second - person.first),
        "is_better": person.second > person.first,
        "images": [(printable(benchmark.images[row], NAME_WIDTH), pictures.get(row)) for row in rows[person.identity]],
    }


def _name(benchmark: Benchmark, person: Person) -> str:
    return printable(benchmark.identities[person.identity], SHORT)


def _values(person: Person) -> str:
    return f"{percent(person.first)} to {percent(person.second)}"
