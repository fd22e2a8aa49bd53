"""Answers of mirrored images: what was left is right. In comes a vocabulary, out comes each task's answer in a mirror.

A label that names a side, as "left" does, is another one after a flip. Its partner is the label that names the other
side in the same words; without a partner in the vocabulary, images with it cannot be mirrored.
"""

import re

import numpy as np
import torch
from torch import Tensor

from piq_bench.errors import BadUsage, Problem, first_few
from piq_bench.records import NOT_ANNOTATED, IntArray, Task

OTHER = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
SIDE = re.compile(r"(?<![A-Za-z])(?:" + "|".join(OTHER) + r")(?![A-Za-z])")


def flipped_labels(task: Task) -> IntArray:
    """Shape (n_labels,): the index of each label's mirror image, its own where it names no side.

    Raises:
        BadUsage: if a label names a side and no other label the other.

    >>> flipped_labels(Task("pose", "posture", labels=("straight", "left", "right", "up"))).tolist()
    [0, 2, 1, 3]
    """
    mirrored = [SIDE.sub(lambda found: OTHER[found[0]], label) for label in task.labels]
    alone = [label for label, other in zip(task.labels, mirrored, strict=True) if other not in task.labels]
    if alone:
        found = f"no label is the mirror image of {first_few(alone, len(alone))}"
        raise BadUsage("augmentation", [Problem("one-sided", task.name, found, "set augmentation.flip=0", len(alone))])
    return np.array([task.labels.index(label) for label in mirrored], dtype=np.int64)


def flip_targets(target: Tensor, flip: Tensor, other: Tensor) -> Tensor:
    """Targets after some images were flipped.

    Args:
        target: shape (n,), index of the label or NOT_ANNOTATED; or (n, n_labels).
        flip: shape (n,), bool.
        other: shape (n_labels,); what `flipped_labels` gave.
    """
    if target.ndim == 2:
        return torch.where(flip[:, None], target[:, other], target)
    return torch.where(flip & (target != NOT_ANNOTATED), other[target.clamp(min=0)], target)
