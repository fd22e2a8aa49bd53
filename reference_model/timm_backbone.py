"""A model of the timm library as a backbone, by its name: `--set backbone=timm:resnet18`."""

from typing import Any

import torch
from torch import Tensor, nn

from piq_bench.errors import BadUsage, Problem, printable, quoted

PREFIX = "timm:"  # of its name in a configuration
INSTALL = "pip install 'piq-bench[timm]'"


class TimmBackbone(nn.Module):
    """A timm model without its classifier, with random weights.

    Args:
        name: its name in timm, such as resnet18.
        size: height and width of the images.

    Attributes:
        network: the model; its keys are those of timm's published weights.
        feature_dim: length of the feature.
        heads: keys of its classifiers begin with these names.

    Raises:
        BadUsage: if timm is not installed, or has no model of this name that takes such images.
    """

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        super().__init__()
        try:
            import timm
        except ModuleNotFoundError:
            problem = Problem("not-installed", "backbone", "timm is not installed", INSTALL)
            raise BadUsage("configuration", [problem]) from None
        try:
            network: Any = timm.create_model(name, pretrained=False, num_classes=0)
            if network.default_cfg.get("fixed_input_size"):
                network = timm.create_model(name, pretrained=False, num_classes=0, img_size=size)
            with torch.inference_mode():
                self.feature_dim = int(network.eval()(torch.zeros(1, 3, *size)).shape[1])
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = printable(str(error).partition("\n")[0], 160)
            found = f"{quoted(name)} cannot be built for images of {size[0]} x {size[1]}: {reason}"
            remedy = "a name that timm.list_models() lists, and a size that it takes"
            raise BadUsage("configuration", [Problem("no-backbone", "backbone", found, remedy)]) from None
        self.network: nn.Module = network.train()
        heads = network.default_cfg.get("classifier") or ()
        self.heads = (heads,) if isinstance(heads, str) else tuple(heads)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the pooled feature, shape (n_images, feature_dim), float32, of (n_images, 3, height, width)."""
        feature: Tensor = self.network(images)
        return feature.to(torch.promote_types(feature.dtype, torch.float32))
