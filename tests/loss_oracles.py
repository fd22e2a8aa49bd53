"""The losses by their equations, sample by sample and pair by pair in plain Python, and random batches for them."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

torch = pytest.importorskip("torch")

Tensor: TypeAlias = Any  # types are checked without torch
DType: TypeAlias = Any
Options: TypeAlias = Any
Rows = list[list[float]]
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Make = Callable[..., Tensor]

EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-12}


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


def annotated(answer: int | list[int]) -> bool:
    return -1 not in (answer if isinstance(answer, list) else [answer])


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def expected_batch_rank(rows: Rows, target: list[Any], options: Options) -> tuple[float, int]:
    everyone = range(len(rows))
    anchors = [i for i in everyone if annotated(target[i])]
    partners = everyone if options.unlabelled == "as_negatives" else anchors
    total, n_with_positives = 0.0, 0
    for i in anchors:
        positives = [j for j in anchors if j != i and target[i] == target[j]]
        others = [math.exp(cosine(rows[i], rows[k]) / options.temperature) for k in partners if k != i]
        costs = [-math.log(math.exp(cosine(rows[i], rows[j]) / options.temperature) / sum(others)) for j in positives]
        total += sum(costs) / (len(costs) if costs and options.positives == "mean" else 1)
        n_with_positives += bool(costs)
    divisor = {"valid": len(anchors), "anchors": n_with_positives, "batch": len(rows)}[options.divide_by]
    return total / max(1, divisor), len(anchors)


def expected_triplet(rows: Rows, target: list[Any], options: Options) -> tuple[float, int]:
    anchors = [i for i in range(len(rows)) if annotated(target[i])]

    def distance(i: int, j: int) -> float:
        return math.sqrt(2 - 2 * cosine(rows[i], rows[j]))

    costs = []
    for i in anchors:
        others = [j for j in anchors if j != i]
        positives = [distance(i, j) for j in others if target[i] == target[j]]
        negatives = [distance(i, j) for j in others if target[i] != target[j]]
        if positives and negatives:
            costs.append(max(0.0, max(positives) - min(negatives) + options.margin))
    return sum(costs) / max(1, len(costs)), len(costs)


def expected_cross_entropy(rows: Rows, target: list[int]) -> tuple[float, int]:
    costs = []
    for logits, answer in zip(rows, target, strict=True):
        if answer == -1:
            continue
        costs.append(-math.log(math.exp(logits[answer]) / sum(map(math.exp, logits))))
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
        if -1 in answer:
            continue
        parts = [math.log(1 + math.exp(-one if yes else one)) for one, yes in zip(logits, answer, strict=True)]
        costs.append(sum(parts) / (len(parts) if form == "mean" else 1))
    return sum(costs) / max(1, len(costs)), len(costs)
