"""What every printed form of a board shows, as text. Rounding happens here: per cent with two decimals."""

from dataclasses import dataclass
from typing import Any

from piq_bench.board.rank import Board, Standing
from piq_bench.report.rows import NOT_DEFINED, percent, span

RULE = (
    "Ranks are those that chance alone could exchange: entries whose ranks overlap are not told apart (paired "
    "randomisation tests of PIQ over people, Holm's correction; without predictions at hand, intervals that do not "
    "meet). Incomplete entries have no rank. † has seen data beside the benchmark's; ‡ ranks again what it has found."
)


@dataclass(frozen=True)
class Column:
    """A number that every entry has: a title, and where it stands in a score file."""

    title: str
    part: str
    key: str


@dataclass(frozen=True)
class Cell:
    """A number as text, with its interval and, for sorting, at full precision."""

    text: str
    interval: str
    value: float | None


@dataclass(frozen=True)
class Row:
    """An entry on a board."""

    id: str
    ranks: str
    name: str
    team: str
    cells: tuple[Cell, ...]
    marks: str
    standing: Standing


def columns(board: Board) -> tuple[Column, ...]:
    """PIQ, aspects, re-id and tasks, in the order of a score file."""
    score = board.standings[0].score
    found = [Column("PIQ", "", "piq"), *(Column(name, "aspects", name) for name in score["aspects"])]
    if any(one.score["reid"] for one in board.standings):
        found += [Column("macro mAP", "reid", "macro_map"), Column("macro Rank-1", "reid", "macro_rank1")]
    tasks = dict.fromkeys(name for one in board.standings for name in one.score["f1"])
    return (*found, *(Column(f"{name} F1", "f1", name) for name in tasks))


def rows(board: Board) -> list[Row]:
    """The entries, in their order."""
    shown = columns(board)
    return [
        Row(
            id=one.entry.id,
            ranks=_ranks(one),
            name=one.entry.metadata.name,
            team=one.entry.metadata.team,
            cells=tuple(_cell(one.score, column) for column in shown),
            marks=_marks(one),
            standing=one,
        )
        for one in board.standings
    ]


def title(board: Board) -> str:
    """Which benchmark, and which rules."""
    benchmark, protocol = board.benchmark, board.protocol
    excluded = ", ".join(protocol["exclude"]) or "nothing"
    return (
        f"{benchmark['name']} {benchmark['version']}, fingerprint {benchmark['fingerprint'][:12]}; "
        f"{protocol['ap']} AP, left out: same {excluded}"
    )


def _marks(standing: Standing) -> str:
    """What stands behind the name of an entry that had help."""
    said = standing.entry.metadata
    return (" †" if said.training.external_data else "") + (" ‡" if said.method.reranking else "")


def _ranks(standing: Standing) -> str:
    if standing.ranks is None:
        return NOT_DEFINED
    first, last = standing.ranks
    return str(first) if first == last else f"{first}\N{EN DASH}{last}"


def _cell(score: Any, column: Column) -> Cell:  # noqa: ANN401
    values = score if not column.part else score[column.part] or {}
    ends = score["intervals"] or {}
    own = ends.get(column.key) if not column.part else (ends.get(column.part) or {}).get(column.key)
    value = values.get(column.key)
    return Cell(percent(value), span(tuple(own)) if own else NOT_DEFINED, value)
