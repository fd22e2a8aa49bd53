"""Degenerate embeddings: chance or a refusal, never a crash and never a good score; and every engine agrees."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import builders
import numpy as np
import pytest

from piq_bench.errors import BadSubmission
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark, EmbeddingArray
from piq_bench.retrieve import cpu, plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score
from piq_bench.write.submission import write_submission

Distance = Literal["cosine", "euclidean"]
Make = Callable[[np.random.Generator, int], EmbeddingArray]
ENGINES: dict[str, Engine] = {"plain": plain.count_ranks, "compiled": cpu.count_ranks}


def constant(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.tile(rng.standard_normal(16).astype(np.float32), (n, 1))


def constant_half(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.full((n, 3), 0.1, dtype=np.float16)


def huge(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.full((n, 8), 3e38, dtype=np.float32)


def subnormal(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.full((n, 8), 1e-45, dtype=np.float32)


def one_dimension(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.full((n, 1), -2.5, dtype=np.float32)


def few_distinct(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.standard_normal((3, 8)).astype(np.float32)[rng.integers(0, 3, n)]


def signs(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.choice(np.array([-1, 1], dtype=np.float16), (n, 4))


def huge_norms(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return (rng.standard_normal((n, 8)) * 1e37).astype(np.float32)


def tiny_norms(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return (rng.standard_normal((n, 8)) * 1e-38).astype(np.float32)


def one_huge_row(rng: np.random.Generator, n: int) -> EmbeddingArray:
    rows = rng.standard_normal((n, 8)).astype(np.float32)
    rows[n // 2] *= np.float32(1e30)
    return rows


def last_bits(rng: np.random.Generator, n: int) -> EmbeddingArray:
    rows = np.ones((n, 64), dtype=np.float32)
    rows[:, 0] = np.nextafter(np.float32(1), rng.choice([0, 2], n).astype(np.float32))
    return rows


def benchmark_of(seed: int) -> Benchmark:
    return builders.benchmark(np.random.default_rng(seed), builders.Size(n_query=40, n_gallery=400, n_identities=6))


def scored(benchmark: Benchmark, embedding: EmbeddingArray, distance: Distance, engine: Engine) -> Score:
    submission = builders.submission(np.random.default_rng(0), benchmark, embedding, distance=distance)
    return score(benchmark, replace(submission, predictions={}), engine=engine, n_resamples=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", [constant, constant_half, huge, subnormal, one_dimension])
def test_equal_rows_give_chance_exactly(make: Make, distance: Distance, engine: str) -> None:
    benchmark = benchmark_of(1)
    result = scored(benchmark, make(np.random.default_rng(1), benchmark.test_rows.size), distance, ENGINES[engine])
    assert result.reid is not None
    for name, chance in result.reid.chance.items():
        assert result.reid.values[name] == pytest.approx(chance, abs=1e-12)
    assert any("degenerate embedding: 1 distinct rows" in note for note in result.notes)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "make", [few_distinct, signs, huge_norms, tiny_norms, one_huge_row, last_bits, constant, huge, subnormal]
)
def test_uninformative_rows_score_near_chance_with_every_engine(make: Make, distance: Distance) -> None:
    benchmark = benchmark_of(2)
    embedding = make(np.random.default_rng(2), benchmark.test_rows.size)
    results = [scored(benchmark, embedding, distance, engine) for engine in ENGINES.values()]
    one, other = (result.reid for result in results)
    assert one is not None
    assert other is not None
    assert one.values == other.values
    assert one.without_exclusion == other.without_exclusion
    found, chance = one.values["macro_map"], one.chance["macro_map"]
    assert found is not None
    assert chance is not None
    assert found < chance + 0.08


@pytest.mark.parametrize(
    ("value", "dtype", "code"),
    [(np.nan, np.float32, "nan"), (np.inf, np.float32, "inf"), (1e6, np.float16, "inf"), (0.0, np.float32, "zero")],
    ids=["NaN", "infinite", "float16 overflow", "zero row"],
)
def test_rows_that_have_no_direction_are_refused_with_their_image(
    value: float, dtype: type, code: str, tmp_path: Path
) -> None:
    benchmark = benchmark_of(3)
    images = benchmark.images[benchmark.test_rows]
    rows: EmbeddingArray = np.random.default_rng(3).standard_normal((images.size, 4)).astype(dtype)
    with np.errstate(over="ignore"):
        rows[7] = np.float64(value)
    path = tmp_path / "entry.npz"
    write_submission(path, images=images, embedding=rows, meta={"name": "degenerate", "benchmark": benchmark.name})
    with pytest.raises(BadSubmission) as refusal:
        read_submission(path, benchmark, partial=True)
    text = str(refusal.value)
    assert str(images[7]) in text
    assert code in text.lower()
