"""Answers, undoing, merging, splitting and renaming; and that a file is the same after it was opened again."""

import random
from pathlib import Path

import pytest

from piq_bench.build.annotate import actions
from piq_bench.build.annotate.actions import Refused
from piq_bench.build.annotate.ballots import CONFLICT, NONE
from piq_bench.build.annotate.project import Project, open_project


def names(project: Project, task: str = "reid") -> list[str]:
    """The label of each image, in words."""
    return [project.ballots.shown(task, int(code)) for code in project.ballots.labels(task)]


def person(project: Project, name: str) -> str:
    return f"p{project.people.numbered(name)}"


def test_labels_that_came_with_the_data_are_the_first_answers(project: Project) -> None:
    assert names(project) == ["anna", "anna", "bob", "", "", "", "", "not a person"]
    assert names(project, "gender") == ["female", "female", "male", "", "", "", "", "not a person"]
    assert names(project, "mood") == ["happy|sad", "-", "", "", "", "", "", ""]


def test_an_identity_gives_the_gender_with_it(project: Project) -> None:
    ann = actions.annotator_number(project, "Ann")
    actions.answer(project, ann, "reid", [4, 5], person(project, "anna"))
    actions.answer_new_person(project, ann, [6], "male")
    assert names(project)[4:7] == ["anna", "anna", "person-0003"]
    assert names(project, "gender")[4:7] == ["female", "female", "male"]


def test_disagreement_is_a_conflict_until_it_is_settled_and_again_after_undoing(project: Project) -> None:
    ann, ben = (actions.annotator_number(project, name) for name in ("Ann", "Ben"))
    actions.answer(project, ann, "gender", [4], "female")
    actions.answer(project, ben, "gender", [4], "|?")
    assert names(project, "gender")[4] == "female"  # "cannot tell" contradicts nobody
    actions.answer(project, ben, "gender", [4], "male")
    assert project.ballots.labels("gender")[4] == CONFLICT
    actions.settle(project, ann, "gender", [4], "male")
    assert names(project, "gender")[4] == "male"
    actions.undo(project, ann)
    assert project.ballots.labels("gender")[4] == CONFLICT


def test_a_click_that_is_sent_again_is_applied_once(project: Project) -> None:
    ann = actions.annotator_number(project, "Ann")
    for _ in range(3):
        actions.answer_new_person(project, ann, [6], "", click="one")
    assert [name for _, name, _, _ in project.store.people()] == ["anna", "bob", "person-0003"]
    assert len([action for action in project.store.history(9) if action.annotator == ann]) == 1


def test_merging_splitting_and_renaming_can_be_undone(project: Project) -> None:
    ann = actions.annotator_number(project, "Ann")
    anna, bob = (int(person(project, name)[1:]) for name in ("anna", "bob"))
    actions.merge(project, ann, [anna, bob])
    assert names(project)[:3] == ["anna"] * 3
    actions.split(project, ann, anna, [1, 2])
    assert names(project)[:3] == ["anna", "person-0003", "person-0003"]
    actions.rename(project, ann, anna, "Anna B.")
    actions.set_label(project, ann, anna, "male")
    assert names(project)[:2] == ["Anna B.", "person-0003"]
    kinds = []
    while (action := actions.undo(project, ann)) is not None:
        kinds.append(action.kind)
    assert kinds == ["label", "rename", "split", "merge"]
    assert names(project)[:3] == ["anna", "anna", "bob"]
    assert [action.kind for action in project.store.history(9)] == ["label", "rename", "split", "merge", "files"]


def test_undoing_leaves_alone_what_somebody_else_has_changed_since(project: Project) -> None:
    ann, ben = (actions.annotator_number(project, name) for name in ("Ann", "Ben"))
    actions.answer_new_person(project, ann, [4, 5], "")
    actions.split(project, ben, int(person(project, "person-0003")[1:]), [4])
    actions.undo(project, ann)
    assert names(project)[4:6] == ["person-0004", ""]


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        (lambda p, a: actions.answer(p, a, "gender", [0], "mael"), "'mael' is no label of gender"),
        (lambda p, a: actions.answer(p, a, "mood", [0], "happy|glad"), "no label of mood"),
        (lambda p, a: actions.answer(p, a, "reid", [0], "p99"), "no such person"),
        (lambda p, a: actions.answer(p, a, "reid", [0], "p" + "9" * 5000), "no such person"),
        (lambda p, a: actions.answer(p, a, "height", [0], "tall"), "no such task"),
        (lambda p, a: actions.answer_new_person(p, a, [0], "queen"), "no label of a person"),
        (lambda p, a: actions.merge(p, a, [1, 1]), "at least two"),
        (lambda p, a: actions.split(p, a, 1, [6]), "images of this person"),
        (lambda p, a: actions.rename(p, a, 1, "bob"), "the name of another person"),
        (lambda p, a: actions.rename(p, a, 1, "a\u202eb"), "control characters"),
        (lambda p, a: actions.annotator_number(p, "x" * 61), "1 to 60"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(project: Project, do: object, reason: str) -> None:
    ann = actions.annotator_number(project, "Ann")
    before = names(project), len(project.store.history(99))
    with pytest.raises(Refused, match=reason):
        do(project, ann)  # type: ignore[operator]
    assert (names(project), len(project.store.history(99))) == before


def test_any_series_of_actions_reads_back_the_same_and_undoes_to_the_beginning(dataset: Path) -> None:
    rng = random.Random(3)
    project = open_project(dataset)
    beginning = {task: names(project, task) for task in project.ballots.tasks}
    who = [actions.annotator_number(project, name) for name in ("Ann", "Ben")]
    for _ in range(60):
        annotator, rows = rng.choice(who), rng.sample(range(8), rng.randint(1, 3))
        people = [number for number, *_ in project.store.people()]
        try:
            match rng.randrange(7):
                case 0:
                    actions.answer(project, annotator, "reid", rows, f"p{rng.choice(people)}")
                case 1:
                    actions.answer(project, annotator, "mood", rows, rng.choice(["-", "sad|happy", "|?", "|x"]))
                case 2:
                    actions.answer_new_person(project, annotator, rows, rng.choice(["", "male"]))
                case 3:
                    actions.merge(project, annotator, rng.sample(people, 2))
                case 4:
                    actions.split(project, annotator, rng.choice(people), rows)
                case 5:
                    actions.settle(project, annotator, "gender", rows, rng.choice(["male", ""]))
                case 6:
                    standing = [one.annotator for one in project.store.history(999) if one.undone_at is None]
                    if standing[0] == annotator:  # otherwise somebody may have changed the same since
                        actions.undo(project, annotator)
        except Refused:
            continue
    seen = {task: names(project, task) for task in project.ballots.tasks}
    project.close()
    again = open_project(dataset, writes=False)
    assert {task: names(again, task) for task in again.ballots.tasks} == seen
    order = [action.annotator for action in again.store.history(999) if action.undone_at is None and action.annotator]
    for annotator in order:  # newest first, so that nothing has changed in between
        actions.undo(again, annotator)
    assert {task: names(again, task) for task in again.ballots.tasks} == beginning
    again.close()


def test_a_set_of_labels_is_stored_in_the_order_of_the_vocabulary(project: Project) -> None:
    ann = actions.annotator_number(project, "Ann")
    actions.answer(project, ann, "mood", [0], "sad|happy")
    assert names(project, "mood")[0] == "happy|sad"
    assert (project.ballots.given["mood"][ann] == NONE).sum() == 7
