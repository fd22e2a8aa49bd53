"""Figures on real images; skipped if there are none."""

from dataclasses import replace

import pytest
from group_builders import REAL_DATA, real_benchmark

from piq_bench.group.build import GroupReport, build_groups
from piq_bench.report.groups_table import groups_table


def report_of(name: str, threshold: int) -> GroupReport:
    if not (REAL_DATA / name / "images").is_dir():
        pytest.skip(f"no real images of {name}")
    benchmark = real_benchmark(name)
    assert benchmark.root is not None
    grouping = replace(benchmark.grouping, threshold=threshold)
    return build_groups(benchmark, benchmark.root / "images", grouping=grouping, workers=1)


def test_faces_at_ten_bits_lose_the_last_positive_of_twelve_queries_and_the_report_says_so() -> None:
    report = report_of("cmu_faces", 10)
    level = report.sweep.level_at(10)
    assert level is not None
    assert (level.queries_lost, report.sweep.queries_with_positives) == (12, 32)
    text = " ".join(groups_table(report).split())
    assert "At t = 10, 12 of 32 queries with a positive lose their last positive" in text
    assert "12 of 32 queries lose their last positive and would not be scored [queries-lost]" in text
    assert {warning.code for warning in report.warnings} == {"giant-group", "mostly-chained", "queries-lost"}


def test_people_seen_from_afar_chain_together_beyond_the_default() -> None:
    report = report_of("pets09_s2l1", 10)
    largest = {level.threshold: level.largest for level in report.sweep.levels}
    assert largest[6] == 94  # 6 % of 1,554
    assert largest[10] > 1.5 * largest[6]
    assert largest[12] > 9 * largest[6]  # more than half of all images
    farthest = {level.threshold: level.farthest for level in report.sweep.levels}
    assert farthest[6] == 12
    assert (farthest[10] or 0) > 30  # as far apart as unrelated images
    assert {"giant-group", "mostly-chained", "near-the-edge"} <= {warning.code for warning in report.warnings}
