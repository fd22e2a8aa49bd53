"""Writes boards as Markdown: the leaderboard that a repository shows."""

from collections.abc import Sequence

from piq_bench.board.ladder import Ladder, best_text
from piq_bench.board.ledger import Line
from piq_bench.board.published import MAX_TEXT, PublishedTable
from piq_bench.board.rank import Board
from piq_bench.board.rows import REMOVED, RULE, columns, rows, title
from piq_bench.report.markdown import escaped

HEAD = (
    "# Leaderboard\n\nThis file is written by `piq board`: do not edit it. Scores are in per cent; higher is better. "
    "95% bootstrap confidence intervals of PIQ are in brackets.\n"
)


def board_markdown(
    boards: Sequence[Board],
    removed_entries: Sequence[Line] = (),
    *,
    published: PublishedTable | None = None,
    ladders: Sequence[Ladder] = (),
) -> str:
    """The text of leaderboard.md.

    Args:
        boards: what is shown, one table each.
        removed_entries: ledger lines of entries that were graded and are no longer in the folder.
        published: results of papers, in a table of their own; None for none.
        ladders: challenges on hidden labels.
    """
    parts = [HEAD]
    for ladder in ladders:
        best = "no attempt yet" if ladder.best is None else f"best PIQ so far **{best_text(ladder.best)}**"
        holder = f" by {escaped(ladder.holder.name)}" if ladder.holder else ""
        lines = [f"## Ladder: {escaped(ladder.title)}", ""]
        lines += [f"{best}{holder}, after {len(ladder.attempts)} attempts; [all attempts](board/ladder.html)", ""]
        parts.append("\n".join(lines))
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
    if published is not None:
        lines = [
            f"## {escaped(published.title)}",
            "",
            f"{escaped(published.note, MAX_TEXT)} Source: {escaped(published.source, MAX_TEXT)}.",
            "",
        ]
        titles = " | ".join(map(escaped, (*published.numbers, *published.design)))
        lines += [f"| preset | {titles} |"]
        lines += ["|---|" + "---:|" * len(published.numbers) + "---|" * len(published.design)]
        lines += [
            f"| {escaped(name)} | {' | '.join((*numbers, *map(escaped, design)))} |"
            for name, numbers, design in published.rows
        ]
        parts.append("\n".join([*lines, ""]))
    return "\n".join(parts)
