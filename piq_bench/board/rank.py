"""Graded entries to boards: sorted at full precision, with the ranks that chance alone could exchange.

Entries stand on one board only where they were scored on the same data under the same rules. Incomplete ones are
listed, but have no rank. An entry's ranks reach from one more than the number of entries that are significantly better
to the number of those that are not significantly worse: paired randomisation tests of PIQ, Holm's correction over all
such pairs of a board. Where the predictions of a pair are not at hand, only intervals of PIQ that do not meet tell it
apart, which is stricter. Entries whose ranks overlap are not told apart by this benchmark.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from piq_bench.board.entries import Entry, entries_in, read_entry
from piq_bench.board.ledger import FILE as LEDGER
from piq_bench.board.ledger import Line, read_ledger
from piq_bench.board.result import published_digest, read_result
from piq_bench.errors import BadInput, BadSubmission, Problem, printable
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.compare import LEVEL, Tallied, compare, holm, metric_scores, tallied

N_SWAPS = 2000


@dataclass(frozen=True, eq=False)
class Standing:
    """An entry on a board.

    Attributes:
        entry: whose it is.
        score: the score file in its result.
        ranks: the first and the last place that it may have; None where it has none.
    """

    entry: Entry
    score: Mapping[str, Any]
    ranks: tuple[int, int] | None

    @property
    def piq(self) -> float | None:
        """In [0, 1]."""
        value = self.score["piq"]
        return None if value is None else float(value)


@dataclass(frozen=True, eq=False)
class Board:
    """Entries of one benchmark and protocol, the best first, those without PIQ last.

    Attributes:
        benchmark: name, version and fingerprint.
        protocol: the choices, without a digest.
        standings: in their order.
    """

    benchmark: Mapping[str, Any]
    protocol: Mapping[str, Any]
    standings: tuple[Standing, ...]


def build_boards(
    folder: Path,
    benchmark: Benchmark,
    *,
    engine: Engine = plain.count_ranks,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Board]:
    """All boards of a folder of entries; ranks are computed on the board of `benchmark`.

    Args:
        folder: of entries, each with the result.json that the grader wrote.
        benchmark: whose entries are compared with one another.
        engine: counts images around positives.
        advance: told the number of entries done.

    Raises:
        BadSubmission: naming every entry that is not graded, or not as it lies there, or not as the ledger has it.
        BadUsage: if the ledger was edited.
    """
    problems: list[Problem] = []
    standings: list[Standing] = []
    systems: dict[str, Tallied] = {}
    own = fingerprint(benchmark)
    ledger = read_ledger(folder / LEDGER)
    for path in entries_in(folder):
        try:
            entry = read_entry(path)
            result = read_result(entry.result)
            if result is None:
                problems.append(Problem("not-graded", path.name, "has no result.json", "piq grade --write"))
                continue
            score = result["score"]
            if found := _against_ledger(score, [line for line in ledger if line.entry == path.name]):
                problems.append(Problem("other-result", path.name, found, "piq grade --write"))
                continue
            if entry.reference is not None:
                if entry.reference.sha256 != score["file"]["sha256"]:
                    found = "its result is of another file than it refers to"
                    problems.append(Problem("stale-result", path.name, found, "piq grade --fetch --write"))
                    continue
            elif entry.submission is not None and score["benchmark"]["fingerprint"] == own:
                submission = read_submission(entry.submission, benchmark, partial=True)
                if submission.content != score["submission"]["content"]:
                    found = "its result is of other predictions"
                    problems.append(Problem("stale-result", path.name, found, "piq grade --write"))
                    continue
                systems[entry.id] = tallied(benchmark, submission, engine=engine)
                if found := _miscounted(benchmark, systems[entry.id], score):
                    problems.append(Problem("false-result", path.name, found, "piq grade --write"))
                    continue
            standings.append(Standing(entry, score, None))
        except BadInput as refusal:
            problems += [replace(one, where=f"{path.name}: {one.where}") for one in refusal.problems]
        except (KeyError, TypeError, ValueError) as error:
            found = f"has a result that does not hold: {printable(error)}"
            problems.append(Problem("bad-result", path.name, found, "piq grade --write"))
        advance(1)
    if problems:
        raise BadSubmission(str(folder), problems)
    return [_ranked(benchmark, board, systems) for board in _boards(standings)]


def removed_entries(folder: Path) -> list[Line]:
    """The ledger's last lines about entries that stood here and do so no longer: nobody leaves without a trace.

    Raises:
        BadUsage: if the ledger was edited.
    """
    last = {line.entry: line for line in read_ledger(folder / LEDGER)}
    here = {path.name for path in entries_in(folder)}
    return [line for name, line in sorted(last.items()) if name not in here and line.decision != "refused"]


def _against_ledger(score: Mapping[str, Any], lines: Sequence[Line]) -> str:
    """What speaks against a result in the lines of the ledger about its entry; empty for nothing."""
    if not lines:
        return ""
    last = lines[-1]
    if last.decision == "refused":
        return f"line {last.number} of the ledger refuses it: {last.reason}"
    if last.digest not in (None, score["protocol"]["digest"]):
        return f"its result is not what line {last.number} of the ledger records"
    written = [line for line in lines if line.told is not None]
    if written and written[-1].told != published_digest(score):
        return f"its result does not tell what line {written[-1].number} of the ledger records"
    return ""


def _miscounted(benchmark: Benchmark, system: Tallied, score: Mapping[str, Any]) -> str:
    """The first number of a result that counting its predictions again does not find; empty for none.

    Results of other rules are passed over: they stand on another board.
    """
    rules = asdict(system.protocol) | {"exclude": list(system.protocol.exclude)}
    if rules != {name: value for name, value in score["protocol"].items() if name != "digest"}:
        return ""
    computed = metric_scores(benchmark, system)
    told = {"piq": score["piq"]} | {
        f"{part}.{name}": value for part in ("aspects", "f1") for name, value in score[part].items()
    }
    told |= {f"reid.{name}": (score["reid"] or {}).get(name) for name in ("macro_map", "macro_rank1")}
    for name, value in told.items():
        if value != computed.get(name):
            return f"its result says {printable(name)} {value!r}, counted again it is {computed.get(name)!r}"
    return ""


def _boards(standings: Sequence[Standing]) -> list[Board]:
    """Apart by data and rules; sorted by PIQ, then by name."""
    found: dict[str, list[Standing]] = {}
    for standing in standings:
        key = [standing.score["benchmark"]["fingerprint"], _rules(standing)]
        found.setdefault(json.dumps(key, sort_keys=True), []).append(standing)
    boards = []
    for _, own in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        ordered = sorted(own, key=lambda one: (one.piq is None, -(one.piq or 0.0), one.entry.id))
        boards.append(Board(ordered[0].score["benchmark"], _rules(ordered[0]), tuple(ordered)))
    return boards


def _rules(standing: Standing) -> dict[str, Any]:
    return {name: value for name, value in standing.score["protocol"].items() if name != "digest"}


def _ranked(benchmark: Benchmark, board: Board, systems: Mapping[str, Tallied]) -> Board:
    """With ranks, for entries that have a PIQ."""
    complete = [one for one in board.standings if one.piq is not None]
    tested: list[tuple[int, int]] = []
    apart: list[tuple[int, int]] = []  # the first is the better one, since they are sorted
    p = []
    for first, second in combinations(range(len(complete)), 2):
        both = [systems.get(complete[place].entry.id) for place in (first, second)]
        known = [one for one in both if one is not None]
        if len(known) == len(both):
            result = compare(benchmark, known, n_resamples=1, n_swaps=N_SWAPS)
            p.append(next(one.p for one in result.pairs[0].differences if one.metric == "piq"))
            tested.append((first, second))
        elif _interval(complete[first])[0] > _interval(complete[second])[1]:
            apart.append((first, second))
    apart += [pair for pair, adjusted in zip(tested, holm(p), strict=True) if adjusted < 1.0 - LEVEL]
    n_better, n_worse = [0] * len(complete), [0] * len(complete)
    for first, second in apart:
        n_better[second] += 1
        n_worse[first] += 1
    ranks = [(1 + n_better[place], len(complete) - n_worse[place]) for place in range(len(complete))]
    with_ranks = [replace(one, ranks=own) for one, own in zip(complete, ranks, strict=True)]
    return replace(board, standings=(*with_ranks, *board.standings[len(complete) :]))


def _interval(standing: Standing) -> tuple[float, float]:
    """Of PIQ; all that is possible where the result has none."""
    found = (standing.score["intervals"] or {}).get("piq")
    return (0.0, 1.0) if found is None else (float(found[0]), float(found[1]))
