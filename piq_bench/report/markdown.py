"""Formats a Score as Markdown, for a README, an issue or a CI summary."""

from piq_bench.errors import printable
from piq_bench.records import Benchmark
from piq_bench.report.rows import ATTRIBUTE_METRICS, RULES_LENGTH, attribute_rows, fact, main_rows, metric_rows, summary
from piq_bench.scoring.records import Score

SPECIAL = "\\`*_{}[]<>()#+-.!|&~"
NAME = 200  # characters of an untrusted text


def score_markdown(score: Score, benchmark: Benchmark) -> str:
    """The text to print."""
    lines = [f"- **{name}**: {escaped(fact(name, text, NAME), RULES_LENGTH)}" for name, text in summary(score)]
    lines += ["", "| | score, % | interval, % | chance, % | majority, % |", "|---|---:|---:|---:|---:|"]
    for row in main_rows(score, benchmark):
        name = "&nbsp;" * 4 * row.level + (f"**{escaped(row.name)}**" if row.level < 2 else escaped(row.name))
        lines.append(f"| {name} | {row.value} | {row.interval} | {row.chance} | {row.majority} |")
    if score.reid is not None:
        lines += ["", "| re-id | macro, % | plain, % |", "|---|---:|---:|"]
        lines += [f"| {row.name} | {row.macro} | {row.plain} |" for row in metric_rows(score)]
        if score.reid.without_exclusion is not None:
            lines += ["", "| re-id with near-duplicates kept | macro, % | plain, % |", "|---|---:|---:|"]
            lines += [
                f"| {row.name} | {row.macro_with_duplicates} | {row.plain_with_duplicates} |"
                for row in metric_rows(score)
            ]
    if score.attributes:
        titles = " | ".join(f"{title}, %" for title in ATTRIBUTE_METRICS)
        lines += ["", f"| attributes | {titles} |", "|---|" + "---:|" * len(ATTRIBUTE_METRICS)]
        lines += [f"| {escaped(row.task)} | {' | '.join(row.cells)} |" for row in attribute_rows(score)]
    if score.notes:
        lines += ["", *(f"- note: {escaped(note)}" for note in score.notes)]
    return "\n".join(lines) + "\n"


def escaped(text: str, limit: int = NAME) -> str:
    """Untrusted text, escaped for Markdown."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in printable(text, limit))
