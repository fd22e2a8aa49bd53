"""The tables of a data set's statistics: the paper's tables, rounded once."""

from fractions import Fraction
from pathlib import Path

import pytest
from folders import write_csv, write_folder, write_market

from piq_bench.describe.stats import describe
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.report.stats_rows import BAR, MAX_LABELS, sections, share_text, summary


@pytest.mark.parametrize(
    ("share", "text"), [("0.2", "0.2"), ("0.20", "0.2"), ("1", "1"), ("0.005", "0.005"), ("1/3", "1/3"), ("1.0", "1")]
)
def test_a_share_is_written_as_a_decimal(share: str, text: str) -> None:
    assert share_text(Fraction(share)) == text


def test_table_2_adds_up(tmp_path: Path) -> None:
    table = sections(describe(read_benchmark(write_folder(tmp_path))))[0]
    assert table.header == ("", "images", "identities", "labelled", "unlabelled")
    assert table.rows == (
        ("train", "3", "1", "2", "1"),
        ("query", "1", "1", "1", "0"),
        ("gallery", "3", "2", "2", "1"),
        ("total", "7", "3", "5", "2"),  # p2 is in query and gallery
    )


def test_junk_and_distractors_have_columns_where_there_are_any(tmp_path: Path) -> None:
    names = {"bounding_box_test": ["-1_c1s1_0.jpg", "0000_c1s1_0.jpg", "0000_c1s1_1.jpg"]}
    table = sections(describe(inspect_dataset(write_market(tmp_path, names)).benchmark))[0]
    assert table.header[-2:] == ("junk", "distractor")
    assert table.rows[-1] == ("total", "3", "0", "0", "0", "1", "2")


def test_table_3_has_a_row_for_identities_and_each_task_by_share(tmp_path: Path) -> None:
    ks = (Fraction("0.2"), Fraction("0.5"))
    table = sections(describe(read_benchmark(write_folder(tmp_path)), ks=ks))[1]
    assert [row[0] for row in table.rows] == [
        f"{name}, LTS_{k}" for k in ("0.2", "0.5") for name in ("identities", "gender", "mood")
    ]
    assert table.rows[0][1:] == ("5.0000", "5.0000", "2.5000")
    assert table.rows[2][1:] == ("2.5000", "-", "2.5000")  # the only query has the annotated empty set


def test_bars_are_proportional_and_never_vanish(tmp_path: Path) -> None:
    rows = [(f"{n}.jpg", "a" if n < 100 else "b" if n < 150 else "c") for n in range(151)]
    stats = describe(inspect_dataset(write_csv(tmp_path / "labels.csv", rows, ("image", "label"))).benchmark)
    table = next(section for section in sections(stats) if section.title == "label")
    assert table.rows == (
        ("a", "100", "0", "0"),
        ("b", "50", "0", "0"),
        ("c", "1", "0", "0"),
        ("(not annotated)", "0", "0", "0"),
    )
    assert table.bars == ("#" * BAR, "#" * (BAR // 2), "#", "")


def test_of_many_labels_the_most_frequent_are_shown(tmp_path: Path) -> None:
    rows = [(f"{n}-{i}.jpg", f"label{n:03}") for n in range(40) for i in range(n + 1)]
    stats = describe(inspect_dataset(write_csv(tmp_path / "labels.csv", rows, ("image", "label"))).benchmark)
    table = next(section for section in sections(stats) if section.title == "label")
    assert len(table.rows) == MAX_LABELS + 2
    assert table.rows[0][:2] == ("label039", "40")
    assert table.rows[MAX_LABELS] == ("(10 more labels)", str(sum(range(1, 11))), "0", "0")


def test_names_from_strangers_are_made_safe(tmp_path: Path) -> None:
    stats = describe(read_benchmark(write_folder(tmp_path)))
    assert dict(summary(stats))["data set"] == "tiny 1"
    assert dict(summary(stats))["fingerprint"] == stats.fingerprint
