"""The fingerprint is the same for the same content, and differs for any change that can move a score."""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builders import benchmark

from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.records import Benchmark, Grouping, Task

BASE = benchmark(np.random.default_rng(0), mode="neighbours")


def with_change(field: str, change: Callable[[Any], Any]) -> Benchmark:
    return dataclasses.replace(BASE, **{field: change(getattr(BASE, field))})


def other(array: Any, value: Any = None) -> Any:  # noqa: ANN401
    """A copy with its last value changed."""
    copy = array.copy()
    copy.flat[-1] = copy.flat[-1] + 1 if value is None else value
    return copy


def in_groups(field: str, change: Callable[[Any], Any]) -> Benchmark:
    return with_change("groups", lambda groups: dataclasses.replace(groups, **{field: change(getattr(groups, field))}))


def in_tasks(**values: object) -> Benchmark:
    return with_change("tasks", lambda tasks: (*tasks[:-1], dataclasses.replace(tasks[-1], **values)))


CHANGED = {
    "image": with_change("images", lambda images: other(images, "z.jpg")),
    "split": with_change("split", lambda split: np.where(split == 1, 2, split)),
    "identity": with_change("identity", lambda identity: np.where(identity == 0, 1, identity)),
    "unlabelled": with_change("identity", lambda identity: np.where(identity == 0, -1, identity)),
    "name of an identity": with_change("identities", lambda names: (*names[:-1], "q")),
    "junk": with_change("junk", np.logical_not),
    "distractor": with_change("distractor", np.logical_not),
    "label": with_change("labels", lambda labels: labels | {"age": other(labels["age"], 1 - labels["age"][-1])}),
    "multi-label": with_change("labels", lambda labels: labels | {"mood": 1 - labels["mood"]}),
    "camera": with_change("camera", lambda camera: other(camera, "c9")),
    "no camera": with_change("camera", lambda camera: None),
    "sequence": with_change("sequence", lambda sequence: other(sequence, "s9")),
    "no sequence": with_change("sequence", lambda sequence: None),
    "aspect": in_tasks(aspect="x"),
    "task name": in_tasks(name="x"),
    "label name": in_tasks(labels=("happy", "sad", "cross")),
    "label order": in_tasks(labels=("sad", "happy", "angry")),
    "number of labels an image may have": in_tasks(multi_label=False),
    "one more task": with_change("tasks", lambda tasks: (*tasks, Task("x", "y", labels=("a", "b")))),
    "one task less": with_change("tasks", lambda tasks: tasks[:-1]),
    "no groups": with_change("groups", lambda groups: None),
    "group": in_groups("group", lambda group: other(group)),
    "phash": in_groups("phash", lambda phash: other(phash, np.uint64(2**64 - 1))),
    "pair": in_groups("pairs", lambda pairs: pairs[:-1]),
    "threshold": in_groups("grouping", lambda grouping: dataclasses.replace(grouping, threshold=5)),
    "mode": in_groups("grouping", lambda grouping: dataclasses.replace(grouping, mode="components")),
    "no pairs": in_groups("pairs", lambda pairs: None),
}

UNCHANGED = {
    "name": with_change("name", lambda name: "x"),
    "version": with_change("version", lambda version: "9"),
    "licence": with_change("licence", lambda licence: "x"),
    "source": with_change("source", lambda source: None),
    "root and layout": dataclasses.replace(BASE, root=None, layout="table"),
    "order of tasks": with_change("tasks", lambda tasks: tasks[::-1]),
    "order of labels' columns": with_change("labels", lambda labels: dict(reversed(labels.items()))),
    "remarks of the groups file": in_groups("parameters", lambda parameters: {"made": "today"}),
    "wish for other groups": with_change("grouping", lambda grouping: Grouping(threshold=2)),
    "width of numbers": with_change("split", lambda split: split.astype(np.int8)),
    "order in memory": with_change("labels", lambda labels: labels | {"mood": np.asfortranarray(labels["mood"])}),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_that_can_move_a_score_changes_it(name: str) -> None:
    assert fingerprint(CHANGED[name]) != fingerprint(BASE)


def test_no_two_changes_agree() -> None:
    assert len({fingerprint(changed) for changed in CHANGED.values()}) == len(CHANGED)


@pytest.mark.parametrize("name", UNCHANGED)
def test_names_and_how_it_is_written_do_not_matter(name: str) -> None:
    assert fingerprint(UNCHANGED[name]) == fingerprint(BASE)


def test_texts_are_distinguished_by_where_they_end() -> None:
    def ending(*images: str) -> str:
        return fingerprint(dataclasses.replace(BASE, images=np.array(images, dtype=object)))

    assert ending("a", "bc") != ending("ab", "c")


def expected_fingerprint(of: Benchmark) -> str:
    """The documented form, written out value by value."""
    digest = hashlib.sha256()

    def part(name: str, content: bytes) -> None:
        digest.update(name.encode() + b"\0" + str(len(content)).encode() + b"\0" + content)

    def dump(name: str, value: object) -> None:
        part(name, json.dumps(value, separators=(",", ":")).encode())

    def integers(name: str, values: Any) -> None:  # noqa: ANN401
        rows = values.tolist()
        dump(f"{name} shape", list(np.shape(rows)))
        flat = [cell for row in rows for cell in row] if rows and isinstance(rows[0], list) else rows
        part(name, b"".join(struct.pack("<q", int(cell)) for cell in flat))

    def texts(name: str, values: Any) -> None:  # noqa: ANN401
        integers(f"{name} lengths", np.array([len(value) for value in values]))
        part(name, "".join(values).encode())

    assert of.groups is not None
    dump("schema", "piq-bench/fingerprint/1")
    dump("tasks", sorted([task.name, task.aspect, task.kind, list(task.labels), task.multi_label] for task in of.tasks))
    dump("exclude_same_camera", False)
    texts("images", of.images)
    integers("split", of.split)
    texts("identities", of.identities)
    integers("identity", of.identity)
    integers("junk", of.junk)
    integers("distractor", of.distractor)
    for task in sorted(of.labels):
        integers(f"labels {task}", of.labels[task])
    texts("camera", of.camera)
    texts("sequence", of.sequence)
    dump("grouping", [of.groups.grouping.hash, of.groups.grouping.threshold, of.groups.grouping.mode])
    signed = [hash_ - 2**64 if hash_ >= 2**63 else hash_ for hash_ in of.groups.phash.tolist()]
    integers("phash", np.array(signed))
    integers("group", of.groups.group)
    integers("pairs", of.groups.pairs)
    return digest.hexdigest()


@pytest.mark.parametrize("seed", range(3))
def test_the_fingerprint_is_that_of_the_documented_form(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piq_bench.metrics.fingerprint.PIECE_ROWS", (1 << 16, 7, 1)[seed])
    random = benchmark(np.random.default_rng(seed), mode="neighbours")
    assert fingerprint(random) == expected_fingerprint(random)
