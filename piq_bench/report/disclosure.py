"""How much of a score leaves the evaluator: the one place that says what each level of disclosure leaves out.

`full`: all. `public`: nothing of single images, queries or people, and no confusions. `score`: PIQ, aspects, re-id and
F1 of each task with their intervals; nothing about single labels. On a hidden test set, whoever may submit often enough
learns labels from anything finer than that, and from the messages of a broken data set as well.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

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
    document = {key: value for key, value in score_document(score).items() if key not in HIDDEN[level]}
    if level != "full":
        document["disclosure"] = level
    if level == "score" and isinstance(document["reid"], dict):
        document["reid"] = {key: value for key, value in document["reid"].items() if key != "identities_skipped"}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
