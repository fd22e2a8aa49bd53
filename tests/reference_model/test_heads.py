"""Heads and objective: only a task's own slice and its annotated images affect it."""

import json
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest

from piq_bench.errors import BadUsage
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import Task

torch = pytest.importorskip("torch")
heads = pytest.importorskip("reference_model.heads")
objective = pytest.importorskip("reference_model.objective")
config = pytest.importorskip("reference_model.config")
losses = pytest.importorskip("reference_model.losses")
flipping = pytest.importorskip("reference_model.flip")

Tensor: TypeAlias = Any  # types are checked without torch
Model: TypeAlias = Any
Configuration: TypeAlias = Any
N_CLASSES = {task.name: len(task.labels) or 6 for task in DEFAULT_TASKS}
D = 64
UNKNOWN = 0.3
COLD = losses.BatchRank(temperature=0.1)


def small(name: str, *settings: str) -> Configuration:
    return config.changed(config.tiny(config.PRESETS[name]), settings)


def model_of(configuration: Configuration) -> Model:
    model = heads.build_model(configuration, DEFAULT_TASKS, N_CLASSES)
    with torch.no_grad():
        for head in model.heads:
            head.classifier.weight.mul_(300)  # so that a change of the features shows
    return model


def targets_of(n: int, seed: int = 0) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    found = []
    for task in DEFAULT_TASKS:
        shape = (n, N_CLASSES[task.name]) if task.multi_label else (n,)
        target = rng.integers(0, 2 if task.multi_label else N_CLASSES[task.name], shape)
        target[rng.random(n) < UNKNOWN] = -1
        found.append(torch.from_numpy(target))
    return found


def feature_of(n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, D))).float()


@pytest.mark.parametrize("place", range(len(DEFAULT_TASKS)))
def test_a_task_reads_its_slice_alone(place: int) -> None:
    model = model_of(small("fss")).eval()
    part = model.split.slices[DEFAULT_TASKS[place].name]
    feature = feature_of(5)
    other = feature + 1
    other[:, part.start : part.stop] = feature[:, part.start : part.stop]
    assert torch.equal(model.judged(feature).logits[place], model.judged(other).logits[place])
    changed = feature.clone()
    changed[:, part.start] += 1
    assert not torch.equal(model.judged(feature).logits[place], model.judged(changed).logits[place])


@pytest.mark.parametrize("name", ["fss", "fss-triplet", "fss-br"])
def test_the_gradient_of_a_tasks_loss_is_zero_outside_of_its_slice(name: str) -> None:
    configuration = small(name)
    model = model_of(configuration)
    split = model.split
    for place, task in enumerate(DEFAULT_TASKS):
        feature = feature_of(16).requires_grad_()
        cost = objective.Objective(configuration, DEFAULT_TASKS)(model.judged(feature), targets_of(16))
        cost.by_task[place].backward()
        moved = feature.grad.abs().sum(dim=0) > 0
        part = split.slices[task.name]
        assert not moved[: part.start].any()
        assert not moved[part.stop :].any()
        assert moved[part.start : part.stop].all()
    reid, attributes = split.slices["reid"], ("gender", "age", "physique", "height")
    assert all(reid.start <= split.slices[one].start < split.slices[one].stop <= reid.stop for one in attributes)
    assert reid.width > sum(split.slices[one].width for one in attributes)
    body, arm = split.slices["body"], split.slices["arm"]
    assert (arm.start, body.stop) == (split.shared[0].start, split.shared[0].stop)


def test_without_a_split_every_task_reads_everything() -> None:
    model = model_of(small("sim-mtl"))
    assert all(head.neck.num_features == D for head in model.heads)


def test_the_paper_size_has_as_many_weights_as_worked_out() -> None:
    with torch.device("meta"):
        fss, whole, r50 = (
            heads.build_model(config.PRESETS[name], DEFAULT_TASKS, N_CLASSES | {"reid": 640})
            for name in ("fss", "sim-mtl", "sim-mtl-r50")
        )
    counts = [sum(p.numel() for p in model.parameters() if p.requires_grad) for model in (fss, whole, r50)]
    bias = 7  # of expression
    assert counts == [39_912_224 + bias, 40_570_176 + bias, 24_894_528 + bias]


def test_a_table_of_slices_replaces_the_computed_split() -> None:
    rows = [
        ["reid", 0, 30], ["gender", 0, 4], ["age", 4, 8], ["physique", 8, 12], ["height", 12, 16],
        ["body", 30, 40], ["arm", 36, 44], ["expression", 44, 64],
    ]  # fmt: skip
    model = model_of(small("fss", f"features.slices={json.dumps(rows)}"))
    assert [[*row] for row in model.split.table()][: len(rows)] == rows
    with pytest.raises(BadUsage, match="no slice for 'expression'"):
        model_of(small("fss", f"features.slices={json.dumps(rows[:-1])}"))


def test_a_neck_is_normalised_around_zero_and_only_multi_label_classifiers_have_a_bias() -> None:
    model = model_of(small("fss")).train()
    answers = model.judged(feature_of(32))
    for neck, head, task in zip(answers.necks, model.heads, DEFAULT_TASKS, strict=True):
        assert neck.mean(dim=0).abs().max() < 1e-5
        assert not head.neck.bias.requires_grad
        assert (head.classifier.bias is not None) == task.multi_label
    strict = model_of(small("fss", "multi_label_bias=false"))
    assert all(head.classifier.bias is None for head in strict.heads)


def test_heads_compute_in_float32_under_autocast() -> None:
    model = model_of(small("fss"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answers = model(torch.zeros(4, 3, 64, 32))
    assert {values.dtype for part in answers for values in part} == {torch.float32}


@pytest.mark.parametrize("name", ["fss", "fss-triplet", "fss-br"])
def test_images_without_an_annotation_add_nothing(name: str) -> None:
    configuration = small(name)
    model, minimised = model_of(configuration).eval(), objective.Objective(configuration, DEFAULT_TASKS)
    feature, targets = feature_of(24), targets_of(24)
    cost = minimised(model.judged(feature), targets)
    for place, target in enumerate(targets):
        known = (target if target.ndim == 1 else target[:, 0]) != -1
        part = minimised(model.judged(feature[known]), [one[known] for one in targets])
        assert cost.by_task[place].item() == pytest.approx(part.by_task[place].item(), rel=1e-5)
        assert cost.n_valid[place].item() == known.sum().item()


@pytest.mark.parametrize("combination", ["average", "uncertainty"])
@pytest.mark.parametrize("metric", ["none", "triplet", "batch_rank"])
def test_a_batch_without_any_identity_costs_re_identification_nothing(combination: str, metric: str) -> None:
    configuration = small("fss", f"metric={metric}", f"combination={combination}")
    model, minimised = model_of(configuration).train(), objective.Objective(configuration, DEFAULT_TASKS)
    targets = targets_of(16)
    targets[0][:] = -1
    cost = minimised(model.judged(feature_of(16)), targets)
    cost.total.backward()
    assert cost.by_task[0].item() == 0
    assert cost.n_valid[0].item() == 0
    assert not model.heads[0].classifier.weight.grad.any()
    assert model.heads[0].neck.bias.grad is None
    gradients = [p.grad for module in (model.heads, minimised) for p in module.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    if combination == "uncertainty":
        assert minimised.uncertainty.log_loss.grad[0].item() == 0
        assert minimised.uncertainty.log_loss.grad[1:].all()


def test_a_task_costs_its_classification_and_half_its_metric_loss() -> None:
    model, targets = model_of(small("fss")).eval(), targets_of(16)
    answers = model.judged(feature_of(16))
    plain, half, full = (
        objective.Objective(small("fss", f"metric={metric}", f"metric_ratio={ratio}"), DEFAULT_TASKS)(answers, targets)
        for metric, ratio in (("none", 0.5), ("batch_rank", 0.5), ("batch_rank", 1))
    )
    added = half.by_task - plain.by_task
    assert torch.equal(half.classification, plain.by_task)
    assert torch.allclose(half.metric, 2 * added, rtol=1e-4)
    assert not plain.metric.any()
    assert added.min() > 0
    assert torch.allclose(full.by_task - plain.by_task, 2 * added, rtol=1e-4)
    assert plain.total.item() == pytest.approx(plain.by_task.mean().item())


@pytest.mark.parametrize(
    ("settings", "multi_label", "metric"),
    [
        (["multi_label=sum"], {"form": "sum"}, None),
        (["metric=triplet", "triplet.margin=1.0"], {}, ("triplet_loss", losses.Triplet(margin=1.0))),
        (["metric=batch_rank", "batch_rank.temperature=0.1"], {}, ("batch_rank_loss", COLD)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_losses_use_the_options_of_the_configuration(
    settings: list[str], multi_label: dict[str, Any], metric: tuple[str, Any] | None
) -> None:
    plain = small("fss", "multi_label=mean")
    configuration = config.changed(plain, settings)
    targets, answers = targets_of(16), model_of(plain).eval().judged(feature_of(16))
    found = objective.Objective(configuration, DEFAULT_TASKS)(answers, targets).by_task
    expected = []
    for task, feature, logits, target in zip(DEFAULT_TASKS, answers.features, answers.logits, targets, strict=True):
        if task.multi_label:
            cost = losses.multilabel_loss(logits, target, **multi_label)[0]
        else:
            cost = losses.classification_loss(logits, target)[0]
        if metric is not None:
            cost = cost + 0.5 * getattr(losses, metric[0])(feature, target, metric[1])[0]
        expected.append(cost)
    torch.testing.assert_close(found, torch.stack(expected))
    assert not torch.equal(found, objective.Objective(plain, DEFAULT_TASKS)(answers, targets).by_task)


def test_only_the_weights_of_the_tasks_are_free_from_decay() -> None:
    configuration = small("fss-br-uncertainty")
    model, minimised = model_of(configuration), objective.Objective(configuration, DEFAULT_TASKS)
    decayed, free = objective.parameter_groups(model, minimised, 5e-4)
    assert (decayed["weight_decay"], free["weight_decay"]) == (5e-4, 0)
    assert free["params"] == [minimised.uncertainty.log_loss]
    assert {id(p) for p in decayed["params"]} == {id(p) for p in model.parameters() if p.requires_grad}
    assert not {id(head.neck.bias) for head in model.heads} & {id(p) for p in decayed["params"]}
    alone = objective.Objective(small("fss"), DEFAULT_TASKS)
    assert len(objective.parameter_groups(model, alone, 5e-4)) == 1


def test_the_seed_alone_makes_the_weights() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (model_of(small("fss", f"seed={seed}")).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert torch.equal(before, torch.random.get_rng_state())


def test_any_name_of_a_task_can_have_a_head() -> None:
    tasks = [Task("type", "a", labels=("x", "y")), Task("forward", "b", labels=("x", "y")), Task("keys", "c")]
    tasks[2] = replace(tasks[2], labels=("x", "y", "z"))
    model = heads.build_model(small("fss"), tasks, {task.name: len(task.labels) for task in tasks})
    assert [logits.shape[1] for logits in model.eval().judged(feature_of(2)).logits] == [2, 2, 3]


def test_in_a_mirror_left_is_right() -> None:
    labels = ("left", "up", "arm_left_raised", "right", "arm_right_raised", "leftover")
    assert flipping.flipped_labels(Task("arm", "posture", labels=labels)).tolist() == [3, 1, 4, 0, 2, 5]
    with pytest.raises(BadUsage, match="no label is the mirror image of 'left_turn'"):
        flipping.flipped_labels(Task("arm", "posture", labels=("left_turn", "straight")))


def test_answers_are_mirrored_where_the_image_is() -> None:
    flip, other = torch.tensor([True, True, True, False]), torch.tensor([0, 2, 1])
    single = torch.tensor([1, -1, 0, 1])
    assert flipping.flip_targets(single, flip, other).tolist() == [2, -1, 0, 1]
    several = torch.tensor([[0, 1, 0], [-1, -1, -1], [1, 0, 1], [0, 1, 0]])
    assert flipping.flip_targets(several, flip, other).tolist() == [[0, 0, 1], [-1, -1, -1], [1, 1, 0], [0, 1, 0]]
