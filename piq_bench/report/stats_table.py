"""Formats the statistics of a data set as tables for a terminal of 80 columns or fewer."""

import io

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from piq_bench.describe.stats import Stats
from piq_bench.errors import printable
from piq_bench.report.stats_rows import BAR, Section, sections, summary

WIDTH = 80
INDENT = 2
MANY_COLUMNS = 5  # tables with more columns have no room for the common column widths
LONGEST_FINDING = 1000  # characters
STYLES = {"error": "bold red", "warning": "yellow", "note": ""}


def stats_table(stats: Stats, *, width: int = WIDTH, colour: bool = False) -> str:
    """The text to print, optionally with terminal colours."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for name, text in summary(stats):
        console.print(Text(f"{name:12}{text}"), soft_wrap=True)  # a fingerprint is never broken
    for section in sections(stats):
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(_table(section))
    console.print(Text("Findings" if stats.findings else "Findings: none", style="bold"))
    for finding in stats.findings:
        heading = Text(f"{finding.severity}: {finding.code}", style=STYLES[finding.severity])
        console.print(Padding(heading, (0, 0, 0, INDENT)))
        console.print(Padding(Text(printable(finding.text, LONGEST_FINDING)), (0, 0, 0, 2 * INDENT)))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _table(section: Section) -> Table:
    roomy = len(section.header) <= MANY_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(section.header[0], min_width=22 if roomy else None)
    for name in section.header[1:]:
        table.add_column(name, justify="right", min_width=8 if roomy else None)
    bars = section.bars or [""] * len(section.rows)
    if section.bars:
        table.add_column("", min_width=BAR, no_wrap=True)
    for row, bar in zip(section.rows, bars, strict=True):
        table.add_row(*(Text(cell) for cell in row), *([Text(bar)] if section.bars else []))
    return table
