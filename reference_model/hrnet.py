"""HRNet with its classification head, HRNetV2-"C": computes one pooled feature per image, of 2048 numbers for W32.

Several resolutions run side by side and are summed into one another after every few blocks; the head folds them from
fine to coarse and the average over the last map is the feature. Names and order of all members are those of the
authors' and timm's code, so that their ImageNet weights load strictly.

Wang et al., Deep High-Resolution Representation Learning for Visual Recognition, 2020 (arXiv 1908.07919).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.batch_norm import BatchNorm2d
from reference_model.layers import EXPANSION, Bottleneck, initialise

MULTIPLE = 32  # pixels per cell of the coarsest map; with other image sizes, maps could not be summed


@dataclass(frozen=True)
class HRNetShape:
    """Sizes of an HRNet; its structure is fixed.

    Attributes:
        stem_width: channels after the first two convolutions, which quarter height and width.
        stage1_planes, stage1_blocks: planes and number of the bottlenecks of stage 1, which has one resolution.
        modules: number of modules in stages 2, 3 and 4, which have 2, 3 and 4 branches.
        blocks: number of blocks in each branch of a module in stages 2, 3 and 4.
        channels: channels of each branch, finest first; every stage uses as many of them as it has branches.
        head_planes: planes of the head's bottleneck on each branch.
        feature_dim: length of the feature.
    """

    stem_width: int
    stage1_planes: int
    stage1_blocks: int
    modules: tuple[int, int, int]
    blocks: tuple[int, int, int]
    channels: tuple[int, int, int, int]
    head_planes: tuple[int, int, int, int]
    feature_dim: int


W32 = HRNetShape(64, 64, 4, (1, 4, 3), (4, 4, 4), (32, 64, 128, 256), (32, 64, 128, 256), 2048)
SMALL = HRNetShape(16, 16, 1, (1, 1, 1), (1, 1, 1), (8, 16, 32, 64), (16, 16, 32, 64), 256)  # to train on a CPU
TINY = HRNetShape(16, 8, 1, (1, 1, 1), (1, 1, 1), (8, 16, 32, 64), (8, 16, 16, 32), 64)  # to try things on a CPU


class HRNet(nn.Module):
    """HRNet as a backbone.

    Args:
        shape: sizes of the network.
        n_classes: gives the model a linear `classifier` of the feature; None leaves it out. `forward` never uses it.

    Attributes:
        feature_dim: length of the feature.
    """

    def __init__(self, shape: HRNetShape = W32, *, n_classes: int | None = None) -> None:
        super().__init__()
        self.feature_dim = shape.feature_dim
        stage1 = EXPANSION * shape.stage1_planes
        first, second, third, fourth = shape.channels
        self.conv1 = nn.Conv2d(3, shape.stem_width, 3, stride=2, padding=1, bias=False)
        self.bn1 = BatchNorm2d(shape.stem_width)
        self.conv2 = nn.Conv2d(shape.stem_width, shape.stem_width, 3, stride=2, padding=1, bias=False)
        self.bn2 = BatchNorm2d(shape.stem_width)
        self.layer1 = nn.Sequential(
            Bottleneck(shape.stem_width, shape.stage1_planes),
            *(Bottleneck(stage1, shape.stage1_planes) for _ in range(shape.stage1_blocks - 1)),
        )
        # A transition's index is its branch; Identity stands where there is nothing to do and leaves no key.
        self.transition1 = nn.ModuleList([_step(stage1, first), nn.Sequential(_step(stage1, second, stride=2))])
        self.stage2 = _stage(shape, 2)
        self.transition2 = nn.ModuleList([*_identities(2), nn.Sequential(_step(second, third, stride=2))])
        self.stage3 = _stage(shape, 3)
        self.transition3 = nn.ModuleList([*_identities(3), nn.Sequential(_step(third, fourth, stride=2))])
        self.stage4 = _stage(shape, 4)
        widths = [EXPANSION * planes for planes in shape.head_planes]
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(channels, planes))
            for channels, planes in zip(shape.channels, shape.head_planes, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            _step(widths[i], widths[i + 1], stride=2, bias=True) for i in range(len(widths) - 1)
        )
        self.final_layer = _step(widths[-1], shape.feature_dim, kernel=1, bias=True)
        if n_classes is not None:
            self.classifier = nn.Linear(shape.feature_dim, n_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the pooled feature.

        Args:
            images: shape (n_images, 3, height, width); sides are multiples of 32.

        Returns:
            Shape (n_images, feature_dim), not negative; float32 where autocast computed in 16 bits.

        Raises:
            ValueError: if a side is no multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE:
            raise ValueError(f"images are {height} x {width}: an HRNet needs multiples of {MULTIPLE}")
        stem = functional.relu(self.bn1(self.conv1(images)))
        stem = self.layer1(functional.relu(self.bn2(self.conv2(stem))))
        branches = self.stage2([transition(stem) for transition in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        branches = self.stage4([*branches, self.transition3[-1](branches[-1])])
        total = self.incre_modules[0](branches[0])
        for i, down in enumerate(self.downsamp_modules, start=1):
            total = self.incre_modules[i](branches[i]) + down(total)
        last: Tensor = self.final_layer(total)
        return last.mean((2, 3), dtype=torch.promote_types(last.dtype, torch.float32))


class HRModule(nn.Module):
    """Branches of falling resolution side by side; each output is the sum of all branches at its resolution.

    Args:
        channels: channels of each branch; each has half the height and width of the one before.
        n_blocks: number of blocks in each branch.
    """

    def __init__(self, channels: Sequence[int], n_blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(n_blocks))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            Fusion(_fuse(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """Compute one map per branch from one map per branch, of the same shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [fuse(maps) for fuse in self.fuse_layers]


class Fusion(nn.ModuleList):
    """One output of a module: layers that bring each branch's map to its shape, and their sum."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The sum of the maps, in the order of the branches."""
        total, *others = (layer(x) for layer, x in zip(self, maps, strict=True))
        for other in others:
            total = total + other  # not in place, nor the ReLU: the first may be a map that other outputs still need
        return functional.relu(total)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with an identity shortcut; the shape stays the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n_images, channels, height, width), in and out."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + x)


def _stage(shape: HRNetShape, n_branches: int) -> nn.Sequential:
    """Stage s has s branches."""
    n_modules, n_blocks = shape.modules[n_branches - 2], shape.blocks[n_branches - 2]
    return nn.Sequential(*(HRModule(shape.channels[:n_branches], n_blocks) for _ in range(n_modules)))


def _fuse(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Layers from one branch's map to another's shape: finer by repeating pixels, coarser by halving in steps."""
    width, wanted = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:
        larger = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(nn.Conv2d(width, wanted, 1, bias=False), BatchNorm2d(wanted), larger)
    last = nn.Sequential(nn.Conv2d(width, wanted, 3, stride=2, padding=1, bias=False), BatchNorm2d(wanted))
    return nn.Sequential(*(_step(width, width, stride=2) for _ in range(target - source - 1)), last)


def _step(channels: int, width: int, *, kernel: int = 3, stride: int = 1, bias: bool = False) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    convolution = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=bias)
    return nn.Sequential(convolution, BatchNorm2d(width), nn.ReLU(inplace=True))


def _identities(n: int) -> list[nn.Module]:
    return [nn.Identity() for _ in range(n)]
