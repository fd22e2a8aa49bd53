"""Augments and normalises training images, on whatever device their pixels are.

The steps and their order are those of Bag of Tricks, which the paper refers to: flip, pad with black and crop,
normalise, erase a box. The random numbers are drawn beforehand, on the CPU. All images of a batch are then changed by
one gather, without a loop and without a branch that depends on the data, so that a CUDA graph can capture it. This is
the only place where pixels are normalised.

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
N_CANDIDATES = 10  # boxes drawn per image; at 256 x 128, 17 in 18 of them fit

Share = Annotated[float, Field(ge=0, le=1)]
Area = Annotated[float, Field(ge=1e-6, le=1)]
Ratio = Annotated[float, Field(ge=1e-3, le=1e3)]


@dataclass(frozen=True)
class Augmentation:
    """How images are augmented; defaults are Bag of Tricks'. `flip=0, pad=0, erase=0` turns everything off.

    Attributes:
        flip: share of the images that are flipped.
        pad: width of the black border added on each side before the crop, as a share of the image's width.
        erase: share of the images in which a box is erased.
        area: smallest and largest area of a box, as a share of the image.
        ratio: smallest and largest height of a box, as a multiple of its width.
        fill: what a box is filled with: the "mean" colour, which is 0 after normalisation; or "raw_mean", as in public
            code, which writes the mean's numbers into normalised pixels and so paints another colour.
    """

    flip: Share = 0.5
    pad: Share = 10 / 128
    erase: Share = 0.5
    area: tuple[Area, Area] = (0.02, 0.4)
    ratio: tuple[Ratio, Ratio] = (0.3, 1 / 0.3)
    fill: Literal["mean", "raw_mean"] = "mean"


class Drawn(NamedTuple):
    """The random changes drawn for n images.

    Attributes:
        flip: shape (n,), bool; whether the image is flipped.
        shift: shape (n, 2), int64; rows and columns by which the crop is below and to the right of the image.
        box: shape (n, 4), int64; first row, first column, last row + 1, last column + 1; empty if nothing is erased.
    """

    flip: Tensor
    shift: Tensor
    box: Tensor

    def to(self, device: torch.device | str) -> "Drawn":
        """Move to a device."""
        return Drawn(*(part.to(device, non_blocking=True) for part in self))


DEFAULT = Augmentation()


def draw(n: int, size: tuple[int, int], rng: np.random.Generator, options: Augmentation = DEFAULT) -> Drawn:
    """Draw the random changes of n images, for `augmented`.

    Args:
        n: number of images; may cover many batches.
        size: height and width of the images.
        rng: the only source of randomness.
        options: how images are augmented.
    """
    pad = round(options.pad * size[1])
    flip = rng.random(n) < options.flip
    shift = rng.integers(-pad, pad + 1, (n, 2))
    box = np.where((rng.random(n) < options.erase)[:, None], _boxes(n, size, rng, options), 0)
    return Drawn(torch.from_numpy(flip), torch.from_numpy(shift), torch.from_numpy(box))


def augmented(pixels: Tensor, drawn: Drawn, options: Augmentation = DEFAULT) -> Tensor:
    """Apply the drawn changes to each image, and normalise.

    Args:
        pixels: shape (n, height, width, 3), uint8.
        drawn: changes of the n images, on the same device.
        options: as for `draw`.

    Returns:
        Shape (n, 3, height, width), float32, in channels_last memory.
    """
    n, height, width, _ = pixels.shape
    above, left, below, right = drawn.box[:, :, None].unbind(dim=1)  # (n, 1) each
    row, column = (torch.arange(length, device=pixels.device) for length in (height, width))
    erased = ((row >= above) & (row < below))[:, :, None] & ((column >= left) & (column < right))[:, None, :]

    row = row + drawn.shift[:, :1]  # (n, height); the image's row that each row of the crop shows
    column = column + drawn.shift[:, 1:]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    column = torch.where(drawn.flip[:, None], width - 1 - column, column)  # images are flipped before the crop
    first = height * torch.arange(n, device=pixels.device)[:, None]
    source = (first + row.clamp(0, height - 1))[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]
    moved = pixels.reshape(-1, 3).index_select(0, source.flatten()).view_as(pixels)

    changed = _normalise(moved * inside[..., None])
    fill = _channels(MEAN if options.fill == "raw_mean" else (0.0, 0.0, 0.0), pixels.device)
    return torch.where(erased[..., None], fill, changed).permute(0, 3, 1, 2)


def normalised(pixels: Tensor) -> Tensor:
    """Normalise images without augmentation, for prediction; shapes as for `augmented`."""
    return _normalise(pixels).permute(0, 3, 1, 2)


def _boxes(n: int, size: tuple[int, int], rng: np.random.Generator, options: Augmentation) -> IntArray:
    """Draw a box in each image, shape (n, 4): the first candidate that fits, or an empty box."""
    area = size[0] * size[1] * rng.uniform(*options.area, (n, N_CANDIDATES))
    ratio = rng.uniform(*options.ratio, (n, N_CANDIDATES))
    extent = np.rint(np.sqrt(np.stack([area * ratio, area / ratio], axis=2))).astype(np.int64)  # height, width
    fits = (extent[..., 0] < size[0]) & (extent[..., 1] < size[1])
    chosen = np.where(fits[..., None], extent, 0)[np.arange(n), fits.argmax(axis=1)]
    first = rng.integers(0, np.array(size) - chosen + 1)
    return np.concatenate([first, first + chosen], axis=1)


def _normalise(pixels: Tensor) -> Tensor:
    """Normalised colours, shape (..., 3), float32."""
    device = pixels.device
    return (pixels.to(torch.float32) / 255 - _channels(MEAN, device)) / _channels(DEVIATION, device)


def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """One number per channel as a tensor, made on the device: a CUDA graph cannot capture a copy from the host."""
    return torch.stack([torch.full((), value, device=device) for value in values])
