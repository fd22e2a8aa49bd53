"""The rows and columns of a board as text, shared by all its formats. Rounds to per cent with two decimals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from piq_bench.board.rank import Board, Standing
from piq_bench.errors import printable
from piq_bench.report.rows import NOT_DEFINED, excluded_text, percent, span

RULE = (
    "Ranks are ranges: the first rank is one more than the number of entries with a significantly higher PIQ, the last "
    "rank is the number of entries without a significantly lower PIQ. Significance: paired randomisation tests over "
    "people at the 5% level, with Holm's correction; if predictions are not available, 95% intervals that do not "
    "overlap. Entries that leave out a task have no PIQ and no rank. † trained on data other than the benchmark's; "
    "‡ uses re-ranking."
)

TO_MINUTES = len("2026-11-23T22:48")
REMOVED = "Graded entries that were removed from this folder"


@dataclass(frozen=True)
class Column:
    """A metric on a board: its title, and the part and key of the score file that hold it."""

    title: str
    part: str
    key: str


PIQ = Column("PIQ", "", "piq")


@dataclass(frozen=True)
class Cell:
    """A score as text, with its interval as text and, for sorting, its value at full precision."""

    text: str
    interval: str
    value: float | None


@dataclass(frozen=True)
class Row:
    """An entry on a board, as text."""

    id: str
    ranks: str
    name: str
    team: str
    cells: tuple[Cell, ...]
    marks: str
    standing: Standing


def columns(board: Board) -> tuple[Column, ...]:
    """The metrics of a board: PIQ, aspects, re-id and tasks, in the order of the score file."""
    score = board.standings[0].score
    found = [PIQ, *(Column(name, "aspects", name) for name in score["aspects"])]
    if any(standing.score["reid"] for standing in board.standings):
        found += [Column("macro mAP", "reid", "macro_map"), Column("macro Rank-1", "reid", "macro_rank1")]
    tasks = dict.fromkeys(name for standing in board.standings for name in standing.score["f1"])
    return (*found, *(Column(f"{name} F1", "f1", name) for name in tasks))


def rows(board: Board) -> list[Row]:
    """The entries as text, in the order of the board."""
    shown = columns(board)
    return [
        Row(
            id=standing.entry.id,
            ranks=_ranks(standing),
            name=standing.entry.metadata.name,
            team=standing.entry.metadata.team,
            cells=tuple(_cell(standing.score, column) for column in shown),
            marks=_marks(standing),
            standing=standing,
        )
        for standing in board.standings
    ]


def title(board: Board) -> str:
    """The title of a board: benchmark, version, start of the fingerprint, and scoring rules."""
    benchmark, protocol = board.benchmark, board.protocol
    return (
        f"{benchmark['name']} {benchmark['version']}, fingerprint {benchmark['fingerprint'][:12]}; "
        f"{protocol['ap']} AP; gallery images left out: {excluded_text(protocol['exclude'])}"
    )


def date_text(date: str) -> str:
    """The time of a line of the ledger, to the minute.

    >>> date_text("2026-11-23T22:48:24+00:00")
    '2026-11-23 22:48'
    """
    return printable(date[:TO_MINUTES].replace("T", " "))


def piq_text(score: Mapping[str, Any]) -> tuple[str, str]:
    """PIQ of a score file in per cent, and its interval."""
    cell = _cell(score, PIQ)
    return cell.text, cell.interval


def _marks(standing: Standing) -> str:
    """Marks behind an entry's name: † for external training data, ‡ for re-ranking."""
    metadata = standing.entry.metadata
    return (" †" if metadata.training.external_data else "") + (" ‡" if metadata.method.reranking else "")


def _ranks(standing: Standing) -> str:
    if standing.ranks is None:
        return NOT_DEFINED
    first, last = standing.ranks
    return str(first) if first == last else f"{first}\N{EN DASH}{last}"


def _cell(score: Any, column: Column) -> Cell:  # noqa: ANN401
    values = score if not column.part else score[column.part] or {}
    ends = score["intervals"] or {}
    interval = ends.get(column.key) if not column.part else (ends.get(column.part) or {}).get(column.key)
    value = values.get(column.key)
    return Cell(percent(value), span(tuple(interval)) if interval else NOT_DEFINED, value)
