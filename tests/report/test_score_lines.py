"""Sentences below the tables of a score are whole, and its page has a column for chance."""

from dataclasses import replace

import builders
import numpy as np
import pytest

from piq_bench.records import RETRIEVAL
from piq_bench.report.rows import left_out_lines
from piq_bench.report.score_html import score_html
from piq_bench.report.table import WIDTH, score_table
from piq_bench.scoring.score import score


def test_what_is_left_out_is_told_in_full_on_as_many_lines_as_it_needs() -> None:
    rng = np.random.default_rng(2)
    benchmark = builders.benchmark(rng)
    result = score(benchmark, builders.submission(rng, benchmark), n_resamples=0)
    text = score_table(result, benchmark)
    told = left_out_lines(result)
    assert max(map(len, told)) > WIDTH
    for line in told:
        assert line in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize("is_reid", [True, False])
def test_chance_is_a_column_where_anything_has_a_chance(is_reid: bool) -> None:
    rng = np.random.default_rng(2)
    benchmark = builders.benchmark(rng)
    tasks = tuple(task for task in benchmark.tasks if (task.kind == RETRIEVAL) == is_reid)
    benchmark = replace(benchmark, tasks=tasks)
    result = score(benchmark, builders.submission(rng, benchmark), n_resamples=0)
    assert "<th>chance</th><th>majority</th>" in score_html(result, benchmark)
