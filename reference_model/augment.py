"""Random changes of training images, on whatever device they are: in come 8-bit pixels, out come the network's inputs.

In this order, as Bag of Tricks does what the paper names: flip, pad with black and crop, normalise, erase a box. What
is random is drawn apart from the pixels, on the CPU; all images then take one gather, without a loop and without a
branch that depends on the data, so that it can be captured in a CUDA graph. Pixels are normalised here alone.

Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019; the box is from Zhong et al.,
Random Erasing Data Augmentation, 2017.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from piq_bench.records import IntArray

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, red, green, blue in [0, 1]
DEVIATION = (0.229, 0.224, 0.225)
N_CANDIDATES = 10  # boxes drawn per image; at 256 x 128 all but one in 18 fit

Share = Annotated[float, Field(ge=0, le=1)]
Area = Annotated[float, Field(ge=1e-6, le=1)]
Ratio = Annotated[float, Field(ge=1e-3, le=1e3)]


@dataclass(frozen=True)
class Augmentation:
    """What is done how often; the defaults are Bag of Tricks'. Nothing is done at `flip=0, pad=0, erase=0`.

    Attributes:
        flip: share of the images that are mirrored.
        pad: black on each side before the crop, as a share of the width: 10 pixels of 128.
        erase: share of the images in which a box is erased.
        area: least and greatest share of the image that a box takes.
        ratio: least and greatest height of a box as a multiple of its width.
        fill: what a box is filled with: the "mean" colour, which is 0 after normalisation, or the "raw_mean" as public
            code has it: the mean's numbers as if they were normalised, which is another colour.
    """

    flip: Share = 0.5
    pad: Share = 10 / 128
    erase: Share = 0.5
    area: tuple[Area, Area] = (0.02, 0.4)
    ratio: tuple[Ratio, Ratio] = (0.3, 1 / 0.3)
    fill: Literal["mean", "raw_mean"] = "mean"


class Drawn(NamedTuple):
    """What is random about a number of images.

    Attributes:
        flip: shape (n,), bool.
        shift: shape (n, 2), int64; rows and columns that the crop lies below and to the right of the image.
        box: shape (n, 4), int64; first row, first column, row and column after the last; empty where nothing is erased.
    """

    flip: Tensor
    shift: Tensor
    box: Tensor

    def to(self, device: torch.device | str) -> "Drawn":
        """The same on a device."""
        return Drawn(*(part.to(device, non_blocking=True) for part in self))


DEFAULT = Augmentation()


def draw(n: int, size: tuple[int, int], rng: np.random.Generator, options: Augmentation = DEFAULT) -> Drawn:
    """Draw for n images what `augmented` does to each.

    Args:
        n: images; those of many batches can be drawn at once.
        size: height and width.
        rng: the only source of randomness.
        options: what is done how often.
    """
    pad = round(options.pad * size[1])
    flip = rng.random(n) < options.flip
    shift = rng.integers(-pad, pad + 1, (n, 2))
    box = np.where((rng.random(n) < options.erase)[:, None], _boxes(n, size, rng, options), 0)
    return Drawn(torch.from_numpy(flip), torch.from_numpy(shift), torch.from_numpy(box))


def augmented(pixels: Tensor, drawn: Drawn, options: Augmentation = DEFAULT) -> Tensor:
    """Change each image as drawn.

    Args:
        pixels: shape (n, height, width, 3), uint8.
        drawn: for n images, on the same device.
        options: as for `draw`.

    Returns:
        Shape (n, 3, height, width), float32, in channels_last memory.
    """
    n, height, width, _ = pixels.shape
    above, left, below, right = drawn.box[:, :, None].unbind(dim=1)  # (n, 1) each
    row, column = (torch.arange(length, device=pixels.device) for length in (height, width))
    erased = ((row >= above) & (row < below))[:, :, None] & ((column >= left) & (column < right))[:, None, :]

    row = row + drawn.shift[:, :1]  # (n, height), of the image that each row of the crop comes from
    column = column + drawn.shift[:, 1:]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    column = torch.where(drawn.flip[:, None], width - 1 - column, column)  # flipped first, so the crop is undone first
    first = height * torch.arange(n, device=pixels.device)[:, None]
    source = (first + row.clamp(0, height - 1))[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]
    found = pixels.reshape(-1, 3).index_select(0, source.flatten()).view_as(pixels)

    changed = _standard(found * inside[..., None])
    fill = _channels(MEAN if options.fill == "raw_mean" else (0.0, 0.0, 0.0), pixels.device)
    return torch.where(erased[..., None], fill, changed).permute(0, 3, 1, 2)


def normalised(pixels: Tensor) -> Tensor:
    """The network's inputs for images as they are, as for prediction; shapes as for `augmented`."""
    return _standard(pixels).permute(0, 3, 1, 2)


def _boxes(n: int, size: tuple[int, int], rng: np.random.Generator, options: Augmentation) -> IntArray:
    """A box in each image, shape (n, 4): the first candidate that fits, or an empty box."""
    area = size[0] * size[1] * rng.uniform(*options.area, (n, N_CANDIDATES))
    ratio = rng.uniform(*options.ratio, (n, N_CANDIDATES))
    extent = np.rint(np.sqrt(np.stack([area * ratio, area / ratio], axis=2))).astype(np.int64)  # height, width
    fits = (extent[..., 0] < size[0]) & (extent[..., 1] < size[1])
    chosen = np.where(fits[..., None], extent, 0)[np.arange(n), fits.argmax(axis=1)]
    first = rng.integers(0, np.array(size) - chosen + 1)
    return np.concatenate([first, first + chosen], axis=1)


def _standard(pixels: Tensor) -> Tensor:
    """Normalised colours, shape (..., 3), float32."""
    device = pixels.device
    return (pixels.to(torch.float32) / 255 - _channels(MEAN, device)) / _channels(DEVIATION, device)


def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers as a tensor, filled in on the device: a copy from the host cannot be captured in a CUDA graph."""
    return torch.stack([torch.full((), value, device=device) for value in values])
