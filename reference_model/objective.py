"""What is minimised: combines each task's losses into one number.

A task's loss is its classification loss plus, times the ratio of the paper's section 6, its metric loss: Batch Rank by
eq. (4), or the triplet loss on the distances of eq. (3). The tasks' losses are averaged, or weighted by eq. (6).
Nothing here waits for the device.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from piq_bench.records import Task
from reference_model.config import Configuration
from reference_model.heads import Answers
from reference_model.losses import (
    Uncertainty,
    averaged,
    batch_rank_loss,
    classification_loss,
    multilabel_loss,
    triplet_loss,
)
from reference_model.processes import over_all


class Cost(NamedTuple):
    """Losses of a batch.

    Attributes:
        total: shape (), the loss to be minimised.
        by_task: shape (n_tasks,), each task's loss; 0 where no sample is annotated.
        n_valid: shape (n_tasks,), number of annotated samples.
        classification, metric: shape (n_tasks,), the two losses that `by_task` is made of, before the ratio.
    """

    total: Tensor
    by_task: Tensor
    n_valid: Tensor
    classification: Tensor
    metric: Tensor


class Objective(nn.Module):
    """All losses of a run.

    Args:
        configuration: which losses to use, their options, and how to combine them.
        tasks: the tasks that the model learns, in its order.

    Attributes:
        uncertainty: the learned weights of the tasks; None where losses are averaged.
    """

    def __init__(self, configuration: Configuration, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.configuration = configuration
        self.multi_label = [task.multi_label for task in tasks]
        self.uncertainty: Uncertainty | None = None
        if configuration.combination == "uncertainty":
            from_first_losses = configuration.task_weights.start == "first_losses"
            self.uncertainty = Uncertainty(len(tasks), from_first_losses=from_first_losses)

    def forward(self, answers: Answers, targets: Sequence[Tensor]) -> Cost:
        """Compute the losses of a batch.

        Args:
            answers: the model's outputs for n images.
            targets: shape (n,) or (n, n_labels) for each task, int64; NOT_ANNOTATED where unknown.
        """
        features, logits, targets = self._of_all_processes(answers, targets)
        found = [self._of_task(*one) for one in zip(features, logits, targets, self.multi_label, strict=True)]
        classification, metric, n_valid = (torch.stack(part) for part in zip(*found, strict=True))
        losses = classification
        if self.configuration.metric != "none":
            losses = classification + self.configuration.metric_ratio * metric
        combined = averaged if self.uncertainty is None else self.uncertainty
        return Cost(combined(losses, n_valid), losses, n_valid, classification, metric)

    def _of_all_processes(
        self, answers: Answers, targets: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Features, logits and targets of all processes, in one exchange; features only where a loss reads them."""
        n = len(targets)
        if self.configuration.metric == "none":
            found = over_all([*answers.logits, *targets])
            return answers.features, found[:n], found[n:]
        found = over_all([*answers.features, *answers.logits, *targets])
        return found[:n], found[n : 2 * n], found[2 * n :]

    def _of_task(
        self, feature: Tensor, logits: Tensor, target: Tensor, multi_label: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Classification loss, metric loss and number of annotated samples."""
        options = self.configuration
        if multi_label:
            loss, n_valid = multilabel_loss(logits, target, form=options.multi_label)
        else:
            loss, n_valid = classification_loss(logits, target)
        if options.metric == "triplet":
            return loss, triplet_loss(feature, target, options.triplet)[0], n_valid
        if options.metric == "batch_rank":
            return loss, batch_rank_loss(feature, target, options.batch_rank)[0], n_valid
        return loss, torch.zeros_like(loss), n_valid


def parameter_groups(model: nn.Module, objective: Objective, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for the optimiser, that of the tasks' learned weights last; these are free from weight decay."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": learned, "weight_decay": weight_decay}]
    if objective.uncertainty is not None:
        groups.append({"params": [objective.uncertainty.log_loss], "weight_decay": 0.0})
    return groups
