"""Measures how often the 95% intervals of scores and of differences hold the true value, on simulated data sets.

    python tests/benchmarks/intervals.py [--people 8 20 40 100] [--sets 500] [--noise 1.5]

People are drawn from a population: each has 1 to 4 query images and 2 or more gallery images, is easy or hard to find,
and is easy or hard to classify. All queries of a data set share its gallery. The true value of a score is its mean over
very many data sets with as many people, all drawn anew, galleries too. Two equally good submissions answer for the same
images with independent errors, so the true difference is 0. Prints two Markdown tables.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from anywhere, not installed

from piq_bench.records import GALLERY, QUERY, Benchmark, EmbeddingArray, Grouping, IntArray, Submission, Task
from piq_bench.scoring.compare import compare, metric_scores, tallied
from piq_bench.scoring.records import Interval
from piq_bench.scoring.score import score

METRICS = {
    "reid.macro_map": "macro mAP",
    "reid.macro_rank1": "macro Rank-1",
    "f1.gender": "F1 of gender",
    "f1.arm": "F1 of arm",
    "piq": "PIQ",
}
TASKS = (
    Task("reid", "reid", kind="retrieval"),
    Task("gender", "appearance", labels=("female", "male")),  # of a person
    Task("arm", "posture", labels=("down", "raised", "crossed")),  # of an image
)
DIMENSION = 16
SPREAD = 0.3  # standard deviation of the logarithm of a person's noise
NOISE = 1.5  # median of a person's noise; that of the distance of two people is 1
GENDER_EASE = (4.0, 1.0)  # beta distribution over people of the share of images that are classified correctly
ARM_EASE = (3.0, 2.0)
ARM_HABIT = (3.0, 3.0, 2.0)  # Dirichlet distribution over people of how they hold their arms
TRUE_SETS = 6  # times as many data sets give the true value
RESAMPLES = 1000
SWAPS = 2000
PEOPLE = (8, 20, 40, 100)


def drawn(rng: np.random.Generator, n_people: int, noise: float = NOISE) -> Iterator[tuple[Benchmark, Submission]]:
    """A data set, with endlessly many equally good submissions to it."""
    n_query, n_gallery = rng.integers(1, 5, n_people), 2 + rng.poisson(3.0, n_people)
    person = np.concatenate([np.repeat(np.arange(n_people), n_query), np.repeat(np.arange(n_people), n_gallery)])
    n_images = person.size
    blur = noise * np.exp(SPREAD * rng.standard_normal(n_people))
    gender = rng.integers(0, 2, n_people)[person]
    habit = rng.dirichlet(ARM_HABIT, n_people).cumsum(axis=1)
    arm = (rng.random(n_images)[:, None] > habit[person, :2]).sum(axis=1)
    ease = {"gender": rng.beta(*GENDER_EASE, n_people)[person], "arm": rng.beta(*ARM_EASE, n_people)[person]}
    nothing = np.zeros(n_images, dtype=bool)
    benchmark = Benchmark(
        name="simulated",
        version="1",
        licence="none",
        tasks=TASKS,
        grouping=Grouping(),
        images=np.array([f"{number:06d}.jpg" for number in range(n_images)], dtype=object),
        split=np.repeat([QUERY, GALLERY], [n_query.sum(), n_gallery.sum()]),
        identity=person,
        identities=tuple(f"p{number:04d}" for number in range(n_people)),
        labels={"gender": gender, "arm": arm},
        junk=nothing,
        distractor=nothing,
        source=None,
        sequence=None,
        camera=None,
        groups=None,
    )
    while True:
        centre = rng.standard_normal((n_people, DIMENSION))
        embedding = centre[person] + blur[person, None] * rng.standard_normal((n_images, DIMENSION))
        yield (
            benchmark,
            _submission(
                embedding.astype(np.float32),
                gender=np.where(rng.random(n_images) < ease["gender"], gender, 1 - gender),
                arm=np.where(rng.random(n_images) < ease["arm"], arm, rng.integers(0, 3, n_images)),
            ),
        )


def true_scores(n_people: int, n_sets: int, noise: float = NOISE) -> dict[str, float]:
    """Mean scores over data sets that no interval is taken from."""
    found = []
    for number in range(n_sets):
        benchmark, submission = next(drawn(np.random.default_rng([n_people, number, 1]), n_people, noise))
        found.append(metric_scores(benchmark, tallied(benchmark, submission)))
    return {name: float(np.mean([scores[name] for scores in found])) for name in METRICS}


def coverage(n_people: int, n_sets: int, noise: float = NOISE) -> dict[str, tuple[float, float]]:
    """By metric, the share of data sets whose interval holds the true score: ours, and the percentile interval."""
    truth = true_scores(n_people, TRUE_SETS * n_sets, noise)
    held = {name: np.zeros(2) for name in METRICS}
    for number in range(n_sets):
        benchmark, submission = next(drawn(np.random.default_rng([n_people, number]), n_people, noise))
        result = score(benchmark, submission, n_resamples=RESAMPLES, seed=number)
        for place, ends in enumerate((result.intervals, result.earlier_intervals)):
            assert ends is not None
            for name in METRICS:
                part, _, key = name.partition(".")
                one: Interval = ends.piq if name == "piq" else getattr(ends, part)[key]
                held[name][place] += one is not None and one[0] <= truth[name] <= one[1]
    return {name: (float(share[0]) / n_sets, float(share[1]) / n_sets) for name, share in held.items()}


def false_alarms(n_people: int, n_sets: int, noise: float = NOISE) -> dict[str, tuple[float, float]]:
    """By metric, for equally good submissions: how often the interval leaves 0 out, and how often p is below 5%.

    Raises:
        ValueError: if an interval and its p-value disagree.
    """
    found = {name: np.zeros(2) for name in METRICS}
    for number in range(n_sets):
        submissions = drawn(np.random.default_rng([n_people, number, 2]), n_people, noise)
        pair = [tallied(*next(submissions)) for _ in range(2)]
        benchmark, _ = next(submissions)
        result = compare(benchmark, pair, n_resamples=2, n_swaps=SWAPS, seed=number)
        for one in result.pairs[0].differences:
            if one.metric in found:
                assert one.interval is not None
                alarms = (not one.interval[0] <= 0.0 <= one.interval[1], one.p < 0.05)
                if alarms[0] != alarms[1]:
                    raise ValueError(f"{one} contradicts itself")
                found[one.metric] += alarms
    return {name: (float(share[0]) / n_sets, float(share[1]) / n_sets) for name, share in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=PEOPLE, help="numbers of people")
    parser.add_argument("--sets", type=int, default=500, help="data sets for each number")
    parser.add_argument("--noise", type=float, default=NOISE, help="difficulty of retrieval")
    options = parser.parse_args()
    for title, measure in (("covered, % (percentile interval)", coverage), ("leaves 0 out, % (p < 5%)", false_alarms)):
        print(f"\n| people: {title} | {' | '.join(METRICS.values())} |\n|--:|{'--:|' * len(METRICS)}")
        for n_people in options.people:
            shares = measure(n_people, options.sets, options.noise).values()
            cells = (f"{100 * one:.1f} ({100 * other:.1f})" for one, other in shares)
            print(f"| {n_people} | {' | '.join(cells)} |", flush=True)


def _submission(embedding: EmbeddingArray, **predictions: IntArray) -> Submission:
    return Submission(
        name="simulated",
        distance="cosine",
        meta={},
        content="0" * 64,
        embedding=embedding,
        order=np.arange(embedding.shape[0]),
        predictions=predictions,
        file_sha256="0" * 64,
        file_bytes=0,
    )


if __name__ == "__main__":
    main()
