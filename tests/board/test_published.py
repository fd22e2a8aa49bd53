"""The paper's Table 4 is copied without a mistake, and its equation (2) gives the PIQ that it prints."""

import csv
from itertools import pairwise

import folders
import pytest

from piq_bench.board.published import ASPECTS, NUMBERS, ROWS, TASKS, Published
from piq_bench.metrics.piq import piq


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_equation_2_gives_the_printed_piq_from_the_printed_columns(row: Published) -> None:
    reid = (row.macro_map + row.macro_rank1) / 2
    gender, age, physique, height, body, arm, expression = row.f1
    aspects = (reid, (gender + age + physique + height) / 4, (body + arm) / 2, expression)
    assert tuple(row.aspects.values()) == pytest.approx(aspects)
    assert piq(row.aspects) == pytest.approx(row.piq, abs=0.001)


def test_every_column_of_the_paper_is_shown() -> None:
    assert ASPECTS == ("reid", "appearance", "posture", "emotion")
    assert TASKS == ("gender", "age", "physique", "height", "body", "arm", "expression")
    assert {len(row.texts) for row in ROWS} == {len(NUMBERS)}
    assert len({row.name for row in ROWS}) == len(ROWS) == 9


def test_the_rows_are_those_of_the_paper() -> None:
    path = folders.shared_data("paper_tables") / "table4.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        printed = list(csv.DictReader(stream))
    assert [row.name for row in ROWS] == [row["row"] for row in printed]
    for row, paper in zip(ROWS, printed, strict=True):
        found = {"map": row.macro_map, "rank1": row.macro_rank1, "piq": row.piq}
        found |= dict(zip(TASKS, row.f1, strict=True))
        assert found == {name: float(paper[name]) for name in found}


def test_the_paper_ranks_its_rows_as_equation_2_does_where_they_differ_by_more_than_rounding() -> None:
    ranked = sorted(ROWS, key=lambda row: row.piq)
    for lower, higher in pairwise(ranked):
        if higher.piq - lower.piq > 0.002:
            assert (piq(higher.aspects) or 0) > (piq(lower.aspects) or 0)
