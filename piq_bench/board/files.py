"""Writes boards for other programs: CSV and JSON at full precision, and LaTeX."""

import csv
import io
import json
from collections.abc import Sequence

from piq_bench.board.rank import Board
from piq_bench.board.rows import columns, rows, title
from piq_bench.errors import MAX_SOURCE, printable
from piq_bench.report.latex import escaped

SCHEMA = "piq-bench/board/1"
FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # how a formula begins; also in full width, which spreadsheets accept


def board_json(boards: Sequence[Board]) -> str:
    """All boards as JSON, with every number of every entry."""
    document = {
        "schema": SCHEMA,
        "boards": [
            {
                "benchmark": dict(board.benchmark),
                "protocol": dict(board.protocol),
                "entries": [
                    {
                        "entry": one.entry.id,
                        "name": one.entry.metadata.name,
                        "team": one.entry.metadata.team,
                        "ranks": None if one.ranks is None else list(one.ranks),
                        **{part: one.score[part] for part in ("piq", "aspects", "reid", "f1", "intervals")},
                        "digest": one.score["protocol"]["digest"],
                    }
                    for one in board.standings
                ],
            }
            for board in boards
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def board_csv(boards: Sequence[Board]) -> str:
    """All boards as CSV, one row per entry; text that a spreadsheet would read as a formula gets a leading quote."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for board in boards:
        shown = columns(board)
        titles = [_inert(column.title) for column in shown]
        writer.writerow(["fingerprint", "entry", "name", "team", "rank_first", "rank_last", *titles])
        for row in rows(board):
            ranks = row.standing.ranks or ("", "")
            texts = [_inert(text) for text in (row.id, row.name, row.team)]
            numbers = ["" if cell.value is None else repr(cell.value) for cell in row.cells]
            writer.writerow([board.benchmark["fingerprint"], *texts, *ranks, *numbers])
    return stream.getvalue()


def board_latex(boards: Sequence[Board]) -> str:
    """One LaTeX table per board; needs no package."""
    lines: list[str] = []
    for board in boards:
        shown = columns(board)
        lines += [f"% {printable(title(board), MAX_SOURCE)}", rf"\begin{{tabular}}{{rl{'r' * len(shown)}}}", r"\hline"]
        lines.append(" & ".join(["", "", *(escaped(column.title) for column in shown)]) + r" \\ \hline")
        for row in rows(board):
            ranks = row.ranks.replace("\N{EN DASH}", "--")
            lines.append(" & ".join([ranks, escaped(row.name), *(cell.text for cell in row.cells)]) + r" \\")
        lines += [r"\hline", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _inert(text: str) -> str:
    """The text, quoted if a spreadsheet would read it as a formula."""
    return f"'{text}" if text[:1] in FORMULA else text
