"""The record that readers of public attribute data sets return, and what they all check on the way to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from piq_bench.errors import BadDataset, Problem, first_few, quoted
from piq_bench.read.column import object_array
from piq_bench.read.layouts.matlab import MatFile
from piq_bench.read.rows import Rows
from piq_bench.read.rules import CandidateRules
from piq_bench.read.validate import image_problems, repeat_problems, rows_problem
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import GALLERY, NO_IDENTITY, NOT_ANNOTATED, SPLITS, TRAIN, IntArray, Task

ABSENT, PRESENT, UNKNOWN = 0, 1, 2  # values of binary attributes; RAP alone has the last
PORTRAIT = {task.name: task for task in DEFAULT_TASKS}
ATTRIBUTES = "attributes"  # the multi-label task of pedestrian attribute recognition, and its aspect
AS_RELEASED = "expected the file as its authors give it out"


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """A public data set as its files describe it.

    Attributes:
        name: of the data set.
        rows: its images, ascending.
        tasks: its vocabulary.
        rules: who is a candidate, by the data set's own protocol.
        images_folder: where image ids are found, relative to the folder that was read.
        notes: what a user should know of the choices made.
        official: number of images by split in the official release, as far as known.
    """

    name: str
    rows: Rows
    tasks: tuple[Task, ...]
    rules: CandidateRules = field(default_factory=CandidateRules)
    images_folder: str = "images"
    notes: tuple[Problem, ...] = ()
    official: Mapping[str, int] = field(default_factory=dict)

    def all_notes(self) -> list[Problem]:
        """The notes, and each split whose number of images differs from the official release."""
        found = np.bincount(self.rows.split, minlength=len(SPLITS))
        remedy = "compare your copy with the release; published results refer to the official images"
        return list(self.notes) + [
            Problem(
                "unofficial-count", f"split {split}", f"has {found[SPLITS.index(split)]} images, not {count}", remedy
            )
            for split, count in self.official.items()
            if found[SPLITS.index(split)] != count
        ]


def plain_rows(source: Path, file: str, images: Sequence[str], split: IntArray, labels: Mapping[str, IntArray]) -> Rows:
    """Rows without identities, sorted by image id.

    Raises:
        BadDataset: for image ids that are no relative paths or occur twice.
    """
    texts = object_array(list(images))
    order = np.argsort(texts, kind="stable")
    texts, split = texts[order], split[order]

    def row_name(row: int) -> str:
        return f"row {order[row] + 1} ({quoted(texts[row])})"

    problems = image_problems(file, texts, row_name) + repeat_problems(file, texts, split, row_name)
    if problems:
        raise BadDataset(str(source), problems)
    nobody = np.zeros(texts.size, dtype=np.bool_)
    return Rows(
        images=texts,
        split=split,
        identity=np.full(texts.size, NO_IDENTITY, dtype=np.int64),
        identities=(),
        labels={name: values[order] for name, values in labels.items()},
        junk=nobody,
        distractor=nobody.copy(),
        source=None,
        sequence=None,
        camera=None,
        row_name=row_name,
    )


@dataclass(frozen=True, eq=False)
class BinaryAttributes:
    """The attributes of a data set of pedestrian attribute recognition (PAR), one row per image in the file's order.

    Attributes:
        file: the file with the labels.
        images: shape (n_images,); image ids.
        values: shape (n_images, n_attributes); ABSENT, PRESENT or UNKNOWN.
        names: shape (n_attributes,); the standard attributes in the order of the file.
        split: shape (n_images,); TRAIN, GALLERY or -1 for images of no split.
    """

    file: MatFile
    images: Sequence[str]
    values: IntArray
    names: Sequence[str]
    split: IntArray

    def labelled(
        self, name: str, portrait: Mapping[str, tuple[IntArray, Collection[str]]], **rest: object
    ) -> LabelledRows:
        """The data set with one multi-label task, in which an unknown attribute counts as absent.

        Args:
            name: of the data set.
            portrait: by task of the portrait taxonomy, the label of each image and the attributes that it replaces.
            rest: further attributes of `LabelledRows`.
        """
        self._check()
        replaced = {attribute for _, attributes in portrait.values() for attribute in attributes}
        kept = [index for index, attribute in enumerate(self.names) if attribute not in replaced]
        used = self.split >= 0
        values = self.values[used][:, kept]
        attributes = Task(ATTRIBUTES, ATTRIBUTES, labels=tuple(self.names[i] for i in kept), multi_label=True)
        labels = {task: of_image[used] for task, (of_image, _) in portrait.items()}
        labels[ATTRIBUTES] = (values == PRESENT).astype(np.int64)
        images = [image for image, is_used in zip(self.images, used, strict=True) if is_used]
        rows = plain_rows(self.file.path, self.file.path.name, images, self.split[used], labels)
        notes = self._notes(values, [self.names[index] for index in kept])
        tasks = (*(PORTRAIT[task] for task in portrait), attributes)
        return LabelledRows(name, rows, tasks, notes=tuple(notes), **rest)  # type: ignore[arg-type]

    def _check(self) -> None:
        repeated = sorted({name for name in self.names if list(self.names).count(name) > 1})
        if repeated:
            self.file.refuse("attribute names", f"{first_few(repeated, len(repeated))} occurs twice", AS_RELEASED)
        bad = [
            name for name in self.names if "|" in name or name == "-" or name != name.strip() or not name.isprintable()
        ]
        if bad:
            self.file.refuse("attribute names", f"cannot be label names: {first_few(bad, len(bad))}", AS_RELEASED)
        wrong = (self.values < ABSENT) | (self.values > UNKNOWN)
        rows = np.flatnonzero(wrong.any(axis=1)).tolist()
        if rows:

            def row_fault(row: int) -> str:
                column = int(np.argmax(wrong[row]))
                return f"{quoted(self.names[column])} is {self.values[row, column]}"

            def row_name(row: int) -> str:
                return f"row {row + 1} ({quoted(self.images[row])})"

            problem = rows_problem("bad-label", self.file.path.name, rows, row_name, row_fault, "expected 0, 1 or 2")
            raise BadDataset(str(self.file.path), [problem])

    def _notes(self, values: IntArray, names: Sequence[str]) -> list[Problem]:
        notes = []
        where = self.file.path.name
        n_unused = int((self.split < 0).sum())
        if n_unused:
            found = f"{n_unused} images are in no part of split 0 and are left out"
            notes.append(Problem("unused-image", where, found, "the standard protocol uses split 0", n_unused))
        unknown = (values == UNKNOWN).sum(axis=0)
        if unknown.any():
            by_name = [f"{name}: {count}" for name, count in zip(names, unknown, strict=True) if count]
            found = f"{int(unknown.sum())} values are unknown and count as absent: {first_few(by_name, len(by_name))}"
            remedy = "as in Rethinking of PAR; an image has either all its attributes or none"
            notes.append(Problem("unknown-attribute", where, found, remedy, int(unknown.sum())))
        return notes


def gender_of(values: IntArray, names: Sequence[str]) -> IntArray:
    """Portrait gender of each image from the attribute "Female": 0 is male, UNKNOWN is not annotated."""
    female, male = (PORTRAIT["gender"].labels.index(label) for label in ("female", "male"))
    label: IntArray = np.array([male, female, NOT_ANNOTATED])  # by value
    gender: IntArray = label[values[:, list(names).index("Female")].clip(ABSENT, UNKNOWN)]
    return gender


def split_of(file: MatFile, where: str, parts: object, n_rows: int, names: Sequence[str]) -> IntArray:
    """Shape (n_rows,); the first of a data set's splits: "train" and "val" are TRAIN, "test" is GALLERY, others -1.

    Args:
        file: for messages.
        where: for messages.
        parts: the splits, each a structure with one list of row numbers per part, counted from 1.
        n_rows: number of images.
        names: the parts in the order of the structure's fields, which are taken by name where their names tell.
    """
    splits = file.items(parts, where)
    if not len(splits):
        file.refuse(where, "is empty", AS_RELEASED)
    fields = file.fields(splits[0], where)
    split = np.full(n_rows, -1, dtype=np.int64)
    for position, name in enumerate(names):
        by_name = [value for key, value in fields.items() if name in key.lower()]
        by_place = list(fields.values())[position : position + 1]
        chosen = by_name if len(by_name) == 1 else by_place
        if not chosen:
            file.refuse(where, f"has {len(fields)} fields", f"expected {', '.join(names)}")
        rows = file.numbers(chosen[0], f"{where}: {name}")
        outside = rows[(rows < 1) | (rows > n_rows)]
        if outside.size:
            file.refuse(f"{where}: {name}", f"names row {outside[0]}", f"expected rows 1 to {n_rows}, counted from 1")
        if np.unique(rows).size < rows.size or (split[rows - 1] >= 0).any():
            file.refuse(f"{where}: {name}", "names a row that is in a part already", "expected each row in one part")
        split[rows - 1] = GALLERY if name == "test" else TRAIN
    if not (split == GALLERY).any():
        file.refuse(where, "has no test images", AS_RELEASED)
    return split
