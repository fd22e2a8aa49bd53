"""Writes boards as Markdown: the leaderboard that a repository shows."""

from collections.abc import Sequence

from piq_bench.board.ledger import Line
from piq_bench.board.published import DESIGN, HEADING, NOTE, NUMBERS, ROWS, SOURCE
from piq_bench.board.rank import Board
from piq_bench.board.rows import REMOVED, RULE, columns, rows, title
from piq_bench.report.markdown import escaped

HEAD = (
    "# Leaderboard\n\nThis file is written by `piq board`: do not edit it. Scores are in per cent; higher is better. "
    "95% bootstrap confidence intervals of PIQ are in brackets.\n"
)


def board_markdown(boards: Sequence[Board], removed_entries: Sequence[Line] = ()) -> str:
    """The text of leaderboard.md.

    Args:
        boards: what is shown, one table each.
        removed_entries: ledger lines of entries that were graded and are no longer in the folder.
    """
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
            f"* {escaped(line.entry)}, graded {escaped(line.date)}, line {line.number} of the ledger"
            for line in removed_entries
        ]
        parts.append("\n".join([f"## {REMOVED}", "", *lines, ""]))
    lines = [f"## {HEADING}", "", f"{NOTE} Source: {escaped(SOURCE)}.", ""]
    titles = " | ".join(map(escaped, (*NUMBERS, *DESIGN)))
    lines += [f"| preset | {titles} |", "|---|" + "---:|" * len(NUMBERS) + "---|" * len(DESIGN)]
    lines += [f"| {row.name} | {' | '.join((*row.texts, *map(escaped, row.design)))} |" for row in ROWS]
    lines.append("")
    return "\n".join([*parts, *lines])
