"""Losses: each against loops over samples and pairs in float64, and what is not annotated adds nothing."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
losses = pytest.importorskip("reference_model.losses")

Tensor: TypeAlias = Any  # types are checked without torch
DType: TypeAlias = Any
Options: TypeAlias = Any
Rows = list[list[float]]
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Make = Callable[..., Tensor]

EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-12}
FORMS = ["mean", "sum", "softmax", "balanced"]
few = settings(max_examples=40)


def features_of(seed: int, n: int, dimension: int = 5) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dimension)))


def classes_of(seed: int, n: int, n_classes: int = 3, unknown: float = 0.3) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.where(rng.random(n) < unknown, -1, rng.integers(0, n_classes, n)))


def sets_of(seed: int, n: int, n_labels: int = 3, unknown: float = 0.3) -> Tensor:
    """Few labels, so that sets are equal, overlap or are empty often enough."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.where(rng.random((n, 1)) < unknown, -1, rng.integers(0, 2, (n, n_labels))))


def with_gradient(loss: Loss, values: Tensor, target: Tensor) -> tuple[float, Rows, int]:
    leaf = values.clone().requires_grad_()
    value, n_valid = loss(leaf, target)
    value.backward()
    return value.item(), leaf.grad.tolist(), n_valid.item()


# Oracles: what the equations say, pair by pair.


def annotated(answer: int | list[int]) -> bool:
    return -1 not in (answer if isinstance(answer, list) else [answer])


def same(one: int | list[int], other: int | list[int], alike: str) -> bool:
    if not isinstance(one, list) or not isinstance(other, list):
        return one == other
    first, second = ({label for label, has in enumerate(answer) if has} for answer in (one, other))
    return first == second if alike == "equal" else bool(first & second)


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def expected_batch_rank(rows: Rows, target: list[Any], options: Options) -> tuple[float, int]:
    takes_part = [annotated(one) and (options.empty_sets or not isinstance(one, list) or any(one)) for one in target]
    everyone = range(len(rows))
    anchors = [i for i in everyone if takes_part[i]]
    partners = everyone if options.unlabelled == "as_negatives" else anchors
    total, n_with_positives = 0.0, 0
    for i in anchors:
        positives = [j for j in anchors if j != i and same(target[i], target[j], options.alike)]
        others = [math.exp(cosine(rows[i], rows[k]) / options.temperature) for k in partners if k != i]
        costs = [-math.log(math.exp(cosine(rows[i], rows[j]) / options.temperature) / sum(others)) for j in positives]
        total += sum(costs) / (len(costs) if costs and options.positives == "mean" else 1)
        n_with_positives += bool(costs)
    divisor = {"valid": len(anchors), "anchors": n_with_positives, "batch": len(rows)}[options.divide_by]
    return total / max(1, divisor), len(anchors)


def expected_triplet(rows: Rows, target: list[Any], options: Options) -> tuple[float, int]:
    takes_part = [annotated(one) and (options.empty_sets or not isinstance(one, list) or any(one)) for one in target]
    anchors = [i for i in range(len(rows)) if takes_part[i]]

    def distance(i: int, j: int) -> float:
        squared = 2 - 2 * cosine(rows[i], rows[j])
        return squared if options.squared else math.sqrt(squared)

    costs = []
    for i in anchors:
        others = [j for j in anchors if j != i]
        positives = [distance(i, j) for j in others if same(target[i], target[j], options.alike)]
        negatives = [distance(i, j) for j in others if not same(target[i], target[j], options.alike)]
        if positives and negatives:
            costs.append(max(0.0, max(positives) - min(negatives) + options.margin))
    return sum(costs) / max(1, len(costs)), len(costs)


def expected_cross_entropy(rows: Rows, target: list[int], smoothing: float) -> tuple[float, int]:
    costs = []
    for logits, answer in zip(rows, target, strict=True):
        if answer == -1:
            continue
        chance = [math.exp(one) / sum(map(math.exp, logits)) for one in logits]
        wanted = [(1 - smoothing) * (place == answer) + smoothing / len(logits) for place in range(len(logits))]
        costs.append(-sum(share * math.log(one) for share, one in zip(wanted, chance, strict=True)))
    return sum(costs) / max(1, len(costs)), len(costs)


def expected_multilabel(rows: Rows, target: list[list[int]], form: str) -> tuple[float, int]:
    if form == "balanced":
        known = [(logits, answer) for logits, answer in zip(rows, target, strict=True) if -1 not in answer]
        means = []
        for label in range(len(rows[0])):
            for side in (0, 1):
                own = [
                    math.log(1 + math.exp(-logits[label] if side else logits[label]))
                    for logits, answer in known
                    if answer[label] == side
                ]
                means += [sum(own) / len(own)] if own else []
        return sum(means) / max(1, len(means)), len(known)
    costs = []
    for logits, answer in zip(rows, target, strict=True):
        if -1 in answer or (form == "softmax" and not any(answer)):
            continue
        if form == "softmax":
            total = sum(map(math.exp, logits))
            parts = [
                -math.log(math.exp(one) / total) / sum(answer) for one, yes in zip(logits, answer, strict=True) if yes
            ]
        else:
            parts = [math.log(1 + math.exp(-one if yes else one)) for one, yes in zip(logits, answer, strict=True)]
        costs.append(sum(parts) / (len(parts) if form == "mean" else 1))
    return sum(costs) / max(1, len(costs)), len(costs)


# Classification


@few
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), smoothing=st.sampled_from([0.0, 0.1]))
def test_classification_is_the_mean_cross_entropy_of_the_annotated(seed: int, n: int, smoothing: float) -> None:
    logits, target = features_of(seed, n, 3), classes_of(seed, n)
    found = losses.classification_loss(logits, target, label_smoothing=smoothing)
    assert tuple(map(torch.Tensor.item, found)) == pytest.approx(
        expected_cross_entropy(logits.tolist(), target.tolist(), smoothing), **EXACT
    )


@few
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), form=st.sampled_from(FORMS))
def test_multilabel_is_the_mean_over_the_annotated_of_what_its_form_says(seed: int, n: int, form: str) -> None:
    logits, target = features_of(seed, n, 3), sets_of(seed, n)
    found = losses.multilabel_loss(logits, target, form=form)
    assert tuple(map(torch.Tensor.item, found)) == pytest.approx(
        expected_multilabel(logits.tolist(), target.tolist(), form), **EXACT
    )


def test_no_label_at_all_is_an_answer_and_not_a_missing_one() -> None:
    logits = torch.zeros((2, 4))
    loss, n_valid = losses.multilabel_loss(logits, torch.tensor([[0, 0, 0, 0], [-1, -1, -1, -1]]))
    assert n_valid == 1
    assert loss.item() == pytest.approx(math.log(2))


# Metric losses

BATCH_RANKS = [
    losses.BatchRank(*options)
    for options in product(
        ["sum", "mean"],
        [1.0, 0.2],
        ["left_out", "as_negatives"],
        ["valid", "anchors", "batch"],
        ["equal", "overlap"],
        [True, False],
    )
]
TRIPLETS = [
    losses.Triplet(*options) for options in product([0.3, 1.0], [False, True], ["equal", "overlap"], [True, False])
]
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


@pytest.mark.parametrize("options", [*BATCH_RANKS[::7], *TRIPLETS[::3]])
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
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 12),
    options=st.sampled_from([("equal", True), ("equal", False), ("overlap", True)]),
)
def test_positive_pairs_are_those_of_sets(seed: int, n: int, options: tuple[str, bool]) -> None:
    alike, empty_sets = options
    target = sets_of(seed, n)
    positive, known = losses.positive_pairs(target, alike=alike, empty_sets=empty_sets)
    answers = target.tolist()
    assert known.tolist() == [annotated(one) and (empty_sets or any(one)) for one in answers]
    assert positive.tolist() == [
        [i != j and bool(known[i] and known[j]) and same(one, other, alike) for j, other in enumerate(answers)]
        for i, one in enumerate(answers)
    ]


# What every loss obeys

MEANS = losses.BatchRank("mean", 0.1, divide_by="anchors", empty_sets=False)
CASES: dict[str, tuple[Loss, Make]] = {
    "classification": (losses.classification_loss, classes_of),
    "smoothed": (partial(losses.classification_loss, label_smoothing=0.1), classes_of),
    **{f"multilabel {form}": (partial(losses.multilabel_loss, form=form), sets_of) for form in FORMS},
    "batch rank": (losses.batch_rank_loss, classes_of),
    "batch rank of sets": (losses.batch_rank_loss, sets_of),
    "batch rank mean": (partial(losses.batch_rank_loss, options=MEANS), sets_of),
    "triplet": (losses.triplet_loss, classes_of),
    "triplet of sets": (losses.triplet_loss, sets_of),
    "triplet squared": (partial(losses.triplet_loss, options=losses.Triplet(squared=True)), classes_of),
}
every_loss = pytest.mark.parametrize(("loss", "make"), CASES.values(), ids=CASES.keys())
METRIC = {name: case for name, case in CASES.items() if name.startswith(("batch rank", "triplet"))}
every_metric_loss = pytest.mark.parametrize(("loss", "make"), METRIC.values(), ids=METRIC.keys())


@every_loss
@pytest.mark.parametrize("seed", range(6))
def test_samples_without_annotation_change_neither_value_nor_gradient(loss: Loss, make: Make, seed: int) -> None:
    values, target = features_of(seed, 12, 3), make(seed, 12)
    known = (target != -1).reshape(12, -1).all(dim=1)
    value, gradient, n_valid = with_gradient(loss, values, target)
    value_alone, gradient_alone, n_alone = with_gradient(loss, values[known], target[known])
    assert value == pytest.approx(value_alone, **EXACT)
    assert n_valid == n_alone
    assert np.array(gradient)[known.numpy()] == pytest.approx(np.array(gradient_alone), **EXACT)
    assert not np.array(gradient)[~known.numpy()].any()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 5])
def test_a_batch_without_annotations_costs_exactly_nothing(loss: Loss, make: Make, dtype: DType, n: int) -> None:
    value, gradient, n_valid = with_gradient(loss, features_of(1, n, 3).to(dtype), torch.full_like(make(1, n), -1))
    assert (value, n_valid) == (0.0, 0)
    assert not np.array(gradient).any()


@every_loss
def test_the_order_of_samples_does_not_matter(loss: Loss, make: Make) -> None:
    values, target = features_of(3, 12, 3), make(3, 12)
    order = torch.from_numpy(np.random.default_rng(3).permutation(12))
    value, gradient, n_valid = with_gradient(loss, values, target)
    shuffled, shuffled_gradient, n_shuffled = with_gradient(loss, values[order], target[order])
    assert shuffled == pytest.approx(value, **EXACT)
    assert n_shuffled == n_valid
    assert np.array(shuffled_gradient) == pytest.approx(np.array(gradient)[order.numpy()], **EXACT)


@every_loss
def test_losses_of_bfloat16_are_computed_in_float32_under_autocast(loss: Loss, make: Make) -> None:
    values, target = features_of(4, 12, 3).to(torch.bfloat16), make(4, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = loss(values, target)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(values.double(), target)[0].item(), rel=2e-6)


@every_loss
def test_no_shape_and_no_branch_depends_on_the_batch(loss: Loss, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # On this device tensors have no values to look at; it does not know autocast.
    monkeypatch.setattr(torch, "autocast", lambda device, enabled: nullcontext())
    value, n_valid = loss(features_of(5, 6, 3).to("meta").requires_grad_(), make(5, 6).to("meta"))
    assert value.shape == n_valid.shape == ()
    value.backward()


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


# All tasks


def test_the_average_counts_absent_tasks_as_zero() -> None:
    values = torch.tensor([3.0, 5.0, math.nan], requires_grad=True)
    total = losses.averaged(values, torch.tensor([4, 1, 0]))
    total.backward()
    assert total.item() == pytest.approx(8 / 3)
    assert values.grad.tolist() == pytest.approx([1 / 3, 1 / 3, 0])


def weighting(values: list[float]) -> Any:  # noqa: ANN401
    module = losses.Uncertainty(len(values))
    with torch.no_grad():
        module.log_loss.copy_(torch.tensor(values))
    return module


def test_uncertainty_starts_as_the_plain_sum() -> None:
    module = losses.Uncertainty(3)
    assert module(torch.tensor([3.0, 5.0, 0.5]), torch.ones(3)).item() == pytest.approx(8.5)
    assert module.weights().tolist() == [1.0, 1.0, 1.0]
    assert list(module.state_dict()) == ["log_loss"]


def test_uncertainty_is_equation_6_with_its_gradient() -> None:
    s, values = [0.5, -1.0, 2.0], [3.0, 0.2, 7.0]
    module = weighting(s)
    total = module(torch.tensor(values), torch.ones(3))
    total.backward()
    pairs = list(zip(s, values, strict=True))
    assert total.item() == pytest.approx(sum(math.exp(-one) * value + one for one, value in pairs))
    assert module.log_loss.grad.tolist() == pytest.approx([1 - math.exp(-one) * value for one, value in pairs])


def test_uncertainty_rests_where_s_is_the_logarithm_of_the_loss() -> None:
    values = [3.0, 0.2, 150.0]
    module = weighting([math.log(value) for value in values])
    module(torch.tensor(values), torch.ones(3)).backward()
    assert module.log_loss.grad.tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert module.weights().tolist() == pytest.approx([1 / value for value in values])


def test_uncertainty_converges_to_the_logarithm_of_losses_that_do_not_change() -> None:
    values = torch.tensor([3.0, 0.2, 20.0])
    module = losses.Uncertainty(3)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        module(values, torch.ones(3)).backward()
        optimiser.step()
    assert module.log_loss.tolist() == pytest.approx(values.log().tolist(), abs=1e-3)


def test_an_absent_task_adds_nothing_to_uncertainty_and_its_s_stays() -> None:
    module = weighting([0.5, -1.0])
    values = torch.tensor([3.0, 5.0], requires_grad=True)
    total = module(values, torch.tensor([7, 0]))
    total.backward()
    assert total.item() == pytest.approx(3 * math.exp(-0.5) + 0.5)
    assert module.log_loss.grad[1] == 0
    assert values.grad[1] == 0


def test_the_guard_bounds_the_weight_but_not_s() -> None:
    module = weighting([-50.0, 50.0])
    assert module.weights().tolist() == pytest.approx([math.exp(10), math.exp(-10)])
    module(torch.tensor([1e-9, 1.0]), torch.ones(2)).backward()
    assert module.log_loss.grad.tolist() == [1, 1]
    free = losses.Uncertainty(1, guard=math.inf)
    with torch.no_grad():
        free.log_loss.fill_(12.0)
    assert free.weights().item() == pytest.approx(math.exp(-12))


# Several processes

PROGRAM = """
import sys
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from reference_model import losses

rank, store, batch, out = int(sys.argv[1]), *sys.argv[2:]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
inputs, target, weight = torch.load(batch, weights_only=True)
found = {}
for name in ("batch_rank_loss", "triplet_loss"):
    model = torch.nn.Linear(*weight.shape[::-1], bias=False, dtype=weight.dtype)
    with torch.no_grad():
        model.weight.copy_(weight)
    parallel = DistributedDataParallel(model)
    features = parallel(inputs.chunk(2)[rank])
    features.retain_grad()
    value, n_valid = getattr(losses, name)(features, target.chunk(2)[rank])
    value.backward()
    found[name] = value.detach(), n_valid, features.grad, model.weight.grad
if rank == 0:
    torch.save(found, out)
distributed.destroy_process_group()
"""


def test_two_processes_have_the_loss_and_the_gradient_of_one_with_all_samples(tmp_path: Path) -> None:
    inputs, target, weight = features_of(11, 12, 4), classes_of(11, 12), features_of(12, 5, 4)
    torch.save((inputs, target, weight), tmp_path / "batch")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    files = [str(tmp_path / name) for name in ("store", "batch", "found")]
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(rank), *files], env=environment) for rank in range(2)
    ]
    assert [process.wait(timeout=100) for process in processes] == [0, 0]
    for name, found in torch.load(tmp_path / "found", weights_only=True).items():
        one = weight.clone().requires_grad_()
        features = inputs @ one.T
        features.retain_grad()
        value, n_valid = getattr(losses, name)(features, target)
        value.backward()
        expected = value.detach(), n_valid, 2 * features.grad[:6], one.grad
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        assert value > 0


def test_in_one_process_rows_of_all_processes_are_the_tensor_itself() -> None:
    tensor = features_of(1, 3)
    assert losses.over_all(tensor) is tensor
