"""Metric losses: Batch Rank and triplets against loops over pairs, degenerate batches, and several processes."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
losses = pytest.importorskip("reference_model.losses")
from loss_oracles import (  # noqa: E402
    EXACT,
    DType,
    Loss,
    Make,
    Options,
    Tensor,
    annotated,
    classes_of,
    cosine,
    expected_batch_rank,
    expected_triplet,
    features_of,
    sets_of,
    with_gradient,
)

few = settings(max_examples=40)

BATCH_RANKS = [
    losses.BatchRank(*options)
    for options in product(
        ["sum", "mean"],
        [1.0, 0.2],
        ["left_out", "as_negatives"],
        ["valid", "anchors", "batch"],
    )
]
TRIPLETS = [losses.Triplet(margin) for margin in (0.0, 0.3, 1.0)]
targets = st.sampled_from([classes_of, sets_of])


@settings(max_examples=150)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), make=targets, options=st.sampled_from(BATCH_RANKS))
def test_batch_rank_is_the_sum_over_anchors_and_positives(seed: int, n: int, make: Make, options: Options) -> None:
    features, target = features_of(seed, n), make(seed, n)
    found = losses.batch_rank_loss(features, target, options)
    expected = expected_batch_rank(features.tolist(), target.tolist(), options)
    assert tuple(map(torch.Tensor.item, found)) == pytest.approx(expected, **EXACT)


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), make=targets, options=st.sampled_from(TRIPLETS))
def test_triplet_takes_the_farthest_positive_and_the_nearest_negative(
    seed: int,
    n: int,
    make: Make,
    options: Options,
) -> None:
    features, target = features_of(seed, n), make(seed, n)
    found = losses.triplet_loss(features, target, options)
    expected = expected_triplet(features.tolist(), target.tolist(), options)
    assert tuple(map(torch.Tensor.item, found)) == pytest.approx(expected, **EXACT)


@few
@given(seed=st.integers(0, 10**6), n=st.integers(1, 10))
def test_the_gradient_of_batch_rank_is_its_closed_form(seed: int, n: int) -> None:
    features, target = features_of(seed, n), classes_of(seed, n)
    rows, answers = features.tolist(), target.tolist()
    unit = [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in rows]
    anchors = [i for i in range(n) if answers[i] != -1]
    of_pair = np.zeros((n, n))  # derivative by the cosine of each pair
    for i in anchors:
        others = [j for j in anchors if j != i]
        total = sum(math.exp(cosine(rows[i], rows[j])) for j in others)
        n_positives = sum(answers[i] == answers[j] for j in others)
        for j in others:
            share = math.exp(cosine(rows[i], rows[j])) / total
            of_pair[i, j] = (n_positives * share - (answers[i] == answers[j])) / len(anchors)
    expected = []
    for i in range(n):
        of_unit = [sum((of_pair[i, j] + of_pair[j, i]) * unit[j][d] for j in range(n)) for d in range(len(rows[i]))]
        along = sum(a * b for a, b in zip(of_unit, unit[i], strict=True))
        norm = math.sqrt(sum(v * v for v in rows[i]))
        expected.append([(a - b * along) / norm for a, b in zip(of_unit, unit[i], strict=True)])
    found = with_gradient(losses.batch_rank_loss, features, target)[1]
    assert np.array(found) == pytest.approx(np.array(expected), **EXACT)


@pytest.mark.parametrize("options", [*BATCH_RANKS[::5], *TRIPLETS])
@pytest.mark.parametrize("make", [classes_of, sets_of])
def test_gradients_are_those_of_finite_differences(options: Options, make: Make) -> None:
    features, target = features_of(8, 7).requires_grad_(), make(8, 7)
    loss = losses.batch_rank_loss if isinstance(options, losses.BatchRank) else losses.triplet_loss
    assert torch.autograd.gradcheck(lambda values: loss(values, target, options)[0], features)


@pytest.mark.parametrize("n", [3, 8])
def test_among_identical_features_each_positive_costs_the_log_of_the_number_of_others(n: int) -> None:
    features, target = torch.ones((n, 4), dtype=torch.float64), torch.tensor([0, 0, *range(1, n - 1)])
    loss, n_valid = losses.batch_rank_loss(features, target)
    assert n_valid == n
    assert loss.item() == pytest.approx(2 / n * math.log(n - 1), **EXACT)  # two anchors have one positive each


@pytest.mark.parametrize("n", [3, 8])
def test_an_identical_pair_among_orthogonal_features_is_not_free(n: int) -> None:
    features = torch.eye(n, dtype=torch.float64)
    features[1] = features[0]
    loss, _ = losses.batch_rank_loss(features, torch.tensor([0, 0, *range(1, n - 1)]))
    assert loss.item() == pytest.approx(2 / n * math.log(1 + (n - 2) / math.e), **EXACT)


def test_the_mean_over_positives_and_anchors_weighs_tasks_alike() -> None:
    options = losses.BatchRank(positives="mean", divide_by="anchors")
    features = torch.ones((128, 3), dtype=torch.float64)
    for n_classes in (2, 7, 100):
        loss, _ = losses.batch_rank_loss(features, classes_of(1, 128, n_classes, unknown=0), options)
        assert loss.item() == pytest.approx(math.log(127), **EXACT)


@few
@given(seed=st.integers(0, 10**6), n_people=st.integers(2, 4), n_images=st.integers(2, 4))
def test_triplet_is_bag_of_tricks_loss_on_a_fully_identified_batch(seed: int, n_people: int, n_images: int) -> None:
    features = features_of(seed, n_people * n_images)
    identity = torch.arange(n_people).repeat_interleave(n_images)
    unit = features / features.norm(dim=1, keepdim=True)
    distance = (unit[:, None] - unit[None]).norm(dim=2)
    positive = identity[:, None] == identity[None]  # itself among them, at a distance of 0
    farthest = torch.stack([row[pairs].max() for row, pairs in zip(distance, positive, strict=True)])
    nearest = torch.stack([row[~pairs].min() for row, pairs in zip(distance, positive, strict=True)])
    expected = torch.nn.MarginRankingLoss(margin=0.3)(nearest, farthest, torch.ones_like(nearest))
    loss, n_anchors = losses.triplet_loss(features, identity)
    assert loss.item() == pytest.approx(expected.item(), **EXACT)
    assert n_anchors == n_people * n_images


@few
@given(st.integers(0, 10**6))
def test_euclidean_distance_of_unit_features_is_the_root_of_two_less_twice_the_cosine(seed: int) -> None:
    one, other, third = features_of(seed, 3)
    options = losses.Triplet(margin=10.0)  # never met: the loss is the difference of the distances, and 10
    loss, _ = losses.triplet_loss(torch.stack([one, other, third]), torch.tensor([0, 0, 1]), options)
    unit = [value / value.norm() for value in (one, other, third)]
    positive = (unit[0] - unit[1]).norm()
    negatives = [(unit[anchor] - unit[2]).norm() for anchor in (0, 1)]
    assert loss.item() == pytest.approx((positive + 10 - sum(negatives) / 2).item(), **EXACT)


@few
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), make=targets)
def test_positive_pairs_have_the_same_class_or_the_same_set(seed: int, n: int, make: Make) -> None:
    target = make(seed, n)
    positive, known = losses.positive_pairs(target)
    answers = target.tolist()
    assert known.tolist() == [annotated(one) for one in answers]
    assert positive.tolist() == [
        [i != j and annotated(one) and one == other for j, other in enumerate(answers)] for i, one in enumerate(answers)
    ]


MEANS = losses.BatchRank("mean", 0.1, divide_by="anchors")
METRIC: dict[str, tuple[Loss, Make]] = {
    "batch rank": (losses.batch_rank_loss, classes_of),
    "batch rank of sets": (losses.batch_rank_loss, sets_of),
    "batch rank mean": (partial(losses.batch_rank_loss, options=MEANS), sets_of),
    "triplet": (losses.triplet_loss, classes_of),
    "triplet of sets": (losses.triplet_loss, sets_of),
}
every_metric_loss = pytest.mark.parametrize(("loss", "make"), METRIC.values(), ids=METRIC.keys())


@every_metric_loss
def test_the_length_of_features_does_not_matter(loss: Loss, make: Make) -> None:
    values, target = features_of(6, 12), make(6, 12)
    length = torch.from_numpy(np.random.default_rng(6).uniform(0.01, 100, (12, 1)))
    assert loss(values * length, target)[0].item() == pytest.approx(loss(values, target)[0].item(), **EXACT)


@every_metric_loss
def test_a_feature_of_zeros_counts_as_not_annotated(loss: Loss, make: Make) -> None:
    values, target = features_of(7, 9), make(7, 9, unknown=0.0)
    values[[2, 5]] = 0
    rest = [0, 1, 3, 4, 6, 7, 8]
    value, gradient, n_valid = with_gradient(loss, values, target)
    alone, gradient_alone, n_alone = with_gradient(loss, values[rest], target[rest])
    assert value == pytest.approx(alone, **EXACT)
    assert n_valid == n_alone
    assert np.array(gradient)[rest] == pytest.approx(np.array(gradient_alone), **EXACT)
    assert not np.array(gradient)[[2, 5]].any()


def test_a_feature_of_zeros_is_no_negative_either() -> None:
    options = losses.BatchRank(unlabelled="as_negatives")
    values, target = features_of(7, 6), torch.tensor([0, 0, 1, 1, -1, -1])
    values[5] = 0
    found = with_gradient(partial(losses.batch_rank_loss, options=options), values, target)
    assert found[0] == pytest.approx(losses.batch_rank_loss(values[:5], target[:5], options)[0].item(), **EXACT)
    assert not any(found[1][5])


DEGENERATE: dict[str, tuple[Tensor, list[int], float | None, float | None]] = {  # Batch Rank and triplet loss, if known
    "one annotated": (features_of(9, 4), [-1, 2, -1, -1], 0.0, 0.0),
    "no positives": (features_of(9, 4), [0, 1, 2, 3], 0.0, 0.0),
    "all of one label": (features_of(9, 4), [1, 1, 1, 1], None, 0.0),
    "rows twice": (features_of(9, 2).repeat(2, 1), [0, 1, 0, 1], None, 0.0),
    "identical features": (torch.ones((4, 5), dtype=torch.float64), [0, 0, 1, 1], math.log(3), 0.3),
    "opposite features": (torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double(), [0, 0], 0.0, 0.0),
    "all zeros": (torch.zeros((4, 5), dtype=torch.float64), [0, 0, 1, 1], 0.0, 0.0),
    "one sample": (features_of(9, 1), [0], 0.0, 0.0),
}


@pytest.mark.parametrize(("features", "target", "batch_rank", "triplet"), DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_batches_have_finite_losses_and_gradients(
    features: Tensor,
    target: list[int],
    batch_rank: float | None,
    triplet: float | None,
    dtype: DType,
) -> None:
    for loss, expected in ((losses.batch_rank_loss, batch_rank), (losses.triplet_loss, triplet)):
        value, gradient, _ = with_gradient(loss, features.to(dtype), torch.tensor(target))
        assert math.isfinite(value)
        assert np.isfinite(gradient).all()
        assert expected is None or value == pytest.approx(expected, rel=1e-6, abs=1e-6 if expected else 0)
        if expected == 0.0 and len(set(target) - {-1}) in (1, len(target)):
            assert not np.array(gradient).any()
