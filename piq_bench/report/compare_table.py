"""Formats a Comparison as tables for a terminal of 80 columns, one per pair."""

import io

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from piq_bench.errors import printable
from piq_bench.report.compare_rows import LEGEND, identities_text, method_text, pair_rows, pair_title
from piq_bench.scoring.compare import Comparison, Pair

WIDTH = 80
NAME_WIDTH = 70
NAME_COLUMN = 17


def compare_table(comparison: Comparison, *, colour: bool = False) -> str:
    """The text to print, optionally with terminal colours."""
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False)
    for pair in comparison.pairs:
        first, second = (printable(name, NAME_WIDTH) for name in pair_title(comparison, pair))
        console.print(Text(f"first   {first}\nsecond  {second}"))
        console.print(_table(pair))
        text = identities_text(pair)
        if text is not None:
            console.print(Text(text + "\n"))
    console.print(Text(LEGEND))
    console.print(Text(method_text(comparison)))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _table(pair: Pair) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("in per cent", width=NAME_COLUMN, no_wrap=True)
    for title in ("first", "second", "change", "95% interval", "Holm p", "detectable"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in pair_rows(pair):
        style = "bold" if row.star else ""
        cells = (row.first, row.second, row.difference + (row.star or " "), row.interval, row.p, row.detectable)
        table.add_row(Text(printable(row.name, NAME_COLUMN)), *cells, style=style)
    return table
