"""Decides which image an annotator sees next, so that nobody works twice by accident and some work twice on purpose.

An image waits until somebody has answered, and one of the sample for second opinions until two have. The sample follows
from the image ids alone: it is the same in every session and for every task.
"""

import time
from hashlib import sha256

import numpy as np

from piq_bench.build.annotate.ballots import NONE, SETTLED
from piq_bench.build.annotate.project import Project
from piq_bench.records import BoolArray, IntArray

HELD_SECONDS = 300  # an image on somebody's screen is not offered to others for so long


class Queue:
    """Offers images to annotators.

    Args:
        project: the data set.
        second_share: share of the images that two people are to answer, from 0 to 1.
    """

    def __init__(self, project: Project, second_share: float) -> None:
        self.project = project
        self.second_share = second_share
        # A track is labelled as one, so it is sampled as one.
        first = {track: row for row, track in reversed(list(enumerate(project.track.tolist())))}
        keys = {track: draw(str(project.benchmark.images[row])) for track, row in first.items()}
        self.is_sampled: BoolArray = np.array([keys[track] < second_share for track in project.track.tolist()], bool)
        self.held: dict[tuple[str, int], tuple[int, float]] = {}
        self.passed: dict[tuple[str, int], set[int]] = {}

    def waiting(self, task: str, annotator: int) -> BoolArray:
        """Shape (n_images,); true where this annotator's answer is wanted."""
        numbers, given = self.project.ballots.opinions(task)
        wanted = np.where(self.is_sampled, 2, 1)
        open_ = (given != NONE).sum(axis=0) < wanted
        settled = self.project.ballots.by_annotator(task).get(SETTLED)
        if settled is not None:
            open_ &= settled == NONE
        if annotator in numbers:
            open_ &= given[numbers.index(annotator)] == NONE
        return np.asarray(open_, dtype=np.bool_)

    def next_rows(self, task: str, annotator: int, most: int) -> list[int]:
        """The images to show, at most so many; they are held for this annotator."""
        now = time.monotonic()
        self.held = {key: hold for key, hold in self.held.items() if hold[1] > now}
        waiting = self.waiting(task, annotator)
        for (of, row), (holder, _) in self.held.items():
            if of == task and holder != annotator:
                waiting[self.project.track == self.project.track[row]] = False
        passed = self.passed.get((task, annotator), set())
        order = self.project.order[waiting[self.project.order]]
        if passed:
            late = np.isin(order, list(passed))
            order = np.concatenate([order[~late], order[late]])
        rows = [int(row) for row in order[:most]]
        for row in rows:
            self.held[task, row] = annotator, now + HELD_SECONDS
        return rows

    def ahead(self, task: str, annotator: int, row: int) -> list[int]:
        """What probably comes after an image and after its track, so that a browser can fetch it early."""
        order = self.project.order[self.waiting(task, annotator)[self.project.order]]
        later = order[order != row]
        other = later[self.project.track[later] != self.project.track[row]]
        return [int(part[0]) for part in (later, other) if part.size]

    def pass_over(self, task: str, annotator: int, row: int) -> None:
        """Show an image again only after all others."""
        self.passed.setdefault((task, annotator), set()).update(self.track_rows(row).tolist())
        self.held.pop((task, row), None)

    def track_rows(self, row: int) -> IntArray:
        """The images of the track that an image belongs to."""
        return np.flatnonzero(self.project.track == self.project.track[row])


def draw(image: str) -> float:
    """A number in [0, 1) that follows from an image id."""
    return int.from_bytes(sha256(image.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
