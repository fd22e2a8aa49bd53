"""Words and rows of the pages of scores and comparisons: repeated names, rows that look shifted, images of people."""

import re
from dataclasses import replace

import builders
import numpy as np
import pytest

from piq_bench.records import Benchmark
from piq_bench.report.compare_html import (
    HALF,
    MOST_DOTS,
    PER_PERSON,
    SIDE,
    _images_of,
    _people_chart,
    _tracks,
    _widest,
)
from piq_bench.report.compare_rows import STAR, Row, identities_text, pair_rows, pair_title
from piq_bench.report.result import Result
from piq_bench.report.rows import main_rows
from piq_bench.report.score_html import _warnings
from piq_bench.scoring.compare import Comparison, Difference, Pair, Person
from piq_bench.scoring.drilldown import Drilldown
from piq_bench.scoring.records import Protocol
from piq_bench.scoring.score import score
from piq_bench.scoring.shifted_rows import Shift


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    return builders.benchmark(np.random.default_rng(4), builders.Size(n_query=30, n_gallery=60, n_identities=12))


def test_names_that_repeat_are_numbered_from_1(benchmark: Benchmark) -> None:
    protocol: Protocol = score(
        benchmark, builders.submission(np.random.default_rng(0), benchmark), n_resamples=0
    ).protocol
    systems = tuple({"name": name} for name in ("a", "b", "a"))
    comparison = Comparison(systems, {}, protocol, (), 0.95, 5, 9, 0)
    titles = [pair_title(comparison, Pair(*places, (), None)) for places in ((0, 1), (0, 2), (1, 2))]
    assert titles == [("a (1)", "b"), ("a (1)", "a (3)"), ("b", "a (3)")]


def test_a_difference_is_a_row_of_texts() -> None:
    differences = (
        Difference("piq", 0.5, 0.625, 0.125, (-0.01, 0.2), 0.04, 0.08, 0.15),
        Difference("reid.macro_map", 0.5, 0.25, -0.25, (-0.5, -0.1), 0.01, 0.049, None),
        Difference("reid.macro_rank1", 0.5, 0.5, 0.0, None, 1.0, 1.0, 0.1),
        Difference("f1.wear", 0.5, 0.5, 0.0, None, 1.0, 1.0, 0.1),
        Difference("aspects.face", 0.5, 0.5, 0.0, None, 1.0, 1.0, 0.1),
    )
    pair = Pair(0, 1, differences, (3, 2, 1))
    piq, macro_map, *others = pair_rows(pair)
    assert piq == Row("PIQ", "50.00", "62.50", "+12.50", "-1.00 +20.00", "0.0800", "", "15.00")
    assert macro_map == Row("macro mAP", "50.00", "25.00", "-25.00", "-50.00 -10.00", "0.0490", STAR, "-")
    assert [row.name for row in others] == ["macro Rank-1", "wear F1", "face"]
    assert {row.interval for row in others} == {"-"}
    text = identities_text(pair)
    assert text is not None and text.endswith("the second is higher for 3, equal for 2, lower for 1")
    assert identities_text(replace(pair, identities=None)) is None


def test_only_queries_of_the_person_are_shown(benchmark: Benchmark) -> None:
    for identity in range(len(benchmark.identities)):
        rows = [
            row
            for row in range(benchmark.split.size)
            if benchmark.identity[row] == identity and benchmark.split[row] == 1
        ]
        assert _images_of(benchmark, Person(identity, 0.1, 0.2)) == rows[:PER_PERSON]


def test_a_person_is_above_the_diagonal_if_the_second_is_better(benchmark: Benchmark) -> None:
    people = (Person(0, 0.25, 0.75), Person(1, 1.0, 0.0))
    chart = _people_chart(Pair(0, 1, (), (1, 0, 1), people), benchmark, "one", "other")
    assert chart is not None
    assert [(dot.x, dot.y) for dot in chart.dots] == [(SIDE / 4, SIDE / 4), (SIDE, SIDE)]
    assert chart.dots[0].title == f"{benchmark.identities[0]}: 25.00 to 75.00"
    per_cent = range(0, 101, 20)
    for shown in (chart.x_ticks, chart.y_ticks):
        assert [tick.text for tick in shown] == [str(value) for value in per_cent]
    assert [tick.place for tick in chart.x_ticks] == pytest.approx([SIDE * value / 100 for value in per_cent])
    assert [tick.place for tick in chart.y_ticks] == pytest.approx([SIDE - SIDE * value / 100 for value in per_cent])
    (diagonal,) = chart.curves
    assert diagonal.path == f"M0.0 {SIDE:.1f}L{SIDE:.1f} 0.0" and diagonal.dashed
    assert (chart.width, chart.height) == (SIDE, SIDE)
    many = Pair(0, 1, (), (0, 0, 0), people * (MOST_DOTS // 2 + 1))
    thinned = _people_chart(many, benchmark, "one", "other")
    assert thinned is not None and len(thinned.dots) == MOST_DOTS // 2 + 1
    assert _people_chart(Pair(0, 1, (), None), benchmark, "one", "other") is None


def test_rows_that_look_shifted_are_told_with_their_direction(benchmark: Benchmark) -> None:
    result = score(benchmark, builders.submission(np.random.default_rng(0), benchmark), n_resamples=0)
    result = replace(result, reid=None)
    shifts = (Shift("wear", 1, "F1", 0.25, 0.5), Shift("age", -1, "F1", 0.125, 0.75), Shift("mood", -1, "F1", 0.0, 1.0))
    nothing = Drilldown((), None, None, (), (), ())
    after, before = _warnings(result, replace(nothing, shifts=shifts))
    assert "had the row after its own" in after and "rise: F1 of wear from 25.00 to 50.00. Check" in after
    assert "had the row before its own" in before
    assert "rise: F1 of age from 12.50 to 75.00; F1 of mood from 0.00 to 100.00. Check" in before
    assert _warnings(result, nothing) == []


def test_differences_are_drawn_on_the_scale_of_the_widest_end() -> None:
    one = Difference("piq", 0.5, 0.625, 0.125, (-0.25, 0.2), 0.04, 0.08, 0.15)
    other = Difference("f1.wear", 0.5, 0.4, -0.1, None, 1.0, 1.0, 0.1)
    pairs = [Pair(0, 1, (one, other), None)]
    assert _widest(pairs) == 0.25
    first, second = _tracks(pairs[0], 0.25)
    assert first.place == pytest.approx(HALF / 2) and second.place == pytest.approx(-0.4 * HALF)
    assert first.ends == pytest.approx((-HALF, 0.8 * HALF)) and second.ends is None
    assert _widest([Pair(0, 1, (replace(other, difference=0.0),), None)]) == 1
    assert _widest([Pair(0, 1, (), None)]) == 1


def test_a_row_in_a_notebook_is_indented_by_its_level(benchmark: Benchmark) -> None:
    result = score(benchmark, builders.submission(np.random.default_rng(0), benchmark), n_resamples=0)
    found = re.findall(r"padding-left:(\d+)em", Result(result, benchmark)._repr_html_())
    levels = [row.level for row in main_rows(result, benchmark)]
    assert found == [str(1 + level) for level in levels] and {*levels} == {0, 1, 2}
