"""Samples of pairs, checked against plain loops over all queries and gallery images of small benchmarks."""

from dataclasses import replace
from fractions import Fraction

import builders
import numpy as np
import pytest

from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN, Benchmark, Submission
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.matrix import similarity_of
from piq_bench.scoring.pair_samples import CameraPairs, Histogram, by_camera, evenly, similarity_histogram

SIZE = builders.Size(n_query=20, n_gallery=60, n_identities=6)


def made(seed: int, distance: str = "cosine") -> tuple[Benchmark, Submission]:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, SIZE, exclude=(SAME_CAMERA,) if seed % 2 else ())
    embedding = rng.integers(1, 4, (benchmark.test_rows.size, 2)).astype(np.float32)  # with ties
    return benchmark, builders.submission(rng, benchmark, embedding, distance=distance)  # type: ignore[arg-type]


def sampled(benchmark: Benchmark, submission: Submission) -> tuple[Histogram | None, CameraPairs | None]:
    candidates = find_candidates(benchmark)
    similarity = similarity_of(submission)
    test_row = np.cumsum(benchmark.split != TRAIN) - 1
    queries = np.arange(candidates.query.size)
    return (
        similarity_histogram(similarity, candidates, test_row, benchmark.identity, queries),
        by_camera(benchmark, similarity, candidates, test_row, queries),
    )


def pairs_of(benchmark: Benchmark, submission: Submission) -> list[tuple[int, int, float, bool]]:
    """Query row, gallery row, similarity and whether it is right, of every pair that no rule excludes."""
    assert submission.embedding is not None and benchmark.groups is not None and benchmark.camera is not None
    place = {row: number for number, row in enumerate(benchmark.test_rows.tolist())}
    found = []
    for query in np.flatnonzero(benchmark.split == QUERY).tolist():
        for image in np.flatnonzero(benchmark.split == GALLERY).tolist():
            is_right = benchmark.identity[query] == benchmark.identity[image]
            same_group = benchmark.groups.group[query] == benchmark.groups.group[image] >= 0
            same_camera = is_right and benchmark.camera[query] == benchmark.camera[image]
            if benchmark.identity[query] < 0 or benchmark.junk[image] or benchmark.junk[query] or same_group:
                continue
            if same_camera and SAME_CAMERA in benchmark.exclude:
                continue
            one, other = (submission.embedding[place[row]].astype(float) for row in (query, image))
            if submission.distance == "cosine":
                value = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
            else:
                value = -float(((one - other) ** 2).sum())
            found.append((query, image, round(value, 6), bool(is_right)))
    return found


def expected_precision(values: list[tuple[float, bool]]) -> float:
    """Average precision with ties by their expectation, rank by rank in exact fractions."""
    total, found, above = Fraction(0), 0, 0
    for value in sorted({value for value, _ in values}, reverse=True):
        tied = [is_right for other, is_right in values if other == value]
        n, right = len(tied), sum(tied)
        for place in range(n):
            before = Fraction(place * (right - 1), n - 1) if n > 1 else Fraction(0)
            total += Fraction(right, n) * (found + before + 1) / (above + place + 1)
        found, above = found + right, above + n
    return float(total / found)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_histogram_counts_every_pair_of_a_small_benchmark(seed: int, distance: str) -> None:
    benchmark, submission = made(seed, distance)
    found, _ = sampled(benchmark, submission)
    pairs = pairs_of(benchmark, submission)
    right, wrong = ([value for _, _, value, is_right in pairs if is_right == kind] for kind in (True, False))
    assert found is not None
    assert (found.n_right, found.n_wrong) == (len(right), len(wrong))
    assert (found.low, found.high) == pytest.approx((min(right + wrong), max(right + wrong)), abs=1e-5)
    assert (sum(found.right), sum(found.wrong)) == pytest.approx((1.0, 1.0))
    middle = float(np.median(right))
    share = [sum(value > middle + slack for value in wrong) / len(wrong) for slack in (1e-5, -1e-5)]
    assert share[0] <= found.above_median <= share[1]


@pytest.mark.parametrize(("seed", "n_cameras"), [(0, 2), (1, 2), (2, 3), (3, 2)])
def test_each_pair_of_cameras_searches_one_camera_alone(seed: int, n_cameras: int) -> None:
    benchmark, submission = made(seed)
    names = np.array([f"c{camera}" for camera in range(n_cameras)], dtype=object)
    benchmark = replace(benchmark, camera=np.resize(names, benchmark.images.size))
    assert benchmark.camera is not None
    _, found = sampled(benchmark, submission)
    assert found is not None and found.cameras == tuple(names)
    pairs = pairs_of(benchmark, submission)
    for one, values, counts in zip(found.cameras, found.values, found.counts, strict=True):
        for other, value, count in zip(found.cameras, values, counts, strict=True):
            lists: dict[int, list[tuple[float, bool]]] = {}
            for query, image, similarity, is_right in pairs:
                if (benchmark.camera[query], benchmark.camera[image]) == (one, other):
                    lists.setdefault(query, []).append((similarity, is_right))
            precisions = [expected_precision(own) for own in lists.values() if any(right for _, right in own)]
            assert count == len(precisions)
            assert value == (pytest.approx(sum(precisions) / count, abs=1e-9) if count else None)


def test_one_camera_or_none_has_no_table() -> None:
    benchmark, submission = made(0)
    assert sampled(replace(benchmark, camera=None), submission)[1] is None
    one = np.full(benchmark.images.size, "c1", dtype=object)
    assert sampled(replace(benchmark, camera=one), submission)[1] is None


def test_without_a_gallery_there_is_nothing_to_sample() -> None:
    benchmark, submission = made(1)
    assert sampled(benchmark, submission)[1] is not None
    empty = replace(benchmark, junk=benchmark.split == GALLERY)
    assert sampled(empty, submission) == (None, None)


def test_equal_similarities_have_no_histogram() -> None:
    benchmark, submission = made(0)
    same = np.ones((benchmark.test_rows.size, 2), dtype=np.float32)
    assert sampled(benchmark, replace(submission, embedding=same))[0] is None


def test_a_sample_is_spread_evenly() -> None:
    assert evenly(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert evenly(np.arange(3), 4).tolist() == [0, 1, 2]
