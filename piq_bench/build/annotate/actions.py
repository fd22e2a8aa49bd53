"""Does what a click asks for: answers, settles, merges, splits and renames. Each action can be undone.

Every function returns only after its changes are on disk. It raises `Refused`, with a sentence for the person who
clicked, where an action makes no sense.
"""

from collections.abc import Sequence

from piq_bench.build.annotate.ballots import NONE, SETTLED, SPECIAL
from piq_bench.build.annotate.project import Project, joined
from piq_bench.build.annotate.store import ANSWER, LABEL, MERGED, NAME, NOTHING, Action, Change, answer_key
from piq_bench.errors import printable
from piq_bench.read.annotations import EMPTY_SET, LABEL_SEPARATOR
from piq_bench.read.validate import text_fault
from piq_bench.records import Task

MAX_ANNOTATOR = 60  # characters of a name
SEVERAL = 3  # names in one line of the history


class Refused(Exception):
    """An action that cannot be done; the text says why."""


def annotator_number(project: Project, name: str) -> int:
    """The number of an annotator, who is entered if new."""
    if not name or text_fault(name, MAX_ANNOTATOR) is not None:
        raise Refused(f"A name has 1 to {MAX_ANNOTATOR} printable characters.")
    return project.store.annotator(name)


def answer(
    project: Project, annotator: int, task: str, rows: Sequence[int], value: str, *, click: str | None = None
) -> None:
    """Answer a task for images, all of one track or a single one."""
    with project.lock:
        if project.store.was_applied(click):
            return
        value = _checked(project, task, value)
        shown = project.ballots.shown(task, project.ballots.code(task, value))
        _act(project, _answers(project, annotator, task, rows, value), annotator, task, ANSWER, shown, click)


def answer_new_person(
    project: Project, annotator: int, rows: Sequence[int], label: str, *, click: str | None = None
) -> None:
    """Say that images show a person whom nobody has named; the label is that of the person task, if there is one."""
    with project.lock:
        if project.store.was_applied(click):
            return
        task = _identity_task(project)
        _check_label(project, label)
        with project.store.transaction():
            name = project.people.new_name()
            number = project.store.add_person(name, label)
            changes = [
                Change(ANSWER, answer_key(task, annotator, image), before, f"p{number}")
                for image, before in _befores(project, annotator, task, rows)
            ]
            detail = f"new person {name}"
            project.store.act(changes, annotator=annotator, task=task, kind=ANSWER, detail=detail, click=click)
        project.people.add(number, name, label)
        project.take_over(changes)


def undo(project: Project, annotator: int) -> Action | None:
    """Take back the annotator's last action; what it was, None if there is none left."""
    with project.lock:
        found = project.store.undo(annotator)
        if found is None:
            return None
        action, changes = found
        project.take_over(changes)
        return action


def settle(project: Project, annotator: int, task: str, rows: Sequence[int], value: str) -> None:
    """Settle conflicts: the value stands, whatever was or will be answered. An empty value opens them again."""
    with project.lock:
        value = value and _checked(project, task, value)
        shown = project.ballots.shown(task, project.ballots.code(task, value)) if value else "opened again"
        _act(project, _answers(project, SETTLED, task, rows, value), annotator, task, "settle", shown)


def merge(project: Project, annotator: int, numbers: Sequence[int]) -> None:
    """Make several people one: the first of them."""
    with project.lock:
        first, *others = dict.fromkeys(project.people.root(number) for number in _known(project, numbers))
        if not others:
            raise Refused("Choose at least two people to merge.")
        names = [project.people.name(number) for number in others]
        detail = (
            f"{', '.join(names[:SEVERAL])}{' ...' if len(names) > SEVERAL else ''} into {project.people.name(first)}"
        )
        changes = [Change(MERGED, str(number), NOTHING, str(first)) for number in others]
        _act(project, changes, annotator, _identity_task(project), "merge", detail)


def split(project: Project, annotator: int, number: int, rows: Sequence[int]) -> None:
    """Make a new person of some images of a person, in the answers of everybody who took them for that person."""
    with project.lock:
        (number,) = _known(project, [number])
        task, root = _identity_task(project), project.people.root(number)
        whose = project.ballots.by_annotator(task)
        if not rows or not any(codes[row] == root for codes in whose.values() for row in rows):
            raise Refused("Choose images of this person to split off.")
        with project.store.transaction():
            name, label = project.people.new_name(), project.people.label(root)
            new = project.store.add_person(name, label)
            changes = [
                Change(
                    ANSWER,
                    answer_key(task, of, str(project.benchmark.images[row])),
                    project.ballots.text(task, int(project.ballots.given[task][of][row])),
                    f"p{new}",
                )
                for of, codes in whose.items()
                for row in dict.fromkeys(rows)
                if codes[row] == root
            ]
            detail = f"{name} off {project.people.name(root)}"
            project.store.act(changes, annotator=annotator, task=task, kind="split", detail=detail)
        project.people.add(new, name, label)
        project.take_over(changes)


def rename(project: Project, annotator: int, number: int, name: str) -> None:
    """Give a person another name, which is the identity in annotations.csv."""
    with project.lock:
        (number,) = _known(project, [number])
        fault = "it is empty" if not name else text_fault(name)
        if fault is not None:
            raise Refused(f"This is no name: {fault}.")
        owner = project.people.numbered(name)
        if owner == number:
            return
        if owner is not None:
            raise Refused(f"{name} is the name of another person. Merge the two, or choose another name.")
        before = project.people.name(number)
        changes = [Change(NAME, str(number), before, name)]
        _act(project, changes, annotator, _identity_task(project), "rename", f"{before} to {name}")


def set_label(project: Project, annotator: int, number: int, label: str) -> None:
    """Give a person another label of the person task, such as the gender."""
    with project.lock:
        (number,) = _known(project, [number])
        _check_label(project, label)
        before, name = project.people.label(number), project.people.name(number)
        changes = [Change(LABEL, str(number), before, label)]
        _act(project, changes, annotator, _identity_task(project), "label", f"{name}: {label or 'not known'}")


def _act(
    project: Project,
    changes: list[Change],
    annotator: int,
    task: str,
    kind: str,
    detail: str,
    click: str | None = None,
) -> None:
    project.store.act(changes, annotator=annotator, task=task, kind=kind, detail=detail, click=click)
    project.take_over(changes)


def _answers(project: Project, annotator: int, task: str, rows: Sequence[int], value: str) -> list[Change]:
    return [
        Change(ANSWER, answer_key(task, annotator, image), before, value)
        for image, before in _befores(project, annotator, task, rows)
    ]


def _befores(project: Project, annotator: int, task: str, rows: Sequence[int]) -> list[tuple[str, str]]:
    """Each image and the annotator's answer so far."""
    given = project.ballots.given[task].get(annotator)
    return [
        (
            str(project.benchmark.images[row]),
            project.ballots.text(task, NONE if given is None else int(given[row])),
        )
        for row in dict.fromkeys(rows)
    ]


def _identity_task(project: Project) -> str:
    if project.ballots.identity_task is None:
        raise Refused("This benchmark has no task that asks for identities.")
    return project.ballots.identity_task


def _known(project: Project, numbers: Sequence[int]) -> list[int]:
    """The numbers, if all are of people."""
    if not numbers or not all(number in project.people for number in numbers):
        raise Refused("There is no such person.")
    return list(numbers)


def _check_label(project: Project, label: str) -> None:
    task = project.task(project.ballots.person_task or "")
    if label and (task is None or label not in task.labels):
        raise Refused(f"'{printable(label)}' is no label of a person.")


def _checked(project: Project, task: str, value: str) -> str:
    """A value as it is stored, if it is one of the task's."""
    if value in SPECIAL:
        return value
    found: Task | None = project.task(task)
    if found is None:
        raise Refused("There is no such task.")
    if task == project.ballots.identity_task:
        if not (value[:1] == "p" and value[1:].isdecimal() and len(value) < 10 and int(value[1:]) in project.people):
            raise Refused("There is no such person.")
        return f"p{int(value[1:])}"
    labels = [] if value == EMPTY_SET and found.multi_label else value.split(LABEL_SEPARATOR)
    if not set(labels) <= set(found.labels) or (not found.multi_label and len(labels) != 1):
        raise Refused(f"'{printable(value)}' is no label of {task}.")
    return joined(found, labels) if found.multi_label else value
