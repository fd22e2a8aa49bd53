"""Writes a valid example submission of random predictions, to be replaced by those of a model."""

from pathlib import Path

import numpy as np

from piq_bench.records import Benchmark, BoolArray, EmbeddingArray, Float32Array, IntArray
from piq_bench.write.submission import BLOCK_VALUES, Array, write_submission

BITS_KEPT = 20  # of 64 random bits; such numbers are exact in float32


def write_template(path: Path, benchmark: Benchmark, *, dimension: int, seed: int) -> None:
    """Write random embeddings, label names for single-label tasks and probabilities for multi-label tasks.

    Args:
        path: .npz or .parquet file, or folder, to write.
        benchmark: the benchmark that the submission is for; its labels are not used.
        dimension: number of values per embedding.
        seed: seed of the random predictions; the same seed gives the same bytes.
    """
    # numpy guarantees the bits of PCG64 in all versions, but not the methods of its generators.
    source = np.random.PCG64(seed)
    n_rows = benchmark.test_rows.size
    embedding: EmbeddingArray | None = None
    if benchmark.retrieval_task is not None:
        embedding = _uniform(source, n_rows, dimension)
        embedding *= 2
        embedding += 2.0**-BITS_KEPT - 1  # between -1 and 1, and never 0
    predictions: dict[str, Array | IntArray | BoolArray] = {}
    for task in benchmark.classification_tasks:
        chance = _uniform(source, n_rows, len(task.labels))
        predictions[task.name] = chance if task.multi_label else np.array(task.labels)[np.argmax(chance, axis=1)]
    meta = {
        "name": "template",
        "benchmark": benchmark.name,
        "distance": "cosine",
        "authors": "your name",
        "code": "https://example.org/your-code",
    }
    write_submission(
        path,
        images=benchmark.images[benchmark.test_rows],
        embedding=embedding,
        predictions=predictions,
        meta=meta,
    )


def _uniform(source: np.random.PCG64, n_rows: int, n_columns: int) -> Float32Array:
    """Shape (n_rows, n_columns); multiples of 2**-BITS_KEPT from 0 to below 1."""
    values = np.empty((n_rows, n_columns), dtype=np.float32)
    step = max(1, BLOCK_VALUES // n_columns)
    for first in range(0, n_rows, step):
        block = values[first : first + step]
        raw = np.asarray(source.random_raw(block.size), dtype=np.uint64).reshape(block.shape)
        np.divide(raw >> np.uint64(64 - BITS_KEPT), 2.0**BITS_KEPT, out=block, casting="same_kind")
    return values
