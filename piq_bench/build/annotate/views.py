"""Says what the pages show: the next portrait with the people it may be, progress, conflicts, people."""

from itertools import pairwise
from typing import Any

import numpy as np

from piq_bench.build.annotate.ballots import CONFLICT, NONE, SETTLED
from piq_bench.build.annotate.likeness import Likeness
from piq_bench.build.annotate.project import Project
from piq_bench.build.annotate.queue import Queue

PER_SCREEN = 12  # portraits of the attribute page
MOST_TRACK = 60  # portraits of a track that are shown
MOST_CONFLICTS = 100  # on one page
PAUSE = 120  # seconds without a click that count as a break
View = dict[str, Any]


def identity_view(project: Project, queue: Queue, likeness: Likeness, annotator: int) -> View:
    """The current portrait, its track, and everybody known in its film, the most alike first."""
    task = project.ballots.identity_task
    assert task is not None  # noqa: S101  (the page exists only where there is one)
    view = base_view(project, queue, annotator, task)
    rows = queue.next_rows(task, annotator, 1)
    if rows:
        row = rows[0]
        track = queue.track_rows(row).tolist()
        view |= portrait(project, row) | {
            "track": track[:MOST_TRACK],
            "track_size": len(track),
            "track_name": track_name(project, row),
            "people": candidates(project, likeness, annotator, row),
            "ahead": queue.ahead(task, annotator, row),
        }
    return view


def candidates(project: Project, likeness: Likeness, annotator: int, row: int) -> list[View]:
    """Everybody known in the film of an image, with the portrait most like the image; the most alike first."""
    task = project.ballots.identity_task or ""
    film, alike = likeness.to(row)
    film, alike = film[film != row], alike[film != row]
    codes = project.ballots.labels(task)[film]
    own = project.ballots.by_annotator(task).get(annotator)
    if own is not None:  # an annotator sees the own answers, also where others disagree
        codes = np.where(own[film] >= 0, own[film], codes)
    film, alike, codes = film[codes >= 0], alike[codes >= 0], codes[codes >= 0]
    order = np.lexsort((film, -alike))
    people, first = np.unique(codes[order], return_index=True)
    nearest = np.sort(first)
    counts = dict(zip(*(part.tolist() for part in np.unique(codes, return_counts=True)), strict=True))
    assert people.size == nearest.size  # noqa: S101
    return [
        person_view(project, int(codes[at])) | {"row": int(film[at]), "images": counts[int(codes[at])]}
        for at in order[nearest]
    ]


def person_view(project: Project, number: int) -> View:
    """Number, name and label of a person."""
    return {"person": number, "name": project.people.name(number), "label": project.people.label(number)}


def attribute_view(project: Project, queue: Queue, annotator: int, task: str) -> View:
    """The next portraits of one attribute."""
    found = project.ballots.tasks[task]
    view = base_view(project, queue, annotator, task)
    view |= {"labels": list(found.labels), "multi_label": found.multi_label}
    portraits = []
    for row in queue.next_rows(task, annotator, PER_SCREEN):
        track = queue.track_rows(row).tolist()
        more = {"track": track[:MOST_TRACK], "track_size": len(track), "track_name": track_name(project, row)}
        portraits.append(portrait(project, row) | more)
    return view | {"portraits": portraits}


def base_view(project: Project, queue: Queue, annotator: int, task: str) -> View:
    """What both pages show: the task and how much of it is done."""
    waiting = queue.waiting(task, annotator)
    return {"task": task, "waiting": int(waiting.sum()), "images": int(waiting.size), "row": None}


def portrait(project: Project, row: int) -> View:
    """One image."""
    return {"row": row, "image": str(project.benchmark.images[row]), "film": project.film_name(row)}


def track_name(project: Project, row: int) -> str:
    """The name of an image's track or sequence, for the page; empty where it has none."""
    if not project.track_kind:
        return ""
    given = project.benchmark.sequence if project.track_kind == "sequence" else project.benchmark.columns.get("track")
    name = "" if given is None else str(given[row])
    return f"{project.track_kind} {name}" if name else ""


def progress(project: Project, queue: Queue) -> list[View]:
    """For each task, how many images have a label, are in conflict or wait; and what each annotator has done."""
    names = project.store.annotators()
    work: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for task, annotator, at, images in project.store.times():
        work.setdefault((task, annotator), []).append((at, images))
    found = []
    for task in project.ballots.tasks:
        labels = project.ballots.labels(task)
        workers = [
            {"name": names.get(of, ""), "images": sum(n for _, n in done), "per_hour": speed(done)}
            for (name, of), done in sorted(work.items())
            if name == task
        ]
        conflict = labels == CONFLICT
        found.append(
            {
                "task": task,
                "images": labels.size,
                "labelled": int((labels >= 0).sum()),
                "unsure": int(((labels < NONE) & ~conflict).sum()),
                "conflicts": int(conflict.sum()),
                "waiting": int(queue.waiting(task, SETTLED - 1).sum()),
                "workers": workers,
            }
        )
    return found


def speed(done: list[tuple[float, int]]) -> int | None:
    """Images per hour of work, where a longer pause is no work; None until there are two clicks in a row.

    >>> speed([(0.0, 1), (10.0, 1), (20.0, 3), (5000.0, 7)])
    720
    """
    seconds, images = 0.0, 0
    for (before, _), (at, n) in pairwise(done):
        if 0 <= at - before <= PAUSE:
            seconds += at - before
            images += n
    return round(images * 3600 / seconds) if seconds > 0 else None


def conflicts(project: Project, task: str) -> tuple[int, list[View]]:
    """The number of images in conflict, and the first of them with everybody's answer."""
    names = project.store.annotators() | {0: "the data set"}
    rows = project.order[project.ballots.labels(task)[project.order] == CONFLICT]
    by_annotator = project.ballots.by_annotator(task)
    found = []
    for row in rows[:MOST_CONFLICTS].tolist():
        given = [
            (names.get(of, ""), int(codes[row])) for of, codes in sorted(by_annotator.items()) if codes[row] != NONE
        ]
        says = [{"name": name, "says": project.ballots.shown(task, code)} for name, code in given]
        choices = [
            {"value": project.ballots.text(task, code), "shown": project.ballots.shown(task, code)}
            for code in dict.fromkeys(code for _, code in given)
        ]
        found.append(portrait(project, row) | {"says": says, "choices": choices})
    return int(rows.size), found


def people_of(project: Project) -> dict[int, list[int]]:
    """Rows of everybody who has an image: those whose label it is, and those whom somebody named in a conflict."""
    task = project.ballots.identity_task
    found: dict[int, list[int]] = {}
    if task is None:
        return found
    _, given = project.ballots.opinions(task)
    stack = np.vstack([project.ballots.labels(task)[None], given])
    for row in project.order.tolist():
        for code in dict.fromkeys(stack[:, row].tolist()):
            if code >= 0:
                found.setdefault(code, []).append(row)
    return found
