"""Predictions collected batch by batch: the score of the file that they would make."""

import numpy as np
import pytest

import piq_bench
from piq_bench.errors import BadSubmission
from piq_bench.records import Benchmark

torch = pytest.importorskip("torch")
collector = pytest.importorskip("reference_model.collector")

TASKS = (
    piq_bench.Task("who", "reid", kind="retrieval"),
    piq_bench.Task("age", "appearance", labels=("child", "adult")),
)
IMAGES = [f"{i:02}.jpg" for i in range(12)]


@pytest.fixture
def benchmark() -> Benchmark:
    return piq_bench.make_benchmark(
        {
            "image": IMAGES,
            "split": ["query", "gallery", "gallery"] * 4,
            "identity": [f"p{i // 3}" for i in range(12)],
            "age": ["child", "adult"] * 6,
        },
        TASKS,
    )


def test_batches_score_as_their_whole(benchmark: Benchmark) -> None:
    rng = np.random.default_rng(0)
    features, scores = rng.standard_normal((12, 5)).astype(np.float32), rng.random((12, 2)).astype(np.float32)
    expected = piq_bench.score({"image": IMAGES, "age": scores}, benchmark, embedding=features, n_resamples=5)
    collected = collector.ScoreCollector(benchmark)
    for _ in range(2):
        for rows in (slice(7, 12), slice(0, 7)):
            collected.update(IMAGES[rows], {"age": torch.from_numpy(scores[rows])}, torch.from_numpy(features[rows]))
        found = collected.compute(n_resamples=5)
        assert found.to_dict()["protocol"] == expected.to_dict()["protocol"]
        collected.reset()
    half = torch.from_numpy(features).bfloat16().requires_grad_()
    collected.update(IMAGES, {"age": scores}, half)
    assert collected.compute(n_resamples=0).piq is not None


def test_what_does_not_fit_is_refused(benchmark: Benchmark) -> None:
    collected = collector.ScoreCollector(benchmark)
    with pytest.raises(ValueError, match="age has 2 rows for 3 images"):
        collected.update(IMAGES[:3], {"age": torch.zeros(2, 2)})
    collected.update(IMAGES[:3], {"age": torch.zeros(3, 2)})
    with pytest.raises(ValueError, match=r"got \['age', 'embedding'\] after batches with \['age'\]"):
        collected.update(IMAGES[3:], {"age": torch.zeros(9, 2)}, torch.zeros(9, 4))
    with pytest.raises(BadSubmission, match="9"):
        collected.compute(partial=True)
