"""The table of thresholds has one line a figure, and unreadable images are named up to a number."""

from dataclasses import replace

import numpy as np
import pytest
from group_builders import Row, benchmark_of, hashed_of

from piq_bench.group.build import group_hashed
from piq_bench.group.hashing import Failure
from piq_bench.report.groups_table import N_NAMED, figures, groups_table, summary

A = 0xAAAAAAAAAAAAAAAA


def test_figures_follow_each_other_without_blank_lines() -> None:
    report = group_hashed(benchmark_of([Row("a", "query"), Row("b")]), hashed_of([A, A]))
    lines = [line.strip() for line in groups_table(report).splitlines()]
    start = next(row for row, line in enumerate(lines) if line.startswith("t, bits"))
    names = [name.strip() for name, _ in figures(report.sweep)]
    assert set(lines[start + 1]) == {"─"} or set(lines[start + 1]) == {"-"}
    for line, name in zip(lines[start + 2 : start + 2 + len(names)], names, strict=True):
        assert line.startswith(name)


@pytest.mark.parametrize("n", [1, N_NAMED, N_NAMED + 1, N_NAMED + 30])
def test_unreadable_images_beyond_the_first_are_counted(n: int) -> None:
    rows = [Row("a", "query"), *(Row(f"bad{number:03d}") for number in range(n))]
    failures = tuple(Failure(f"bad{number:03d}", "empty-file", "is empty") for number in range(n))
    hashed = replace(hashed_of([A] + [0] * n, readable=[True] + [False] * n), failures=failures)
    text = groups_table(group_hashed(benchmark_of(rows), hashed))
    assert f"{n} unreadable images stay alone" in text
    assert text.count("' is empty") == min(n, N_NAMED)
    assert (f"and {n - N_NAMED} more" in text) == (n > N_NAMED)


def test_the_summary_tells_below_which_gradient_1_and_5_per_cent_of_the_images_are() -> None:
    n = 200
    hashed = replace(hashed_of([A] * n), quality=np.arange(n, dtype=np.float64)[::-1])
    report = group_hashed(benchmark_of([Row(f"{number:03d}", "query") for number in range(n)]), hashed)
    facts = dict(summary(report))
    assert facts["gradient"] == "mean gradient below 2.0 in 1 % of the images, below 10.0 in 5 % of the images"
