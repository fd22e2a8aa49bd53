"""Boards as static pages, one for all entries and one for each: no request leaves them, and they read without scripts.

Everything that a stranger wrote is escaped by the templates, which also forbid the browser to load anything.
"""

from collections.abc import Sequence

from piq_bench.board.ledger import Line
from piq_bench.board.published import DATA_SET, DESIGN, ROWS, SOURCE
from piq_bench.board.rank import Board
from piq_bench.board.rows import RULE, Row, columns, rows, title
from piq_bench.errors import printable
from piq_bench.report.html import render
from piq_bench.report.rows import percent

LONGEST = 2000


def board_pages(boards: Sequence[Board], removed_entries: Sequence[Line] = ()) -> dict[str, str]:
    """Text of each page by file name; `removed_entries` as for Markdown."""
    shown = [{"title": title(board), "columns": columns(board), "rows": rows(board)} for board in boards]
    published = [{"name": row.name, "design": row.design, "text": percent(row.piq)} for row in ROWS]
    pages = {
        "index.html": render(
            "board.html",
            boards=shown,
            rule=RULE,
            removed_entries=[(printable(line.entry), printable(line.date), line.number) for line in removed_entries],
            published=published,
            published_columns=DESIGN,
            data_set=DATA_SET,
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
    """What the author says, and where the numbers come from."""
    said, score = row.standing.entry.metadata, row.standing.score
    return [
        ("rank", row.ranks),
        ("team", said.team),
        ("authors", ", ".join(said.authors)),
        ("date", said.date.isoformat()),
        ("method", said.method.summary),
        ("backbone", said.method.backbone or ""),
        ("parameters", "" if said.method.parameters is None else f"{said.method.parameters:,}"),
        ("trained on", ", ".join(said.training.datasets)),
        ("other data", "yes" if said.training.external_data else "no"),
        ("ensemble", "yes" if said.method.ensemble else "no"),
        ("test-time augmentation", "yes" if said.method.test_time_augmentation else "no"),
        ("re-ranking", "yes" if said.method.reranking else "no"),
        ("paper", str(said.paper or "")),
        ("code", str(said.code or "")),
        ("licence", said.licence or ""),
        ("predictions", str(score["submission"].get("content", ""))),
        ("digest", str(score["protocol"]["digest"])),
    ]
