"""Layers that HRNet and ResNet share; names and order of members are those of the published weights."""

from torch import Tensor, nn
from torch.nn import functional

from reference_model.batch_norm import BatchNorm2d

EXPANSION = 4  # a bottleneck puts out this many times its planes


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with an identity shortcut, or a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, planes: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, EXPANSION * planes, 1, bias=False)
        self.bn3 = BatchNorm2d(EXPANSION * planes)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != EXPANSION * planes:
            convolution = nn.Conv2d(channels, EXPANSION * planes, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(convolution, BatchNorm2d(EXPANSION * planes))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n_images, channels, height, width) to (n_images, 4 planes, height / stride, width / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def initialise(model: nn.Module) -> None:
    """Kaiming normal for every convolution; batch normalisation starts as the identity by itself."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
