"""Scores the predictions of a graded entry again, for its rank and its page: as much as its result discloses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from piq_bench.records import Benchmark, Submission
from piq_bench.report.disclosure import disclosed
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.compare import Tallied, tallied_from
from piq_bench.scoring.drilldown import Drilldown, drill_down
from piq_bench.scoring.records import Interval, Intervals, Score
from piq_bench.scoring.score import score_and_tallies


@dataclass(frozen=True, eq=False)
class Rescored:
    """What the page of an entry shows, no finer than the level of disclosure of its result."""

    score: Score
    drilldown: Drilldown


def rescored(
    benchmark: Benchmark, submission: Submission, *, engine: Engine = plain.count_ranks
) -> tuple[Score, Tallied]:
    """The full score of an entry's predictions, without intervals, and the tallies from which entries are compared.

    Args:
        benchmark: benchmark that the entry was graded on.
        submission: the entry's predictions.
        engine: retrieval engine; all engines give the same ranks.
    """
    found, reid, labels = score_and_tallies(
        benchmark,
        submission,
        ap="non-interpolated",
        n_resamples=0,
        seed=0,
        engine=engine,
        engine_name=plain.ENGINE,
        advance=lambda steps: None,
    )
    return found, tallied_from(submission, reid, labels, found.protocol)


def shown(benchmark: Benchmark, submission: Submission, found: Score, result: Mapping[str, Any]) -> Rescored:
    """The score with the intervals of its result, and its drill-down, reduced to the result's level of disclosure.

    Args:
        benchmark: benchmark that the entry was graded on.
        submission: the entry's predictions.
        found: their full score.
        result: the content of the entry's result.json, whose numbers were checked against the predictions.
    """
    document = result["score"]
    intervals, file = _intervals(document["intervals"]), dict(document["file"])
    found = replace(found, intervals=intervals, engine=str(document["engine"]), file=file)
    closer = drill_down(benchmark, submission, found, disclosure=result["disclosure"])
    return Rescored(disclosed(found, result["disclosure"]), closer)


def _intervals(part: Mapping[str, Any] | None) -> Intervals | None:
    if part is None:
        return None
    found: dict[str, dict[str, Interval]] = {
        name: {key: _ends(ends) for key, ends in part[name].items()} for name in ("aspects", "reid", "f1")
    }
    return Intervals(
        level=float(part["level"]),
        resamples=int(part["resamples"]),
        seed=int(part["seed"]),
        piq=_ends(part["piq"]),
        method=part.get("method"),
        **found,
    )


def _ends(ends: Any) -> Interval:  # noqa: ANN401
    return None if ends is None else (float(ends[0]), float(ends[1]))
