"""Scores built-in submissions and compares their digests with the official ones, which are the same on every machine.

The submissions go through the same files, readers and engine as any other. The official digests are stored beside the
bundled benchmark. `piq selftest --update` writes them; if they change, scores have changed.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark, BoolArray, EmbeddingArray, IntArray
from piq_bench.report.json import score_document
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score
from piq_bench.write.submission import write_submission

OFFICIAL = "selftest.json"
DIMENSION = 24
N_RESAMPLES = 100
N_TIED = 8  # number of distinct embeddings in the tied submission


@dataclass(frozen=True)
class Check:
    """The result of one built-in submission.

    Attributes:
        name: name of the built-in submission.
        score: its score on this machine.
        digest: digest of that score.
        official: official digest; None if there is none.
    """

    name: str
    score: Score
    digest: str
    official: str | None

    @property
    def passed(self) -> bool:
        """Whether the digest equals the official one."""
        return self.digest == self.official


def run_selftest(
    advance: Callable[[int], None] = lambda steps: None,
    *,
    engine: Engine = plain.count_ranks,
    engine_name: str = plain.ENGINE,
) -> list[Check]:
    """Write, read and score every built-in submission with one engine.

    Args:
        advance: called with the number of submissions finished since the last call.
        engine: retrieval engine to test.
        engine_name: name of the engine in the score file.
    """
    benchmark = read_benchmark(None)
    official = _official()
    checks = []
    with tempfile.TemporaryDirectory() as folder:
        for name, build in SUBMISSIONS.items():
            path = Path(folder) / f"{name}.npz"
            embedding, predictions = build(benchmark, _bits(name))
            write_submission(
                path,
                images=benchmark.images[benchmark.test_rows],
                embedding=embedding,
                predictions=predictions,
                meta={"name": name, "benchmark": benchmark.name, "distance": DISTANCES.get(name, "cosine")},
            )
            entry = read_submission(path, benchmark)
            result = score(benchmark, entry, n_resamples=N_RESAMPLES, engine=engine, engine_name=engine_name)
            protocol = score_document(result)["protocol"]
            assert isinstance(protocol, dict)  # noqa: S101
            checks.append(Check(name, result, str(protocol["digest"]), official.get(name)))
            advance(1)
    return checks


def official_text(checks: list[Check]) -> str:
    """The text of the file of official digests."""
    return json.dumps({check.name: check.digest for check in checks}, indent=2) + "\n"


def _official() -> dict[str, str]:
    source = files("piq_bench") / "data" / OFFICIAL
    return dict(json.loads(source.read_text(encoding="utf-8"))) if source.is_file() else {}


Predictions = dict[str, IntArray | BoolArray]


def _bits(name: str) -> np.random.PCG64:
    """A random bit generator, seeded by name, whose stream numpy guarantees to keep."""
    return np.random.PCG64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def _values(source: np.random.PCG64, n_rows: int, n_columns: int) -> EmbeddingArray:
    """Random values from -127.5 to 127.5 in steps of 1, exact in float32 and float16."""
    raw = np.asarray(source.random_raw(n_rows * n_columns)).reshape(n_rows, n_columns)
    return ((raw >> np.uint64(56)).astype(np.int64) - 128 + 0.5).astype(np.float32)


def _perfect(benchmark: Benchmark, source: np.random.PCG64) -> tuple[EmbeddingArray, Predictions]:
    rows = benchmark.test_rows
    people = _values(source, len(benchmark.identities), DIMENSION)
    strangers = _values(source, rows.size, DIMENSION)
    known = (benchmark.identity[rows] >= 0)[:, None]
    truth: Predictions = {}
    for task in benchmark.classification_tasks:
        label = np.maximum(benchmark.labels[task.name][rows], 0)
        truth[task.name] = label.astype(bool) if task.multi_label else label
    return np.where(known, people[benchmark.identity[rows]], strangers).astype(np.float32), truth


def _random(benchmark: Benchmark, source: np.random.PCG64) -> tuple[EmbeddingArray, Predictions]:
    n_rows = benchmark.test_rows.size
    embedding = _values(source, n_rows, DIMENSION)
    predictions: Predictions = {}
    for task in benchmark.classification_tasks:
        raw = np.asarray(source.random_raw(n_rows * len(task.labels))).reshape(n_rows, -1) >> np.uint64(40)
        predictions[task.name] = raw % np.uint64(4) == 0 if task.multi_label else np.argmax(raw, axis=1)
    return embedding, predictions


def _constant(benchmark: Benchmark, source: np.random.PCG64) -> tuple[EmbeddingArray, Predictions]:
    n_rows = benchmark.test_rows.size
    predictions: Predictions = {
        task.name: np.zeros((n_rows, len(task.labels)), bool) if task.multi_label else np.zeros(n_rows, np.int64)
        for task in benchmark.classification_tasks
    }
    return np.tile(_values(source, 1, DIMENSION), (n_rows, 1)).astype(np.float32), predictions


def _tied(benchmark: Benchmark, source: np.random.PCG64) -> tuple[EmbeddingArray, Predictions]:
    embedding, predictions = _random(benchmark, source)
    few = np.asarray(source.random_raw(benchmark.test_rows.size)) % np.uint64(N_TIED)
    return embedding[:N_TIED][few].astype(np.float16), predictions


def _near_tied(benchmark: Benchmark, source: np.random.PCG64) -> tuple[EmbeddingArray, Predictions]:
    """Vectors that differ by one float32 step per value: only the float64 definition orders their similarities."""
    _, predictions = _random(benchmark, source)
    n_rows = benchmark.test_rows.size
    base = np.tile(_values(source, 1, DIMENSION) / np.float32(127), (n_rows, 1)).astype(np.float32)
    step = np.asarray(source.random_raw(base.size)).reshape(base.shape) % np.uint64(3)
    towards = base + (step.astype(np.float32) - np.float32(1))
    return np.nextafter(base, towards, dtype=np.float32), predictions


SUBMISSIONS: dict[str, Callable[[Benchmark, np.random.PCG64], tuple[EmbeddingArray, Predictions]]] = {
    "perfect": _perfect,
    "random": _random,
    "constant": _constant,
    "tied": _tied,
    "near-tied": _near_tied,
    "near-tied-euclidean": _near_tied,
}
DISTANCES = {"near-tied-euclidean": "euclidean", "tied": "euclidean"}
