"""Small data sets with labels, submissions for them, and the archives of challenge hosts."""

import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np

from piq_bench.export.bundle import Plan, make_plan
from piq_bench.read.dataset import read_benchmark
from piq_bench.write.submission import write_submission

TOML = """\
schema = "piq-bench/benchmark/1"
name = "{name}"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
[tasks.mood]
aspect = "emotion"
labels = ["happy", "sad"]
multi_label = true
"""
WITHOUT_REID = TOML.replace('[tasks.reid]\naspect = "reid"\nkind = "retrieval"\n', "")
KEYS = ("piq", "reid_macro_rank1", "reid_macro_map", "gender_f1", "mood_f1")
DATES = tuple(datetime(2026, month, 1) for month in (9, 10, 11, 12))
PERSON = "zaphod"  # part of every identity's name, which must never leave the host


def dataset(folder: Path, *, name: str = "tiny", n_people: int = 6, toml: str = TOML) -> Path:
    """People of the test set with four gallery images each."""
    folder.mkdir()
    (folder / "benchmark.toml").write_text(toml.format(name=name), encoding="utf-8")
    lines = ["image,split,identity,gender,mood"]
    for person in range(n_people):
        for shot in range(5):
            split = "query" if shot == 0 else "gallery"
            gender, mood = ("female", "male")[person % 2], ("happy", "sad", "happy|sad", "-", "")[shot]
            lines.append(f"p{person}/{shot}.jpg,{split},{PERSON}{person},{gender},{mood}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def submission(path: Path, target: Path, *, seed: int = 0, **changes: object) -> Path:
    """Write random answers; `changes` replaces arrays by name, and None leaves an array out."""
    benchmark = read_benchmark(target)
    rng = np.random.default_rng(seed)
    n = benchmark.test_rows.size
    predictions = {"gender": rng.integers(0, 2, n), "mood": rng.random((n, 2)).astype(np.float32)}
    embedding = rng.standard_normal((n, 8)).astype(np.float32) if benchmark.retrieval_task else None
    given = {**predictions, "embedding": embedding, **changes}
    write_submission(
        path,
        images=benchmark.images[benchmark.test_rows],
        embedding=given.pop("embedding"),  # type: ignore[arg-type]
        predictions={name: np.asarray(values) for name, values in given.items() if values is not None},
        meta={"name": "entry", "benchmark": benchmark.name},
    )
    return path


def plan(*datasets: Path, disclosure: str = "score", n_resamples: int = 20, title: str | None = None) -> Plan:
    return make_plan(
        datasets,
        DATES[: len(datasets) + 1],
        title=title,
        disclosure=disclosure,
        n_resamples=n_resamples,
        precision=2,
        per_day=3,
        in_all=30,
        contact="someone@example.org",
    )


def unzip(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    return folder


def zip_of(path: Path, members: dict[str, bytes | Path]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
    return path
