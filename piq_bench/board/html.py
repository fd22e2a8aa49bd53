"""Writes boards as static pages: one for the leaderboard and one for each entry.

The pages load nothing and can be read without scripts. The templates escape everything that a stranger wrote and
forbid the browser to load anything.
"""

from collections.abc import Sequence

from piq_bench.board.ledger import Line
from piq_bench.board.published import DESIGN, HEADING, NOTE, NUMBERS, ROWS, SOURCE
from piq_bench.board.rank import Board
from piq_bench.board.rows import REMOVED, RULE, Row, columns, rows, title
from piq_bench.errors import printable
from piq_bench.report.html import render

LONGEST = 2000  # characters of an author's text


def board_pages(boards: Sequence[Board], removed_entries: Sequence[Line] = ()) -> dict[str, str]:
    """Text of each page, by file name.

    Args:
        boards: what the pages show.
        removed_entries: ledger lines of entries that were graded and are no longer in the folder.
    """
    shown = [{"title": title(board), "columns": columns(board), "rows": rows(board)} for board in boards]
    pages = {
        "index.html": render(
            "board.html",
            boards=shown,
            rule=RULE,
            removed_entries=[(printable(line.entry), printable(line.date), line.number) for line in removed_entries],
            published=ROWS,
            removed_heading=REMOVED,
            published_numbers=NUMBERS,
            published_design=DESIGN,
            published_heading=HEADING,
            published_note=NOTE,
            source=SOURCE,
        )
    }
    for board in boards:
        for row in rows(board):
            cells = list(zip(columns(board), row.cells, strict=True))
            facts = [(name, printable(text, LONGEST)) for name, text in _facts(row) if text]
            pages[f"{row.id}.html"] = render("entry.html", row=row, cells=cells, facts=facts)
    return pages


def _facts(row: Row) -> list[tuple[str, str]]:
    """The author's description of an entry and the hashes of its predictions and score, as pairs of name and text."""
    metadata, score = row.standing.entry.metadata, row.standing.score
    return [
        ("rank", row.ranks),
        ("team", metadata.team),
        ("authors", ", ".join(metadata.authors)),
        ("date of entry", metadata.date.isoformat()),
        ("method", metadata.method.summary),
        ("backbone", metadata.method.backbone or ""),
        ("parameters", "" if metadata.method.parameters is None else f"{metadata.method.parameters:,}"),
        ("trained on", ", ".join(metadata.training.datasets)),
        ("external training data", "yes" if metadata.training.external_data else "no"),
        ("ensemble", "yes" if metadata.method.ensemble else "no"),
        ("test-time augmentation", "yes" if metadata.method.test_time_augmentation else "no"),
        ("re-ranking", "yes" if metadata.method.reranking else "no"),
        ("paper", str(metadata.paper or "")),
        ("code", str(metadata.code or "")),
        ("licence", metadata.licence or ""),
        ("SHA-256 of predictions", str(score["submission"].get("content", ""))),
        ("digest of score", str(score["protocol"]["digest"])),
    ]
