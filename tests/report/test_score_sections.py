"""What a score's page says about queries, embeddings near chance, references and confusions."""

import re
from dataclasses import replace

import builders
import numpy as np
import pytest
from hostile_builders import LARGER, page_of

from piq_bench.report.reference import Reference
from piq_bench.report.score_charts import cmc_chart
from piq_bench.report.score_html import score_html
from piq_bench.scoring.drilldown import drill_down
from piq_bench.scoring.people import RANKS, Cmc
from piq_bench.scoring.score import score

pytest.importorskip("jinja2")


def test_a_worst_query_shows_its_first_right_image_and_its_rank() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, LARGER)
    submission = builders.submission(rng, benchmark)
    result = score(benchmark, submission, n_resamples=0)
    closer = drill_down(benchmark, submission, result)
    text = score_html(result, benchmark, drilldown=closer)
    ranks = [query.first_right.rank for query in (*closer.worst, *closer.best)]
    assert re.findall(r"first right at rank (\d+)", text) == [str(rank) for rank in ranks]
    for query in (*closer.worst, *closer.best):
        found = [one for one in query.neighbours if one.is_positive]
        assert query.first_right.identity == query.identity
        if found:
            assert (query.first_right.rank, query.first_right.row) == (found[0].rank, found[0].row)
        else:
            assert query.first_right.rank > len(query.neighbours)
    later = [query for query in (*closer.worst, *closer.best) if not any(one.is_positive for one in query.neighbours)]
    assert text.count("<b>first right image</b>") == len(later) > 0
    assert "There are no pictures: the data set was read without its image files." in text


def test_an_embedding_near_chance_is_told_and_the_score_s_notes_are_not_changed() -> None:
    rng = np.random.default_rng(1)
    benchmark = builders.benchmark(rng, LARGER)
    same = np.ones((benchmark.test_rows.size, 2), dtype=np.float32)
    submission = builders.submission(rng, benchmark, same)
    result = score(benchmark, submission, n_resamples=0)
    assert "near chance" in score_html(result, benchmark)
    assert not any("near chance" in note for note in result.notes)
    perfect = np.eye(len(benchmark.identities) + 1, dtype=np.float32)[benchmark.identity[benchmark.test_rows]]
    assert "near chance" not in page_of(benchmark, replace(submission, embedding=perfect))


def test_a_metric_of_attributes_that_no_task_has_is_no_column() -> None:
    rng = np.random.default_rng(2)
    benchmark = builders.benchmark(rng)
    result = score(benchmark, builders.submission(rng, benchmark), n_resamples=0)
    several = {task.name for task in benchmark.tasks if task.multi_label}
    alone = replace(result, attributes={name: one for name, one in result.attributes.items() if name not in several})
    titles = {}
    for which in (result, alone):
        section = score_html(which, benchmark).partition('<section id="attributes">')[2].partition("</section>")[0]
        titles[which is alone] = re.findall(r"<th>([^<]*)</th>", section)
    assert titles == {False: ["accuracy", "mA", "precision", "recall", "F1"], True: ["accuracy", "mA"]}


def test_a_cmc_chart_starts_below_its_lowest_value_and_shows_the_reference() -> None:
    cmc = Cmc(tuple(0.83 + 0.001 * rank for rank in RANKS), tuple(0.9 for _ in RANKS))
    chart = cmc_chart(cmc, None)
    assert chart.y_ticks[0].text == "80"
    assert len(chart.hovers) == len(RANKS)
    assert chart.hovers[4].title.startswith("rank 5: macro: mean over people 83.50%, plain: mean over queries 90.00%")
    other = Reference("theirs", None, {}, {}, {}, {"macro": {1: 0.42, 5: 0.5}, "plain": {1: 0.6}})
    beside = cmc_chart(cmc, None, other)
    assert [curve.name for curve in beside.curves][2:] == ["theirs, macro"]
    assert beside.y_ticks[0].text == "40"
    assert "theirs, macro 50.00%" in beside.hovers[4].title
