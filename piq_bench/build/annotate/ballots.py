"""Holds the answers of all annotators as arrays, and decides what an image's label is.

A label stands if everybody who gave one agrees, where "cannot tell" is no label. Otherwise the image is in conflict,
and has no label until somebody settles it. The answers are in the file of `store`; here they are only counted.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from piq_bench.build.annotate.people import People
from piq_bench.records import BoolArray, Task

Codes = NDArray[np.int32]
NONE, CANNOT_TELL, NOT_A_PERSON, CONFLICT = -1, -2, -3, -4
SPECIAL = {"|?": CANNOT_TELL, "|x": NOT_A_PERSON}  # as answers are stored; no label holds a "|" in front
SPECIAL_TEXT = {code: text for text, code in SPECIAL.items()}
SETTLED = -1  # the annotator whose answers settle conflicts
DATASET = 0  # the annotator who stands for the labels that came with the data set


class Ballots:
    """The answers to every task, and the labels that follow.

    Args:
        tasks: of the benchmark; the retrieval task asks for identities.
        images: ids in row order.
        people: whose numbers the answers to the retrieval task are.
        person_task: the task whose label belongs to the person, so that naming the person answers it; None for none.
    """

    def __init__(self, tasks: Sequence[Task], images: Iterable[str], people: People, person_task: str | None) -> None:
        self.tasks = {task.name: task for task in tasks}
        self.row = {image: row for row, image in enumerate(images)}
        self.people = people
        self.person_task = person_task
        self.identity_task = next((task.name for task in tasks if task.kind == "retrieval"), None)
        self.given: dict[str, dict[int, Codes]] = {name: {} for name in self.tasks}
        self.texts: dict[str, list[str]] = {task.name: list(task.labels) for task in tasks}
        self.codes = {name: {text: code for code, text in enumerate(texts)} for name, texts in self.texts.items()}

    def set(self, task: str, annotator: int, image: str, value: str) -> None:
        """Enter an answer; an empty value removes it. Answers to tasks and images that are gone are passed over."""
        row = self.row.get(image)
        if row is not None and task in self.given:
            if annotator not in self.given[task]:
                self.given[task][annotator] = np.full(len(self.row), NONE, dtype=np.int32)
            self.given[task][annotator][row] = self.code(task, value)

    def code(self, task: str, value: str) -> int:
        """The number of a value."""
        if value == "":
            return NONE
        if value in SPECIAL:
            return SPECIAL[value]
        if task == self.identity_task:
            return int(value.removeprefix("p"))
        if value not in self.codes[task]:  # a set of labels, or a label that the vocabulary has lost
            self.codes[task][value] = len(self.texts[task])
            self.texts[task].append(value)
        return self.codes[task][value]

    def text(self, task: str, code: int) -> str:
        """The value of a number, as it is stored; of NONE and CONFLICT, nothing."""
        if code < 0:
            return SPECIAL_TEXT.get(code, "")
        return f"p{code}" if task == self.identity_task else self.texts[task][code]

    def shown(self, task: str, code: int) -> str:
        """The value of a number, in words for a reader."""
        words = {CANNOT_TELL: "cannot tell", NOT_A_PERSON: "not a person", NONE: "", CONFLICT: "in conflict"}
        if code < 0:
            return words[code]
        return self.people.name(code) if task == self.identity_task else self.texts[task][code]

    def by_annotator(self, task: str) -> dict[int, Codes]:
        """Shape (n_images,) for each annotator: answers, with people who were merged as one, and labels of people."""
        given: Mapping[int, Codes] = self.given[task]
        if task == self.identity_task:
            return {annotator: self.people.merged(codes) for annotator, codes in given.items()}
        if task != self.person_task or self.identity_task is None:
            return dict(given)
        known = np.array([self.codes[task].get(label, NONE) for label in self.people.labels()], dtype=np.int32)
        found = dict(given)
        for annotator, people in self.given[self.identity_task].items():
            named = self.people.merged(people)
            own = np.where(named >= 0, known[np.maximum(named, 0)], NONE) if known.size else np.full_like(named, NONE)
            own = np.where(named == NOT_A_PERSON, NOT_A_PERSON, own)
            explicit = given.get(annotator)
            found[annotator] = own if explicit is None else np.where(explicit != NONE, explicit, own)
        return found

    def opinions(self, task: str) -> tuple[list[int], Codes]:
        """Annotators, and their answers in shape (n_annotators, n_images); what settles a conflict is left out."""
        found = {annotator: codes for annotator, codes in self.by_annotator(task).items() if annotator != SETTLED}
        rows = [found[annotator] for annotator in sorted(found)]
        return sorted(found), np.stack(rows) if rows else np.zeros((0, len(self.row)), dtype=np.int32)

    def labels(self, task: str) -> Codes:
        """Shape (n_images,); the label of each image, or NONE, CANNOT_TELL, NOT_A_PERSON or CONFLICT."""
        _, given = self.opinions(task)
        says = (given != NONE) & (given != CANNOT_TELL)
        top = np.where(says, given, np.iinfo(np.int32).min).max(axis=0, initial=np.iinfo(np.int32).min)
        low = np.where(says, given, np.iinfo(np.int32).max).min(axis=0, initial=np.iinfo(np.int32).max)
        unsure = np.where((given == CANNOT_TELL).any(axis=0), CANNOT_TELL, NONE)
        found = np.where(~says.any(axis=0), unsure, np.where(top == low, top, CONFLICT)).astype(np.int32)
        settled = self.by_annotator(task).get(SETTLED)
        return found if settled is None else np.where(settled != NONE, settled, found).astype(np.int32)

    def untouched(self, task: str) -> BoolArray:
        """Shape (n_images,); true where nobody has answered but the data set itself."""
        others = [codes != NONE for annotator, codes in self.by_annotator(task).items() if annotator != DATASET]
        return ~np.any(others, axis=0) if others else np.ones(len(self.row), dtype=np.bool_)
