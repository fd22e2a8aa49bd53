"""The small valid benchmark and submission from which the fuzzer starts, and odd arrays to put into it."""

import csv
import io
import json
from pathlib import Path
from random import Random

import numpy as np
from fuzz.values import changed_json, json_bytes

TOML = """schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
[grouping]
hash = "phash"
threshold = 6
mode = "components"
[retrieval]
exclude = [["group"], ["identity", "camera"]]
junk = ["-1"]
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
[tasks.expression]
aspect = "emotion"
labels = ["happy", "sad", "angry"]
multi_label = true
"""
HEAD = ["image", "split", "identity", "gender", "expression", "source", "sequence", "camera"]
ROWS = [
    ["a0.jpg", "query", "anna", "female", "happy", "f1", "s1", "c1"],
    ["a1.jpg", "gallery", "anna", "female", "happy|sad", "f1", "s1", "c2"],
    ["a2.jpg", "gallery", "anna", "female", "-", "f1", "s2", "c1"],
    ["b0.jpg", "query", "bert", "male", "sad", "f2", "s3", "c1"],
    ["b1.jpg", "gallery", "bert", "male", "angry", "f2", "s3", "c2"],
    ["x1.jpg", "gallery", "", "", "", "", "", ""],
    ["t/1.jpg", "train", "tom", "male", "sad", "f3", "s9", "c3"],
]
IMAGES = [row[0] for row in ROWS[:6]]
META = {"name": "m", "benchmark": "tiny", "distance": "cosine"}
REFERENCE = (
    f'schema = "piq-bench/reference/1"\nurl = "https://example.org/submission.npz"\nsha256 = "{"0" * 64}"\nbytes = 9\n'
)
RNG = np.random.default_rng(0)
EMBEDDING = RNG.standard_normal((6, 4)).astype(np.float16)
ARRAYS = {
    "image": np.array(IMAGES),
    "embedding": EMBEDDING,
    "gender": np.array(["female", "male"] * 3),
    "expression": RNG.random((6, 3)).astype(np.float32),
    "meta": np.array(json.dumps(META)),
}
ODD = {
    "gender": [
        np.array([0, 1] * 3),
        np.array([2**63] * 6, np.uint64),
        np.array(["\ud800"] * 6),
        np.full((6, 2), -(2**63)),
    ],
    "expression": [np.ones((6, 3), bool), np.full((6, 3), 2, np.uint64), np.array([["1"] * 3] * 6), np.zeros((6, 2))],
    "image": [
        np.array(IMAGES, "S"),
        np.array(IMAGES[:5]),
        np.array([IMAGES]),
        np.zeros(6, "U0"),
        np.array(IMAGES, ">U9"),
    ],
    "embedding": [
        np.asfortranarray(EMBEDDING),
        EMBEDDING.astype(">f4"),
        EMBEDDING.astype(np.float64) * 1e300,
        np.zeros((6, 4), np.float16),
        np.full((6, 4), 1e-45, np.float32),
        np.full((6, 4), 3.4e38, np.float32),
        np.zeros((6, 0), np.float32),
    ],
}


def csv_text(rows: list[list[str]], line_end: str = "\n") -> str:
    """Rows as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator=line_end).writerows(rows)
    return stream.getvalue()


def write_benchmark(folder: Path) -> Path:
    """Write the valid benchmark into a new folder."""
    folder.mkdir()
    (folder / "benchmark.toml").write_text(TOML, encoding="utf-8")
    (folder / "annotations.csv").write_text(csv_text([HEAD, *ROWS]), encoding="utf-8")
    return folder


def some_arrays(draw: Random) -> dict[str, np.ndarray]:
    """The arrays of a submission; two in three have an odd one, lack one or have one too many."""
    arrays = dict(ARRAYS)
    kind = draw.randrange(6)
    if kind in (0, 1):
        name = draw.choice(list(ODD))
        arrays[name] = draw.choice(ODD[name])
    elif kind == 2:
        text = json_bytes(draw, changed_json(draw, {**META, "authors": ["a"], "x": {"y": [1, 2]}}))
        arrays["meta"] = np.array(text.decode("utf-8", "replace").rstrip("\0") or " ")
    elif kind == 3:
        arrays.pop(draw.choice(list(arrays)))
        arrays[draw.choice(["extra", "Gender", "reid", "x" * 64, "_"])] = np.zeros(6)
    return arrays
