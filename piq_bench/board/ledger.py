"""The ledger: every scoring that somebody was told of, one line each, never edited.

In comes what a grading found; out goes one line of JSON more, in a file that is otherwise left as it was, and what may
be told. Each line carries the SHA-256 of the line before it, so that a line that was edited, moved or taken out is seen
by everybody who reads the file. Lines cut off at its end are not; that is why the hash of the last line is printed.

On a hidden test set every answer teaches something about the labels. Two rules limit that. A budget: no more scorings
of one benchmark than it allows. The Ladder (Blum and Hardt, The Ladder: A Reliable Leaderboard for Machine Learning
Competitions, 2015): all that is told is the best PIQ so far, and it moves only when an entry is better by more than a
step. As in their variant without a parameter, the step follows from the entry's own uncertainty: half the width of its
95% interval.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from piq_bench.errors import BadUsage, LimitExceeded, Problem, printable
from piq_bench.write.files import written_whole

FILE = "ledger.jsonl"
MAX_BYTES = 64 << 20
START = "0" * 64  # what the first line carries
TOLD_DIGITS = 3  # of a public best: what is told is rounded, so that it does not give a score away to the last bit
REASON = 300  # characters at most
REMEDY = "the ledger as it was: git has it"

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Line(BaseModel):
    """One line.

    Attributes:
        number: from 1.
        previous: SHA-256 of the line before, without its end.
        date: when, in UTC.
        entry: its id.
        fingerprint: of the benchmark.
        content: SHA-256 of the predictions.
        digest: of the score; None where the score was not told.
        decision: "accepted" or "refused"; with the Ladder "best" or "not better" instead of "accepted".
        reason: why.
        best: the public best after this line; None without the Ladder.
        told: SHA-256 of what the entry's result tells; None where none was written, and in lines of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    number: Annotated[int, Field(ge=1)]
    previous: Hash
    date: str
    entry: str
    fingerprint: Hash
    content: Hash
    digest: Hash | None
    decision: Literal["accepted", "refused", "best", "not better"]
    reason: str
    best: float | None
    told: Hash | None = None


@dataclass(frozen=True)
class Scoring:
    """What a grading found, to be recorded.

    Attributes:
        entry: its id.
        fingerprint: of the benchmark.
        content: SHA-256 of the predictions.
        digest: of the score.
        refusal: why the entry was refused; empty where it was not.
        told: SHA-256 of what is written into its result; None where nothing is.
    """

    entry: str
    fingerprint: str
    content: str
    digest: str
    refusal: str
    told: str | None = None


@dataclass(frozen=True)
class LadderEntry:
    """What the Ladder decides on: PIQ, and by how much it must exceed the best; both in [0, 1]."""

    piq: float
    step: float


def read_ledger(path: Path) -> tuple[Line, ...]:
    """All lines; none where there is no file.

    Raises:
        BadUsage: naming every line that is none, or does not carry the hash of the line before it.
    """
    return tuple(_checked(path, _text(path)))


def spent(lines: Sequence[Line], fingerprint: str) -> int:
    """Scorings of one benchmark so far, whatever came of them."""
    return sum(line.fingerprint == fingerprint for line in lines)


def refuse_spent(path: Path, fingerprint: str, budget: int | None) -> None:
    """To be asked before anything is scored.

    Raises:
        LimitExceeded: if the budget is spent.
        BadUsage: if the ledger was edited.
    """
    _refuse_spent(path, read_ledger(path), fingerprint, budget)


def best_of(lines: Sequence[Line], fingerprint: str) -> float | None:
    """The public best of one benchmark; None before the first."""
    told = [line.best for line in lines if line.fingerprint == fingerprint and line.best is not None]
    return told[-1] if told else None


def new_best(best: float | None, ladder: LadderEntry) -> float | None:
    """The new public best; None if it stays.

    >>> new_best(0.470, LadderEntry(piq=0.4949, step=0.02))
    0.495
    >>> new_best(0.480, LadderEntry(piq=0.4949, step=0.02)) is None  # better, but not by the step
    True
    """
    if best is not None and ladder.piq <= best + ladder.step:
        return None
    return round(ladder.piq, TOLD_DIGITS)


def record(
    path: Path, scoring: Scoring, *, ladder: LadderEntry | None = None, budget: int | None = None
) -> tuple[Line, str]:
    """Add a line. Until it is written, nothing may be told.

    Args:
        path: of the ledger; made if it is not there.
        scoring: what was found.
        ladder: with the Ladder.
        budget: scorings of one benchmark at most.

    Returns:
        The line, and its SHA-256.

    Raises:
        LimitExceeded: if others have spent the budget in the meantime.
        BadUsage: if the ledger was edited.
    """
    with _alone(path.parent):
        text = _text(path)
        lines = _checked(path, text)
        _refuse_spent(path, lines, scoring.fingerprint, budget)
        own = _split(text)
        best = best_of(lines, scoring.fingerprint) if ladder is not None else None
        decision: Literal["accepted", "refused", "best", "not better"] = "accepted"
        reason = "scored anew, nothing speaks against it"
        if scoring.refusal:
            decision, reason = "refused", scoring.refusal
        elif ladder is not None:
            higher = new_best(best, ladder)
            decision = "not better" if higher is None else "best"
            reason = "by no more than the step" if higher is None else "by more than the step, or the first"
            best = best if higher is None else higher
        line = Line(
            number=len(lines) + 1,
            previous=_hash(own[-1]) if own else START,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            entry=scoring.entry,
            fingerprint=scoring.fingerprint,
            content=scoring.content,
            digest=None if ladder is not None else scoring.digest,
            decision=decision,
            reason=printable(reason, REASON),
            best=best,
            told=scoring.told,
        )
        written = json.dumps(line.model_dump())
        with written_whole(path) as temporary:
            temporary.write_text(f"{text}{written}\n", encoding="ascii", newline="\n")
    return line, _hash(written)


def _text(path: Path) -> str:
    if not path.exists() and not path.is_symlink():
        return ""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
        found = f"is no plain file of at most {MAX_BYTES:,} bytes"
        raise BadUsage(str(path), [Problem("no-ledger", path.name, found, "the ledger that `piq grade` writes")])
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        found = f"cannot be read: {printable(error)}"
        raise BadUsage(
            str(path), [Problem("no-ledger", path.name, found, "the ledger that `piq grade` writes")]
        ) from None


def _checked(path: Path, text: str) -> list[Line]:
    """The lines of a text, if each is in its place."""
    lines: list[Line] = []
    problems: list[Problem] = []
    previous = START
    for number, raw in enumerate(_split(text), 1):
        where = f"line {number}"
        try:
            line = Line.model_validate_json(raw)
        except ValidationError as error:
            problems.append(Problem("no-line", where, f"is no line: {printable(error.errors()[0]['msg'])}", REMEDY))
        else:
            if line.previous != previous or line.number != number:
                found = (
                    "does not carry the hash of the line before it" if line.previous != previous else "is misnumbered"
                )
                problems.append(Problem("broken-chain", where, found, REMEDY))
            lines.append(line)
        previous = _hash(raw)
    if text and not text.endswith("\n"):
        problems.append(Problem("torn-line", f"line {len(_split(text))}", "has no end", REMEDY))
    if problems:
        raise BadUsage(str(path), problems)
    return lines


def _refuse_spent(path: Path, lines: Sequence[Line], fingerprint: str, budget: int | None) -> None:
    if budget is not None and (n := spent(lines, fingerprint)) >= budget:
        found = f"{n} of {budget} scorings of this benchmark are spent"
        raise LimitExceeded(str(path), [Problem("budget", "--budget", found, "wait for the organiser to raise it")])


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode("ascii")).hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else records in this folder meanwhile, on systems that have such locks."""
    try:
        import fcntl
    except ImportError:  # Windows: graders there must not run at the same time
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
