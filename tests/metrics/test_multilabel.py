"""mA, accuracy per image and average precision against exact fractions, scikit-learn and worked examples."""

from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.metrics.multilabel import (
    average_precision,
    balanced_accuracy,
    image_metrics,
    mean_accuracy,
    precision_recall,
)

LABELS = ["a", "b", "c"]
SETS = st.sets(st.sampled_from(LABELS))
ROWS = st.lists(st.tuples(SETS, SETS), min_size=1, max_size=20)
SCORED = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1), st.booleans()), min_size=1)
Rows = list[tuple[set[str], set[str]]]
Scored = list[tuple[float, bool]]


def matrices(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    has = np.array([[[label in one for label in LABELS] for one in row] for row in rows])
    return has[:, 0], has[:, 1]


def found_of(rows: Rows) -> dict[str, tuple[float | None, int]]:
    truth, predicted = matrices(rows)
    counts = [part.sum(axis=0) for part in (truth & predicted, predicted, truth)]
    return {"ma": mean_accuracy(counts[0], counts[1], counts[2], len(rows)), **image_metrics(truth, predicted)}


@given(ROWS)
def test_every_mean_agrees_with_exact_fractions(rows: Rows) -> None:
    expected = oracles.attributes(LABELS, [t for t, _ in rows], [p for _, p in rows])
    assert {name: value for name, (value, _) in found_of(rows).items()} == {
        name: None if value is None else pytest.approx(value, rel=1e-14) for name, value in expected.items()
    }


@given(ROWS)
def test_what_has_no_case_is_counted(rows: Rows) -> None:
    n_left_out = {name: n for name, (_, n) in found_of(rows).items()}
    assert n_left_out == {
        "ma": sum(len({label in t for t, _ in rows}) == 1 for label in LABELS),
        "accuracy": sum(not t | p for t, p in rows),
        "precision": sum(not p for _, p in rows),
        "recall": sum(not t for t, _ in rows),
        "f1": 0,
    }


@given(ROWS, st.randoms())
def test_no_order_of_images_changes_a_bit(rows: Rows, random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert found_of(shuffled) == found_of(rows)


def test_a_perfect_answer_scores_1_and_its_opposite_0() -> None:
    truth, _ = matrices([({"a"}, set()), ({"b", "c"}, set())])
    n_true = truth.sum(axis=0)
    assert mean_accuracy(n_true, n_true, n_true, 2) == (1.0, 0)
    assert set(image_metrics(truth, truth).values()) == {(1.0, 0)}
    assert mean_accuracy(0 * n_true, 2 - n_true, n_true, 2) == (0.0, 0)
    assert set(image_metrics(truth, ~truth).values()) == {(0.0, 0)}


def test_an_image_without_a_label_is_left_out_and_f1_is_that_of_the_means_by_hand() -> None:
    rows: Rows = [({"a", "b"}, {"a"}), ({"a"}, {"a", "b", "c"}), (set(), {"c"})]
    found = found_of(rows)
    precision, recall = (1 + 1 / 3 + 0) / 3, (1 / 2 + 1) / 2
    assert {name: value for name, (value, _) in found.items()} == pytest.approx(
        {
            # a: 2 of 2 found, 1 of 1 rejected; b: 0 of 1 found, 1 of 2 rejected; nobody has c.
            "ma": (1 + (0 + 1 / 2) / 2) / 2,
            "accuracy": (1 / 2 + 1 / 3 + 0) / 3,
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
        }
    )
    assert {name: n for name, (_, n) in found.items() if n} == {"ma": 1, "recall": 1}


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1).filter(lambda rows: len({t for t, _ in rows}) == 2)
)
def test_of_two_labels_balanced_accuracy_is_ma(rows: list[tuple[bool, bool]]) -> None:
    truth, predicted = np.array(rows).T
    truth, predicted = (np.stack([~has, has], axis=1) for has in (truth, predicted))
    n_hits, n_predicted, n_true = (has.sum(axis=0) for has in (truth & predicted, predicted, truth))
    assert balanced_accuracy(n_hits, n_true)[0] == pytest.approx(
        mean_accuracy(n_hits, n_predicted, n_true, len(rows))[0], rel=1e-14
    )


def test_without_any_image_nothing_is_defined() -> None:
    nothing = np.zeros((0, 3), dtype=bool)
    none = np.zeros(3, dtype=np.int64)
    assert set(image_metrics(nothing, nothing).values()) == {(None, 0)}
    assert mean_accuracy(none, none, none, 0) == balanced_accuracy(none, none) == (None, 3)
    assert average_precision(np.zeros(0), np.zeros(0, dtype=bool)) is None


@given(SCORED)
def test_average_precision_agrees_with_exact_fractions(rows: Scored) -> None:
    scores, truth = [score for score, _ in rows], [has for _, has in rows]
    expected = oracles.threshold_average_precision(scores, truth)
    found = average_precision(np.array(scores), np.array(truth))
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-14))


@given(SCORED, st.randoms())
def test_average_precision_depends_on_the_order_of_scores_alone(rows: Scored, random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    places = {value: place for place, value in enumerate(sorted({score for score, _ in rows}))}
    truth = np.array([has for _, has in rows])
    expected = average_precision(np.array([score for score, _ in rows]), truth)
    assert average_precision(np.array([s for s, _ in shuffled]), np.array([has for _, has in shuffled])) == expected
    assert average_precision(np.array([float(places[score]) for score, _ in rows]), truth) == expected


def test_equal_scores_earn_the_share_of_images_with_the_label() -> None:
    assert average_precision(np.full(4, 0.5), np.array([True, False, False, False])) == 1 / 4
    assert average_precision(np.array([0.9, 0.1]), np.array([True, False])) == 1.0


def test_half_precision_scores_keep_their_ties() -> None:
    scores = np.array([0.1, 0.1, 0.2], dtype=np.float16)
    assert average_precision(scores, np.array([True, False, False])) == 1 / 3


@given(SCORED.filter(lambda rows: any(has for _, has in rows)))
def test_precision_and_recall_of_every_threshold_agree_with_counting(rows: Scored) -> None:
    scores, truth = (np.array(column) for column in zip(*rows, strict=True))
    for precision, recall, threshold in zip(*precision_recall(scores, truth), strict=True):
        predicted = [has for score, has in rows if score >= threshold]
        assert precision == sum(predicted) / len(predicted)
        assert recall == sum(predicted) / sum(has for _, has in rows)
    assert sorted({score for score, _ in rows}) == precision_recall(scores, truth)[2].tolist()


@pytest.fixture(scope="module")
def sklearn() -> Any:  # noqa: ANN401
    return pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("decimals", [0, 2, 17])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_average_precision_has_the_bits_of_scikit_learn(sklearn: Any, kind: type, decimals: int) -> None:  # noqa: ANN401
    rng = np.random.Generator(np.random.PCG64(decimals))
    for n_images in (1, 2, 7, 130, 3000):
        scores: Any = np.round(rng.normal(size=n_images), decimals).astype(kind)
        truth = rng.random(n_images) < 0.4
        truth[0] = True
        expected = float(sklearn.average_precision_score(truth, scores.astype(np.float64)))
        assert average_precision(scores, truth) == expected


@given(rows=ROWS)
def test_scikit_learn_agrees_where_it_defines_the_same(sklearn: Any, rows: Rows) -> None:  # noqa: ANN401
    truth, predicted = matrices([(t, p) for t, p in rows if t and p] or [({"a"}, {"a"})])
    found = image_metrics(truth, predicted)
    for name, function in (
        ("accuracy", sklearn.jaccard_score),
        ("precision", sklearn.precision_score),
        ("recall", sklearn.recall_score),
    ):
        assert found[name][0] == pytest.approx(function(truth, predicted, average="samples", zero_division=0))
    for label in range(len(LABELS)):
        one, other = truth[:, label], predicted[:, label]
        if one.any() and not one.all():
            n_hits, n_predicted, n_true = (np.array([has.sum()]) for has in (one & other, other, one))
            expected = sklearn.balanced_accuracy_score(one, other)
            assert mean_accuracy(n_hits, n_predicted, n_true, one.size)[0] == pytest.approx(expected)


@given(rows=SCORED.filter(lambda rows: len({has for _, has in rows}) == 2))
def test_scikit_learn_gives_the_same_bits_of_average_precision_and_of_the_curve(sklearn: Any, rows: Scored) -> None:  # noqa: ANN401
    scores, truth = (np.array(column) for column in zip(*rows, strict=True))
    precision, recall, thresholds = sklearn.precision_recall_curve(truth, scores)
    found = precision_recall(scores, truth)
    for one, other in zip(found, (precision[:-1], recall[:-1], thresholds), strict=True):
        assert one.tolist() == other.tolist()
    assert average_precision(scores, truth) == sklearn.average_precision_score(truth, scores)
