"""On re-id alone the field's own numbers come first, elsewhere PIQ; no macro number is called mAP."""

import re
from dataclasses import replace

import builders
import numpy as np
import pytest

from piq_bench.records import Benchmark
from piq_bench.report.compare_html import compare_html
from piq_bench.report.compare_latex import compare_latex
from piq_bench.report.compare_markdown import compare_markdown
from piq_bench.report.compare_table import compare_table
from piq_bench.report.latex import score_latex
from piq_bench.report.markdown import score_markdown
from piq_bench.report.rows import main_rows, percent
from piq_bench.report.score_html import score_html
from piq_bench.report.table import score_table
from piq_bench.scoring.compare import compare, tallied
from piq_bench.scoring.drilldown import drill_down
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score

FIELD = {"map": "mAP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "minp": "mINP"}


def scored(*, alone: bool) -> tuple[Score, Benchmark]:
    rng = np.random.default_rng(1)
    whole = builders.benchmark(rng)
    benchmark = replace(whole, tasks=whole.tasks[:1]) if alone else whole
    return score(benchmark, builders.submission(rng, benchmark), n_resamples=5), benchmark


def latex_cells(text: str) -> dict[str, str]:
    lines = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines()]
    place = next(i for i, cells in enumerate(lines) if cells[0] == "Method")
    return dict(zip(lines[place], lines[place + 2], strict=True))


def test_on_re_id_alone_the_field_s_numbers_come_first() -> None:
    result, benchmark = scored(alone=True)
    assert result.reid is not None
    rows = main_rows(result, benchmark)
    assert [(row.name, row.value) for row in rows[:5]] == [
        (title, percent(result.reid.values[key])) for key, title in FIELD.items()
    ]
    assert [row.name for row in rows[5:]] == ["PIQ", "reid", "macro Rank-1", "macro mAP"]
    for text in (score_table(result, benchmark), score_html(result, benchmark), score_markdown(result, benchmark)):
        assert text.index("mAP") < text.index("macro mAP")
    assert list(latex_cells(score_latex(result, benchmark))) == ["Method", "mAP", "R1", "R5", "R10", "mINP", "PIQ"]
    headline = re.search(r'<p class="headline">(.*?)</p>', score_html(result, benchmark), re.S)
    assert headline is not None
    assert re.findall(r"mAP|Rank-10|Rank-1|Rank-5|mINP|PIQ", headline[1]) == [*FIELD.values(), "PIQ"]


def test_elsewhere_piq_comes_first() -> None:
    result, benchmark = scored(alone=False)
    assert main_rows(result, benchmark)[0].name == "PIQ"
    headline = re.search(r'<p class="headline">(.*?)</p>', score_html(result, benchmark), re.S)
    assert headline is not None and "mAP" not in headline[1]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("columns", [None, "plain", "macro", "both"])
def test_latex_and_markdown_show_the_chosen_means_under_their_own_names(columns: str | None, alone: bool) -> None:
    result, benchmark = scored(alone=alone)
    assert result.reid is not None
    cells = latex_cells(score_latex(result, benchmark, columns))
    shown = columns or ("plain" if alone else "macro")
    values = {"mAP": "map", "R1": "rank1", "R5": "rank5", "R10": "rank10", "mINP": "minp"}
    macros = {"macro mAP": "macro_map", "macro R1": "macro_rank1"}
    expected = {**(values if shown != "macro" else {}), **(macros if shown != "plain" else {})}
    assert {title: percent(result.reid.values[key]) for title, key in expected.items()} == {
        title: value for title, value in cells.items() if title in {**values, **macros}
    }
    markdown = score_markdown(result, benchmark, columns)
    assert ("macro" in markdown) == (columns != "plain")
    assert ("plain, %" in markdown) == (columns != "macro")


def test_outside_tables_of_both_means_every_macro_number_is_called_macro() -> None:
    result, benchmark = scored(alone=False)
    rng = np.random.default_rng(2)
    submission, other = (builders.submission(rng, benchmark) for _ in range(2))
    closer = drill_down(benchmark, submission, result)
    page = score_html(result, benchmark, drilldown=closer)
    head, _, rest = page.partition('<section id="metrics">')
    table, _, rest = rest.partition("</table>")  # rows are metrics, columns say macro or plain
    assert "<th>macro</th><th>plain</th>" in table
    comparison = compare(benchmark, [tallied(benchmark, one) for one in (submission, other)], n_resamples=5, n_swaps=9)
    texts = {
        "page": head + rest,
        "latex": score_latex(result, benchmark),
        "comparison": compare_html(comparison, benchmark),
        "comparison as table": compare_table(comparison),
        "comparison as markdown": compare_markdown(comparison),
        "comparison as latex": compare_latex(comparison),
    }
    plain = ("mAP by pair of cameras", "mAP: on a sample", "Rank-1 and AP are 1 for")  # of queries, and said so
    for name, text in texts.items():
        assert re.search(r"macro mAP|macro Rank-1", text), name
        others = re.sub("|".join(plain), "", text)
        assert not re.findall(r"(?<!macro )(?:mAP\b|Rank-1\b|R1\b)|mean average precision", others), name
