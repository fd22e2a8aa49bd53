"""Boards as Markdown: the leaderboard that a repository shows."""

from collections.abc import Sequence

from piq_bench.board.ledger import Line
from piq_bench.board.published import DATA_SET, DESIGN, ROWS, SOURCE
from piq_bench.board.rank import Board
from piq_bench.board.rows import RULE, columns, rows, title
from piq_bench.report.markdown import escaped
from piq_bench.report.rows import percent

HEAD = "# Leaderboard\n\nWritten by `piq board`; edits are lost. Numbers are in per cent, higher is better.\n"


def board_markdown(boards: Sequence[Board], removed_entries: Sequence[Line] = ()) -> str:
    """The file's text; below the boards, entries that the ledger knows and that are no longer here."""
    parts = [HEAD]
    for board in boards:
        shown = columns(board)
        lines = [f"## {escaped(title(board))}", ""]
        lines.append("| rank | entry | team | " + " | ".join(escaped(column.title) for column in shown) + " |")
        lines.append("|---:|---|---|" + "---:|" * len(shown))
        for row in rows(board):
            name = f"[{escaped(row.name)}]({row.id}/){row.marks}"
            first, *others = row.cells
            best = first.text if first.value is None else f"**{first.text}** ({first.interval})"
            cells = [best, *(cell.text for cell in others)]
            lines.append(f"| {row.ranks} | {name} | {escaped(row.team)} | " + " | ".join(cells) + " |")
        parts.append("\n".join([*lines, "", RULE, ""]))
    if removed_entries:
        lines = [
            f"* {escaped(line.entry)}, graded {escaped(line.date)}, line {line.number}" for line in removed_entries
        ]
        parts.append("\n".join(["## In the ledger, and no longer here", "", *lines, ""]))
    lines = ["## Published rows, of another data set", "", f"{escaped(DATA_SET)}: {escaped(SOURCE)}.", ""]
    lines += [f"| row | PIQ | {' | '.join(DESIGN)} |", "|---|---:|" + "---|" * len(DESIGN)]
    lines += [f"| {row.name} | {percent(row.piq)} | {' | '.join(map(escaped, row.design))} |" for row in ROWS]
    lines.append("")
    return "\n".join([*parts, *lines])
