"""The whole model: a backbone, and a head per task that computes the task's feature and logits.

Each head normalises its slice of the backbone's feature with a BNNeck and classifies it linearly. Metric losses take
the feature before the neck and classification the one after it, since they need different geometries:
Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019. All of this is computed in
float32, also under autocast.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from piq_bench.records import Task
from reference_model import hrnet, resnet
from reference_model.batch_norm import BatchNorm1d
from reference_model.config import Configuration
from reference_model.hrnet import HRNet
from reference_model.resnet import ResNet50
from reference_model.split import Split, given_split, split_features, whole
from reference_model.timm_backbone import PREFIX, TimmBackbone

DEVIATION = 1e-3  # standard deviation of a classifier's initial weights, as in Bag of Tricks


Backbone = HRNet | ResNet50 | TimmBackbone


class Answers(NamedTuple):
    """The model's outputs for a batch, each a list in the order of the model's tasks.

    Attributes:
        features: features before the BNNeck, shape (n_images, width) each.
        necks: features after the BNNeck, of the same shapes.
        logits: shape (n_images, n_classes) each.
    """

    features: list[Tensor]
    necks: list[Tensor]
    logits: list[Tensor]


class PortraitModel(nn.Module):
    """A backbone and one head per task.

    Args:
        backbone: network that computes a feature per image.
        split: which dimensions of the feature each task reads.
        n_classes: number of labels, or of identities, by task; its order is that of `Answers`.
        biased: tasks whose classifier has a bias.
    """

    def __init__(
        self, backbone: Backbone, split: Split, n_classes: Mapping[str, int], *, biased: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.split = split
        self.tasks = tuple(n_classes)
        self.heads = nn.ModuleList(  # a list, since a ModuleDict cannot hold every name that a task may have
            Head(split.slices[task].width, n, bias=task in biased) for task, n in n_classes.items()
        )

    def forward(self, images: Tensor) -> Answers:
        """Answer normalised images of shape (n_images, 3, height, width)."""
        return self.judged(self.backbone(images))

    def judged(self, feature: Tensor) -> Answers:
        """Answer images by the backbone's feature, shape (n_images, feature_dim)."""
        slices = [self.split.slices[task] for task in self.tasks]
        features = [feature[:, part.start : part.stop] for part in slices]
        found = [head(part) for head, part in zip(self.heads, features, strict=True)]
        return Answers(features, [neck for neck, _ in found], [logits for _, logits in found])


class Head(nn.Module):
    """A BNNeck and a classifier.

    Args:
        width: length of the feature.
        n_classes: number of classes.
        bias: whether the classifier has a bias.
    """

    def __init__(self, width: int, n_classes: int, *, bias: bool) -> None:
        super().__init__()
        self.neck = BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)  # features stay around the origin, where angles are compared
        self.classifier = nn.Linear(width, n_classes, bias=bias)
        nn.init.normal_(self.classifier.weight, std=DEVIATION)
        if bias:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the normalised feature, of the same shape (n_images, width), and logits (n_images, n_classes)."""
        with torch.autocast(feature.device.type, enabled=False):
            neck = self.neck(feature)
            return neck, self.classifier(neck)


def build_model(configuration: Configuration, tasks: Sequence[Task], n_classes: Mapping[str, int]) -> PortraitModel:
    """Build a configuration's model, with random weights by its seed.

    Args:
        configuration: configuration of the run.
        tasks: the vocabulary that the feature is split for.
        n_classes: number of classes of each task that the model learns; some of `tasks`.

    Raises:
        BadUsage: if the feature cannot be split.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(configuration.seed)
        backbone = build_backbone(configuration)
        split = split_of(configuration, backbone.feature_dim, tasks)
        biased = [task.name for task in tasks if task.multi_label and configuration.multi_label_bias]
        model = PortraitModel(backbone, split, n_classes, biased=biased)
    if configuration.channels_last:
        for parameter in model.parameters():
            if parameter.ndim == 4:  # of a convolution
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if configuration.compiled:  # at the first call
        model.backbone.compile(dynamic=False, mode="reduce-overhead" if configuration.graphs else None)
    return model


def build_backbone(configuration: Configuration) -> Backbone:
    """Build the network before the heads, with random weights.

    Args:
        configuration: configuration of the run.

    Raises:
        BadUsage: if it is a model of timm that cannot be built.
    """
    shapes = {"w32": hrnet.W32, "small": hrnet.SMALL, "tiny": hrnet.TINY}
    if configuration.backbone in shapes:
        return HRNet(shapes[configuration.backbone])
    if configuration.backbone.startswith(PREFIX):
        return TimmBackbone(configuration.backbone.removeprefix(PREFIX), configuration.size)
    kin = {"r50": resnet.R50, "small-r50": resnet.SMALL, "tiny-r50": resnet.TINY}
    return ResNet50(kin[configuration.backbone], last_stride=configuration.last_stride)


def split_of(configuration: Configuration, dimension: int, tasks: Sequence[Task]) -> Split:
    """Split a feature of some length as the configuration says.

    Raises:
        BadUsage: if it cannot be cut like that.
    """
    features = configuration.features
    if features.slices:
        table = {task: (start, stop) for task, start, stop in features.slices}
        return given_split(dimension, tasks, table)
    if features.kind == "whole":
        return whole(dimension, tasks)
    return split_features(
        dimension,
        tasks,
        dims_per_label=features.dims_per_label,
        granularity=features.granularity,
        overlap=features.overlap,
        least_unassigned=features.least_unassigned,
    )
