"""Formats a Score as Markdown, for a README, an issue or a CI summary."""

from collections.abc import Sequence

from piq_bench.errors import printable
from piq_bench.records import Benchmark
from piq_bench.report.rows import (
    ATTRIBUTE_METRICS,
    FIELD_METRICS,
    MACRO_METRICS,
    RULES_LENGTH,
    attribute_rows,
    fact,
    is_reid_alone,
    main_rows,
    metric_rows,
    summary,
)
from piq_bench.scoring.records import Score

SPECIAL = "\\`*_{}[]<>()#+-.!|&~"
NAME = 200  # characters of an untrusted text


def score_markdown(score: Score, benchmark: Benchmark, columns: str | None = None) -> str:
    """The text to print.

    Args:
        score: score to show.
        benchmark: benchmark that the submission was scored against.
        columns: which means of re-id to show: "plain", "macro" or "both"; None for both.
    """
    lines = [f"- **{name}**: {escaped(fact(name, text, NAME), RULES_LENGTH)}" for name, text in summary(score)]
    lines += ["", "| | score, % | interval, % | chance, % | majority, % |", "|---|---:|---:|---:|---:|"]
    for row in main_rows(score, benchmark):
        if row.key in {"plain": MACRO_METRICS, "macro": FIELD_METRICS}.get(columns or "", ()):
            continue
        name = "&nbsp;" * 4 * row.level + (f"**{escaped(row.name)}**" if row.level < 2 else escaped(row.name))
        lines.append(f"| {name} | {row.value} | {row.interval} | {row.chance} | {row.majority} |")
    if score.reid is not None:
        rows = metric_rows(score)
        lines += _means("re-id", [(row.name, row.macro, row.plain) for row in rows], benchmark, columns)
        if score.reid.without_exclusion is not None:
            kept = [(row.name, row.macro_with_duplicates, row.plain_with_duplicates) for row in rows]
            lines += _means("re-id with near-duplicates kept", kept, benchmark, columns)
    if score.attributes:
        titles = " | ".join(f"{title}, %" for title in ATTRIBUTE_METRICS)
        lines += ["", f"| attributes | {titles} |", "|---|" + "---:|" * len(ATTRIBUTE_METRICS)]
        lines += [f"| {escaped(row.task)} | {' | '.join(row.cells)} |" for row in attribute_rows(score)]
    if score.notes:
        lines += ["", *(f"- note: {escaped(note)}" for note in score.notes)]
    return "\n".join(lines) + "\n"


def _means(title: str, rows: Sequence[tuple[str, str, str]], benchmark: Benchmark, columns: str | None) -> list[str]:
    """A table of names, macro means and plain means; plain means come first on re-id alone."""
    shown = ["plain", "macro"] if is_reid_alone(benchmark) else ["macro", "plain"]
    if columns in ("plain", "macro"):
        shown = [columns]
    lines = ["", f"| {title} | {' | '.join(f'{name}, %' for name in shown)} |", "|---|" + "---:|" * len(shown)]
    for name, macro, plain in rows:
        values = {"macro": macro, "plain": plain}
        lines.append(f"| {name} | {' | '.join(values[kind] for kind in shown)} |")
    return lines


def escaped(text: str, limit: int = NAME) -> str:
    """Untrusted text, escaped for Markdown."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in printable(text, limit))
