"""Small seeded benchmarks and submissions as records, for tests of every stage after reading."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from piq_bench.records import (
    NO_GROUP,
    NO_IDENTITY,
    NOT_ANNOTATED,
    SAME_GROUP,
    Benchmark,
    BoolArray,
    EmbeddingArray,
    Grouping,
    Groups,
    IntArray,
    Rule,
    Submission,
    Task,
)

TASKS = (
    Task("reid", "reid", kind="retrieval"),
    Task("gender", "appearance", labels=("female", "male")),
    Task("age", "appearance", labels=("child", "adult", "old")),
    Task("mood", "emotion", labels=("happy", "sad", "angry"), multi_label=True),
)


@dataclass(frozen=True)
class Size:
    n_train: int = 4
    n_query: int = 8
    n_gallery: int = 24
    n_identities: int = 4


def benchmark(
    rng: np.random.Generator,
    size: Size = Size(),
    *,
    mode: Literal["components", "neighbours"] | None = "components",
    exclude: tuple[Rule, ...] = (),
    unlabelled_queries: bool = True,
) -> Benchmark:
    """A random benchmark: long-tailed identities, a third of the gallery unlabelled, some labels missing."""
    n = size.n_train + size.n_query + size.n_gallery
    split = np.repeat([0, 1, 2], [size.n_train, size.n_query, size.n_gallery])[rng.permutation(n)]
    identity = rng.integers(0, size.n_identities, n)
    identity[(split == 2) & (rng.random(n) < 0.3)] = NO_IDENTITY
    identity[split == 0] = size.n_identities  # an identity of the training set alone
    if unlabelled_queries:
        identity[(split == 1) & (rng.random(n) < 0.1)] = NO_IDENTITY
    junk = (split == 2) & (identity == NO_IDENTITY) & (rng.random(n) < 0.1)
    group = rng.integers(0, n // 3, n)
    group[(split == 0) | (rng.random(n) < 0.4)] = NO_GROUP
    near = np.array([(i, j) for i in range(n) for j in range(i + 1, n) if group[i] >= 0 and group[i] == group[j]])
    kept = near.reshape(-1, 2)[rng.random(near.size // 2) < 0.7].astype(np.int64)
    return Benchmark(
        name="random",
        version="1",
        licence="none",
        tasks=TASKS,
        grouping=Grouping(),
        images=np.array([f"m{i // 10:02}/{i:04}.jpg" for i in range(n)], dtype=object),
        split=split,
        identity=identity,
        identities=tuple(f"p{i}" for i in range(size.n_identities + 1)),
        labels=_labels(rng, n),
        junk=junk,
        distractor=np.zeros(n, dtype=bool),
        source=np.array([f"m{i // 10:02}" for i in range(n)], dtype=object),
        sequence=np.array([f"s{rng.integers(0, 4)}" if rng.random() < 0.8 else "" for _ in range(n)], dtype=object),
        camera=np.array([f"c{rng.integers(0, 2)}" for _ in range(n)], dtype=object),
        groups=None
        if mode is None
        else Groups(
            grouping=Grouping(mode=mode),
            phash=rng.integers(0, 2**63, n, dtype=np.uint64),
            group=group,
            pairs=kept if mode == "neighbours" else None,
        ),
        exclude=(*exclude, *((SAME_GROUP,) if mode else ())),
    )


def submission(
    rng: np.random.Generator,
    target: Benchmark,
    embedding: EmbeddingArray | None = None,
    *,
    distance: Literal["cosine", "euclidean"] = "cosine",
    dimension: int = 5,
) -> Submission:
    """Random predictions; the embedding given, or a random one."""
    n_test = target.test_rows.size
    if embedding is None:
        embedding = rng.standard_normal((n_test, dimension)).astype(np.float32)
    predictions: dict[str, IntArray | BoolArray] = {}
    for task in target.classification_tasks:
        if task.multi_label:
            predictions[task.name] = rng.random((n_test, len(task.labels))) < 0.4
        else:
            predictions[task.name] = rng.integers(0, len(task.labels), n_test)
    return Submission(
        name="random",
        distance=distance,
        meta={},
        content="0" * 64,
        embedding=embedding,
        order=np.arange(n_test),
        predictions=predictions,
        file_sha256="0" * 64,
        file_bytes=1,
    )


def _labels(rng: np.random.Generator, n: int) -> dict[str, IntArray]:
    labels = {}
    for task in TASKS[1:]:
        if task.multi_label:
            values = (rng.random((n, len(task.labels))) < 0.3).astype(np.int64)
            values[rng.random(n) < 0.1] = NOT_ANNOTATED
        else:
            values = rng.integers(0, len(task.labels), n)
            values[rng.random(n) < 0.1] = NOT_ANNOTATED
        labels[task.name] = values
    return labels
