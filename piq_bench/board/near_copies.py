"""Two entries to what they have in common: equal rows, similarities that move together, mistakes that are shared.

All of it only warns, and only equality of everything refuses (`grade`): who fine-tunes another's published model does
nothing wrong, and a maintainer can ask what the author says of it.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from piq_bench.records import NOT_ANNOTATED, Benchmark, FloatArray, IntArray, Submission

EQUAL_ROWS: Final = 0.9
# Our baselines set the next two. reference-fss-br and reference-fss-br-uncertainty start from the same weights, see the
# same batches and differ in the weighting of losses alone: 0.9965 and 0.913. No other two of them reach 0.952 and 0.72.
# A copy with noise of a tenth of each dimension's deviation has 0.998; one with 2% of its answers drawn anew, 0.96.
SIMILARITIES: Final = 0.9975
MISTAKES: Final = 0.94
FEWEST_MISTAKES: Final = 50  # two entries that hardly err share mistakes by chance, or those of the labels
SAMPLE: Final = 1000  # images: half a million pairs
ROUNDING: Final = 1e-12  # of similarities up to 4; less than that between any two of them is no difference


def near_copies(benchmark: Benchmark, one: Submission, other: Submission) -> list[str]:
    """What a maintainer is told of `one`, as texts that the name of `other` ends; empty for most.

    Args:
        benchmark: with labels.
        one: aligned with it.
        other: likewise.
    """
    found = []
    rows = equal_rows(one, other)
    if rows.get("embedding", 0.0) >= EQUAL_ROWS:
        found.append(f"embedding: {rows['embedding']:.1%} of the rows are those of")
    elif (correlation := similarity_correlation(one, other)) is not None and correlation >= SIMILARITIES:
        found.append(f"embedding: its similarities correlate by {correlation:.4f} with those of")
    if rows.get("answers", 0.0) >= EQUAL_ROWS:
        found.append(f"answers: {rows['answers']:.1%} of the rows are those of")
    elif (share := common_mistakes(benchmark, one, other)) is not None and share >= MISTAKES:
        found.append(f"answers: {share:.1%} of the mistakes are those of")
    return found


def equal_rows(one: Submission, other: Submission) -> Mapping[str, float]:
    """Share of test images with the same embedding, to the bit, and with the same answers to all common tasks."""
    found = {}
    if one.embedding is not None and other.embedding is not None and one.embedding.shape == other.embedding.shape:
        same = one.embedding[one.order] == other.embedding[other.order]
        found["embedding"] = float(same.all(axis=1).mean())
    common = [task for task in one.predictions if task in other.predictions]
    if common:
        alike = np.ones(one.order.size, dtype=bool)
        for task in common:
            same = one.predictions[task] == other.predictions[task]
            alike &= same if same.ndim == 1 else same.all(axis=1)
        found["answers"] = float(alike.mean())
    return found


def similarity_correlation(one: Submission, other: Submission, seed: int = 0) -> float | None:
    """Pearson correlation, over pairs of images, of the similarities that each entry ranks by; in [-1, 1].

    Rotating, permuting, mirroring or scaling the dimensions, or padding them with zeros, changes no similarity, and a
    little noise little. None where an embedding is missing, or all similarities of one are equal.

    Args:
        one: of any dimension.
        other: aligned with the same benchmark, of any dimension.
        seed: which SAMPLE images are looked at, the same in both; all of them where there are no more.
    """
    if one.embedding is None or other.embedding is None:
        return None
    n_images = one.order.size
    rows = np.random.default_rng(seed).choice(n_images, min(n_images, SAMPLE), replace=False)
    first, second = _similarities(one, rows), _similarities(other, rows)
    if first.size == 0 or min(np.ptp(first), np.ptp(second)) < ROUNDING:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def common_mistakes(benchmark: Benchmark, one: Submission, other: Submission) -> float | None:
    """Of the answers that either entry has wrong, the share that both have wrong in the same way; in [0, 1].

    Right answers do not count: two good entries agree on those without knowing of each other. None where fewer than
    FEWEST_MISTAKES are wrong.

    Args:
        benchmark: with labels; each label of a multi-label task is an answer.
        one: aligned with it.
        other: likewise.
    """
    n_same, n_wrong = 0, 0
    for task in one.predictions.keys() & other.predictions.keys():
        truth = benchmark.labels[task][benchmark.test_rows]
        answer, its_answer = one.predictions[task], other.predictions[task]
        wrong, its_wrong = (given != truth for given in (answer, its_answer))
        annotated = truth != NOT_ANNOTATED
        n_same += int((wrong & its_wrong & (answer == its_answer) & annotated).sum())
        n_wrong += int(((wrong | its_wrong) & annotated).sum())
    return n_same / n_wrong if n_wrong >= FEWEST_MISTAKES else None


def _similarities(submission: Submission, rows: IntArray) -> FloatArray:
    """Shape (n_pairs,); of all pairs of some test rows. In the fast form: what is compared has no last bit."""
    assert submission.embedding is not None  # noqa: S101  (the caller looked)
    values = np.asarray(submission.embedding[submission.order[rows]], dtype=np.float64)
    values /= np.abs(values).max() or 1.0  # so that no square overflows, and none of a tiny value is 0
    if submission.distance == "cosine":
        values /= np.linalg.norm(values, axis=1, keepdims=True)
    else:
        values -= values.mean(axis=0)  # distances stay, and lose no digits to a distant origin
    products = values @ values.T
    squares = np.diag(products)
    pairs = np.triu_indices(rows.size, 1)
    return np.asarray((2 * products - squares[:, None] - squares[None, :])[pairs])
