"""Makes the scale set: a benchmark without images at the sizes of the paper's Table 2, and a submission for it.

Hashes and embeddings are drawn at random. The hashes of a track's frames are a few bits apart, like those of real
frames. An embedding is a sum of parts for the person, for people who look alike, for the film, for the track and for
the frame, with weights that depend on the difficulty.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from piq_bench.demo.film import Frame, Track, annotation_row, shoot
from piq_bench.demo.random import Draws
from piq_bench.demo.sizes import PORTRAIT250K, Sizes
from piq_bench.demo.tables import COLUMNS, MULTI_LABEL, TASKS, benchmark_toml
from piq_bench.group.build import group_hashed, write_groups
from piq_bench.group.hashing import HashedImages
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.unpacking import own_files
from piq_bench.records import FloatArray
from piq_bench.write.files import new_folder, write_text
from piq_bench.write.submission import write_submission

REMARK = "Made by `piq demo --preset portrait250k --no-images`: Portrait250K's sizes, nobody's portraits."
N_STEPS = 100

BITS = 64
STEADY_STEPS = {0: 40, 1: 35, 2: 15, 3: 10}  # weights of the pairs of bits that change between two frames
JITTER_STEPS = {3: 20, 4: 20, 5: 20, 6: 20, 7: 20}  # of tracks whose box differs from frame to frame

# Variances of an embedding's parts: that of people who look alike and, as shares of the person's own part (see
# `signal`), that of the clothes in one film and that of one track. The rest, up to 1, belongs to the frame alone.
ALIKE = 0.15
FILM = 0.6
TRACK = 0.5
STEPS = {"labels": 30, "groups": 10, "embedding": 50, "submission": 10}
ROWS_PER_STEP = 2048
SPREAD_OF_FOUR = 37837.227  # standard deviation of the sum of four uniform 16-bit numbers
MIDDLE_OF_FOUR = 131070  # mean of that sum


@dataclass(frozen=True, slots=True)
class ScaleSet:
    """The scale set that was written: its name, number of images and fingerprint."""

    name: str
    n_images: int
    fingerprint: str


def build_scale_set(
    out: Path,
    *,
    seed: int = 0,
    difficulty: float = 0.5,
    dimension: int = 512,
    dtype: str = "float16",
    sizes: Sizes = PORTRAIT250K,
    advance: Callable[[int], None] = lambda steps: None,
) -> ScaleSet:
    """Writes a benchmark of the given sizes and a submission to the new folder `out`.

    Args:
        out: folder that does not exist yet, or is empty.
        seed: seed of all random draws; equal seeds give equal benchmarks.
        difficulty: difficulty for the submission, from 0 to 1; see `signal` for the scores to expect.
        dimension: length of an embedding.
        dtype: type of the embeddings, "float16" or "float32".
        sizes: sizes of the benchmark.
        advance: called with the number of steps finished since the last call, N_STEPS in all.

    Raises:
        BadUsage: if `out` cannot be written or is not empty.
    """
    name = f"portrait250k-scale-{seed}"
    with new_folder(out) as folder, own_files():
        frames = shoot(seed, sizes)
        write_text(folder / "benchmark.toml", benchmark_toml(name, REMARK))
        write_annotations(folder / "annotations.parquet", frames)
        benchmark = read_benchmark(folder)
        advance(STEPS["labels"])
        test = [frame for frame in frames if frame.split != "train"]
        report = group_hashed(benchmark, synthetic_hashes(seed, test))
        write_groups(folder / "groups.parquet", report)
        advance(STEPS["groups"])
        scratch = folder / "embedding.npy"
        embedding = open_memmap(scratch, mode="w+", dtype=np.dtype(dtype), shape=(len(test), dimension))
        with scratch.open("r+b") as stream:  # without the space, writing to the map would kill this process
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, scratch.stat().st_size)
        n_blocks = -(-len(test) // ROWS_PER_STEP)
        for block, (start, rows) in enumerate(embeddings(seed, test, difficulty, dimension)):
            embedding[start : start + len(rows)] = rows
            advance(STEPS["embedding"] * (block + 1) // n_blocks - STEPS["embedding"] * block // n_blocks)
        write_submission(
            folder / "submission",
            images=[frame.image for frame in test],
            embedding=embedding,
            predictions=predictions(seed, test, difficulty),
            meta={
                "name": f"made up, difficulty {difficulty}",
                "benchmark": name,
                "distance": "cosine",
                "note": "drawn from a seed by piq demo; no model was involved",
            },
        )
        del embedding
        scratch.unlink()
        advance(STEPS["submission"])
        return ScaleSet(name, len(frames), fingerprint(read_benchmark(folder)))


def write_annotations(path: Path, frames: list[Frame]) -> None:
    """Writes the labels as a Parquet table of strings."""
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for frame in frames:
        for name, value in annotation_row(frame).items():
            columns[name].append(value)
    pq.write_table(pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COLUMNS])), path)


def synthetic_hashes(seed: int, frames: list[Frame]) -> HashedImages:
    """Draws hashes with 32 bits set, as those of phash; consecutive frames of a steady track differ by 0 to 6 bits.

    Each track has its own order of the 64 bits. A frame's hash has the 32 bits set that are in a window of that order;
    moving the window by one place changes two bits.
    """
    n_images = len(frames)
    phash = np.zeros(n_images, dtype=np.uint64)
    powers = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
    bits, start, order = np.zeros(0, dtype=np.uint64), 0, np.zeros(0, dtype=np.int64)
    track: Track | None = None
    draws = Draws("hash", seed)
    for i, frame in enumerate(frames):
        if track is None or frame.track.name != track.name:
            track, start = frame.track, 0
            draws = Draws("hash", seed, track.name)
            order = np.argsort(draws.bits(BITS), kind="stable")
            bits = np.concatenate([powers[order], powers[order]])
        else:
            start = (start + draws.weighted(JITTER_STEPS if track.jitter else STEADY_STEPS)) % BITS
        phash[i] = np.bitwise_or.reduce(bits[start : start + BITS // 2])
    noise = Draws("files", seed)
    quality = 8.0 + (noise.bits(n_images) >> np.uint64(52)).astype(np.float64) / 256.0
    return HashedImages(phash, quality, noise.bits(n_images), np.ones(n_images, dtype=np.bool_))


def signal(difficulty: float) -> float:
    """Variance of the part of an embedding that belongs to the person alone; the whole embedding has 1.

    With 512 dimensions the macro mAP of the scale set is about 0.9 at difficulty 0.18, 0.3 at 0.48, 0.07 at 0.73.
    """
    ease = 1.0 - difficulty
    return 0.18 * ease * ease


def embeddings(seed: int, frames: list[Frame], difficulty: float, dimension: int) -> Iterator[tuple[int, FloatArray]]:
    """Yields blocks of embeddings, each with its first row; frames must be in order, film by film."""
    own = signal(difficulty)
    parts = (own, ALIKE, FILM * own, TRACK * own)
    weights = [math.sqrt(part) for part in (*parts, 1.0 - ((parts[0] + parts[1]) + (parts[2] + parts[3])))]
    people: dict[int, FloatArray] = {}
    film = 0
    clothes: dict[int, FloatArray] = {}
    track_name, track_part = "", np.zeros(dimension)
    for start in range(0, len(frames), ROWS_PER_STEP):
        block = frames[start : start + ROWS_PER_STEP]
        rows = np.empty((len(block), dimension))
        for i, frame in enumerate(block):
            track, person = frame.track, frame.track.person
            if person.number not in people:
                alike = (person.gender, person.age, person.physique, person.height)
                people[person.number] = weights[0] * noise(dimension, "person", seed, person.number) + weights[
                    1
                ] * noise(dimension, "alike", seed, *alike)
            if track.film != film:
                film, clothes = track.film, {}
            if person.number not in clothes:
                clothes[person.number] = weights[2] * noise(dimension, "dress", seed, film, person.number)
            if track.name != track_name:
                track_name = track.name
                track_part = people[person.number] + clothes[person.number]
                track_part = track_part + weights[3] * noise(dimension, "take", seed, track.name)
            rows[i] = track_part + weights[4] * noise(dimension, "moment", seed, frame.image)
        yield start, rows


def noise(dimension: int, *name: str | int) -> FloatArray:
    """Shape (dimension,): nearly normal numbers of mean 0 and variance 1, sums of four uniform 16-bit integers."""
    words = Draws(*name).bits(dimension)
    low = np.uint64(0xFFFF)
    total = (
        (words & low) + ((words >> np.uint64(16)) & low) + ((words >> np.uint64(32)) & low) + (words >> np.uint64(48))
    )
    scaled: FloatArray = (total.astype(np.float64) - MIDDLE_OF_FOUR) / SPREAD_OF_FOUR
    return scaled


def predictions(seed: int, frames: list[Frame], difficulty: float) -> dict[str, NDArray[Any]]:
    """Predictions for each task: the right label, or with a probability of `difficulty` a label drawn at random."""
    draws = Draws("guess", seed)
    made: dict[str, NDArray[Any]] = {}
    for task, _, labels in TASKS:
        index = {label: i for i, label in enumerate(labels)}
        if task == MULTI_LABEL:
            shown = np.zeros((len(frames), len(labels)), dtype=np.bool_)
            for i, frame in enumerate(frames):
                for label in frame.track.expression:
                    shown[i, index[label]] = True
            wrong = chances(draws, shown.size, 0.25 * difficulty).reshape(shown.shape)
            made[task] = shown ^ wrong
            continue
        truth = np.array([index[label_of(frame.track, task)] for frame in frames], dtype=np.int64)
        guessed = chances(draws, len(frames), difficulty)
        guess = ((draws.bits(len(frames)) >> np.uint64(32)) * np.uint64(len(labels))) >> np.uint64(32)
        made[task] = np.where(guessed, guess.astype(np.int64), truth)
    return made


def label_of(track: Track, task: str) -> str:
    """The true label of a single-label task."""
    return str(getattr(track if task in ("body", "arm") else track.person, task))


def chances(draws: Draws, n: int, probability: float) -> NDArray[np.bool_]:
    """Shape (n,): true with the given probability."""
    return (draws.bits(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53 < probability
