"""All formats of a score fit their width, escape untrusted text, and round in the same way."""

import dataclasses
import re

import builders
import numpy as np
import pytest

from piq_bench.records import Benchmark
from piq_bench.report.latex import score_latex
from piq_bench.report.markdown import score_markdown
from piq_bench.report.rows import AttributeRow, attribute_rows, excluded_text, left_out_lines, percent, span
from piq_bench.report.score_html import score_html
from piq_bench.report.table import score_table
from piq_bench.scoring.records import AttributeScore, Score
from piq_bench.scoring.score import score

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b ** _c_ [x](http://y) `z`",
    "\x1b[31mred\x07",
    "\u202eesrever",
    r"\input{/etc/passwd} $x^2$ #1 %",
    "x" * 10_000,
    "[bold]rich markup[/bold]",
]


@pytest.fixture(scope="module")
def scored() -> tuple[Score, Benchmark]:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    return score(benchmark, builders.submission(rng, benchmark), n_resamples=50), benchmark


def renamed(result: Score, name: str) -> Score:
    return dataclasses.replace(result, submission={**result.submission, "name": name})


@pytest.mark.parametrize("name", HOSTILE)
def test_the_table_holds_no_control_characters_and_fits(scored: tuple[Score, Benchmark], name: str) -> None:
    result, benchmark = scored
    text = score_table(renamed(result, name), benchmark)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert max(map(len, text.splitlines())) <= 80
    if name.startswith("[bold]"):
        assert name in text


@pytest.mark.parametrize("exclude", [("group", "identity+camera"), tuple(f"column{i}+~other{i}" for i in range(10))])
def test_every_exclusion_rule_is_shown_whole(scored: tuple[Score, Benchmark], exclude: tuple[str, ...]) -> None:
    result, benchmark = scored
    result = dataclasses.replace(result, protocol=dataclasses.replace(result.protocol, exclude=exclude))
    table = score_table(result, benchmark)
    assert max(map(len, table.splitlines())) <= 80
    for text in (table, score_markdown(result, benchmark).replace("\\", ""), score_html(result, benchmark)):
        assert excluded_text(exclude) in " ".join(text.split())


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_a_name_and_runs_nothing(scored: tuple[Score, Benchmark], name: str) -> None:
    result, benchmark = scored
    line = score_markdown(renamed(result, name), benchmark).splitlines()[0]
    assert len(line) < 500
    shown = line.removeprefix("- **submission**: ")
    assert not re.search(r"(?<!\\)[<>|`*_\[\]]", shown)


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_shows_a_name_and_runs_nothing(scored: tuple[Score, Benchmark], name: str) -> None:
    result, benchmark = scored
    text = score_latex(renamed(result, name), benchmark)
    row = text.splitlines()[5].replace(r"\textbackslash{}", "").replace(r"\textasciicircum{}", "")
    cell = row.removesuffix(r" \\").rsplit(" & ", 6)[0]
    assert not re.search(r"(?<!\\)[$#%&_{}^\\](?![$#%&_{}])", cell)
    columns = len(re.findall(r"(?<!\\)&", text.splitlines()[3]))
    assert len(re.findall(r"(?<!\\)&", text.splitlines()[5])) == columns


def test_the_headline_fits_one_screen_and_says_where_the_rest_is(scored: tuple[Score, Benchmark]) -> None:
    result, benchmark = scored
    notes = tuple(f"note {number} " + "of many words " * 9 for number in range(9))
    for given in (notes, (*notes, "PIQ is not reported: it lacks tasks"), ()):
        lines = score_table(dataclasses.replace(result, notes=given), benchmark, full=False).splitlines()
        assert len(lines) <= 23 and "" not in lines and max(map(len, lines)) <= 80
        assert any("--full" in line for line in lines) and lines[-1].startswith("digest ")
        assert [line for line in lines if line.startswith(" PIQ ")] and "left out " in "\n".join(lines)
        shown = [line for line in lines if line.startswith("note: ")]
        counted = [int(line.split()[1]) for line in shown if "which --full prints" in line]
        assert len(shown) - len(counted) + sum(counted) == len(given)
        if len(given) == 10:
            assert shown[0] == "note: PIQ is not reported: it lacks tasks"
    full = score_table(dataclasses.replace(result, notes=notes), benchmark)
    assert all(note.strip() in " ".join(full.split()) for note in notes) and "--full" not in full


def test_re_id_alone_shows_first_what_the_field_reports(scored: tuple[Score, Benchmark]) -> None:
    result, benchmark = scored
    alone = dataclasses.replace(benchmark, tasks=tuple(task for task in benchmark.tasks if task.kind == "retrieval"))
    result = score(alone, dataclasses.replace(builders.submission(np.random.default_rng(0), benchmark), predictions={}),
                   n_resamples=20)  # fmt: skip
    assert result.reid is not None and result.intervals is not None
    lines = [re.split(r" {2,}", line.strip()) for line in score_table(result, alone, full=False).splitlines()]
    place = lines.index(["re-id, in per cent", "over queries", "95% interval", "macro", "95% interval"])
    reid, ends = result.reid, result.intervals.reid
    rows = {"mAP": "map", "Rank-1": "rank1", "Rank-5": "rank5", "Rank-10": "rank10", "mINP": "minp"}
    for name, key in rows.items():
        macro = f"macro_{key}"
        expected = [percent(reid.values[key]), span(ends[key]), percent(reid.values[macro]), span(ends[macro])]
        assert [name, *expected] in lines[place:]
    assert ["PIQ", percent(result.piq), span(result.intervals.piq)] in lines[place:]
    assert len(lines) <= 23 and "chance" not in str(lines)
    full = score_table(result, alone)
    assert full.index("over queries") < full.index("chance") < full.index("with near-dupl.")


def test_markdown_tables_have_as_many_cells_in_every_row(scored: tuple[Score, Benchmark]) -> None:
    result, benchmark = scored
    for block in score_markdown(result, benchmark).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1


def test_attributes_show_what_others_report_and_count_what_is_left_out(scored: tuple[Score, Benchmark]) -> None:
    result, benchmark = scored
    mood = AttributeScore({"ma": 0.5, "accuracy": None, "mean_average_precision": 0.25}, {"ma": 1, "recall": 2}, {})
    result = dataclasses.replace(result, attributes={"mood": mood, "sex": AttributeScore({"accuracy": 1.0}, {}, {})})
    assert attribute_rows(result) == [
        AttributeRow("mood", ("-", "50.00", "", "", "", "25.00")),
        AttributeRow("sex", ("100.00", "", "", "", "", "")),
    ]
    assert left_out_lines(result) == ["mood: without a case, and so left out: 1 label (mA), 2 images (recall)"]
    table = score_table(result, benchmark)
    assert re.search(r"attributes, in % +accuracy +mA +precision +recall +F1 +mean AP\n", table)
    assert re.search(r"  mood +- +50\.00 +25\.00\n", table)
    assert "left out: 1 label (mA)" in table
    assert "| mood | - | 50.00 |  |  |  | 25.00 |" in score_markdown(result, benchmark)


def test_rounding_is_to_hundredths_of_a_per_cent() -> None:
    assert (percent(0.123456), percent(1.0), percent(None)) == ("12.35", "100.00", "-")
    assert (span((0.1, 0.2)), span(None)) == ("10.00 - 20.00", "-")
