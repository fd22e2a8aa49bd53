"""Joins attributes of people to the images of a Market-1501 style folder: re-identification and attributes in one.

Market-1501_Attribute and DukeMTMC-attribute describe each person once, in a .mat file that users put into the folder
of images or beside it, mostly in a folder whose name has "attribute" in it. Values count from 1; 0 is not annotated.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from piq_bench.errors import BadDataset, Problem, first_few, quoted
from piq_bench.read.layouts.labelled_rows import AS_RELEASED, PORTRAIT, LabelledRows
from piq_bench.read.layouts.matlab import MatFile, load_mat
from piq_bench.read.layouts.recognise import nearest, recognise
from piq_bench.read.layouts.rows import read_layout
from piq_bench.read.rows import Rows
from piq_bench.read.rules import CandidateRules
from piq_bench.records import NOT_ANNOTATED, RETRIEVAL, TRAIN, IntArray, Task

ASPECT = "attributes"
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
PARTS = ("train", "test")
MAX_ENTRIES = 10_000  # of a folder that is searched for the file
YES = 2  # of a colour


@dataclass(frozen=True)
class Coding:
    """What the numbers of a file mean.

    Attributes:
        name: of the data set.
        file: name of the file; its variable has the same name.
        labels: by attribute, the labels of its values, from 1.
        colours: by task, the prefix of its fields and the colours.
        several: tasks of which people may have several colours.
        portrait: by attribute and label, the label of the portrait taxonomy's task of that name.
        rules: who is a candidate.
    """

    name: str
    file: str
    labels: Mapping[str, tuple[str, ...]]
    colours: Mapping[str, tuple[str, tuple[str, ...]]]
    portrait: Mapping[str, Mapping[str, str]]
    rules: CandidateRules
    several: Collection[str] = field(default_factory=tuple)

    @property
    def variable(self) -> str:
        """Name of the file's variable."""
        return Path(self.file).stem

    def tasks(self) -> tuple[Task, ...]:
        """The classification tasks with the data set's own labels."""
        single = [Task(name, ASPECT, labels=labels) for name, labels in self.labels.items()]
        colours = [
            Task(name, ASPECT, labels=names, multi_label=name in self.several)
            for name, (_, names) in self.colours.items()
        ]
        return (*single, *colours)


def find_file(folder: Path, name: str) -> Path | None:
    """The file of attributes in a folder of images, or in a folder of attributes inside or beside it."""
    if not all((folder / name).is_dir() for name in FOLDERS):
        return None
    if (folder / name).is_file():
        return folder / name
    whole = folder.resolve()
    for parent in (whole, whole.parent):
        try:
            with os.scandir(parent) as entries:
                near = sorted(entry.name for entry in islice(entries, MAX_ENTRIES) if "attribute" in entry.name.lower())
        except OSError:
            continue
        for place in near:
            if (parent / place / name).is_file():
                return parent / place / name
    return None


def read_joined(folder: Path, taxonomy: str | None, coding: Coding) -> LabelledRows:
    """Read the folder of images and give each image the attributes of its person.

    Raises:
        BadDataset: with the problems of the folder, or if the file is not as released.
        LimitExceeded: if either is too large.
    """
    path = find_file(folder, coding.file)
    assert path is not None  # noqa: S101  (recognised before)
    found = recognise(folder)
    if found is None:
        raise BadDataset(str(folder), nearest(folder))
    rows, problems, notes = read_layout(found.layout, found.scanner)
    if problems or rows is None:
        raise BadDataset(str(folder), problems)
    file = load_mat(path, [coding.variable])
    parts = file.fields(file.variables[coding.variable], coding.variable, PARTS)
    tasks = coding.tasks()
    labels = {
        task.name: np.full((rows.images.size, *([len(task.labels)] if task.multi_label else [])), NOT_ANNOTATED)
        for task in tasks
    }
    for part in PARTS:
        people, values, part_notes = _part(file, part, file.fields(parts[part], part), coding)
        of_part = (rows.split == TRAIN) == (part == "train")
        row_of, missing = _rows_of(rows, of_part, people)
        notes += part_notes + _missing_notes(path.name, part, people, rows, of_part, missing, coding.rules)
        for task in tasks:
            labels[task.name][row_of >= 0] = values[task.name][row_of[row_of >= 0]]
    text = f"the attributes of {quoted(path.name)} are joined to the images of {quoted(folder.resolve().name)}"
    notes.append(Problem("recognised", path.name, text, f"move {path.name} away to score re-identification alone"))
    labelled = LabelledRows(
        name=coding.name,
        rows=replace(rows, labels=labels),
        tasks=(*(task for task in PORTRAIT.values() if task.kind == RETRIEVAL), *tasks),
        rules=coding.rules,
        images_folder=".",
        notes=tuple(notes),
    )
    return _as_portrait(labelled, coding) if taxonomy == "portrait" else labelled


def _part(
    file: MatFile, part: str, fields: dict[str, object], coding: Coding
) -> tuple[list[str], dict[str, IntArray], list[Problem]]:
    """People of train or test, their label of each task, and notes; fields go by name: their order differs."""
    names = [*coding.labels, *(prefix + c for prefix, colours in coding.colours.values() for c in colours)]
    file.fields(fields, part, ["image_index", *names])
    people = file.texts(fields["image_index"], f"{part}.image_index")
    repeated = sorted({name for name in people if people.count(name) > 1})
    if repeated:
        file.refuse(f"{part}.image_index", f"{first_few(repeated, len(repeated))} occurs twice", AS_RELEASED)
    values, zeros = {}, []
    for name in names:
        most = len(coding.labels[name]) if name in coding.labels else YES
        column = file.numbers(fields[name], f"{part}.{name}", (len(people),))
        wrong = np.flatnonzero((column < 0) | (column > most))
        if wrong.size:
            found = f"{quoted(people[wrong[0]])} has the value {column[wrong[0]]}"
            file.refuse(f"{part}.{name}", found, f"expected 1 to {most}, or 0 if not annotated", "bad-label")
        values[name] = column
        if not column.all():
            zeros.append(f"{name}: {int((column == 0).sum())}")
    notes = []
    if zeros:
        found = f"people with the value 0, which is not annotated: {first_few(zeros, len(zeros))}"
        remedy = "their images do not count for the task"
        notes.append(Problem("not-annotated", f"{file.path.name}: {part}", found, remedy, len(zeros)))
    labels = {name: values[name] - 1 for name in coding.labels}  # 0 becomes NOT_ANNOTATED
    for task, (prefix, colours) in coding.colours.items():
        has = np.column_stack([values[prefix + colour] == YES for colour in colours])  # (n_people, n_colours)
        n_set = has.sum(axis=1)
        several = task in coding.several
        if several:
            labels[task] = np.where(n_set[:, None] > 0, has.astype(np.int64), NOT_ANNOTATED)
        else:
            labels[task] = np.where(n_set == 1, has.argmax(axis=1), NOT_ANNOTATED)
        n_unknown = int((n_set == 0).sum() if several else (n_set != 1).sum())
        if n_unknown:
            found = f"{n_unknown} people have no colour{'' if several else ' or several'} and count as not annotated"
            remedy = "their images do not count for the task"
            notes.append(Problem("not-annotated", f"{file.path.name}: {part}.{task}", found, remedy, n_unknown))
    return people, labels, notes


def _rows_of(rows: Rows, of_part: np.ndarray, people: list[str]) -> tuple[IntArray, IntArray]:
    """Shape (n_images,), each image's row in the file or -1; and the identities of the part that the file lacks."""
    number = {name: row for row, name in enumerate(people)}
    row_of_identity = np.array([number.get(name, -1) for name in rows.identities], dtype=np.int64)
    row_of = np.where(of_part, row_of_identity[rows.identity], -1)
    return row_of, np.unique(rows.identity[of_part & (row_of < 0)])


def _missing_notes(
    file: str,
    part: str,
    people: list[str],
    rows: Rows,
    of_part: np.ndarray,
    missing: IntArray,
    rules: CandidateRules,
) -> list[Problem]:
    """Notes of people with images but without attributes, and the reverse."""
    notes = []
    nobody = {*(rules.junk or ()), *(rules.distractors or ())}
    without = [name for index in missing if (name := rows.identities[index]) not in nobody]
    if without:
        found = f"{len(without)} people of the images are not in it: {first_few(without, len(without))}"
        remedy = "their images do not count for the attributes"
        notes.append(Problem("no-attributes", f"{file}: {part}", found, remedy, len(without)))
    here = {rows.identities[index] for index in np.unique(rows.identity[of_part])}
    unseen = [name for name in people if name not in here]
    if unseen:
        found = f"{len(unseen)} people have no images: {first_few(unseen, len(unseen))}"
        notes.append(Problem("no-images", f"{file}: {part}", found, "compare your copy with the release", len(unseen)))
    return notes


def _as_portrait(labelled: LabelledRows, coding: Coding) -> LabelledRows:
    """The data set with the tasks that correspond to one of the portrait taxonomy under its labels and aspect."""
    labels = dict(labelled.rows.labels)
    for name, meaning in coding.portrait.items():
        codes = np.array(
            [*(PORTRAIT[name].labels.index(meaning[label]) for label in coding.labels[name]), NOT_ANNOTATED]
        )
        labels[name] = codes[labels[name]]  # NOT_ANNOTATED is -1: the last element
    tasks = tuple(PORTRAIT[task.name] if task.name in coding.portrait else task for task in labelled.tasks)
    return replace(labelled, rows=replace(labelled.rows, labels=labels), tasks=tasks)
