"""The paper's Table 4 is copied without a mistake, equation (2) gives the PIQ that it prints, and files are checked.

The rows lie beside the bundled benchmark.toml, as they would beside that of any other benchmark.
"""

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import board_builders
import folders
import pytest

from piq_bench.board.published import FILE, PublishedRow, published_table, read_published
from piq_bench.errors import BadDataset
from piq_bench.metrics.piq import piq
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark

BENCHMARK = read_benchmark(None)
PUBLISHED = read_published(BENCHMARK)
assert PUBLISHED is not None
ROWS = PUBLISHED.rows
TASKS = tuple(task.name for task in BENCHMARK.classification_tasks)
EXAMPLE = """\
schema = "piq-bench/published/1"
title = "Published"
source = "A paper"
note = "A note."
[[rows]]
name = "one"
macro_map = 0.1
macro_rank1 = 0.3
f1 = { gender = 0.8 }
design = { model = "big" }
[[rows]]
name = "two"
piq = 0.25
f1 = { gender = 0.755 }
"""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_equation_2_gives_the_printed_piq_from_the_printed_columns(row: PublishedRow) -> None:
    assert None not in (row.macro_map, row.macro_rank1, row.piq)
    reid = ((row.macro_map or 0) + (row.macro_rank1 or 0)) / 2
    gender, age, physique, height, body, arm, expression = (row.f1[task] for task in TASKS)
    aspects = (reid, (gender + age + physique + height) / 4, (body + arm) / 2, expression)
    found = row.aspects(BENCHMARK.tasks)
    assert tuple(found.values()) == pytest.approx(aspects)
    assert sum(aspects) / 4 == pytest.approx(row.piq, abs=0.001)


def test_every_column_of_the_paper_is_shown() -> None:
    assert PUBLISHED is not None
    table = published_table(PUBLISHED, BENCHMARK)
    aspects = ("reid", "appearance", "posture", "emotion")
    assert table.numbers == ("PIQ", *aspects, "macro mAP", "macro Rank-1", *(f"{task} F1" for task in TASKS))
    assert table.design == ("model", "metric learning", "weights of losses", "batches")
    assert {(len(numbers), len(design)) for _, numbers, design in table.rows} == {(len(table.numbers), 4)}
    assert len({name for name, _, _ in table.rows}) == len(table.rows) == 9


def test_the_rows_are_those_of_the_paper() -> None:
    path = folders.shared_data("paper_tables") / "table4.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        printed = list(csv.DictReader(stream))
    assert [row.name for row in ROWS] == [row["row"] for row in printed]
    for row, paper in zip(ROWS, printed, strict=True):
        found = {"map": row.macro_map, "rank1": row.macro_rank1, "piq": row.piq} | row.f1
        assert found == {name: float(paper[name]) for name in found}


def test_the_paper_ranks_its_rows_as_equation_2_does_where_they_differ_by_more_than_rounding() -> None:
    ranked = sorted(ROWS, key=lambda row: row.piq or 0)
    for lower, higher in pairwise(ranked):
        if (higher.piq or 0) - (lower.piq or 0) > 0.002:
            assert (piq(higher.aspects(BENCHMARK.tasks)) or 0) > (piq(lower.aspects(BENCHMARK.tasks)) or 0)


@pytest.fixture
def tiny(tmp_path: Path) -> Benchmark:
    return board_builders.dataset(tmp_path / "tiny")


def write(benchmark: Benchmark, text: str) -> None:
    assert benchmark.root is not None
    (benchmark.root / FILE).write_text(text, encoding="utf-8")


def test_a_benchmark_of_other_tasks_has_rows_of_its_own(tiny: Benchmark) -> None:
    assert read_published(tiny) is None
    assert read_published(replace(tiny, root=None)) is None
    write(tiny, EXAMPLE)
    published = read_published(tiny)
    assert published is not None
    table = published_table(published, tiny)
    assert table.numbers == ("PIQ", "reid", "appearance", "macro mAP", "macro Rank-1", "gender F1")
    assert table.rows == (  # re-id is the mean of 0.1 and 0.3; what a paper does not print is not made up
        ("one", ("-", "20.00", "80.00", "10.0", "30.0", "80.0"), ("big",)),
        ("two", ("25.0", "-", "75.50", "-", "-", "75.5"), ("-",)),
    )


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("gender = 0.8", "age = 0.8", ["rows.0.f1", "names the task 'age'", "a task of benchmark.toml: gender"]),
        ("piq = 0.25", "piq = 25", ["rows.1.piq", "got '25'", "expected at most 1"]),
        (
            "piq = 0.25",
            "pique = 0.25",
            ["rows.1.pique", "is not a known key", "did you mean 'piq'? known keys are name, piq, macro_map"],
        ),
        ("piq = 0.25", "piq = nan", ["published.toml"]),
        ('source = "A paper"\n', "", ["source", "is missing", "add it"]),
        ("published/1", "published/2", ["schema", "expected 'piq-bench/published/1'"]),
        ("[[rows]]", "[[rows", ["published.toml"]),
        ('name = "one"', "name = 1", ["rows.0.name", "got '1'", "expected a text in quotes"]),
        ("{ gender = 0.8 }", '"0.8"', ["rows.0.f1", "got '0.8'", "expected a table"]),
        ("{ gender = 0.8 }", '{ gender = "x" }', ["rows.0.f1.gender", "got 'x'", "expected a number"]),
        ("{ gender = 0.8 }", "{ gender = nan }", ["f1.gender is nan, which is not a finite number"]),
        ('{ model = "big" }', '{ "" = "big" }', ["rows.0.design", "expected a text of at least 1 characters"]),
        (EXAMPLE[EXAMPLE.index("[[rows]]") :], "rows = 3", ["rows", "got '3'", "expected a list"]),
        (EXAMPLE[EXAMPLE.index("[[rows]]") :], "rows = []", ["rows", "expected at least 1 of them"]),
        ('"A note."', f'"{"x" * 1001}"', ["note", "expected a text of at most 1000 characters"]),
    ],
)
def test_a_file_with_mistakes_is_refused_with_each_named(
    old: str, new: str, messages: list[str], tiny: Benchmark
) -> None:
    write(tiny, EXAMPLE.replace(old, new, 1))
    with pytest.raises(BadDataset) as refused:
        read_published(tiny)
    for message in messages:
        assert message in str(refused.value)
    assert "nput should be" not in str(refused.value) and "another value" not in str(refused.value)


def test_neither_a_link_nor_a_huge_file_is_read(tiny: Benchmark) -> None:
    assert tiny.root is not None
    (tiny.root / "other.toml").write_text(EXAMPLE, encoding="utf-8")
    (tiny.root / FILE).symlink_to("other.toml")
    with pytest.raises(BadDataset, match="is not a regular file"):
        read_published(tiny)
    (tiny.root / FILE).unlink()
    write(tiny, EXAMPLE + "#" * (1 << 20))
    with pytest.raises(BadDataset, match="is not a regular file of at most"):
        read_published(tiny)
