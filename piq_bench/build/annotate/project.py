"""Opens a data set for annotation: its images in films and tracks, the file of answers, and labels changed since.

Labels that came with the data set count as the answers of an annotator of their own, "the data set". Whoever disagrees
with them makes a conflict. Files that somebody edits by hand between two sessions are taken up in the same way.
"""

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from piq_bench.build.annotate.ballots import DATASET, NOT_A_PERSON, SPECIAL_TEXT, Ballots
from piq_bench.build.annotate.people import People
from piq_bench.build.annotate.store import ANSWER, NOTHING, Change, Store, answer_key
from piq_bench.errors import BadUsage, Problem
from piq_bench.images.folder import ImageFolder, required_images_folder
from piq_bench.read.annotations import EMPTY_SET, LABEL_SEPARATOR
from piq_bench.read.dataset import inspect_dataset
from piq_bench.records import NOT_ANNOTATED, Benchmark, IntArray, Task, joint_codes
from piq_bench.write.locks import locked_now

FOLDER = "annotate"  # beside annotations.csv
FILE = "answers.sqlite"
PERSON_TASK = "gender"  # as in the paper: naming a person gives the gender; only if the benchmark has this task
TRACK, SEQUENCE = "track", "sequence"


@dataclass(eq=False)
class Project:
    """A data set that is being annotated. Hold `lock` while answers are read or changed.

    Attributes:
        benchmark: the data set.
        folder: where answers and features are kept.
        store: the file of answers.
        people: everybody who was named.
        ballots: the answers, counted.
        files: the image files.
        film: shape (n_images,); equal numbers in one film.
        track: shape (n_images,); equal numbers in one track of one film; every image alone where tracks are unknown.
        track_kind: the column that tells tracks: "track", "sequence" or "".
        order: shape (n_images,); rows in the order in which they are shown: by film, then by track.
        lock: of everything above.
        descriptor: holds the lock of the folder; None where this process only reads.
        junk: identities that stand for no person.
    """

    benchmark: Benchmark
    folder: Path
    store: Store
    people: People
    ballots: Ballots
    files: ImageFolder
    film: IntArray
    track: IntArray
    track_kind: str
    order: IntArray
    lock: threading.RLock
    descriptor: int | None
    junk: tuple[str, ...] = ()

    def close(self) -> None:
        """Close the file of answers and release the folder."""
        self.store.close()
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def task(self, name: str) -> Task | None:
        """The task of that name, if there is one."""
        return self.ballots.tasks.get(name)

    def film_name(self, row: int) -> str:
        """The film of an image; empty where the data set does not tell."""
        return "" if self.benchmark.source is None else str(self.benchmark.source[row])

    def take_over(self, changes: list[Change]) -> None:
        """Follow changes that are in the file."""
        for change in changes:
            if change.kind == ANSWER:
                task, annotator, image = change.answer
                self.ballots.set(task, annotator, image, change.after)
            else:
                self.people.apply(change)


def open_project(dataset: Path, *, writes: bool = True) -> Project:
    """Open a data set; what its files say is taken up first.

    Args:
        dataset: a folder with benchmark.toml, annotations and images.
        writes: whether answers will be added; only one process may do that at a time.

    Raises:
        BadDataset: if the data set or the file of answers cannot be read.
        BadUsage: if another process has the data set open.
    """
    inspection = inspect_dataset(dataset, need_labels=False, with_groups=False)
    benchmark = inspection.benchmark
    files = ImageFolder(required_images_folder(benchmark))
    if benchmark.layout != "folder":
        remedy = "write it down as a folder of this project first: piq import auto PATH --out DIR"
        raise BadUsage(str(dataset), [Problem("layout", "DATASET", f"is a {benchmark.layout}, no folder", remedy)])
    folder = dataset / FOLDER
    folder.mkdir(exist_ok=True)
    with ExitStack() as trouble:  # nothing stays open if anything is refused
        descriptor = _locked(folder) if writes else None
        if descriptor is not None:
            trouble.callback(os.close, descriptor)
        store = Store(folder / FILE)
        trouble.callback(store.close)
        people = People()
        for person in store.people():
            people.add(*person)
        task = next((task for task in benchmark.classification_tasks if task.name == PERSON_TASK), None)
        person_task = task.name if task is not None and not task.multi_label and benchmark.retrieval_task else None
        ballots = Ballots(benchmark.tasks, (str(image) for image in benchmark.images), people, person_task)
        for name, image, annotator, value in store.answers():
            ballots.set(name, annotator, image, value)
        film, track, kind = _places(benchmark)
        order = np.lexsort((np.arange(film.size), track, film)).astype(np.int64)
        project = Project(
            benchmark,
            folder,
            store,
            people,
            ballots,
            files,
            film,
            track,
            kind,
            order,
            threading.RLock(),
            descriptor,
            inspection.rules.junk or (),
        )
        if writes:
            _take_up_files(project)
        trouble.pop_all()
    return project


def _locked(folder: Path) -> int | None:
    try:
        return locked_now(folder)
    except BlockingIOError:
        remedy = "stop the other `piq annotate`; several annotators use one server, each in a browser"
        raise BadUsage(str(folder), [Problem("in-use", "DATASET", "is open in another process", remedy)]) from None


def _places(benchmark: Benchmark) -> tuple[IntArray, IntArray, str]:
    """Film and track of each image, and the column that tells tracks."""
    n = benchmark.images.size
    film = np.zeros(n, dtype=np.int64) if benchmark.source is None else benchmark.codes("source") + 1
    kind = next((name for name in (TRACK, SEQUENCE) if name in benchmark.rule_columns), "")
    track = np.full(n, -1, dtype=np.int64)
    if kind:
        track = joint_codes([benchmark.codes(kind), film])
        if kind == TRACK and SEQUENCE in benchmark.rule_columns:
            track = np.where(track < 0, -1, joint_codes([track, benchmark.codes(SEQUENCE) + 1]))
    alone = np.flatnonzero(track < 0)
    track[alone] = track.max(initial=-1) + 1 + np.arange(alone.size)
    return film, track, kind


def _take_up_files(project: Project) -> None:
    """Enter the labels of the data set's files wherever they say something new."""
    benchmark, ballots = project.benchmark, project.ballots
    numbers = project.people.by_name()
    gender = _labels_of_people(benchmark, ballots.person_task)
    changes: list[Change] = []
    with project.store.transaction():
        for name in ballots.tasks:
            is_identity = name == ballots.identity_task
            texts = _identities(benchmark) if is_identity else _cells(benchmark, name)
            finals = ballots.labels(name)
            own = ballots.given[name].get(DATASET)
            for row, text in enumerate(texts):
                code, before = int(finals[row]), "" if own is None else ballots.text(name, int(own[row]))
                if text == (
                    ballots.text(name, code) if text in SPECIAL_TEXT.values() else exported(ballots, name, code)
                ):
                    continue
                if is_identity and text and text not in SPECIAL_TEXT.values():
                    if text not in numbers:
                        label = gender.get(text, "")
                        numbers[text] = project.store.add_person(text, label)
                        project.people.add(numbers[text], text, label)
                    text = f"p{numbers[text]}"
                if text != before:
                    changes.append(Change(ANSWER, answer_key(name, DATASET, str(benchmark.images[row])), before, text))
        if changes:
            detail = f"{len(changes)} labels of the files were taken up"
            project.store.act(changes, annotator=DATASET, task="", kind="files", detail=detail)
    project.take_over(changes)


def exported(ballots: Ballots, task: str, code: int) -> str:
    """How annotations.csv says a label: nothing if it is in conflict, not known, or there is no person."""
    if code < 0:
        return NOTHING
    return ballots.people.name(code) if task == ballots.identity_task else ballots.texts[task][code]


def _identities(benchmark: Benchmark) -> list[str]:
    """Name of each image's person; junk and distractors are no people, whatever they are called."""
    names = [*benchmark.identities, NOTHING]  # NO_IDENTITY is the last
    nobody = benchmark.junk | benchmark.distractor
    return [
        SPECIAL_TEXT[NOT_A_PERSON] if no_person else names[number]
        for number, no_person in zip(benchmark.identity.tolist(), nobody.tolist(), strict=True)
    ]


def _cells(benchmark: Benchmark, name: str) -> list[str]:
    """The labels of each image as in the file, with several in the order of the vocabulary."""
    task = next(task for task in benchmark.tasks if task.name == name)
    values = benchmark.labels[name]
    if not task.multi_label:
        names = [*task.labels, NOTHING]
        return [names[value] for value in values.tolist()]
    sets = (tuple(row) for row in values.tolist())
    return [joined(task, [label for label, one in zip(task.labels, row, strict=True) if one == 1])
            if NOT_ANNOTATED not in row else NOTHING for row in sets]  # fmt: skip


def joined(task: Task, labels: list[str]) -> str:
    """A set of labels as a cell."""
    return LABEL_SEPARATOR.join(label for label in task.labels if label in labels) or EMPTY_SET


def _labels_of_people(benchmark: Benchmark, task: str | None) -> Mapping[str, str]:
    """The label of each identity whose images all agree in it."""
    if task is None:
        return {}
    labels = next(one.labels for one in benchmark.tasks if one.name == task)
    found: dict[int, set[int]] = {}
    for person, label in zip(benchmark.identity.tolist(), benchmark.labels[task].tolist(), strict=True):
        if person >= 0 and label != NOT_ANNOTATED:
            found.setdefault(person, set()).add(label)
    return {benchmark.identities[person]: labels[min(of)] for person, of in found.items() if len(of) == 1}
