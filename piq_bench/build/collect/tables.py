"""Writes the tables of a collected data set: one row for each portrait, without labels, and the tasks to annotate."""

import csv
import io
from collections.abc import Mapping
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from piq_bench.build.collect.one_video import CutVideo, Portrait
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import CLASSIFICATION, GALLERY, SPLITS, Benchmark, Grouping
from piq_bench.write.benchmark import benchmark_toml
from piq_bench.write.files import write_texts

IMAGES = "images"
COLUMNS = ("track", "frame", "time", "box_left", "box_top", "box_width", "box_height", "confidence")


def write_tables(out: Path, videos: Mapping[str, CutVideo], *, sequence: str) -> None:
    """Writes benchmark.toml and annotations.csv; the table appears last, when all is complete.

    Args:
        out: the folder of the data set.
        videos: what each video gave, by name of the source.
        sequence: "shot" or "track": what the column sequence names.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    tasks = [task.name for task in DEFAULT_TASKS if task.kind == CLASSIFICATION]
    writer.writerow(["image", "split", "identity", "source", "sequence", *COLUMNS, *tasks])
    names = [item.name for item in fields(Portrait)]
    rows = []
    for source, video in videos.items():
        for portrait in video.portraits:
            values = dict(zip(names, astuple(portrait), strict=True))
            name = portrait.shot if sequence == "shot" else f"track{portrait.track}"
            given = [values[name] for name in COLUMNS]
            rows.append([portrait.image, SPLITS[GALLERY], "", source, name, *given, *("" for _ in tasks)])
    writer.writerows(sorted(rows))
    # The last one appears first.
    write_texts({out / "annotations.csv": text.getvalue(), out / "benchmark.toml": _benchmark_toml()})


def _benchmark_toml() -> str:
    """The text of benchmark.toml; it does not name the folder, so that the same films give the same bytes anywhere."""
    empty = np.zeros(0, dtype=np.int64)
    nobody = np.zeros(0, dtype=np.bool_)
    benchmark = Benchmark(
        name="collected",
        version="1",
        licence="",
        tasks=DEFAULT_TASKS,
        grouping=Grouping(),
        images=np.zeros(0, dtype=object),
        split=empty,
        identity=empty,
        identities=(),
        labels={},
        junk=nobody,
        distractor=nobody,
        source=None,
        sequence=None,
        camera=None,
        groups=None,
    )
    remark = "Written by `piq collect`: edit name, licence and tasks, and check the data set with `piq-stats`."
    return benchmark_toml(benchmark, remark=remark, images_root=IMAGES, junk=(), distractors=())
