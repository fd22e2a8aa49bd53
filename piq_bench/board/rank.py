"""Builds boards from graded entries: sorted by PIQ at full precision, with ranges of ranks.

Two entries share a board only if they were scored on the same data under the same rules. Entries without a PIQ are
listed without a rank. Entries whose result is kept back under the Ladder are on no board. The ranks of an entry range
from one more than the number of entries that are significantly better to the number of entries that are not
significantly worse. Significance comes from paired randomisation tests of PIQ with Holm's correction over all tested
pairs of a board. If the predictions of a pair are not available, the pair differs significantly only if its intervals
of PIQ do not overlap, which is stricter.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from piq_bench.board.entries import Entry, entries_in, read_entry
from piq_bench.board.ledger import FILE as LEDGER
from piq_bench.board.ledger import Line, read_ledger
from piq_bench.board.rescored import Rescored, rescored, shown
from piq_bench.board.result import published_digest, read_result
from piq_bench.errors import BadInput, BadSubmission, Problem, printable
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.compare import LEVEL, Pair, Tallied, compare, holm, metric_scores
from piq_bench.scoring.piq_pairs import piq_p_values

N_SWAPS = 2000


@dataclass(frozen=True, eq=False)
class Standing:
    """An entry on a board.

    Attributes:
        entry: the ranked entry.
        score: the score file in the entry's result.
        ranks: first and last rank that the entry may have; None if it has no PIQ.
        disclosure: level of disclosure of the result.
        lines: the ledger's lines about the entry.
        rescored: all that the result discloses, computed again from the predictions; None where they are elsewhere, or
            are of another benchmark or other rules.
    """

    entry: Entry
    score: Mapping[str, Any]
    ranks: tuple[int, int] | None
    disclosure: str = "full"
    lines: tuple[Line, ...] = ()
    rescored: Rescored | None = None

    @property
    def piq(self) -> float | None:
        """PIQ in [0, 1]; None if a task is missing."""
        value = self.score["piq"]
        return None if value is None else float(value)


@dataclass(frozen=True, eq=False)
class Board:
    """Entries of one benchmark and protocol, the best first, those without PIQ last.

    Attributes:
        benchmark: name, version and fingerprint.
        protocol: the scoring rules, without the digest.
        standings: the entries, in the order of the board.
        neighbours: by the place of each entry, the comparison with the entry below it; only where the predictions of
            both are available and both have a PIQ.
    """

    benchmark: Mapping[str, Any]
    protocol: Mapping[str, Any]
    standings: tuple[Standing, ...]
    neighbours: Mapping[int, Pair] = field(default_factory=dict)


def build_boards(
    folder: Path,
    benchmark: Benchmark,
    *,
    engine: Engine = plain.count_ranks,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Board]:
    """Build all boards of a folder of entries.

    Args:
        folder: folder of entries, each with the result.json that the grader wrote.
        benchmark: benchmark for the paired tests; entries of other benchmarks are compared by their intervals.
        engine: retrieval engine; all engines give the same ranks.
        advance: called with the number of entries finished since the last call.

    Raises:
        BadSubmission: naming every entry without a result, and every result that does not match the entry's files,
            its predictions or the ledger.
        BadUsage: if the ledger was edited.
    """
    problems: list[Problem] = []
    standings: list[Standing] = []
    systems: dict[str, Tallied] = {}
    own_fingerprint = fingerprint(benchmark)
    ledger = read_ledger(folder / LEDGER)
    for path in entries_in(folder):
        try:
            entry = read_entry(path)
            result = read_result(entry.result)
            own_lines = tuple(line for line in ledger if line.entry == path.name)
            if result is None and own_lines and is_attempt(own_lines[-1]):
                advance(1)
                continue
            if result is None:
                problems.append(Problem("not-graded", path.name, "has no result.json", "piq grade --write"))
                continue
            score, page = result["score"], None
            if found := _against_ledger(score, own_lines):
                problems.append(Problem("other-result", path.name, found, "piq grade --write"))
                continue
            if entry.reference is not None:
                if entry.reference.sha256 != score["file"]["sha256"]:
                    found = "its result is of another file than the one its reference names"
                    problems.append(Problem("stale-result", path.name, found, "piq grade --fetch --write"))
                    continue
            elif entry.submission is not None and score["benchmark"]["fingerprint"] == own_fingerprint:
                submission = read_submission(entry.submission, benchmark, partial=True)
                if submission.content != score["submission"]["content"]:
                    found = "its result is of other predictions"
                    problems.append(Problem("stale-result", path.name, found, "piq grade --write"))
                    continue
                found_score, systems[entry.id] = rescored(benchmark, submission, engine=engine)
                if found := _miscounted(benchmark, systems[entry.id], score):
                    problems.append(Problem("false-result", path.name, found, "piq grade --write"))
                    continue
                if _rules_of(systems[entry.id]) == _rules(score):
                    page = shown(benchmark, submission, found_score, result)
            standings.append(Standing(entry, score, None, result["disclosure"], own_lines, page))
        except BadInput as refusal:
            problems += [replace(problem, where=f"{path.name}: {problem.where}") for problem in refusal.problems]
        except (KeyError, TypeError, ValueError) as error:
            found = f"has an invalid result: {printable(error)}"
            problems.append(Problem("bad-result", path.name, found, "piq grade --write"))
        advance(1)
    if problems:
        raise BadSubmission(str(folder), problems)
    return [_ranked(benchmark, board, systems) for board in _boards(standings)]


def is_attempt(line: Line) -> bool:
    """Whether a line of the ledger records an attempt under the Ladder, which publishes no score."""
    return line.digest is None


def removed_entries(folder: Path) -> list[Line]:
    """The last ledger line of each accepted entry that is no longer in the folder, so that removals stay visible.

    Raises:
        BadUsage: if the ledger was edited.
    """
    last = {line.entry: line for line in read_ledger(folder / LEDGER)}
    here = {path.name for path in entries_in(folder)}
    return [line for name, line in sorted(last.items()) if name not in here and line.decision != "refused"]


def _against_ledger(score: Mapping[str, Any], lines: Sequence[Line]) -> str:
    """How a result contradicts the ledger lines about its entry; empty if it does not."""
    if not lines:
        return ""
    last = lines[-1]
    if last.decision == "refused":
        return f"line {last.number} of the ledger refuses this entry: {last.reason}"
    if last.digest not in (None, score["protocol"]["digest"]):
        return f"its result is not the one that line {last.number} of the ledger records"
    written = [line for line in lines if line.told is not None]
    if written and written[-1].told != published_digest(score):
        return f"its result does not publish the score that line {written[-1].number} of the ledger records"
    return ""


def _miscounted(benchmark: Benchmark, system: Tallied, score: Mapping[str, Any]) -> str:
    """The first number of a result that differs from the one computed from the predictions; empty if none does.

    Results of other rules are skipped, since they are on another board.
    """
    if _rules_of(system) != _rules(score):
        return ""
    computed = metric_scores(benchmark, system)
    published = {"piq": score["piq"]} | {
        f"{part}.{name}": value for part in ("aspects", "f1") for name, value in score[part].items()
    }
    published |= {f"reid.{name}": (score["reid"] or {}).get(name) for name in ("macro_map", "macro_rank1")}
    for name, value in published.items():
        if value != computed.get(name):
            return f"its result says {printable(name)} {value!r}, its predictions give {computed.get(name)!r}"
    return ""


def _boards(standings: Sequence[Standing]) -> list[Board]:
    """One board for each combination of data and rules; entries sorted by PIQ, then by id."""
    found: dict[str, list[Standing]] = {}
    for standing in standings:
        key = [standing.score["benchmark"]["fingerprint"], _rules(standing.score)]
        found.setdefault(json.dumps(key, sort_keys=True), []).append(standing)
    boards = []
    for _, members in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        ordered = sorted(
            members, key=lambda standing: (standing.piq is None, -(standing.piq or 0.0), standing.entry.id)
        )
        boards.append(Board(ordered[0].score["benchmark"], _rules(ordered[0].score), tuple(ordered)))
    return boards


def _rules(score: Mapping[str, Any]) -> dict[str, Any]:
    """The scoring rules of a score file: its protocol without the digest."""
    return {name: value for name, value in score["protocol"].items() if name != "digest"}


def _rules_of(system: Tallied) -> dict[str, Any]:
    """The scoring rules of tallies, as in a score file."""
    return asdict(system.protocol) | {"exclude": list(system.protocol.exclude)}


def _ranked(benchmark: Benchmark, board: Board, systems: Mapping[str, Tallied]) -> Board:
    """The board with ranks for all entries that have a PIQ."""
    complete = [standing for standing in board.standings if standing.piq is not None]
    places = [place for place, standing in enumerate(complete) if standing.entry.id in systems]
    available = [systems[complete[place].entry.id] for place in places]
    p_values = {
        (places[first], places[second]): p
        for (first, second), p in piq_p_values(benchmark, available, n_swaps=N_SWAPS).items()
    }
    different = [  # the first of each pair is the better one, since entries are sorted
        (first, second)
        for first, second in combinations(range(len(complete)), 2)
        if (first, second) not in p_values and _interval(complete[first])[0] > _interval(complete[second])[1]
    ]
    corrected = holm(list(p_values.values()))
    different += [pair for pair, p in zip(p_values, corrected, strict=True) if p < 1.0 - LEVEL]
    n_better, n_worse = [0] * len(complete), [0] * len(complete)
    for first, second in different:
        n_better[second] += 1
        n_worse[first] += 1
    ranks = [(1 + n_better[place], len(complete) - n_worse[place]) for place in range(len(complete))]
    with_ranks = [replace(standing, ranks=pair) for standing, pair in zip(complete, ranks, strict=True)]
    neighbours = {
        place: compare(benchmark, pair, n_resamples=1, n_swaps=N_SWAPS).pairs[0]
        for place in range(len(complete) - 1)
        if len(pair := [systems[one.entry.id] for one in complete[place : place + 2] if one.entry.id in systems]) == 2
    }
    return replace(board, standings=(*with_ranks, *board.standings[len(complete) :]), neighbours=neighbours)


def _interval(standing: Standing) -> tuple[float, float]:
    """The interval of PIQ; (0, 1) if the result has none."""
    ends = (standing.score["intervals"] or {}).get("piq")
    return (0.0, 1.0) if ends is None else (float(ends[0]), float(ends[1]))
