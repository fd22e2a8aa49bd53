"""How much of a score leaves the evaluator: the one place that says what each level of disclosure leaves out.

`full`: all. `public`: nothing of single images or queries, no scores of single people, no confusions. `score`: PIQ,
aspects, re-id and F1 of each task with their intervals; nothing about single labels. On a hidden test set, whoever may
submit often enough learns labels from anything finer than that, and from the messages of a broken data set as well.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from piq_bench.errors import BadDataset, Problem
from piq_bench.records import Score
from piq_bench.report.json import score_document

DISCLOSURES = ("full", "public", "score")
HIDDEN = {  # parts of the score file that are left out at each level
    "full": (),
    "public": ("confusion",),
    "score": ("confusion", "labels", "baselines", "notes"),
}


def disclosed(score: Score, level: str) -> Score:
    """The score without what the level leaves out, for any report."""
    if level == "full":
        return score
    reid = score.reid
    if reid is not None:
        reid = replace(reid, by_query=None, by_identity={})
        if level == "score":
            reid = replace(reid, chance={}, identities_skipped=())
    score = replace(score, reid=reid, confusion={})
    if level == "score":
        score = replace(score, labels={}, chance_f1={}, majority_f1={}, notes=())
    return score


def disclosed_json(score: Score, level: str) -> str:
    """The score file's text; below `full` it names its level. The digest is always that of the whole file."""
    document = disclosed_document(score_document(score), level)
    if level != "full":
        document["disclosure"] = level
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def disclosed_document(document: Mapping[str, Any], level: str) -> dict[str, Any]:
    """A score file without the parts that the level leaves out."""
    found = {key: value for key, value in document.items() if key not in HIDDEN[level]}
    if level == "score" and isinstance(found["reid"], dict):
        found["reid"] = {key: value for key, value in found["reid"].items() if key != "identities_skipped"}
    return found


@contextmanager
def discretion(level: str) -> Iterator[None]:
    """What is wrong with a data set is told in full to its owner only: others learn the rules broken, and how often."""
    try:
        yield
    except BadDataset as refusal:
        if level == "full":
            raise
        problems = [
            Problem(problem.code, "data set", f"{problem.count} times", "ask the organiser, who sees what and where")
            for problem in refusal.problems
        ]
        raise BadDataset("data set", problems) from None
