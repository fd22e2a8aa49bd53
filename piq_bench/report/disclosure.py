"""Defines the levels of disclosure: which parts of a score are published, and which are left out.

`full` publishes everything. `public` leaves out single images and queries, scores of single people, and confusion
matrices. `score` publishes only PIQ, aspects, re-id and the F1, accuracy and other means of each task, with intervals,
and neither the CMC curve nor anything about single labels or how often they occur. On a hidden test set, repeated
submissions could infer labels from anything finer than that; error messages about the data set can reveal labels too.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from piq_bench.errors import BadDataset, Problem
from piq_bench.report.json import CMC, FURTHER, score_document
from piq_bench.scoring.records import Score

DISCLOSURES = ("full", "public", "score")
HIDDEN = {  # parts of the score file that each level leaves out
    "full": (),
    "public": ("confusion",),
    "score": ("confusion", "labels", "baselines", "notes"),
}
ABOUT_LABELS = ("left_out", "average_precision")  # what the level `score` leaves out of each task's further metrics


def disclosed(score: Score, level: str) -> Score:
    """The score without the parts that the level leaves out, for any report."""
    if level == "full":
        return score
    reid = score.reid
    if reid is not None:
        reid = replace(reid, by_query=None, by_identity={})
        if level == "score":
            reid = replace(reid, chance={}, identities_skipped=())
    score = replace(score, reid=reid, confusion={})
    if level == "score":
        attributes = {task: replace(one, left_out={}, average_precision={}) for task, one in score.attributes.items()}
        score = replace(score, labels={}, chance_f1={}, majority_f1={}, notes=(), attributes=attributes)
    return score


def disclosed_json(score: Score, level: str) -> str:
    """The text of the score file; below `full` it names the level. The digest always covers the whole file."""
    document = disclosed_document(score_document(score), level)
    if level != "full":
        document["disclosure"] = level
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def disclosed_document(document: Mapping[str, Any], level: str) -> dict[str, Any]:
    """The score file as plain values, without the parts that the level leaves out."""
    found = {key: value for key, value in document.items() if key not in HIDDEN[level]}
    if level == "score" and isinstance(found["reid"], dict):
        found["reid"] = {key: value for key, value in found["reid"].items() if key != "identities_skipped"}
    if level == "score" and isinstance(found.get(FURTHER), dict):
        tasks = {
            task: {name: value for name, value in one.items() if name not in ABOUT_LABELS}
            for task, one in found[FURTHER]["tasks"].items()
        }
        found[FURTHER] = {**found[FURTHER], "tasks": tasks}
        if isinstance(reid := found[FURTHER]["reid"], dict):
            found[FURTHER]["reid"] = {key: value for key, value in reid.items() if key != CMC}
    return found


@contextmanager
def redacted_problems(level: str) -> Iterator[None]:
    """Reduce the problems of a broken data set below `full` to the broken rules and how often each is broken."""
    try:
        yield
    except BadDataset as refusal:
        if level == "full":
            raise
        problems = [
            Problem(problem.code, "data set", f"{problem.count} times", "ask the organiser, who can see the details")
            for problem in refusal.problems
        ]
        raise BadDataset("data set", problems) from None
