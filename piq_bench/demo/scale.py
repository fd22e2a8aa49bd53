"""The scale test: a benchmark without pictures at the sizes of the paper's Table 2, and a submission for it.

Hashes and embeddings are made, not measured. The frames of a track have hashes a few bits apart, as those of real
frames; an embedding is the sum of parts for the person, for people who look alike, for the film, for the track and
for the frame, whose weights follow from the difficulty.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from piq_bench.demo.build import new_folder
from piq_bench.demo.film import Frame, Track, row, shoot
from piq_bench.demo.random import Draws
from piq_bench.demo.sizes import PORTRAIT250K, Sizes
from piq_bench.demo.tables import COLUMNS, MULTI_LABEL, TASKS, benchmark_toml
from piq_bench.group.build import group_hashed, write_groups
from piq_bench.group.hashing import HashedImages
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import FloatArray
from piq_bench.write.files import write_text
from piq_bench.write.submission import write_submission

REMARK = "Made by `piq demo --preset portrait250k --no-images`: Portrait250K's sizes, nobody's portraits."
N_STEPS = 100

BITS = 64
STEADY_STEPS = {0: 40, 1: 35, 2: 15, 3: 10}  # pairs of bits that change from frame to frame: 0, 2, 4 or 6 bits
JITTER_STEPS = {3: 20, 4: 20, 5: 20, 6: 20, 7: 20}

# Variances of an embedding's parts: of people who look alike, and, as shares of a person's own part (see `signal`), of
# the clothes in one film and of one track. The rest, up to 1, is the frame's own.
ALIKE = 0.15
FILM = 0.6
TRACK = 0.5
STEPS = {"labels": 30, "groups": 10, "embedding": 50, "submission": 10}
ROWS_PER_STEP = 2048
SPREAD_OF_FOUR = 37837.227  # of the sum of four even 16-bit numbers
MIDDLE_OF_FOUR = 131070


@dataclass(frozen=True, slots=True)
class ScaleSet:
    """What was made."""

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
    """Write a benchmark of the given sizes and a submission into the new folder `out`.

    Args:
        out: a folder that does not exist yet, or is empty.
        seed: equal seeds give equal benchmarks.
        difficulty: 0 to 1; see `signal` for the scores to expect.
        dimension: length of an embedding.
        dtype: "float16" or "float32".
        sizes: those of Portrait250K unless said otherwise.
        advance: called with the steps done since the last call, N_STEPS in all.

    Raises:
        BadUsage: if `out` cannot be written or holds anything.
    """
    name = f"portrait250k-scale-{seed}"
    with new_folder(out) as folder:
        frames = shoot(seed, sizes)
        write_text(folder / "benchmark.toml", benchmark_toml(name, REMARK))
        write_annotations(folder / "annotations.parquet", frames)
        benchmark = read_benchmark(folder)
        advance(STEPS["labels"])
        test = [frame for frame in frames if frame.split != "train"]
        report = group_hashed(benchmark, made_up_hashes(seed, test))
        write_groups(folder / "groups.parquet", report)
        advance(STEPS["groups"])
        scratch = folder / "embedding.npy"
        embedding = open_memmap(scratch, mode="w+", dtype=np.dtype(dtype), shape=(len(test), dimension))
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
        mark = fingerprint(read_benchmark(folder))
    return ScaleSet(name, len(frames), mark)


def write_annotations(path: Path, frames: list[Frame]) -> None:
    """The labels as a Parquet table of strings."""
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for frame in frames:
        for name, value in row(frame).items():
            columns[name].append(value)
    pq.write_table(pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COLUMNS])), path)


def made_up_hashes(seed: int, frames: list[Frame]) -> HashedImages:
    """Hashes with 32 bits set, as phash gives them; consecutive frames of a steady track differ by 0 to 6 bits.

    A track has its own order of the 64 bits. A frame's hash has the 32 bits set that stand in a window of that order;
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
    """The variance of the part that is the person's own, out of 1.

    With 512 dimensions the macro mAP of the scale set is about 0.9 at difficulty 0.18, 0.3 at 0.48, 0.07 at 0.73.
    """
    ease = 1.0 - difficulty
    return 0.18 * ease * ease


def embeddings(seed: int, frames: list[Frame], difficulty: float, dimension: int) -> Iterator[tuple[int, FloatArray]]:
    """Blocks of rows, each with the number of its first; the frames are in order, films one after another."""
    own = signal(difficulty)
    parts = (own, ALIKE, FILM * own, TRACK * own)
    weights = [math.sqrt(part) for part in (*parts, 1.0 - ((parts[0] + parts[1]) + (parts[2] + parts[3])))]
    people: dict[int, FloatArray] = {}
    film = 0
    dressed: dict[int, FloatArray] = {}
    track_name, taken = "", np.zeros(dimension)
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
                film, dressed = track.film, {}
            if person.number not in dressed:
                dressed[person.number] = weights[2] * noise(dimension, "dress", seed, film, person.number)
            if track.name != track_name:
                track_name = track.name
                taken = people[person.number] + dressed[person.number]
                taken = taken + weights[3] * noise(dimension, "take", seed, track.name)
            rows[i] = taken + weights[4] * noise(dimension, "moment", seed, frame.image)
        yield start, rows


def noise(dimension: int, *name: str | int) -> FloatArray:
    """Shape (dimension,): numbers of mean 0 and variance 1, nearly normal: sums of four even ones, by integers."""
    words = Draws(*name).bits(dimension)
    low = np.uint64(0xFFFF)
    total = (
        (words & low) + ((words >> np.uint64(16)) & low) + ((words >> np.uint64(32)) & low) + (words >> np.uint64(48))
    )
    even: FloatArray = (total.astype(np.float64) - MIDDLE_OF_FOUR) / SPREAD_OF_FOUR
    return even


def predictions(seed: int, frames: list[Frame], difficulty: float) -> dict[str, NDArray[Any]]:
    """For each task the right label, or as often as the difficulty says a label drawn without looking."""
    draws = Draws("guess", seed)
    made: dict[str, NDArray[Any]] = {}
    for task, _, labels in TASKS:
        index = {label: i for i, label in enumerate(labels)}
        if task == MULTI_LABEL:
            shown = np.zeros((len(frames), len(labels)), dtype=np.bool_)
            for i, frame in enumerate(frames):
                for label in frame.track.expression:
                    shown[i, index[label]] = True
            wrong = below(draws, shown.size, 0.25 * difficulty).reshape(shown.shape)
            made[task] = shown ^ wrong
            continue
        truth = np.array([index[label_of(frame.track, task)] for frame in frames], dtype=np.int64)
        blind = below(draws, len(frames), difficulty)
        guess = ((draws.bits(len(frames)) >> np.uint64(32)) * np.uint64(len(labels))) >> np.uint64(32)
        made[task] = np.where(blind, guess.astype(np.int64), truth)
    return made


def label_of(track: Track, task: str) -> str:
    """The true label of a single-label task."""
    return str(getattr(track if task in ("body", "arm") else track.person, task))


def below(draws: Draws, n: int, probability: float) -> NDArray[np.bool_]:
    """Shape (n,): true as often as `probability` says."""
    return (draws.bits(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53 < probability
