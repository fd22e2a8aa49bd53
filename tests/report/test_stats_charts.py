"""Where the charts of a data set's page draw people and thresholds: y counts from the top, 260 units."""

import re
from dataclasses import replace
from typing import Any

import builders
import numpy as np
import pytest

from piq_bench.describe.group_examples import GroupExample
from piq_bench.describe.stats import PersonImages, describe
from piq_bench.records import Benchmark
from piq_bench.report.stats_html import MOST_COLUMNS, MOST_SOURCES, _example, _people_chart, _source_hues, _sweep_chart
from piq_bench.report.stats_rows import sections
from piq_bench.report.stats_table import _table

Box = tuple[float, ...]


def boxes(path: str) -> list[Box]:
    """Left, top, width and height of each rectangle."""
    found = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", path)
    return [tuple(map(float, box)) for box in found]


def test_the_images_of_sources_are_stacked_from_the_bottom() -> None:
    people = PersonImages((10, 5), ("film", "photo", ""), (((0, 6), (1, 1)), ((0, 3), (1, 4)), ((0, 1),)))
    chart, n_drawn, n_people = _people_chart("test", people, {"film": 215, "": 40})
    assert chart is not None and (n_drawn, n_people) == (2, 2)
    assert [(area.name, area.hue) for area in chart.areas] == [
        ("film", 215),
        ("other sources", None),
        ("no source", 40),
    ]
    film, other, none = (boxes(area.path) for area in chart.areas)
    assert film == [(0, 104, 272, 156), (320, 234, 272, 26)]
    assert other == [(0, 26, 272, 78), (320, 130, 272, 104)]
    assert none == [(0, 0, 272, 26)]
    assert [(tick.place, tick.text) for tick in chart.y_ticks] == [(260 - 52 * n, str(2 * n)) for n in range(6)]
    assert [(tick.place, tick.text) for tick in chart.x_ticks] == [
        (0, "0"),
        (160, "0.5"),
        (320, "1"),
        (480, "1.5"),
        (640, "2"),
    ]
    assert chart.text == "Number of images of 2 people in test, from 10 down to 5"


@pytest.mark.parametrize(("n", "step"), [(MOST_COLUMNS, 1), (2 * MOST_COLUMNS, 2)])
def test_every_second_of_too_many_people_is_drawn(n: int, step: int) -> None:
    sizes = tuple(range(n, 0, -1))
    people = PersonImages(sizes, ("",), (tuple(enumerate(sizes)),))
    chart, n_drawn, n_people = _people_chart("test", people, {"": 215})
    assert chart is not None and (n_drawn, n_people) == (MOST_COLUMNS, n)
    drawn = boxes(chart.areas[0].path)
    assert [box[3] for box in drawn] == pytest.approx([260 * size / n for size in sizes[::step]], abs=0.006)
    assert [box[0] for box in drawn] == pytest.approx([0.64 * place for place in range(MOST_COLUMNS)], abs=0.006)
    assert {box[2] for box in drawn} == {0.64}  # columns this narrow have no gap
    assert chart.x_ticks[1].place == pytest.approx(640 * float(chart.x_ticks[1].text.replace(",", "")) / n)


def test_nobody_has_no_chart() -> None:
    assert _people_chart("test", PersonImages((), ("",), ((),)), {"": 215}) == (None, 0, 0)


def test_thresholds_have_a_line_for_images_in_groups_and_one_for_the_largest(grouped: Benchmark) -> None:
    stats = describe(grouped)
    assert stats.groups is not None
    n = stats.groups.images
    levels: list[dict[str, Any]] = [
        {"threshold": 0, "grouped_images": 0, "largest": None},
        {"threshold": 4, "grouped_images": n / 4, "largest": n / 8},
        {"threshold": 16, "grouped_images": n, "largest": 2 * n},
    ]
    chart = _sweep_chart(levels, stats)
    assert [(curve.name, curve.style, curve.path) for curve in chart.curves] == [
        ("images in groups", 0, "M0.0 260.0L160.0 195.0L640.0 0.0"),
        ("in the largest group", 1, "M0.0 260.0L160.0 227.5L640.0 0.0"),
    ]
    assert [(tick.place, tick.text) for tick in chart.y_ticks] == [
        (260, "0"),
        (195, "25"),
        (130, "50"),
        (65, "75"),
        (0, "100"),
    ]
    assert [(tick.place, tick.text) for tick in chart.x_ticks] == [(0, "0"), (160, "4"), (640, "16")]


@pytest.fixture(scope="module")
def grouped() -> Benchmark:
    return builders.benchmark(np.random.default_rng(3))


def test_a_group_is_told_in_words_with_its_images(grouped: Benchmark) -> None:
    named = next(row for row in range(grouped.split.size) if grouped.identity[row] >= 0)
    unlabelled = next(row for row in range(grouped.split.size) if grouped.identity[row] < 0)
    found = _example(GroupExample(1200, (named, unlabelled), 1, 1, 9), grouped, {named: "data:x"})
    assert found["text"] == "1,200 images, 1 person, 1 source, hashes that differ in up to 9 bits"
    assert grouped.source is not None
    assert found["images"] == [
        (grouped.images[named], "data:x", grouped.identities[grouped.identity[named]], grouped.source[named]),
        (grouped.images[unlabelled], None, "unlabelled", grouped.source[unlabelled]),
    ]
    assert found["left_out"] == 1198
    assert _example(GroupExample(3, (), 2, 2, 0), grouped, {})["text"] == (
        "3 images, 2 people, 2 sources, hashes that differ in up to 0 bits"
    )
    assert _example(GroupExample(3, (), 0, None, None), grouped, {})["text"] == "3 images"


def test_the_most_frequent_sources_have_hues_a_golden_angle_apart(grouped: Benchmark) -> None:
    source = np.array(["b"] * 5 + ["c"] * 4 + ["a"] * (grouped.split.size - 9), dtype=object)
    assert _source_hues(replace(grouped, source=source)) == {"a": 215, "b": 353, "c": 130}
    many = np.array([f"{row:03d}" for row in range(grouped.split.size)], dtype=object)
    assert list(_source_hues(replace(grouped, source=many))) == list(many[:MOST_SOURCES])
    assert _source_hues(replace(grouped, source=None)) == {"": 215}


def test_columns_of_tables_have_the_titles_of_their_sections(grouped: Benchmark) -> None:
    for section in sections(describe(grouped)):
        titles = [column.header for column in _table(section).columns]
        assert titles == [*section.header, *([""] if section.bars else [])]
