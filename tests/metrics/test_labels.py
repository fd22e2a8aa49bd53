from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.metrics.labels import chance_f1, confusion, f1, macro_f1, majority_f1, precision, recall

NAMES = ["a", "b", "c", "d"]
SETS = st.lists(
    st.tuples(st.none() | st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES))), min_size=1, max_size=30
).filter(lambda rows: any(truth for truth, _ in rows))


def counts(rows: list[tuple[set[str] | None, set[str]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    known = [(t, p) for t, p in rows if t is not None]
    hits = [sum(n in t and n in p for t, p in known) for n in NAMES]
    predicted = [sum(n in p for _, p in known) for n in NAMES]
    true = [sum(n in t for t, _ in known) for n in NAMES]
    return np.array(hits, dtype=float), np.array(predicted, dtype=float), np.array(true, dtype=float)


@given(SETS)
def test_macro_f1_agrees_with_exact_fractions(rows: list[tuple[set[str] | None, set[str]]]) -> None:
    expected = oracles.macro_f1([t for t, _ in rows], [p for _, p in rows])
    assert float(macro_f1(*counts(rows))) == pytest.approx(expected, rel=1e-14)


def test_labels_that_do_not_occur_do_not_count_even_when_predicted() -> None:
    assert float(macro_f1(np.array([2.0, 0]), np.array([2.0, 5]), np.array([2.0, 0]))) == 1.0


def test_a_label_never_predicted_has_f1_0() -> None:
    assert float(macro_f1(np.array([2.0, 0]), np.array([4.0, 0]), np.array([2.0, 2]))) == pytest.approx(
        (2 * 2 / (4 + 2) + 0) / 2
    )


def test_macro_f1_without_any_label_is_undefined() -> None:
    assert np.isnan(macro_f1(np.zeros(2), np.ones(2), np.zeros(2)))


def test_f1_of_nothing_is_0_without_a_warning() -> None:
    assert f1(np.zeros(1), np.zeros(1), np.zeros(1)).tolist() == [0.0]


def test_precision_and_recall_by_hand() -> None:
    assert (precision(1, 4), recall(1, 2), precision(0, 0), recall(0, 0)) == (0.25, 0.5, None, None)


def test_confusion_counts_true_by_predicted() -> None:
    assert confusion(np.array([0, 0, 2]), np.array([1, 1, 2]), 3).tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_chance_is_the_f1_of_expected_counts() -> None:
    n_true, n_images = [30, 10], 40  # guessing: 15 of 30 hit, 20 predicted; 5 of 10 hit, 20 predicted
    expected = (Fraction(2 * 15, 20 + 30) + Fraction(2 * 5, 20 + 10)) / 2
    assert chance_f1(np.array(n_true), n_images, multi_label=False) == pytest.approx(float(expected))
    coin = (Fraction(2 * 15, 20 + 30) + Fraction(2 * 5, 20 + 10)) / 2  # a coin predicts 20 of 40 as well
    assert chance_f1(np.array(n_true), n_images, multi_label=True) == pytest.approx(float(coin))


def test_majority_gives_everyone_the_most_frequent_label() -> None:
    assert majority_f1(np.array([30, 10]), 40, multi_label=False) == pytest.approx((2 * 30 / (40 + 30) + 0) / 2)
    assert majority_f1(np.array([30, 21, 5]), 40, multi_label=True) == pytest.approx(
        (2 * 30 / (40 + 30) + 2 * 21 / (40 + 21) + 0) / 3
    )
    assert majority_f1(np.array([5, 5]), 40, multi_label=True) == 0.0
