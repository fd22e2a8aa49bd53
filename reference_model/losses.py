"""Losses of a task on a batch, and two ways to combine the losses of all tasks.

The rule of this module: a sample that is not annotated, NOT_ANNOTATED in the target, adds nothing to a value or a
gradient, and the loss of a batch without annotations is exactly 0. Each loss is returned with the number of samples it
is a mean over. Shapes and branches never depend on the data, so that everything can be compiled and captured in a CUDA
graph. Losses are computed in float32 or better, also under autocast.

Fan, Dou, Li, Wang, Portrait Interpretation and a Benchmark, 2022; numbers of equations are the paper's.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from piq_bench.records import NOT_ANNOTATED

MARGIN = 0.3  # Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019
GUARD = 10.0  # bound of s in `Uncertainty`: a loss that goes to 0 would move s without end
SHORTEST = 1e-6  # a feature of a smaller norm has no direction, and its gradient would be as large as 1 / norm
HIDDEN = 1e4  # beyond any similarity; infinity would give 0 * infinity in the gradient of a row without partners
COINCIDENT = 1e-12  # least squared distance: the root has no gradient at 0


@dataclass(frozen=True)
class BatchRank:
    """Options of the Batch Rank loss; the defaults take eq. (4) literally.

    Attributes:
        positives: "sum" of the costs of an anchor's positives, or their "mean". The sum weighs a task by how many
            samples share a label: with features that tell nothing, gender costs about 300 in a batch of 128.
        temperature: divisor of the cosines. At 1 the loss cannot come near 0: of 126 negatives that are all
            orthogonal, a perfect positive costs ln(1 + 126 / e).
        unlabelled: whether unlabelled samples are "left_out" or serve "as_negatives" of the labelled anchors.
        divide_by: which samples the loss is a mean over: those that are "valid", the "anchors" that have positives, or
            the whole "batch".
    """

    positives: Literal["sum", "mean"] = "sum"
    temperature: Annotated[float, Field(ge=1e-3)] = 1.0
    unlabelled: Literal["left_out", "as_negatives"] = "left_out"
    divide_by: Literal["valid", "anchors", "batch"] = "valid"


@dataclass(frozen=True)
class Triplet:
    """Options of the triplet loss.

    Attributes:
        margin: by how much the farthest positive shall be nearer than the nearest negative.
    """

    margin: Annotated[float, Field(ge=0)] = MARGIN


BATCH_RANK = BatchRank()
TRIPLET = Triplet()


def classification_loss(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy, mean over the annotated samples.

    Args:
        logits: shape (n, n_classes).
        target: shape (n,), int64: index of the class, or NOT_ANNOTATED.

    Returns:
        The loss and the number of annotated samples, both of shape ().
    """
    cost = functional.cross_entropy(_precise(logits), target, ignore_index=NOT_ANNOTATED, reduction="sum")
    n_valid = (target != NOT_ANNOTATED).sum()
    return cost / n_valid.clamp(min=1), n_valid


def multilabel_loss(
    logits: Tensor, target: Tensor, *, form: Literal["mean", "sum", "balanced"] = "mean"
) -> tuple[Tensor, Tensor]:
    """Cost of a multi-label task, mean over the annotated samples, or over those with each label and those without.

    Args:
        logits: shape (n, n_labels).
        target: shape (n, n_labels), int64: 0 and 1, or a row of NOT_ANNOTATED.
        form: "mean" or "sum" over labels of the binary cross-entropy. "balanced" is the mean over all labels of two
            means of it, over the samples that have the label and over those that do not, so that the answer for a rare
            label is yes where it is likelier than usual.

    Returns:
        The loss and the number of annotated samples, both of shape ().
    """
    logits = _precise(logits)
    label = target.clamp(min=0).to(logits.dtype)
    valid = (target != NOT_ANNOTATED).all(dim=1)
    each = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
    if form == "balanced":
        sides = torch.stack([label, 1 - label]) * valid[:, None]  # (2, n, n_labels)
        n_samples = sides.sum(dim=1)
        means = (sides * each).sum(dim=1) / n_samples.clamp(min=1)
        return means.sum() / (n_samples > 0).sum().clamp(min=1), valid.sum()
    cost = each.mean(dim=1) if form == "mean" else each.sum(dim=1)
    return _mean(cost, valid)


def batch_rank_loss(features: Tensor, target: Tensor, options: BatchRank = BATCH_RANK) -> tuple[Tensor, Tensor]:
    """Batch Rank loss, eq. (4): cross-entropy of each positive's cosine against those of the whole batch.

    Each annotated sample is an anchor. It costs the sum over its positives of the logarithm of: the sum of exp(cosine)
    over all other annotated samples of the batch, divided by exp(cosine) of the positive. The loss is the sum over the
    anchors, divided by the number of annotated samples; those without a positive cost nothing, but count. `options`
    changes each of these choices.

    Args:
        features: shape (n, dimension), of any norm; a row of zeros counts as not annotated.
        target: shape (n,) or (n, n_labels), int64, as for the losses above.
        options: how the equation is read.

    Returns:
        The loss and the number of samples, anchors or not, that were annotated, both of shape ().
    """
    cosine, directed = _cosines(features)
    positive, annotated = positive_pairs(target)
    valid = annotated & directed
    partner = directed if options.unlabelled == "as_negatives" else valid
    compared = _pairs(valid, partner)
    positive = positive & compared

    similarity = cosine / options.temperature
    log_total = torch.where(compared, similarity, -HIDDEN).logsumexp(dim=1)
    n_positives = positive.sum(dim=1)
    cost = n_positives * log_total - torch.where(positive, similarity, 0.0).sum(dim=1)
    if options.positives == "mean":
        cost = cost / n_positives.clamp(min=1)
    n_valid = valid.sum()
    n_anchors = (n_positives > 0).sum()
    divisor = {"valid": n_valid, "anchors": n_anchors, "batch": torch.full_like(n_valid, len(target))}
    return cost.sum() / divisor[options.divide_by].clamp(min=1), n_valid


def triplet_loss(features: Tensor, target: Tensor, options: Triplet = TRIPLET) -> tuple[Tensor, Tensor]:
    """Batch-hard triplet loss on normalised features: each anchor's farthest positive and nearest negative.

    Args:
        features: shape (n, dimension), of any norm; a row of zeros counts as not annotated.
        target: shape (n,) or (n, n_labels), int64, as for the losses above.
        options: how triplets are formed.

    Returns:
        The mean over the anchors that have a positive and a negative, and their number, both of shape ().

    Hermans, Beyer, Leibe, In Defense of the Triplet Loss for Person Re-Identification, 2017; distances by eq. (3).
    """
    cosine, directed = _cosines(features)
    positive, annotated = positive_pairs(target)
    compared = _pairs(annotated & directed, annotated & directed)
    positive, negative = positive & compared, ~positive & compared

    distance = (2 - 2 * cosine).clamp(min=COINCIDENT).sqrt()
    farthest = torch.where(positive, distance, -HIDDEN).amax(dim=1)
    nearest = torch.where(negative, distance, HIDDEN).amin(dim=1)
    anchor = positive.any(dim=1) & negative.any(dim=1)
    return _mean((farthest - nearest + options.margin).relu(), anchor)


def positive_pairs(target: Tensor) -> tuple[Tensor, Tensor]:
    """Find the positives of each sample: those of the same class, or of the same set of labels.

    Args:
        target: shape (n,), index of the class or NOT_ANNOTATED; or (n, n_labels), 0 and 1 or a row of NOT_ANNOTATED.

    Returns:
        Shape (n, n), which pairs are positives, no sample with itself; and (n,), which samples are annotated.
    """
    labels = target if target.ndim == 2 else target[:, None]
    annotated = (labels != NOT_ANNOTATED).all(dim=1)
    same = (labels[:, None] == labels[None]).all(dim=2)
    return same & _pairs(annotated, annotated), annotated


def averaged(losses: Tensor, n_valid: Tensor) -> Tensor:
    """Mean loss over all tasks, shape (); the loss of a task that is absent from the batch is 0.

    Args:
        losses: shape (n_tasks,).
        n_valid: shape (n_tasks,), number of annotated samples; 0 for an absent task.
    """
    return torch.where(n_valid > 0, losses, 0.0).mean()


class Uncertainty(nn.Module):
    """Uncertainty weighting, eq. (6): the sum over tasks of exp(-s) * loss + s, with a learned s for each task.

    An absent task adds neither term, and its s stays; it would sink otherwise. With a loss that does not change, s goes
    to its logarithm and the weight to 1 / loss, so that the total may be negative. Weight decay would pull the weights
    towards 1: leave `log_loss` out of it.

    Before each use, s is set back to the nearest value from -GUARD to GUARD. So both terms are bounded, the gradient is
    that of eq. (6) everywhere, and an s at a bound leaves it as soon as its loss changes.

    Args:
        n_tasks: number of tasks.
        from_first_losses: whether s starts at the logarithm of the first loss of its task, the first in which the task
            is present, so that all tasks begin with a weighted loss of 1. Otherwise it starts at 0 and the weight at 1.

    Attributes:
        log_loss: s, shape (n_tasks,).
        has_begun: shape (n_tasks,), whether s was set to a first loss; None where it starts at 0.
    """

    has_begun: Tensor | None

    def __init__(self, n_tasks: int, *, from_first_losses: bool = False) -> None:
        super().__init__()
        self.log_loss = nn.Parameter(torch.zeros(n_tasks))
        begun = torch.zeros(n_tasks, dtype=torch.bool) if from_first_losses else None
        self.register_buffer("has_begun", begun)  # part of a checkpoint, so that a resumed run does not begin again

    def forward(self, losses: Tensor, n_valid: Tensor) -> Tensor:
        """Weighted sum of the losses, shape ().

        Args:
            losses: shape (n_tasks,), of the samples of all processes, so that s is the same in each process.
            n_valid: as for `averaged`.
        """
        present = n_valid > 0
        with torch.no_grad():
            if self.has_begun is not None and self.training:
                first = present & ~self.has_begun
                self.log_loss.copy_(torch.where(first, losses.detach().log(), self.log_loss))
                self.has_begun |= present
            self.log_loss.clamp_(-GUARD, GUARD)
        return torch.where(present, (-self.log_loss).exp() * losses + self.log_loss, 0.0).sum()

    def weights(self) -> Tensor:
        """Weight of each task's loss in the next step, shape (n_tasks,)."""
        return (-self.log_loss.clamp(-GUARD, GUARD)).exp()


def _precise(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 if it is that already."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _mean(cost: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cost of the valid samples, 0 if there are none, and their number."""
    n_valid = valid.sum()
    return torch.where(valid, cost, 0.0).sum() / n_valid.clamp(min=1), n_valid


def _cosines(features: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of all pairs, shape (n, n), and which rows have a direction, (n,)."""
    features = _precise(features)
    norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    unit = features / norm.clamp(min=SHORTEST)
    with torch.autocast(features.device.type, enabled=False):  # bfloat16 loses the small differences that matter here
        return unit @ unit.T, norm[:, 0] >= SHORTEST


def _pairs(anchor: Tensor, partner: Tensor) -> Tensor:
    """Pairs of an anchor and another sample that is a partner, shape (n, n)."""
    itself = torch.eye(len(anchor), dtype=torch.bool, device=anchor.device)
    return anchor[:, None] & partner & ~itself
