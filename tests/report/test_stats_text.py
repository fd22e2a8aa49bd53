"""Markdown and LaTeX hold the same cells, with special characters escaped."""

from pathlib import Path

from folders import TOML, write_folder

from piq_bench.describe.stats import Stats, describe
from piq_bench.read.dataset import read_benchmark
from piq_bench.report.stats_rows import sections
from piq_bench.report.stats_text import stats_latex, stats_markdown


def special(folder: Path) -> Stats:
    toml = TOML.replace('"tiny"', '"ti_n*y & <b>"').replace('"angry"', '"an_gry"')
    rows = [("1.jpg", "gallery", "p1", "male", "an_gry", "a", "c1")]
    return describe(read_benchmark(write_folder(folder, rows, toml=toml)))


def test_markdown_holds_every_cell(tmp_path: Path) -> None:
    stats = special(tmp_path)
    text = stats_markdown(stats)
    assert r"ti\_n\*y \& \<b\>" in text
    assert r"| an\_gry | 0 | 0 | 1 |" in text
    for section in sections(stats):
        assert f"| {' | '.join(section.header)} |" in text
    assert "- **note** `no-groups`" in text


def test_latex_holds_every_cell(tmp_path: Path) -> None:
    stats = special(tmp_path)
    lines = stats_latex(stats).splitlines()
    assert r"an\_gry & 0 & 0 & 1 \\" in lines
    assert lines.count(r"\end{tabular}") == len(sections(stats))
    assert all(line.startswith(("%", "\\")) or line.endswith(r"\\") for line in lines if line)
