"""The label that follows from everybody's answers, against the rule in plain Python."""

import random

import numpy as np

from piq_bench.build.annotate.ballots import SETTLED, Ballots
from piq_bench.build.annotate.people import People
from piq_bench.records import Task

TASKS = (Task("reid", "reid", kind="retrieval"), Task("gender", "appearance", labels=("female", "male")))


def expected(answers: dict[int, str], roots: dict[str, str]) -> str:
    """The rule, for one image: who settled decides; else all who gave a label must agree."""
    merged = {annotator: roots.get(value, value) for annotator, value in answers.items() if value}
    if SETTLED in merged:
        return merged[SETTLED]
    said = {value for value in merged.values() if value != "|?"}
    if len(said) > 1:
        return "conflict"
    return said.pop() if said else ("|?" if merged else "")


def test_labels_follow_the_rule() -> None:
    rng = random.Random(0)
    people = People()
    for number, into in ((1, ""), (2, "1"), (3, ""), (4, "2")):
        people.add(number, f"person {number}", rng.choice(["female", "male", ""]), into)
    images = [f"{number}.jpg" for number in range(400)]
    ballots = Ballots(TASKS, images, people, None)
    roots = {"p2": "p1", "p4": "p1"}
    for task, values in (
        ("reid", ["", "", "p1", "p2", "p3", "p4", "|?", "|x"]),
        ("gender", ["", "", "female", "male", "|?", "|x"]),
    ):
        given: list[dict[int, str]] = [{} for _ in images]
        for image, answers in zip(images, given, strict=True):
            for annotator in (0, 1, 2, SETTLED):
                if annotator != SETTLED or rng.random() < 0.2:
                    answers[annotator] = rng.choice(values)
                    ballots.set(task, annotator, image, answers[annotator])
        found = ["conflict" if code == -4 else ballots.text(task, int(code)) for code in ballots.labels(task)]
        assert found == [expected(answers, roots) for answers in given]


def test_naming_a_person_answers_for_the_label_of_the_person_unless_the_same_annotator_says_otherwise() -> None:
    people = People()
    people.add(1, "anna", "female")
    people.add(2, "unknown to us", "")
    ballots = Ballots(TASKS, ["a", "b", "c", "d"], people, "gender")
    for image, value in (("a", "p1"), ("b", "p1"), ("c", "p2"), ("d", "|?")):
        ballots.set("reid", 5, image, value)
    ballots.set("gender", 5, "b", "male")
    assert [ballots.shown("gender", int(code)) for code in ballots.labels("gender")] == ["female", "male", "", ""]
    assert np.array_equal(ballots.untouched("gender"), [False, False, True, True])


def test_a_circle_of_mergers_still_ends() -> None:
    people = People()
    for number, into in ((1, "2"), (2, "3"), (3, "1"), (4, "2")):
        people.add(number, str(number), "", into)
    assert {people.root(number) for number in (1, 2, 3)} == {1}
    assert people.root(4) in (1, 2, 3)
