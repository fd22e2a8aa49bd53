"""Writes the statistics of a data set as one HTML page that loads nothing, prints well and has a dark mode.

The page has the tables of the other formats. It adds the paper's Figure 3 (images per label) and Figure 7 (images per
person, coloured by source), LTS_k over k, and the effect of the near-duplicate threshold.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from piq_bench import __version__
from piq_bench.describe.group_examples import GroupExample, group_examples
from piq_bench.describe.stats import PersonImages, Stats, images_by_source
from piq_bench.errors import printable
from piq_bench.metrics.longtail import lts
from piq_bench.records import NO_IDENTITY, SPLITS, Benchmark
from piq_bench.report.charts import (
    HEIGHT,
    WIDTH,
    Area,
    Chart,
    Curve,
    linear,
    polyline,
    rectangles,
    round_values,
    ticks,
    upwards,
)
from piq_bench.report.html import render
from piq_bench.report.stats_rows import Section, sections, shown_labels, summary
from piq_bench.report.thumbnails import thumbnails, why_missing

NAME = 60  # characters of an untrusted name
ID = 120  # characters of the id of an image
MOST_COLUMNS = 1000  # people drawn in a chart; more columns than pixels would only be slow
MOST_SOURCES = 60  # sources with a colour of their own; the rest are grey
FIRST_HUE = 215  # degrees
GOLDEN_ANGLE = 137.508  # degrees between consecutive hues, which keeps neighbouring colours apart
SHARES = tuple(Fraction(i, 50) for i in range(1, 51))  # k of the LTS curves
LEVEL_COLUMNS = {  # key in the header of a groups file: title of the column
    "groups": "groups",
    "grouped_images": "images in groups",
    "largest": "largest group",
    "groups_across_sources": "groups with several sources",
    "groups_across_identities": "groups with several people",
    "gallery_excluded": "gallery images left out",
    "queries_lost": "queries without a positive",
}
LARGEST = "The groups with most images."
DOUBTFUL = (
    "Groups that may join unlike images: with several people or sources, or with hashes that differ in more bits than"
    " the threshold allows for a pair. Look at them before you trust the grouping."
)
MOST_LEVELS = 64  # thresholds read from the header, which is untrusted


def stats_html(stats: Stats, benchmark: Benchmark) -> str:
    """The text of the page.

    Args:
        stats: statistics to show.
        benchmark: data set that they describe.

    Raises:
        BadUsage: if jinja2 is not installed.
    """
    tables = sections(stats)
    n_tasks = len(stats.labels)
    groups = tables.pop() if stats.groups is not None else None
    overview, labels = tables[: len(tables) - n_tasks], tables[len(tables) - n_tasks :]
    hues = _source_hues(benchmark)
    people = [(split, *_people_chart(split, images_by_source(benchmark, split), hues)) for split in SPLITS]
    largest, doubtful = group_examples(benchmark)
    rows = [row for group in (*doubtful, *largest) for row in group.rows]
    pictures = thumbnails(benchmark, rows)
    levels = _levels(benchmark)
    return render(
        "stats.html",
        name=printable(stats.name, NAME),
        facts=summary(stats),
        findings=[
            {"severity": found.severity, "code": found.code, "text": printable(found.text, 1000)}
            for found in stats.findings
        ],
        overview=overview,
        tails=_tails_chart(stats),
        people=[(split, chart, shown, total) for split, chart, shown, total in people if chart is not None],
        sources=benchmark.source is not None,
        tasks=[(section, _shares(stats, task)) for section, task in zip(labels, stats.labels, strict=True)],
        splits=SPLITS,
        groups=groups,
        examples=[
            (title, note, [_example(group, benchmark, pictures) for group in chosen])
            for title, note, chosen in (("Largest groups", LARGEST, largest), ("Doubtful groups", DOUBTFUL, doubtful))
            if chosen
        ],
        no_pictures=why_missing(benchmark, rows, pictures),
        sweep=_sweep_table(levels) if levels else None,
        sweep_chart=_sweep_chart(levels, stats) if levels else None,
        version=__version__,
    )


def _tails_chart(stats: Stats) -> Chart | None:
    """LTS_k of images per person over k, one curve per split; None if there are no labelled people."""
    values = {
        name: [float(value) for value in (lts(split.sizes, k) for k in SHARES) if value is not None]
        for name, split in stats.splits.items()
        if split.sizes
    }
    if not values:
        return None
    x = linear(0.0, 1.0, WIDTH)
    highest = max(1.0, *(max(curve) for curve in values.values()))
    y = upwards(linear(0.0, highest, HEIGHT))
    return Chart(
        text=f"LTS_k of images per person for k from 0 to 1 in {', '.join(values)}",
        x_title="k, share of the images",
        y_title="LTS_k",
        x_ticks=ticks((0, 0.2, 0.4, 0.6, 0.8, 1), x),
        y_ticks=ticks(round_values(highest), y),
        curves=tuple(
            Curve(name, polyline([x(float(k)) for k in SHARES], [y(value) for value in curve]), SPLITS.index(name))
            for name, curve in values.items()
        ),
    )


def _source_hues(benchmark: Benchmark) -> dict[str, int]:
    """The hue of each source, the same in all charts; sources beyond the MOST_SOURCES with most images have none."""
    if benchmark.source is None:
        return {"": FIRST_HUE}
    names, counts = np.unique(benchmark.source.astype(np.str_), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_SOURCES]
    return {str(name): round(place * GOLDEN_ANGLE + FIRST_HUE) % 360 for place, name in enumerate(names[order])}


def _people_chart(split: str, people: PersonImages, hues: Mapping[str, int]) -> tuple[Chart | None, int, int]:
    """Stacked columns of images by source, one column per person; also the number of columns and of people."""
    total = len(people.sizes)
    if not total:
        return None, 0, 0
    step = max(1.0, total / MOST_COLUMNS)
    drawn = [int(place * step) for place in range(min(total, MOST_COLUMNS))]
    column = {person: place for place, person in enumerate(drawn)}
    width = WIDTH / len(drawn)
    gap = 0.15 * width if width > 3 else 0.0
    y = linear(0, people.sizes[0], HEIGHT)
    filled = [0] * total  # images stacked so far
    boxes: dict[str | None, list[tuple[float, float, float, float]]] = {}  # by source; None for those without a hue
    for source, counts in zip(people.sources, people.counts, strict=True):
        kind = source if source in hues else None
        for person, n_images in counts:
            if person in column:
                top = HEIGHT - y(filled[person] + n_images)
                boxes.setdefault(kind, []).append((column[person] * width, top, width - gap, y(n_images)))
                filled[person] += n_images
    areas = [
        Area(
            "other sources" if kind is None else printable(kind or "no source", 20),
            rectangles(own),
            None if kind is None else hues[kind],
        )
        for kind, own in boxes.items()
    ]
    first = linear(0, len(drawn), WIDTH)
    return (
        Chart(
            text=f"Number of images of {total} people in {split}, from {people.sizes[0]} down to {people.sizes[-1]}",
            x_title="people, sorted by number of images",
            y_title="images",
            x_ticks=ticks([value for value in round_values(total) if value <= total], lambda n: first(n / step)),
            y_ticks=ticks(round_values(people.sizes[0]), upwards(y)),
            areas=tuple(areas),
        ),
        len(drawn),
        total,
    )


def _shares(stats: Stats, task: str) -> list[tuple[float, ...]]:
    """For each row of a task's table, the splits' shares of the longest bar; empty for rows that are not labels."""
    by_split = [stats.labels[task][name] for name in SPLITS]
    counts = {label: [split.labels[label] for split in by_split] for label in by_split[0].labels}
    most = max((sum(values) for values in counts.values()), default=0)
    shown = shown_labels(counts)
    bars: list[tuple[float, ...]] = [tuple(value / most if most else 0.0 for value in counts[name]) for name in shown]
    n_others = 1 + (by_split[0].empty is not None) + (len(shown) < len(counts))
    return bars + [()] * n_others


def _example(group: GroupExample, benchmark: Benchmark, pictures: Mapping[int, str]) -> dict[str, object]:
    """A group in words, and its images with id, person and source."""
    parts = [f"{group.size:,} images"]
    if group.people:
        parts.append(f"{group.people} {'person' if group.people == 1 else 'people'}")
    if group.sources is not None:
        parts.append(f"{group.sources} source{'' if group.sources == 1 else 's'}")
    if group.widest is not None:
        parts.append(f"hashes that differ in up to {group.widest} bits")
    images = []
    for row in group.rows:
        identity = int(benchmark.identity[row])
        person = "unlabelled" if identity == NO_IDENTITY else printable(benchmark.identities[identity], NAME)
        source = "" if benchmark.source is None else printable(benchmark.source[row], NAME)
        images.append((printable(benchmark.images[row], ID), pictures.get(row), person, source))
    return {"text": ", ".join(parts), "images": images, "left_out": group.size - len(images)}


def _levels(benchmark: Benchmark) -> list[Mapping[str, int | None]]:
    """Counts by threshold from the header of the groups file; empty if the header is not in the expected form."""
    stored = benchmark.groups.parameters.get("sweep") if benchmark.groups is not None else None
    if not isinstance(stored, list) or not 0 < len(stored) <= MOST_LEVELS:
        return []
    wanted = ("threshold", *LEVEL_COLUMNS)
    levels: list[Mapping[str, int | None]] = [
        {key: level.get(key) for key in wanted} for level in stored if isinstance(level, dict)
    ]
    needed = ("threshold", "groups", "grouped_images", "largest")
    numbers = all(_is_count(value) or value is None for level in levels for value in level.values())
    whole = len(levels) == len(stored) and all(level[key] is not None for level in levels for key in needed)
    return levels if whole and numbers else []


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _sweep_table(levels: Sequence[Mapping[str, int | None]]) -> Section:
    rows = [
        (str(level["threshold"]), *("-" if level[key] is None else f"{level[key]:,}" for key in LEVEL_COLUMNS))
        for level in levels
    ]
    return Section("", ("threshold, bits", *LEVEL_COLUMNS.values()), tuple(rows))


def _sweep_chart(levels: Sequence[Mapping[str, int | None]], stats: Stats) -> Chart:
    """The shares of query and gallery images in near-duplicate groups and in the largest group, by threshold."""
    n_images = max(1, stats.groups.images if stats.groups is not None else 1)
    thresholds = [level["threshold"] or 0 for level in levels]
    x = linear(0, max(thresholds), WIDTH)
    y = upwards(linear(0, 100, HEIGHT))
    curves = []
    for style, (key, name) in enumerate((("grouped_images", "images in groups"), ("largest", "in the largest group"))):
        shares = [min(100.0, 100.0 * (level[key] or 0) / n_images) for level in levels]
        curves.append(Curve(name, polyline([x(t) for t in thresholds], [y(share) for share in shares]), style))
    return Chart(
        text="Share of query and gallery images in near-duplicate groups, by threshold",
        x_title="threshold: bits that hashes of near-duplicates may differ in",
        y_title="images, %",
        x_ticks=ticks(thresholds, x),
        y_ticks=ticks((0, 25, 50, 75, 100), y),
        curves=tuple(curves),
    )
