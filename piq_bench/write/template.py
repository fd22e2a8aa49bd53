"""Writes a valid example submission of random predictions, to be replaced by those of a model."""

from pathlib import Path

import numpy as np

from piq_bench.records import Benchmark, BoolArray, EmbeddingArray, IntArray
from piq_bench.write.submission import Array, write_submission

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
        embedding = (_uniform(source, n_rows, dimension) * 2 - 1 + 2.0**-BITS_KEPT).astype(np.float32)
    predictions: dict[str, Array | IntArray | BoolArray] = {}
    for task in benchmark.classification_tasks:
        chance = _uniform(source, n_rows, len(task.labels))
        if task.multi_label:
            predictions[task.name] = chance.astype(np.float32)
        else:
            predictions[task.name] = np.array(task.labels)[np.argmax(chance, axis=1)]
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


def _uniform(source: np.random.PCG64, n_rows: int, n_columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    raw = np.asarray(source.random_raw(n_rows * n_columns), dtype=np.uint64).reshape(n_rows, n_columns)
    return (raw >> np.uint64(64 - BITS_KEPT)).astype(np.float64) / 2.0**BITS_KEPT
