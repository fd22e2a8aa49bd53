"""Computes the charts of a score's page: CMC, similarities of pairs, people, and precision over recall of labels."""

from collections.abc import Mapping, Sequence
from math import ceil, floor

from piq_bench.errors import printable
from piq_bench.report.charts import (
    HEIGHT,
    WIDTH,
    Chart,
    Curve,
    Dot,
    Hover,
    linear,
    logarithmic,
    polyline,
    round_powers,
    round_values,
    ticks,
    upwards,
)
from piq_bench.report.reference import Reference
from piq_bench.report.rows import percent
from piq_bench.scoring.label_faults import LabelCurve
from piq_bench.scoring.pair_samples import Histogram
from piq_bench.scoring.people import RANKS, Cmc
from piq_bench.scoring.records import LabelScore

SHORT = 40  # characters of an untrusted name
MOST_DOTS = 4000  # people in a plot; more overlap and are slow to draw
PERCENT_TICKS = (0, 20, 40, 60, 80, 100)
SMALL = (200.0, 150.0)  # width and height of one of many charts


def cmc_chart(
    cmc: Cmc, with_duplicates: Cmc | None, reference: Reference | None = None, *, plain_first: bool = False
) -> Chart:
    """The CMC curves, solid without near-duplicates among the candidates and dashed with them; and the reference's."""
    kinds = ("plain", "macro") if plain_first else ("macro", "plain")
    titles = {"macro": "macro: mean over people", "plain": "plain: mean over queries"}
    styles = {"macro": 0, "plain": 1}
    lines: list[tuple[str, Mapping[int, float], int, bool]] = []
    for kind in kinds:
        lines.append((titles[kind], dict(zip(RANKS, getattr(cmc, kind), strict=True)), styles[kind], False))
    if with_duplicates is not None:
        for kind in kinds:
            values = dict(zip(RANKS, getattr(with_duplicates, kind), strict=True))
            lines.append((f"{kind}, near-duplicates kept", values, styles[kind], True))
    if reference is not None:
        for kind, style in (("macro", 2), ("plain", 3)):
            known = reference.cmc.get(kind, {})
            if len(known) > 1:
                lines.append((f"{printable(reference.name, SHORT)}, {kind}", known, style, False))
    lowest = min(min(values.values()) for _, values, _, _ in lines)
    low = min(90, 10 * floor(10.0 * lowest + 1e-9))
    x = logarithmic(RANKS[0], RANKS[-1], WIDTH)
    y = upwards(linear(low / 100.0, 1.0, HEIGHT))
    return Chart(
        text=f"CMC curve: share of queries with a correct match among the first k images, k from 1 to {RANKS[-1]}; "
        + "; ".join(f"{name} {_ends(values)}" for name, values, _, _ in lines),
        x_title="rank k",
        y_title="matched queries, %",
        x_ticks=ticks(round_powers(RANKS[-1]), x),
        y_ticks=ticks(_percents(low), upwards(linear(low, 100, HEIGHT))),
        curves=tuple(
            Curve(name, polyline([x(rank) for rank in values], [y(value) for value in values.values()]), style, dashed)
            for name, values, style, dashed in lines
        ),
        hovers=tuple(
            Hover(x(max(1.0, rank - 0.5)), x(min(RANKS[-1], rank + 0.5)), _at_rank(rank, lines)) for rank in RANKS
        ),
    )


def histogram_chart(histogram: Histogram) -> Chart:
    """Shares of right and of wrong pairs over similarity, as steps."""
    n_bins = len(histogram.right)
    highest = max(*histogram.right, *histogram.wrong)
    x = linear(histogram.low, histogram.high, WIDTH)
    y = upwards(linear(0.0, highest, HEIGHT))
    width = (histogram.high - histogram.low) / n_bins
    edges = [histogram.low + width * place for place in range(n_bins + 1)]
    values = (("right pairs", histogram.right, 2), ("wrong pairs", histogram.wrong, 1))
    top = 100.0 * highest
    step = round_values(histogram.high - histogram.low)[1]
    first, last = ceil(histogram.low / step - 1e-9), floor(histogram.high / step + 1e-9)  # 0.6 / 0.2 is below 3
    return Chart(
        text=f"Histogram of similarities from {histogram.low:.3g} to {histogram.high:.3g}: {histogram.n_right} right "
        f"and {histogram.n_wrong} wrong pairs",
        x_title="similarity of query and gallery image",
        y_title="pairs of this kind, %",
        x_ticks=ticks([place * step for place in range(first, last + 1)], x),
        y_ticks=ticks(round_values(top), upwards(linear(0.0, top, HEIGHT))),
        curves=tuple(
            Curve(
                name,
                polyline(
                    [x(edge) for place in range(n_bins) for edge in edges[place : place + 2]],
                    [y(share) for share in shares for _ in range(2)],
                ),
                style,
            )
            for name, shares, style in values
        ),
        hovers=tuple(
            Hover(
                x(edges[place]),
                x(edges[place + 1]),
                f"similarity {edges[place]:.3g} to {edges[place + 1]:.3g}: "
                + ", ".join(f"{percent(shares[place])}% of {name}" for name, shares, _ in values),
            )
            for place in range(n_bins)
        ),
    )


def label_chart(curve: LabelCurve, label: LabelScore) -> Chart:
    """Precision over recall for every threshold of a label, and a dot for the answers as submitted."""
    width, height = SMALL
    x, y = linear(0, 1, width), upwards(linear(0, 1, height), height)
    name = printable(curve.label, SHORT)
    point: tuple[Dot, ...] = ()
    if label.precision is not None and label.recall is not None:
        text = f"as submitted: precision {percent(label.precision)}, recall {percent(label.recall)}"
        point = (Dot(x(label.recall), y(label.precision), text),)
    return Chart(
        text=f"Precision over recall of {name}",
        x_title="recall, %",
        y_title="precision, %",
        x_ticks=ticks((0, 50, 100), linear(0, 100, width)),
        y_ticks=ticks((0, 50, 100), upwards(linear(0, 100, height), height)),
        curves=(Curve("", polyline([x(v) for v in curve.recall], [y(v) for v in curve.precision]), 0),),
        dots=point,
        hovers=tuple(
            Hover(x(one), x(other), f"recall {percent(other)}: precision {percent(value)}")
            for one, other, value in zip(curve.recall, curve.recall[1:], curve.precision[1:], strict=False)
            if other > one
        ),
        width=width,
        height=height,
    )


def people_chart(people: Sequence[tuple[str, int, float]]) -> Chart | None:
    """One dot per person: number of gallery images on a logarithmic x axis, average precision on the y axis."""
    if not people:
        return None
    step = -(-len(people) // MOST_DOTS)
    most = max(n for _, n, _ in people)
    x = logarithmic(1, max(2, most), WIDTH)
    y = upwards(linear(0, 1, HEIGHT))
    return Chart(
        text=f"Average precision of {len(people)} people against their number of gallery images, up to {most}",
        x_title="images of the person in the gallery",
        y_title="average precision, %",
        x_ticks=ticks(round_powers(max(2, most)), x),
        y_ticks=ticks(PERCENT_TICKS, upwards(linear(0, 100, HEIGHT))),
        dots=tuple(
            Dot(x(max(n, 1)), y(value), f"{printable(name, SHORT)}: {n} images, {percent(value)}")
            for name, n, value in people[::step]
        ),
    )


def _ends(values: Mapping[int, float]) -> str:
    first, last = min(values), max(values)
    return f"from {percent(values[first])}% at {first} to {percent(values[last])}% at {last}"


def _at_rank(rank: int, lines: Sequence[tuple[str, Mapping[int, float], int, bool]]) -> str:
    parts = [f"{name} {percent(values[rank])}%" for name, values, _, _ in lines if rank in values]
    return f"rank {rank}: " + ", ".join(parts)


def _percents(low: int) -> tuple[int, ...]:
    step = 20 if low < 40 else 10 if low < 80 else 5 if low < 90 else 2
    return tuple(range(low + -low % step, 101, step))
