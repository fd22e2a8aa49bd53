"""Formats a Score for a terminal of 80 columns: all its tables, or the headline alone, which fits one screen."""

import io

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from piq_bench.errors import hanging, printable
from piq_bench.records import Benchmark
from piq_bench.report.json import digest_of
from piq_bench.report.rows import (
    ATTRIBUTE_MEANS,
    ATTRIBUTE_METRICS,
    METRIC_NAMES,
    RULES,
    attribute_rows,
    fact,
    left_out_lines,
    main_rows,
    metric_rows,
    percent,
    span,
    summary,
)
from piq_bench.scoring.records import Score

WIDTH = 80
SCREEN = 23  # lines of a small terminal below the command
FACT = 11  # columns of the names on the left
NOTE = "note: "
NO_PIQ = "PIQ is not reported"  # how the most important of the notes begins
MORE = "--full prints all metrics and labels, --html FILE writes a page"
HEADLINE_FACTS = ("submission", "benchmark", RULES)
STYLES = ("bold", "bold cyan", "")


def score_table(
    score: Score, benchmark: Benchmark, *, full: bool = True, colour: bool = False, digest: str | None = None
) -> str:
    """The text to print.

    Args:
        score: score to show.
        benchmark: benchmark that the submission was scored against.
        full: whether to print everything; otherwise the headline, with as many notes as fit one screen.
        colour: whether to use terminal colours.
        digest: digest of the whole score, if `score` is only a part of it; None for the digest of `score`.
    """
    console = Console(
        file=io.StringIO(), width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False, emoji=False
    )
    for name, text in summary(score):
        if full or name in HEADLINE_FACTS:
            console.print(Text(hanging(f"{name:{FACT}}", fact(name, text, WIDTH - FACT), WIDTH)))
    reid_alone = score.reid is not None and not benchmark.classification_tasks
    console.print(_field(score) if reid_alone else _main(score, benchmark))
    if full:
        if reid_alone:
            console.print(_main(score, benchmark))
        _print_details(console, score)
    last = [*([] if full else [f"{'more':{FACT}}{MORE}"]), f"{'digest':{FACT}}{digest or digest_of(score)}"]
    notes = [hanging(NOTE, printable(note, 1000), WIDTH) for note in score.notes]
    if not full:
        notes = _that_fit(notes, SCREEN - len(list(filter(None, _lines(console)))) - len(last))
    for text in (*notes, *last):
        console.print(Text(text))
    return "".join(f"{line}\n" for line in _lines(console) if full or line)


def _lines(console: Console) -> list[str]:
    """The lines printed so far, without blanks at their ends and without two empty lines in a row."""
    assert isinstance(console.file, io.StringIO)  # noqa: S101
    lines = "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
    return lines.replace("\n\n\n", "\n\n").splitlines()


def _that_fit(notes: list[str], n_lines: int) -> list[str]:
    """The notes that fit a number of lines, the one on PIQ first, and how many more there are."""
    notes = sorted(notes, key=lambda note: not note.startswith(NOTE + NO_PIQ))
    for n_shown in range(len(notes), 0, -1):
        rest = len(notes) - n_shown
        shown = [*notes[:n_shown], *([f"{NOTE}{rest} more, which --full prints"] if rest else [])]
        if sum(note.count("\n") + 1 for note in shown) <= n_lines or n_shown == 1:
            return shown
    return []


def _print_details(console: Console, score: Score) -> None:
    """Print what the headline leaves out: further metrics of re-id and of attributes, and the labels of each task."""
    if score.reid is not None:
        console.print(_retrieval(score))
    if score.attributes:
        console.print(_attributes(score))
        for line in (ATTRIBUTE_MEANS, *left_out_lines(score)):
            console.print(Padding(Text(printable(line, 1000)), (0, 0, 0, 1)))
    for task, labels in score.labels.items():
        console.print(_labels(score, task, list(labels)))


def _field(score: Score) -> Table:
    """The metrics of re-id as the field reports them, the means over queries, with macro means second."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    level = f"{100 * score.intervals.level:g}% interval" if score.intervals else "interval"
    table.add_column("re-id, in per cent", min_width=18)
    for title in ("over queries", level, "macro", level):
        table.add_column(title, justify="right")
    ends = score.intervals.reid if score.intervals else {}
    for row, key in zip(metric_rows(score), METRIC_NAMES, strict=True):
        macro = f"macro_{key}"
        style = "bold" if key in ("map", "rank1") else ""
        table.add_row(f"  {row.name}", row.plain, span(ends.get(key)), row.macro, span(ends.get(macro)), style=style)
    piq = span(score.intervals.piq if score.intervals else None)
    table.add_row("  PIQ", "", "", percent(score.piq), piq)
    return table


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
