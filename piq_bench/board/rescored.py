"""Scores the predictions of a graded entry again, for its page: everything that its result discloses, and no more."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from piq_bench.records import Benchmark, Submission
from piq_bench.report.disclosure import disclosed
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.records import Interval, Intervals, Score
from piq_bench.scoring.score import score


def rescored(
    benchmark: Benchmark, submission: Submission, result: Mapping[str, Any], *, engine: Engine = plain.count_ranks
) -> Score:
    """The score of an entry with the intervals of its result, reduced to the result's level of disclosure.

    Args:
        benchmark: benchmark that the entry was graded on.
        submission: the entry's predictions.
        result: the content of its result.json, whose numbers were checked against the predictions.
        engine: retrieval engine; all engines give the same ranks.
    """
    document = result["score"]
    found = score(benchmark, submission, n_resamples=0, engine=engine, engine_name=str(document["engine"]))
    found = replace(found, intervals=_intervals(document["intervals"]), file=dict(document["file"]))
    return disclosed(found, result["disclosure"])


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
