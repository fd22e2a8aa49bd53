"""Sentences below the tables of a score are whole, however long they are."""

import builders
import numpy as np

from piq_bench.report.rows import left_out_lines
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
