"""Measures how far annotators agree where two or more labelled the same image.

Cohen's kappa compares two annotators; for more, it is the mean over their pairs, weighted by the images that each pair
shares. Krippendorff's alpha takes all annotators at once. A multi-label task has a row for each label, yes or no.
"Cannot tell" is no label and takes no part. Labels as they came count as an annotator: the data set.

Intervals are percentile bootstraps over tracks, since one click may label a whole track: its images are one decision.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from piq_bench.build.annotate.ballots import CANNOT_TELL, NONE, Codes
from piq_bench.build.annotate.project import Project
from piq_bench.read.annotations import LABEL_SEPARATOR
from piq_bench.records import IntArray

RESAMPLES = 200
SEED = 0
LEVEL = 0.95
MISSING = -10  # in a table of answers
Interval = tuple[float, float]


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree in one task, or on one label of a multi-label task.

    Attributes:
        task, label: the label is empty in a single-label task.
        annotators: number of those who share images.
        images: number of images with two labels or more.
        same: share of these on which all agree.
        kappa, alpha: None where chance agreement is certain, as when everybody always gives one label.
        kappa_interval, alpha_interval: at LEVEL; None where fewer than half of the resamples define a value.
    """

    task: str
    label: str
    annotators: int
    images: int
    same: float
    kappa: float | None
    kappa_interval: Interval | None
    alpha: float | None
    alpha_interval: Interval | None


def agreements(project: Project) -> list[Agreement]:
    """The agreement in every task that has images with two labels."""
    found = []
    for name, task in project.ballots.tasks.items():
        with project.lock:
            _, given = project.ballots.opinions(name)
            texts = list(project.ballots.texts[name])
        table = np.where((given == NONE) | (given == CANNOT_TELL), MISSING, given)
        if not task.multi_label:
            found.append(measured(name, "", table, project.track))
            continue
        sets = [set(text.split(LABEL_SEPARATOR)) for text in texts]
        for label in task.labels:
            has = np.array([label in of for of in sets] + [False], dtype=np.int32)
            found.append(measured(name, label, np.where(table < 0, table, has[np.maximum(table, 0)]), project.track))
    return [one for one in found if one.images]


def measured(task: str, label: str, table: Codes, track: IntArray) -> Agreement:
    """The agreement in one table.

    Args:
        task: the task.
        label: the label, in a multi-label task.
        table: shape (n_annotators, n_images); equal numbers for equal answers, MISSING for none.
        track: shape (n_images,); equal numbers for images that were decided together.
    """
    shared = (table != MISSING).sum(axis=0) >= 2
    table, track = table[:, shared], track[shared]
    table = table[(table != MISSING).any(axis=1)] if table.size else table
    n = table.shape[1]
    if n == 0:
        return Agreement(task, label, 0, 0, 0.0, None, None, None, None)
    top = table.max(axis=0)
    same = float(((table == top) | (table == MISSING)).all(axis=0).mean())
    draws = _draws(track)
    return Agreement(
        task,
        label,
        table.shape[0],
        n,
        same,
        kappa(table),
        _interval(kappa, table, draws),
        alpha(table),
        _interval(alpha, table, draws),
    )


def kappa(table: Codes) -> float | None:
    """Cohen's kappa, the mean over pairs of annotators; None if no pair has a defined one."""
    from sklearn.metrics import cohen_kappa_score

    total, weight = 0.0, 0
    for one, other in combinations(table, 2):
        both = (one != MISSING) & (other != MISSING)
        if not both.any() or (np.unique(one[both]).size == 1 and (one[both] == one[both][0]).all()
                              and (other[both] == one[both][0]).all()):  # fmt: skip
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = float(cohen_kappa_score(one[both], other[both]))
        if np.isfinite(value):
            total += value * int(both.sum())
            weight += int(both.sum())
    return total / weight if weight else None


def alpha(table: Codes) -> float | None:
    """Krippendorff's alpha for nominal labels; None if only one label was ever given."""
    import krippendorff

    domain, codes = np.unique(table, return_inverse=True)
    codes = codes.reshape(table.shape) - int(domain[0] == MISSING)
    n_values = domain.size - int(domain[0] == MISSING)
    if n_values < 2:
        return None
    counts = np.zeros((table.shape[1], n_values), dtype=np.int64)
    for row in codes:
        given = np.flatnonzero(row >= 0)
        np.add.at(counts, (given, row[given]), 1)
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def _draws(track: IntArray) -> list[IntArray]:
    """Images of each resample: as many tracks as there are, drawn with replacement."""
    rng = np.random.default_rng(SEED)
    _, unit = np.unique(track, return_inverse=True)
    order = np.argsort(unit, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(unit[order])) + 1)
    return [np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]) for _ in range(RESAMPLES)]


def _interval(value: Callable[[Codes], float | None], table: Codes, draws: list[IntArray]) -> Interval | None:
    values: NDArray[np.float64] = np.array([v for rows in draws if (v := value(table[:, rows])) is not None])
    if values.size * 2 < len(draws):
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
