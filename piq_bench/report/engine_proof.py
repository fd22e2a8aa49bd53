"""Proves the engines that `auto` chooses for large jobs: they count a built-in job, large enough to be given to them.

The job has random images, copies, and images that differ by one float32 step, so that many ranks hang on the exact
definition of similarity. Its official counts were made by the plain engine, which needs no compiler and no GPU.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from piq_bench.records import EmbeddingArray, Submission
from piq_bench.retrieve.contract import Counts, Engine
from piq_bench.retrieve.engines import COMPILED_PAIRS, GPU_PAIRS, choose
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

Distance = Literal["cosine", "euclidean"]

SEED = 19
DIMENSION = 16
N_GALLERY = 100_000
N_NEAR = 20  # images around which others lie, one float32 step away
POINTS = 3  # per query
DISTANCES: tuple[Distance, ...] = ("cosine", "euclidean")
# SHA-256 of the counts, by number of queries; tests count a sample again by the definition.
OFFICIAL = {
    2_000: "785a4762de647cb906ad62ead4f91727cce840a36a6e8d9b177dbe6f0c691e02",
    10_000: "1d318998445f5837248b3b3114a602c91af71f28ef0b3d432521aa6bbab44413",
}


@dataclass(frozen=True)
class Proof:
    """What an engine counted: its name, the number of pairs, and whether all counts are the official ones."""

    engine: str
    n_pairs: int
    digest: str
    passed: bool


def prove_engines(name: str) -> list[Proof]:
    """Let each engine that a name stands for count a job of its size.

    Args:
        name: auto, cpu or gpu.

    Raises:
        BadUsage: if a GPU was asked for and none works.
    """
    proofs: dict[str, Proof] = {}
    for n_pairs in (COMPILED_PAIRS, GPU_PAIRS):
        engine, chosen = choose(name, n_pairs)
        n_queries = n_pairs // N_GALLERY
        if chosen not in proofs:
            digest = counts_digest(engine, n_queries)
            proofs[chosen] = Proof(chosen, n_queries * N_GALLERY, digest, digest == OFFICIAL[n_queries])
    return list(proofs.values())


def counts_digest(engine: Engine, n_queries: int) -> str:
    """SHA-256 of all counts of an engine, under both distances, as little-endian 64-bit numbers."""
    digest = hashlib.sha256()
    for distance in DISTANCES:
        counts = counted(engine, distance, n_queries, N_GALLERY)
        for values in (counts.above, counts.tied):
            digest.update(values.astype("<i8").tobytes())
    return digest.hexdigest()


def counted(engine: Engine, distance: Distance, n_queries: int, n_gallery: int) -> Counts:
    """The counts of an engine around POINTS gallery images for each query; these images themselves are excluded."""
    similarity = Similarity.of(submission(distance, n_queries, n_gallery))
    queries, gallery = np.arange(n_queries), n_queries + np.arange(n_gallery)
    drawn = _raw("points", n_queries * n_gallery, n_queries * POINTS).reshape(-1, POINTS) % (n_gallery - POINTS)
    places = np.sort(drawn, axis=1) + np.arange(POINTS)  # no place occurs twice
    start = np.arange(n_queries + 1) * POINTS
    points = similarity.exact_pairs(np.repeat(queries, POINTS), gallery[places.ravel()]).reshape(-1, POINTS)
    excluded = Ragged(start, places.astype(np.int32).ravel())
    return engine(
        similarity, queries, gallery, np.sort(points, axis=1).ravel(), excluded, start, advance=lambda steps: None
    )


def submission(distance: Distance, n_queries: int, n_gallery: int) -> Submission:
    """The embeddings of the job, queries first."""
    n_rows = n_queries + n_gallery
    return Submission(
        name="engine-proof",
        distance=distance,
        meta={},
        content="",
        embedding=embedding(n_queries, n_gallery),
        order=np.arange(n_rows),
        predictions={},
        file_sha256="",
        file_bytes=0,
    )


def embedding(n_queries: int, n_gallery: int) -> EmbeddingArray:
    """A third of the rows are random, a third copies of few, and a third are one float32 step away from these."""
    n_rows = n_queries + n_gallery
    rows = (_raw("rows", n_rows, n_rows * DIMENSION).reshape(n_rows, DIMENSION) % 256 - 127.5).astype(np.float32)
    kind, near = _raw("kind", n_rows, n_rows) % 3, _raw("near", n_rows, n_rows) % N_NEAR
    steps = (_raw("step", n_rows, n_rows * DIMENSION).reshape(n_rows, DIMENSION) % 3 - 1).astype(np.float32)
    rows = np.where((kind > 0)[:, None], rows[near] / np.float32(127), rows).astype(np.float32)
    return np.where((kind == 2)[:, None], np.nextafter(rows, rows + steps), rows).astype(np.float32)


def _raw(name: str, size: int, n_values: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Random numbers from 0 to 2^16 - 1, whose stream numpy guarantees to keep."""
    seed = int.from_bytes(hashlib.sha256(f"{SEED} {name} {size}".encode()).digest()[:8], "big")
    return (np.asarray(np.random.PCG64(seed).random_raw(n_values)) >> np.uint64(48)).astype(np.int64)
