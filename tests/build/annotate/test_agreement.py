"""Kappa and alpha, worked by hand and against their definitions in exact fractions."""

import random
from collections import Counter
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from piq_bench.build.annotate import actions
from piq_bench.build.annotate.agreement import MISSING, agreements, alpha, kappa, measured
from piq_bench.build.annotate.project import Project

pytest.importorskip("krippendorff")
pytest.importorskip("sklearn")


def expected_alpha(table: list[list[int]]) -> Fraction | None:
    """1 - observed / expected disagreement, over all ordered pairs of answers to one image."""
    units = [[row[i] for row in table if row[i] != MISSING] for i in range(len(table[0]))]
    units = [unit for unit in units if len(unit) >= 2]
    n = sum(map(len, units))
    differ = sum((Fraction(sum(a != b for a, b in permutations(unit, 2)), len(unit) - 1) for unit in units), Fraction())
    count = Counter(value for unit in units for value in unit)
    chance = Fraction(sum(count[a] * count[b] for a in count for b in count if a != b), n - 1)
    return None if chance == 0 else 1 - differ / chance


def expected_kappa(table: list[list[int]]) -> Fraction | None:
    """(observed - chance) / (1 - chance) of each pair of annotators, weighted by their common images."""
    total, weight = Fraction(), 0
    for i in range(len(table)):
        for j in range(i):
            pairs = [(a, b) for a, b in zip(table[i], table[j], strict=True) if MISSING not in (a, b)]
            n = len(pairs)
            first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
            chance = Fraction(sum(first[v] * second[v] for v in first), n * n) if n else Fraction(1)
            if chance != 1:
                same = Fraction(sum(a == b for a, b in pairs), n)
                total += n * (same - chance) / (1 - chance)
                weight += n
    return total / weight if weight else None


def test_kappa_and_alpha_are_their_definitions() -> None:
    rng = random.Random(1)
    for _ in range(60):
        n, annotators = rng.randint(2, 12), rng.randint(2, 4)
        table = [[rng.choice([0, 0, 1, 2, MISSING]) for _ in range(n)] for _ in range(annotators)]
        given = np.array(table, dtype=np.int32)
        shared = given[:, (given != MISSING).sum(axis=0) >= 2]
        if not shared.size:
            continue
        for found, wanted in ((alpha(shared), expected_alpha(table)), (kappa(shared), expected_kappa(shared.tolist()))):
            assert found == (None if wanted is None else pytest.approx(float(wanted), abs=1e-12))


def test_worked_by_hand() -> None:
    # 10 images, both "yes" on 4, both "no" on 4, and they differ twice: observed 0.8, chance 0.5 * 0.5 + 0.5 * 0.5.
    table = np.array([[1] * 5 + [0] * 5, [1] * 4 + [0] * 5 + [1]], dtype=np.int32)
    found = measured("t", "", table, np.arange(10))
    assert (found.images, found.annotators, found.same) == (10, 2, 0.8)
    assert found.kappa == pytest.approx((0.8 - 0.5) / (1 - 0.5))
    assert found.kappa is not None and found.kappa_interval is not None
    assert found.kappa_interval[0] < found.kappa < found.kappa_interval[1]


def test_images_of_one_track_are_one_decision() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 20)
    second = np.where(rng.random(20) < 0.2, 1 - first, first)
    table = np.repeat(np.stack([first, second]), 5, axis=1).astype(np.int32)
    alone = measured("t", "", table, np.arange(100)).kappa_interval
    together = measured("t", "", table, np.repeat(np.arange(20), 5)).kappa_interval
    assert alone is not None and together is not None
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


def test_one_label_for_all_has_no_kappa() -> None:
    found = measured("t", "", np.zeros((2, 6), dtype=np.int32), np.arange(6))
    assert (found.same, found.kappa, found.alpha, found.kappa_interval) == (1.0, None, None, None)


def test_the_data_set_counts_as_an_annotator_and_cannot_tell_does_not(project: Project) -> None:
    ann = actions.annotator_number(project, "Ann")
    for row, label in ((0, "female"), (1, "male"), (2, "male"), (3, "male")):
        actions.answer(project, ann, "gender", [row], label)
    actions.answer(project, ann, "mood", [0], "happy")
    actions.answer(project, ann, "mood", [1], "|?")
    found = {(one.task, one.label): one for one in agreements(project)}
    assert (found["gender", ""].images, found["gender", ""].same) == (3, 2 / 3)
    assert {label: (found["mood", label].images, found["mood", label].same) for label in ("happy", "sad")} == {
        "happy": (1, 1.0),
        "sad": (1, 0.0),
    }
