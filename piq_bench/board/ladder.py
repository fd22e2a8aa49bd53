"""Shows how a challenge on hidden labels stands, from the ledger alone, and the scores that were revealed since.

A line of the ledger without a digest is an attempt under the Ladder: it says whether the published best moved and
nothing else about the score. An entry with such lines and no result is kept back: it is on the Ladder's page and on no
board. Once its result is written, as at the end of a challenge, the page shows its PIQ too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from piq_bench.board.entries import Entry, entries_in, read_entry
from piq_bench.board.ledger import FILE, PUBLISHED_DIGITS, Line, count_scorings, read_ledger
from piq_bench.board.rank import Board, Standing, is_attempt
from piq_bench.board.rows import date_text, piq_text
from piq_bench.errors import BadInput, printable
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.records import Benchmark
from piq_bench.report.rows import NOT_DEFINED

TEAM_UNKNOWN = "(no longer in this folder)"
KEPT_BACK = "kept back"
OUTCOMES = {"best": "new best", "not better": "best stays", "refused": "refused", "accepted": "accepted"}
LONGEST = 200  # characters of an author's text


@dataclass(frozen=True)
class Attempt:
    """One scoring under the Ladder, as text.

    Attributes:
        number: line of the ledger.
        date: time of the scoring, in UTC.
        entry: id of the entry.
        name, team: of the entry, from its metadata.
        outcome: what became of the published best.
        best: the published best after the attempt, as a fraction; None if there is none yet.
        piq, interval: the revealed score in per cent; KEPT_BACK until then.
        is_revealed: whether the entry's page exists.
    """

    number: int
    date: str
    entry: str
    name: str
    team: str
    outcome: str
    best: float | None
    piq: str
    interval: str
    is_revealed: bool


@dataclass(frozen=True)
class Ladder:
    """The attempts on one benchmark with hidden labels.

    Attributes:
        title: name of the benchmark, or the start of its fingerprint.
        attempts: in the order of the ledger.
        best: the published best PIQ, as a fraction; None if there is none yet.
        holder: the last attempt that moved it; None if there is none.
        n_scorings: all scorings of the benchmark, which a budget counts.
        teams: number of attempts by team, most first.
        n_kept_back: number of attempts whose score is not revealed.
    """

    title: str
    attempts: tuple[Attempt, ...]
    best: float | None
    holder: Attempt | None
    n_scorings: int
    teams: tuple[tuple[str, int], ...]
    n_kept_back: int


def best_text(best: float | None) -> str:
    """A published best in per cent, with the digits that are published."""
    return NOT_DEFINED if best is None else f"{100.0 * best:.{PUBLISHED_DIGITS - 2}f}"


def ladders(folder: Path, boards: Sequence[Board], benchmark: Benchmark) -> list[Ladder]:
    """The ladders that the ledger of a folder of entries records, one for each benchmark.

    Args:
        folder: folder of entries.
        boards: boards of the folder, which hold every revealed score.
        benchmark: benchmark whose name is shown.

    Raises:
        BadUsage: if the ledger was edited.
    """
    lines = read_ledger(folder / FILE)
    entries = _entries(folder)
    standings = {one.entry.id: one for board in boards for one in board.standings}
    found = []
    for mark in dict.fromkeys(line.fingerprint for line in lines if is_attempt(line)):
        own = [line for line in lines if line.fingerprint == mark and is_attempt(line)]
        attempts = tuple(_attempt(line, entries.get(line.entry), standings.get(line.entry)) for line in own)
        moved = [attempt for attempt in attempts if attempt.outcome == OUTCOMES["best"]]
        name = f"{benchmark.name} {benchmark.version}".strip() if mark == fingerprint(benchmark) else "other data"
        found.append(
            Ladder(
                title=f"{printable(name, LONGEST)}, fingerprint {mark[:12]}",
                attempts=attempts,
                best=moved[-1].best if moved else None,
                holder=moved[-1] if moved else None,
                n_scorings=count_scorings(lines, mark),
                teams=tuple(Counter(attempt.team for attempt in attempts).most_common()),
                n_kept_back=sum(attempt.piq == KEPT_BACK for attempt in attempts),
            )
        )
    return found


def _entries(folder: Path) -> Mapping[str, Entry]:
    """The entries of a folder by id; those that cannot be read are named by the board, not here."""
    found = {}
    for path in entries_in(folder):
        try:
            found[path.name] = read_entry(path)
        except BadInput:
            continue
    return found


def _attempt(line: Line, entry: Entry | None, standing: Standing | None) -> Attempt:
    """A line of the ledger as text; its score only if the entry's result is of the same data and predictions."""
    if standing is not None:
        score = standing.score
        found = (score["benchmark"]["fingerprint"], score["submission"]["content"])
        standing = standing if found == (line.fingerprint, line.content) else None
    piq, interval = (KEPT_BACK, "") if standing is None else piq_text(standing.score)
    if line.decision == "refused" and standing is None:
        piq = NOT_DEFINED
    return Attempt(
        number=line.number,
        date=date_text(line.date),
        entry=printable(line.entry, LONGEST),
        name=printable(entry.metadata.name if entry else line.entry, LONGEST),
        team=printable(entry.metadata.team, LONGEST) if entry else TEAM_UNKNOWN,
        outcome=OUTCOMES[line.decision],
        best=line.best,
        piq=piq,
        interval=interval,
        is_revealed=standing is not None,
    )
