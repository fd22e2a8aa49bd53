"""Takes up labels that were given in other programs, as the answers of an annotator of their own.

What contradicts other answers is in conflict, and is settled like any other. A file is taken up as a whole or not at
all, and as one action for each annotator, which can be undone under that annotator's name.
"""

from dataclasses import dataclass
from pathlib import Path

from piq_bench.build.annotate import cvat, label_studio
from piq_bench.build.annotate.actions import MAX_ANNOTATOR
from piq_bench.build.annotate.given import Given, Labels
from piq_bench.build.annotate.project import Project, joined
from piq_bench.build.annotate.store import ANSWER, Change, answer_key
from piq_bench.errors import BadDataset, Problem, first_few, printable, quoted
from piq_bench.read.annotations import EMPTY_SET
from piq_bench.read.validate import expected, text_fault
from piq_bench.records import Task


@dataclass
class _Faults:
    """Labels that are none of the benchmark's, by the sentence that says so."""

    found: dict[tuple[str, str], list[str]]

    def add(self, where: str, fault: str, image: str) -> None:
        """Note one."""
        self.found.setdefault((where, fault), []).append(image)

    def problems(self) -> list[Problem]:
        """One problem for each label that is none."""
        return [
            Problem("bad-label", where, f"{first_few(images, len(images))}: {fault}", "rename it before", len(images))
            for (where, fault), images in self.found.items()
        ]


def take_up(project: Project, path: Path) -> str:
    """Take up a file, and say what was found.

    Args:
        project: the data set.
        path: a Label Studio export (.json), or a Market-1501 export of CVAT (a folder or .zip).

    Raises:
        BadDataset: if the file cannot be read, or holds labels that the benchmark does not know.
    """
    if path.suffix.lower() == ".json":
        given = label_studio.read(path, project.benchmark)
    elif path.is_dir() or path.suffix.lower() == ".zip":
        given = cvat.read(path, project)
    else:
        remedy = "a .json file of Label Studio, or a folder or .zip that CVAT exported as Market-1501"
        found = "does not exist" if not path.exists() else "is neither"
        raise BadDataset(str(path), [Problem("import-format", path.name, found, remedy)])
    if not given.labels:
        found = f"no label is of an image of this data set; {given.unknown} are of others"
        remedy = "image names must end with the image ids of annotations.csv, or with their base names"
        raise BadDataset(str(path), [Problem("no-labels", path.name, found, remedy)])
    _check(project, path, given)
    _enter(project, path, given)
    rest = f"; {given.unknown} labels of unknown images were left out" if given.unknown else ""
    images = len({image for _, _, image in given.labels})
    return f"took up {len(given.labels)} labels of {images} images from {printable(path)}{rest}"


def _check(project: Project, path: Path, given: Given) -> None:
    faults = _Faults({})
    for (annotator, name, image), labels in given.labels.items():
        if not annotator or text_fault(annotator, MAX_ANNOTATOR) is not None:
            faults.add("annotator", f"{quoted(annotator)} cannot be a name", image)
        task = project.ballots.tasks[name]
        if task.kind == "retrieval":
            if len(labels) != 1 or not labels[0] or text_fault(labels[0]) is not None:
                faults.add(name, f"{quoted(', '.join(labels))} is no name of one person", image)
            continue
        for label in labels:
            if label not in task.labels:
                faults.add(name, f"{quoted(label)} is unknown, expected {expected(label, task.labels)}", image)
        if not task.multi_label and len(labels) != 1:
            faults.add(name, f"has {len(labels)} labels; the task takes one", image)
    problems = faults.problems()
    if problems:
        raise BadDataset(str(path), problems)


def _enter(project: Project, path: Path, given: Given) -> None:
    """Enter all labels in one transaction."""
    numbers = project.people.by_name()
    by_annotator: dict[str, Labels] = {}
    for key, labels in given.labels.items():
        by_annotator.setdefault(key[0], {})[key] = labels
    everything: list[Change] = []
    ids = {name: project.store.annotator(name) for name in sorted(by_annotator)}
    with project.lock, project.store.transaction():
        for annotator, entries in sorted(by_annotator.items()):
            changes = []
            for (_, name, image), labels in entries.items():
                task = project.ballots.tasks[name]
                value = _person(project, numbers, labels[0]) if task.kind == "retrieval" else _cell(task, labels)
                own = project.ballots.given[name].get(ids[annotator])
                before = "" if own is None else project.ballots.text(name, int(own[project.ballots.row[image]]))
                if before != value:
                    changes.append(Change(ANSWER, answer_key(name, ids[annotator], image), before, value))
            detail = f"{len(changes)} labels of {printable(path.name)}"
            if changes:
                project.store.act(changes, annotator=ids[annotator], task="", kind="import", detail=detail)
            everything += changes
    project.take_over(everything)


def _person(project: Project, numbers: dict[str, int], name: str) -> str:
    if name not in numbers:
        numbers[name] = project.store.add_person(name, "")
        project.people.add(numbers[name], name, "")
    return f"p{numbers[name]}"


def _cell(task: Task, labels: tuple[str, ...]) -> str:
    return joined(task, list(labels)) if task.multi_label else (labels[0] if labels else EMPTY_SET)
