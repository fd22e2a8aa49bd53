"""Formats a Score as tables for a terminal of 80 columns."""

import io
from textwrap import wrap

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from piq_bench.errors import printable
from piq_bench.records import Benchmark
from piq_bench.report.json import digest_of
from piq_bench.report.rows import (
    ATTRIBUTE_MEANS,
    ATTRIBUTE_METRICS,
    attribute_rows,
    fact,
    left_out_lines,
    main_rows,
    metric_rows,
    percent,
    summary,
)
from piq_bench.scoring.records import Score

WIDTH = 80
STYLES = ("bold", "bold cyan", "")


def score_table(score: Score, benchmark: Benchmark, *, colour: bool = False, digest: str | None = None) -> str:
    """The text to print.

    Args:
        score: score to show.
        benchmark: benchmark that the submission was scored against.
        colour: whether to use terminal colours.
        digest: digest of the whole score, if `score` is only a part of it; None for the digest of `score`.
    """
    console = Console(
        file=io.StringIO(), width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False, soft_wrap=False
    )
    for name, text in summary(score):
        for place, line in enumerate(wrap(fact(name, text, WIDTH - 11), WIDTH - 11)):
            console.print(Text(f"{'' if place else name:11}{line}"))
    console.print(_main(score, benchmark))
    if score.reid is not None:
        console.print(_retrieval(score))
    if score.attributes:
        console.print(_attributes(score))
        for line in (ATTRIBUTE_MEANS, *left_out_lines(score)):
            console.print(Padding(Text(printable(line, 1000)), (0, 0, 0, 1)))
    for task, labels in score.labels.items():
        console.print(_labels(score, task, list(labels)))
    for note in score.notes:
        console.print(Padding(Text(f"note: {printable(note, 1000)}"), (0, 0)))
    console.print(Text(f"digest     {digest or digest_of(score)}"))
    assert isinstance(console.file, io.StringIO)  # noqa: S101
    lines = "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
    return lines.replace("\n\n\n", "\n\n") + "\n"


def _main(score: Score, benchmark: Benchmark) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    level = f"{100 * score.intervals.level:g}% interval" if score.intervals else "interval"
    table.add_column("in per cent", min_width=26)
    for title in ("score", level, "chance", "majority"):
        table.add_column(title, justify="right")
    for row in main_rows(score, benchmark):
        name = Text("  " * row.level + printable(row.name, 30))
        table.add_row(name, row.value, row.interval, row.chance, row.majority, style=STYLES[row.level])
    return table


def _retrieval(score: Score) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("re-id, in per cent", min_width=26)
    for title in ("macro", "plain"):
        table.add_column(title, justify="right")
    with_duplicates = score.reid is not None and score.reid.without_exclusion is not None
    if with_duplicates:
        table.add_column("with near-dupl.: macro", justify="right")
        table.add_column("plain", justify="right")
    for row in metric_rows(score):
        cells = [f"  {row.name}", row.macro, row.plain]
        table.add_row(*cells, *([row.macro_with_duplicates, row.plain_with_duplicates] if with_duplicates else []))
    return table


def _attributes(score: Score) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("attributes, in %", min_width=18)
    for title in ATTRIBUTE_METRICS:
        table.add_column(title, justify="right")
    for row in attribute_rows(score):
        table.add_row(Text(f"  {printable(row.task, 16)}"), *row.cells)
    return table


def _labels(score: Score, task: str, names: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(printable(task, 26)), min_width=26)
    for title in ("precision", "recall", "F1", "images", "predicted"):
        table.add_column(title, justify="right")
    for name in names:
        label = score.labels[task][name]
        table.add_row(
            Text(f"  {printable(name, 28)}"),
            percent(label.precision),
            percent(label.recall),
            percent(label.f1) if label.support else "(no image)",
            str(label.support),
            str(label.predicted),
        )
    return table
