"""Adapts labels to horizontally flipped images: "left" becomes "right", and the other way round.

The partner of a label that names a side is the label that names the other side in the same words. Where the vocabulary
has no such partner, images cannot be flipped.
"""

import re

import numpy as np
import torch
from torch import Tensor

from piq_bench.errors import BadUsage, Problem, first_few
from piq_bench.records import NOT_ANNOTATED, IntArray, Task

OPPOSITE = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
SIDE = re.compile(r"(?<![A-Za-z])(?:" + "|".join(OPPOSITE) + r")(?![A-Za-z])")


def flipped_labels(task: Task) -> IntArray:
    """The index of each label's partner after a flip, shape (n_labels,); its own index where it names no side.

    Raises:
        BadUsage: if a label names a side and no label names the other side.

    >>> flipped_labels(Task("pose", "posture", labels=("straight", "left", "right", "up"))).tolist()
    [0, 2, 1, 3]
    """
    mirrored = [SIDE.sub(lambda match: OPPOSITE[match[0]], label) for label in task.labels]
    unpaired = [label for label, other in zip(task.labels, mirrored, strict=True) if other not in task.labels]
    if unpaired:
        found = f"no label is the mirror image of {first_few(unpaired, len(unpaired))}"
        raise BadUsage(
            "augmentation", [Problem("one-sided", task.name, found, "set augmentation.flip=0", len(unpaired))]
        )
    return np.array([task.labels.index(label) for label in mirrored], dtype=np.int64)


def flip_targets(target: Tensor, flip: Tensor, partner: Tensor) -> Tensor:
    """Adapt the targets of a batch in which some images are flipped.

    Args:
        target: shape (n,), index of the label or NOT_ANNOTATED; or (n, n_labels) for a multi-label task.
        flip: shape (n,), bool; whether an image is flipped.
        partner: shape (n_labels,); result of `flipped_labels`.
    """
    if target.ndim == 2:
        return torch.where(flip[:, None], target[:, partner], target)
    return torch.where(flip & (target != NOT_ANNOTATED), partner[target.clamp(min=0)], target)
