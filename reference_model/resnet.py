"""ResNet-50, the other backbone of the paper's Table 4: computes one pooled feature of 2048 numbers per image.

Names and order of all members are torchvision's, so that its ImageNet weights load strictly; the stride is in the 3x3
convolution, as there. Re-identification models drop the last stage's stride, for a map twice as fine with the same
weights: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019 (arXiv 1903.07071).
The paper says only that it follows such work, hence `last_stride` is 1 unless said otherwise.

He et al., Deep Residual Learning for Image Recognition, 2015 (arXiv 1512.03385).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.batch_norm import BatchNorm2d
from reference_model.layers import EXPANSION, Bottleneck, initialise


@dataclass(frozen=True)
class ResNetShape:
    """Sizes of a ResNet of bottlenecks; its structure is fixed.

    Attributes:
        stem_width: channels after the first convolution.
        planes: planes of the bottlenecks of each stage.
        blocks: number of bottlenecks in each stage.
    """

    stem_width: int
    planes: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]


R50 = ResNetShape(64, (64, 128, 256, 512), (3, 4, 6, 3))
SMALL = ResNetShape(16, (8, 16, 32, 64), (1, 1, 1, 1))  # to train on a CPU
TINY = ResNetShape(8, (4, 8, 8, 16), (1, 2, 1, 1))  # to try things on a CPU


class ResNet50(nn.Module):
    """ResNet-50 as a backbone.

    Args:
        shape: sizes of the network; R50 is the original, the others are for a CPU.
        last_stride: stride of the last stage: 1 as in re-identification, 2 as in classification.
        n_classes: gives the model a linear classifier `fc` of the feature; None leaves it out. `forward` never uses it.

    Attributes:
        feature_dim: length of the feature.
    """

    def __init__(self, shape: ResNetShape = R50, *, last_stride: int = 1, n_classes: int | None = None) -> None:
        super().__init__()
        self.feature_dim = EXPANSION * shape.planes[-1]
        self.conv1 = nn.Conv2d(3, shape.stem_width, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(shape.stem_width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        widths = [shape.stem_width, *(EXPANSION * planes for planes in shape.planes)]
        self.layer1 = _stage(widths[0], shape.planes[0], shape.blocks[0], 1)
        self.layer2 = _stage(widths[1], shape.planes[1], shape.blocks[1], 2)
        self.layer3 = _stage(widths[2], shape.planes[2], shape.blocks[2], 2)
        self.layer4 = _stage(widths[3], shape.planes[3], shape.blocks[3], last_stride)
        if n_classes is not None:
            self.fc = nn.Linear(self.feature_dim, n_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the pooled feature.

        Args:
            images: shape (n_images, 3, height, width).

        Returns:
            Shape (n_images, feature_dim), not negative; float32 where autocast computed in 16 bits.
        """
        x = self.maxpool(functional.relu(self.bn1(self.conv1(images))))
        last: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return last.mean((2, 3), dtype=torch.promote_types(last.dtype, torch.float32))


def _stage(channels: int, planes: int, n_blocks: int, stride: int) -> nn.Sequential:
    """The first bottleneck changes the shape."""
    rest = (Bottleneck(EXPANSION * planes, planes) for _ in range(n_blocks - 1))
    return nn.Sequential(Bottleneck(channels, planes, stride=stride), *rest)
