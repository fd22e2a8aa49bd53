"""Builds a small benchmark and entries for it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark
from piq_bench.write.submission import write_submission

N_PEOPLE = 12
BENCHMARK = """\
schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
"""
METADATA = """\
schema = "piq-bench/entry/1"
name = "{name}"
team = "Team"
authors = ["A. Author"]
date = 2026-11-01
[method]
summary = "Noise."
[training]
datasets = ["tiny"]
external_data = {external}
used_test_images = false
"""


def dataset(folder: Path) -> Benchmark:
    """Twelve people, four images each."""
    folder.mkdir()
    (folder / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    lines = ["image,split,identity,gender"]
    for person in range(N_PEOPLE):
        for shot in range(4):
            split = "query" if shot == 0 else "gallery"
            lines.append(f"p{person}/{shot}.jpg,{split},p{person:02},{('female', 'male')[person % 2]}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_benchmark(folder)


def entry(
    folder: Path,
    benchmark: Benchmark,
    *,
    noise: float = 1.0,
    name: str = "",
    claimed: str = "",
    external: bool = False,
    partial: bool = False,
    seed: int = 0,
) -> Path:
    """Write an entry: the true identities and genders, blurred by noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    identity = benchmark.identity
    embedding = np.eye(N_PEOPLE)[identity] + noise * rng.standard_normal((identity.size, N_PEOPLE))
    gender = np.where(rng.random(identity.size) < noise / 4, 1, 0) ^ (identity % 2)
    write_submission(
        folder / "submission.npz",
        images=benchmark.images,
        embedding=embedding.astype(np.float32),
        predictions={} if partial else {"gender": gender},
        meta={"name": folder.name, "benchmark": benchmark.name},
    )
    text = METADATA.format(name=name or folder.name, external=str(external).lower())
    (folder / "metadata.toml").write_text(text + claimed, encoding="utf-8")
    return folder


def refer(folder: Path, *, sha256: str, n_bytes: int, url: str = "https://example.org/submission.npz") -> None:
    """Write a reference to predictions that are hosted elsewhere."""
    lines = ['schema = "piq-bench/reference/1"', f'url = "{url}"', f'sha256 = "{sha256}"', f"bytes = {n_bytes}"]
    (folder / "submission.ref.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def edit_result(folder: Path, change: Callable[[dict[str, Any]], None], *, digest: bool = True) -> None:
    """Edit an entry's result, and its digest too unless told otherwise: an attacker can edit both."""
    path = folder / "result.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    change(result)
    if digest:
        score = result["score"]
        parts = {
            name: value
            for name, value in score.items()
            if name not in ("software", "engine", "file", "further_metrics")
        }
        parts["protocol"] = {name: value for name, value in score["protocol"].items() if name != "digest"}
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        score["protocol"]["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    path.write_text(json.dumps(result), encoding="utf-8")
