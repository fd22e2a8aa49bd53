"""Predictions collected batch by batch get the same score as a submission file."""

from pathlib import Path

import numpy as np
import pytest
from ranks import run_ranks

import piq_bench
from piq_bench.errors import BadSubmission
from piq_bench.records import Benchmark

torch = pytest.importorskip("torch")

TASKS = (
    piq_bench.Task("who", "reid", kind="retrieval"),
    piq_bench.Task("age", "appearance", labels=("child", "adult")),
)
IMAGES = [f"{i:02}.jpg" for i in range(12)]
THREE_PROCESSES = """
import sys
import torch
from torch import distributed
from piq_bench import ScoreCollector, Task, make_benchmark

rank, place = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=3)
images = [f"{i}.jpg" for i in range(6)]
labels = {"image": images, "split": ["query", "gallery"] * 3, "age": ["child", "old", "old"] * 2}
collector = ScoreCollector(make_benchmark(labels, [Task("age", "appearance", labels=("child", "old"))]))
own = {0: [0, 2, 4], 1: [], 2: [1, 3, 5, 0]}[rank]  # two processes have image 0, one has no image
if own:
    collector.update([images[i] for i in own], {"age": torch.tensor([0 if i == 0 else 1 for i in own])})
print(collector.compute(n_resamples=0).to_dict()["protocol"]["digest"])
distributed.destroy_process_group()
"""


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


def test_batches_score_like_one_submission(benchmark: Benchmark) -> None:
    rng = np.random.default_rng(0)
    features, scores = rng.standard_normal((12, 5)).astype(np.float32), rng.random((12, 2)).astype(np.float32)
    expected = piq_bench.score({"image": IMAGES, "age": scores}, benchmark, embedding=features, n_resamples=5)
    collected = piq_bench.ScoreCollector(benchmark)
    for _ in range(2):
        for rows in (slice(7, 12), slice(0, 7)):
            collected.update(IMAGES[rows], {"age": torch.from_numpy(scores[rows])}, torch.from_numpy(features[rows]))
        found = collected.compute(n_resamples=5)
        assert found.to_dict()["protocol"] == expected.to_dict()["protocol"]
        collected.reset()
    half = torch.from_numpy(features).bfloat16().requires_grad_()
    collected.update(IMAGES, {"age": scores}, half)
    assert collected.parts["embedding"][0].dtype == np.float32
    assert collected.compute(n_resamples=0).piq is not None
    collected.reset()
    collected.update(IMAGES, {"age": torch.from_numpy(scores).half()}, torch.from_numpy(features).half())
    assert {part.dtype for parts in collected.parts.values() for part in parts} == {np.dtype(np.float16)}
    assert collected.compute(n_resamples=0).piq is not None


def test_batches_that_do_not_fit_are_refused(benchmark: Benchmark) -> None:
    collected = piq_bench.ScoreCollector(benchmark)
    with pytest.raises(ValueError, match="age has 2 rows for 3 images"):
        collected.update(IMAGES[:3], {"age": torch.zeros(2, 2)})
    collected.update(IMAGES[:3], {"age": torch.zeros(3, 2)})
    with pytest.raises(ValueError, match=r"got \['age', 'embedding'\] after batches with \['age'\]"):
        collected.update(IMAGES[3:], {"age": torch.zeros(9, 2)}, torch.zeros(9, 4))
    with pytest.raises(BadSubmission, match="9"):
        collected.compute(partial=True)


def test_processes_combine_their_predictions(tmp_path: Path) -> None:
    ended = run_ranks(tmp_path, 3, THREE_PROCESSES, str(tmp_path / "meeting"), modules=["piq_bench.scoring.score"])
    assert [process.code for process in ended] == [0, 0, 0], ended
    digests = {process.stdout for process in ended}
    images = [f"{i}.jpg" for i in range(6)]
    labels = {"image": images, "split": ["query", "gallery"] * 3, "age": ["child", "old", "old"] * 2}
    target = piq_bench.make_benchmark(labels, [piq_bench.Task("age", "appearance", labels=("child", "old"))])
    expected = piq_bench.score({"image": images, "age": np.array([0, 1, 1, 1, 1, 1])}, target, n_resamples=0)
    assert digests == {expected.to_dict()["protocol"]["digest"] + "\n"}  # type: ignore[index]
