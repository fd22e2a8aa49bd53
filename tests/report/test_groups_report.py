import json

import numpy as np
import pytest
from group_builders import Row, balanced_hashes, benchmark_of, hashed_of

from piq_bench.group.build import GroupReport, group_hashed
from piq_bench.group.hashing import Failure
from piq_bench.records import Grouping
from piq_bench.report.groups_json import groups_json
from piq_bench.report.groups_table import groups_table

A = 0xAAAAAAAAAAAAAAAA


def large_report(threshold: int = 6) -> GroupReport:
    n = 1600
    hashes = [*balanced_hashes(n - 2, seed=1, step=0.3), 0, 1 << 63]
    rows = [
        Row(f"{i:05d}.jpg", "query" if i % 7 == 0 else "gallery", f"p{i // 6}", f"film{i // 300}") for i in range(n)
    ]
    return group_hashed(benchmark_of(rows), hashed_of(hashes), grouping=Grouping(threshold=threshold))


@pytest.mark.parametrize("threshold", [0, 6, 12])
def test_the_table_fits_80_columns_and_marks_the_threshold(threshold: int) -> None:
    lines = groups_table(large_report(threshold)).splitlines()
    assert max(len(line) for line in lines) <= 80
    titles = next(line for line in lines if "t, bits" in line)
    assert titles.split()[2:] == [f">{t}" if t == threshold else str(t) for t in (0, 2, 4, 6, 8, 10, 12)]


def test_every_figure_is_in_the_table() -> None:
    report = large_report()
    text = groups_table(report)
    cells = {line.strip().rsplit("  ", 1)[0].split("  ")[0]: line.split()[-7:] for line in text.splitlines() if line}
    levels = report.sweep.levels
    assert cells["groups"] == [str(level.groups) for level in levels]
    assert cells["largest group, images"] == [f"{level.largest:,}" for level in levels]
    assert cells["its largest distance, bits"] == [str(level.farthest) for level in levels]
    assert cells["queries without positive"] == [f"{level.queries_lost:,}" for level in levels]
    assert cells["images in groups, %"] == [f"{100 * level.grouped_images / 1600:.1f}" for level in levels]


def test_lost_queries_are_counted_among_those_with_positives() -> None:
    rows = [Row("a", "query", "p"), Row("b", "gallery", "p"), Row("c", "query", "q"), Row("d", "gallery", "q"),
            Row("e", "query", "r")]  # fmt: skip
    hashes = hashed_of([A, A, A ^ 0xFFFF, A ^ 0xFFFF0000, A ^ 0xFFFF00000000])
    text = groups_table(group_hashed(benchmark_of(rows), hashes))
    assert "At t = 6, 1 of 2 queries with a positive lose their last positive" in " ".join(text.split())
    assert "warning: 1 of 2 queries lose their last positive" in text


def test_unknown_is_shown_as_unknown() -> None:
    text = groups_table(group_hashed(benchmark_of([Row("a", "query"), Row("b")], sources=False), hashed_of([A, A])))
    assert "-: unknown, since the data set has no identities of queries." in text
    assert "-: unknown, since the data set has no sources." in text
    people = next(line for line in text.splitlines() if "several people" in line)
    assert people.split()[-7:] == ["-"] * 7


def test_flat_and_unreadable_images_are_named_without_their_control_characters() -> None:
    rows = [Row("a\x1b[2J", "query"), Row("b"), Row("c")]
    hashed = hashed_of([0, A, 0], readable=[True, True, False])
    hashed = type(hashed)(**{**vars(hashed), "failures": (Failure("c", "empty-file", "is empty"),)})
    report = group_hashed(benchmark_of(rows), hashed)
    text = groups_table(report)
    assert "1 degenerate images" in text
    assert "\x1b" not in text
    assert "'c' is empty" in text
    document = json.loads(groups_json(report))
    assert document["degenerate"] == ["a\x1b[2J"]
    assert document["unreadable"] == [{"image": "c", "code": "empty-file", "found": "is empty"}]


def test_the_summary_names_the_gates_and_the_equivalent_threshold() -> None:
    rows = [Row("a", "query", "", "f"), Row("b", "gallery", "", "f")]
    report = group_hashed(
        benchmark_of(rows, grouping=Grouping(threshold=5)), hashed_of([A, A]), within_source=True, min_quality=30
    )
    text = " ".join(groups_table(report).split())
    assert "equivalent to d <= 4" in text
    assert "images of the same source are linked" in text
    assert "2 images below 30 are not linked by hash" in text


def test_the_json_holds_the_sweep_in_full() -> None:
    report = large_report()
    document = json.loads(groups_json(report))
    assert document["schema"] == "piq-bench/groups-report/1"
    assert [level["threshold"] for level in document["levels"]] == [0, 2, 4, 6, 8, 10, 12]
    assert document["levels"][3]["exclusions"] == report.sweep.levels[3].exclusions
    assert document["warnings"] == [{"code": one.code, "text": one.text} for one in report.warnings]
    assert document["queries_with_positives"] == report.sweep.queries_with_positives
    assert document["parameters"]["images_sha256"] == report.groups.parameters["images_sha256"]
    assert np.array_equal(document["degenerate"], ["01598.jpg", "01599.jpg"])
