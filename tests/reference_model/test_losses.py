"""Losses: each against its equation in plain Python; what is not annotated adds nothing to a value or a gradient."""

import math
from contextlib import nullcontext
from functools import partial
from typing import Any

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
    classes_of,
    expected_cross_entropy,
    expected_multilabel,
    features_of,
    sets_of,
    with_gradient,
)

FORMS = ["mean", "sum", "balanced"]
few = settings(max_examples=40)


@few
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_classification_is_the_mean_cross_entropy_of_the_annotated(seed: int, n: int) -> None:
    logits, target = features_of(seed, n, 3), classes_of(seed, n)
    found = losses.classification_loss(logits, target)
    assert tuple(map(torch.Tensor.item, found)) == pytest.approx(
        expected_cross_entropy(logits.tolist(), target.tolist()), **EXACT
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


# What every loss obeys

MEANS = losses.BatchRank("mean", 0.1, divide_by="anchors")
CASES: dict[str, tuple[Loss, Make]] = {
    "classification": (losses.classification_loss, classes_of),
    **{f"multilabel {form}": (partial(losses.multilabel_loss, form=form), sets_of) for form in FORMS},
    "batch rank": (losses.batch_rank_loss, classes_of),
    "batch rank of sets": (losses.batch_rank_loss, sets_of),
    "batch rank mean": (partial(losses.batch_rank_loss, options=MEANS), sets_of),
    "triplet": (losses.triplet_loss, classes_of),
    "triplet of sets": (losses.triplet_loss, sets_of),
}
every_loss = pytest.mark.parametrize(("loss", "make"), CASES.values(), ids=CASES.keys())


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


def test_uncertainty_starts_where_each_weighted_loss_is_one() -> None:
    module = losses.Uncertainty(3, from_first_losses=True)
    values = torch.tensor([3.0, 0.0, 0.5])  # the second task is absent
    assert module(values, torch.tensor([7, 0, 1])).item() == pytest.approx(2 + math.log(3) + math.log(0.5))
    assert module.weights().tolist() == pytest.approx([1 / 3, 1, 2])
    assert module.has_begun.tolist() == [True, False, True]
    module(torch.tensor([9.0, 20.0, 9.0]), torch.ones(3))
    assert module.log_loss.tolist() == pytest.approx([math.log(3), math.log(20), math.log(0.5)])
    other = losses.Uncertainty(3, from_first_losses=True)
    other.load_state_dict(module.state_dict())
    other(torch.tensor([9.0, 9.0, 9.0]), torch.ones(3))
    assert torch.equal(other.log_loss, module.log_loss)  # a resumed run does not begin again


loss_values = st.floats(0, 1e6, width=32)
batches_of_losses = st.lists(st.tuples(loss_values, loss_values, st.integers(0, 2), st.integers(0, 2)), max_size=6)


@few
@given(batches_of_losses, st.booleans())
def test_uncertainty_is_the_same_in_plain_python(
    batches: list[tuple[float, float, int, int]], from_first_losses: bool
) -> None:
    module = losses.Uncertainty(2, from_first_losses=from_first_losses).double()
    s: list[float | None] = [None, None] if from_first_losses else [0.0, 0.0]
    for *values, one, two in batches:
        expected, gradient = 0.0, []
        for task, (value, n) in enumerate(zip(values, (one, two), strict=True)):
            if n and s[task] is None:
                s[task] = max(-10, min(10, math.log(value))) if value else -10.0
            own = s[task] or 0.0
            expected += math.exp(-own) * value + own if n else 0
            gradient.append(1 - math.exp(-own) * value if n else 0)
        module.log_loss.grad = None
        total = module(torch.tensor(values, dtype=torch.float64), torch.tensor([one, two]))
        total.backward()
        assert total.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert module.log_loss.grad.tolist() == pytest.approx(gradient, rel=1e-12, abs=1e-12)
        with torch.no_grad():
            module.log_loss -= 0.25 * module.log_loss.grad.sign()
        s = [
            None if own is None else own - 0.25 * math.copysign(bool(g), g) for own, g in zip(s, gradient, strict=True)
        ]
        s = [None if own is None else max(-10.0, min(10.0, own)) for own in s]


@pytest.mark.parametrize(("value", "bound"), [(0.0, -10), (1e9, 10)])
def test_s_cannot_run_off_and_comes_back_at_once(value: float, bound: float) -> None:
    module = losses.Uncertainty(1)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.5)

    def step(value: float) -> float:
        optimiser.zero_grad()
        total = module(torch.tensor([value]), torch.ones(1))
        total.backward()
        optimiser.step()
        return float(total.item())

    totals = [step(value) for _ in range(30)]
    assert totals[-1] == pytest.approx(math.exp(-bound) * value + bound)  # both terms are at the bound
    assert module.weights().item() == pytest.approx(math.exp(-bound))
    step(2 * math.exp(bound) if bound < 0 else 0.5 * math.exp(bound))  # the gradient is -1 or 0.5 there
    assert module.log_loss.item() == pytest.approx(bound + 0.5 if bound < 0 else bound - 0.25)
