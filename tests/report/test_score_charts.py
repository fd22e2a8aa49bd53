"""Where the charts of a score's page draw their curves, dots, columns and ticks, from the definitions of the axes.

Charts are 640 units wide and 260 tall, those of labels 200 and 150; y counts from the top.
"""

from dataclasses import replace
from math import log10

import pytest

from piq_bench.report.charts import Tick
from piq_bench.report.reference import Reference
from piq_bench.report.score_charts import MOST_DOTS, cmc_chart, histogram_chart, label_chart, people_chart
from piq_bench.scoring.label_faults import LabelCurve
from piq_bench.scoring.pair_samples import Histogram
from piq_bench.scoring.people import RANKS, Cmc
from piq_bench.scoring.records import LabelScore

CMC = Cmc(tuple(0.5 + 0.01 * rank for rank in RANKS), tuple(0.52 for _ in RANKS))
CURVE = LabelCurve("wear", "hat", (0.0, 0.5, 0.5, 1.0), (1.0, 1.0, 0.6, 0.4), 0.7, 0.3)
LABEL = LabelScore(0.8, 0.25, 0.38, 40, 20, 10)


def places(path: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, point.split())) for point in path.removeprefix("M").split("L")]


def shown(ticks: tuple[Tick, ...]) -> list[tuple[float, str]]:
    return [(round(tick.place, 3), tick.text) for tick in ticks]


def test_a_cmc_curve_is_logarithmic_in_the_rank() -> None:
    chart = cmc_chart(CMC, None)
    assert [(curve.name, curve.style, curve.dashed) for curve in chart.curves] == [
        ("macro: mean over people", 0, False),
        ("plain: mean over queries", 1, False),
    ]
    x = [640 * log10(rank) / log10(50) for rank in RANKS]
    for curve, values in zip(chart.curves, (CMC.macro, CMC.plain), strict=True):
        expected = [(across, 260 - 260 * (value - 0.5) / 0.5) for across, value in zip(x, values, strict=True)]
        for point, one in zip(places(curve.path), expected, strict=True):
            assert point == pytest.approx(one, abs=0.051)
    assert shown(chart.y_ticks) == [(260 - 5.2 * (value - 50), str(value)) for value in range(50, 101, 10)]
    assert [tick.text for tick in chart.x_ticks] == ["1", "2", "5", "10", "20", "50"]
    assert [tick.place for tick in chart.x_ticks] == pytest.approx([x[rank - 1] for rank in (1, 2, 5, 10, 20, 50)])
    assert chart.hovers[0].left == 0 and chart.hovers[-1].right == 640
    assert chart.hovers[1].left == pytest.approx(640 * log10(1.5) / log10(50))
    assert chart.hovers[1].right == pytest.approx(640 * log10(2.5) / log10(50))
    assert chart.text.endswith(
        "k from 1 to 50; macro: mean over people from 51.00% at 1 to 100.00% at 50; "
        "plain: mean over queries from 52.00% at 1 to 52.00% at 50"
    )


def test_curves_with_near_duplicates_are_dashed_and_those_of_a_reference_have_other_colours() -> None:
    reference = Reference("theirs", None, {}, {}, {}, {"macro": {1: 0.6, 5: 0.7}, "plain": {1: 0.6, 10: 0.8}})
    chart = cmc_chart(CMC, replace(CMC, plain=CMC.macro), reference, plain_first=True)
    assert [(curve.name.partition(":")[0], curve.style, curve.dashed) for curve in chart.curves] == [
        ("plain", 1, False),
        ("macro", 0, False),
        ("plain, near-duplicates kept", 1, True),
        ("macro, near-duplicates kept", 0, True),
        ("theirs, macro", 2, False),
        ("theirs, plain", 3, False),
    ]
    assert chart.curves[2].path == chart.curves[1].path
    assert chart.hovers[1].title == (
        "rank 2: plain: mean over queries 52.00%, macro: mean over people 52.00%, "
        "plain, near-duplicates kept 52.00%, macro, near-duplicates kept 52.00%"
    )


@pytest.mark.parametrize(
    ("lowest", "expected"),
    [(0.05, [0, 20, 40, 60, 80, 100]), (0.395, [40, 60, 80, 100]), (0.4, [40, 50, 60, 70, 80, 90, 100]),
     (0.8, [80, 85, 90, 95, 100]), (0.97, [90, 92, 94, 96, 98, 100])],
)  # fmt: skip
def test_the_axis_of_a_cmc_begins_at_the_tens_below_its_lowest_value(lowest: float, expected: list[int]) -> None:
    chart = cmc_chart(Cmc(tuple(lowest for _ in RANKS), tuple(1.0 for _ in RANKS)), None)
    assert [int(tick.text) for tick in chart.y_ticks] == expected


def test_a_histogram_has_a_step_for_each_share() -> None:
    chart = histogram_chart(Histogram(-0.25, 0.75, (0.0, 0.1, 0.5, 0.4), (0.5, 0.25, 0.25, 0.0), 3, 10, 20, 0.1))
    right, wrong = chart.curves
    assert (right.name, right.style, wrong.name, wrong.style) == ("right pairs", 2, "wrong pairs", 1)
    x = [0, 160, 160, 320, 320, 480, 480, 640]
    assert places(right.path) == list(zip(x, [260, 260, 208, 208, 0, 0, 52, 52], strict=True))
    assert places(wrong.path) == list(zip(x, [0, 0, 130, 130, 130, 130, 260, 260], strict=True))
    assert [float(tick.text) for tick in chart.x_ticks] == pytest.approx([-0.2, 0.0, 0.2, 0.4, 0.6])
    assert [tick.place for tick in chart.x_ticks] == pytest.approx([32, 160, 288, 416, 544])
    assert shown(chart.y_ticks) == [(260 - 5.2 * value, str(value)) for value in range(0, 51, 10)]
    assert [(hover.left, hover.right) for hover in chart.hovers] == [
        pytest.approx((160 * place, 160 * place + 160)) for place in range(4)
    ]
    assert chart.hovers[1].title == "similarity 0 to 0.25: 10.00% of right pairs, 25.00% of wrong pairs"
    assert chart.text == "Histogram of similarities from -0.25 to 0.75: 10 right and 20 wrong pairs"


def test_both_ends_of_a_histogram_have_ticks_if_they_are_round() -> None:
    chart = histogram_chart(Histogram(-0.6, 0.6, (1.0,), (1.0,), 1, 1, 1, 0.0))
    assert [float(tick.text) for tick in chart.x_ticks] == pytest.approx([-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6])
    assert [tick.place for tick in chart.x_ticks][:: len(chart.x_ticks) - 1] == pytest.approx([0, 640])


def test_a_label_has_precision_over_recall_and_a_dot_as_submitted() -> None:
    chart = label_chart(CURVE, LABEL)
    assert (chart.width, chart.height) == (200, 150)
    assert places(chart.curves[0].path) == [(0, 0), (100, 0), (100, 60), (200, 90)]
    (dot,) = chart.dots
    assert (dot.x, dot.y) == pytest.approx((50, 30))
    assert dot.title == "as submitted: precision 80.00, recall 25.00"
    assert shown(chart.x_ticks) == [(0, "0"), (100, "50"), (200, "100")]
    assert shown(chart.y_ticks) == [(150, "0"), (75, "50"), (0, "100")]
    assert [(hover.left, hover.right, hover.title) for hover in chart.hovers] == [
        (0, 100, "recall 50.00: precision 100.00"),
        (100, 200, "recall 100.00: precision 40.00"),
    ]


@pytest.mark.parametrize("missing", ["precision", "recall"])
def test_a_label_that_has_no_precision_or_recall_has_no_dot(missing: str) -> None:
    assert label_chart(CURVE, replace(LABEL, **{missing: None})).dots == ()  # type: ignore[arg-type]


def test_a_person_is_a_dot_at_its_images_and_its_precision() -> None:
    chart = people_chart([("a", 1, 1.0), ("b", 10, 0.25), ("c", 100, 0.0), ("d", 0, 0.5)])
    assert chart is not None
    assert [(dot.x, dot.y) for dot in chart.dots] == [
        pytest.approx(place) for place in ((0, 0), (320, 195), (640, 260), (0, 130))
    ]
    assert chart.dots[1].title == "b: 10 images, 25.00"
    assert shown(chart.y_ticks) == [(260 - 2.6 * value, str(value)) for value in range(0, 101, 20)]
    assert [tick.text for tick in chart.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [tick.place for tick in chart.x_ticks] == pytest.approx([320 * log10(int(t.text)) for t in chart.x_ticks])
    assert chart.text == "Average precision of 4 people against their number of gallery images, up to 100"


def test_people_with_one_image_have_an_axis_and_no_people_have_no_chart() -> None:
    chart = people_chart([("a", 1, 1.0)])
    assert chart is not None and shown(chart.x_ticks) == [(0, "1"), (640, "2")]
    assert people_chart([]) is None


@pytest.mark.parametrize(("n", "drawn"), [(MOST_DOTS, MOST_DOTS), (MOST_DOTS + 1, MOST_DOTS // 2 + 1)])
def test_more_people_than_are_drawn_are_thinned_out_evenly(n: int, drawn: int) -> None:
    chart = people_chart([(str(number), 1, 0.5) for number in range(n)])
    assert chart is not None and len(chart.dots) == drawn
    assert chart.dots[1].title.startswith("1:" if n == MOST_DOTS else "2:")
