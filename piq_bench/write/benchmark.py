"""Writes a data set as a folder of this project: benchmark.toml and annotations.csv, to be read and changed."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from piq_bench.records import (
    CLASSIFICATION,
    NOT_ANNOTATED,
    RETRIEVAL,
    SAME_GROUP,
    SPLITS,
    Benchmark,
    IntArray,
    Rule,
    Task,
)

SCHEMA = "piq-bench/benchmark/1"


def benchmark_toml(
    benchmark: Benchmark,
    *,
    remark: str,
    images_root: str,
    junk: Iterable[str],
    distractors: Iterable[str],
    exclude: Iterable[Rule] | None = None,
) -> str:
    """The text of benchmark.toml.

    Args:
        benchmark: the data set.
        remark: where the data come from; a comment.
        images_root: folder of the images, absolute or relative to the file.
        junk: identities that take no part.
        distractors: identities that are nobody's.
        exclude: rules by which gallery images are no candidates; those for near-duplicates may await groups. None for
            the rules of the benchmark, and one for near-duplicates if it has no groups yet.
    """
    if exclude is None:
        awaiting = (SAME_GROUP,) if benchmark.groups is None and SAME_GROUP not in benchmark.exclude else ()
        exclude = (*awaiting, *benchmark.exclude)
    shown = [[*rule.agree, *(f"~{column}" for column in rule.differ)] for rule in exclude]
    grouping = benchmark.grouping
    lines = [
        f"# {remark}",
        f"schema = {_text(SCHEMA)}",
        f"name = {_text(benchmark.name)}",
        f"version = {_text(benchmark.version)}",
        f"licence = {_text(benchmark.licence)}",
        "",
        "[grouping]",
        f"hash = {_text(grouping.hash)}",
        f"threshold = {grouping.threshold}",
        f"mode = {_text(grouping.mode)}",
        "",
        "[retrieval]",
        f"exclude = [{', '.join(map(_texts, shown))}]",
        f"junk = {_texts(junk)}",
        f"distractors = {_texts(distractors)}",
        f"persons = {_texts(benchmark.persons)}",
        "",
        "[images]",
        f"root = {_text(images_root)}",
    ]
    for task in benchmark.tasks:
        lines += ["", f"[tasks.{task.name}]", f"aspect = {_text(task.aspect)}"]
        lines += ['kind = "retrieval"'] if task.kind == RETRIEVAL else [f"labels = {_texts(task.labels)}"]
        lines += ["multi_label = true"] if task.multi_label else []
    return "\n".join(lines) + "\n"


def write_annotations(
    path: Path, benchmark: Benchmark, identity: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> None:
    """Write annotations.csv, rows in the order of the benchmark.

    Args:
        path: the file.
        benchmark: the data set.
        identity: shape (n_images,); names of the identities, junk and distractors included, "" where unlabelled.
        columns: further columns of text by name, each of shape (n_images,).
    """
    tasks = [task for task in benchmark.tasks if task.kind == CLASSIFICATION]
    cells = [
        benchmark.images.tolist(),
        [SPLITS[split] for split in benchmark.split],
        identity,
        *columns.values(),
        *(_cells(task, benchmark.labels[task.name]) for task in tasks),
    ]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "split", "identity", *columns, *(task.name for task in tasks)])
        writer.writerows(zip(*cells, strict=True))


def _cells(task: Task, labels: IntArray) -> list[str]:
    """The labels of each image: "" where not annotated, "-" where no label applies."""
    if not task.multi_label:
        return ["" if label == NOT_ANNOTATED else task.labels[label] for label in labels]
    names = np.array(task.labels, dtype=object)
    return ["" if row[0] == NOT_ANNOTATED else "|".join(names[row == 1]) or "-" for row in labels]


def _texts(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    """A TOML basic string; JSON escapes the same characters, as long as it leaves others than ASCII alone."""
    return json.dumps(value, ensure_ascii=False)
