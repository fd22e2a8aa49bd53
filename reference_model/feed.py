"""Batch after batch of images on the device: in come pixels, wherever they lie, and rows in the order of use.

On a GPU, pixels that leave room for the network lie in its memory all the time. Others stay where they are, and a
thread reads the next batches while the device is busy. Where pixels lie changes no bit.
"""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from piq_bench.images.prefetch import in_order
from piq_bench.records import IntArray, Pixels

GPU_SHARE = 0.5  # of a GPU's free memory, which pixels may take
N_AHEAD = 2  # batches that wait for the device, beside the one that it works on


class Feed:
    """Images to train on, in any order and as often as is asked for.

    Args:
        pixels: shape (n_images, height, width, 3), uint8.
        device: where they are needed.

    Attributes:
        resident: all pixels on the device; None where batches are read from elsewhere.
    """

    def __init__(self, pixels: Pixels, device: torch.device) -> None:
        self.pixels, self.device = pixels, device
        self.resident = torch.from_numpy(pixels).to(device) if _fits(pixels, device) else None

    def batches(self, rows: IntArray) -> Generator[Tensor, None, None]:
        """Each row of `rows`, shape (n_batches, n), to its images, shape (n, height, width, 3), on the device."""
        if self.resident is None:
            yield from read_ahead(self.pixels, rows, self.device)
            return
        for chosen in torch.from_numpy(rows).to(self.device):
            yield self.resident.index_select(0, chosen)


def read_ahead(pixels: Pixels, rows: IntArray, device: torch.device) -> Generator[Tensor, None, None]:
    """The same, each image read when its turn is near."""
    with ThreadPoolExecutor(1) as reader:
        for images in in_order(lambda chosen: reader.submit(_read, pixels, chosen, device), rows, N_AHEAD):
            yield images.to(device, non_blocking=True)


def _read(pixels: Pixels, rows: IntArray, device: torch.device) -> Tensor:
    """Images from the host's memory or a file, in a part of memory that a GPU can fetch from by itself."""
    # Torch gives pinned memory to nobody else until the copy from it, which nothing here waits for, is done.
    found = torch.empty((rows.size, *pixels.shape[1:]), dtype=torch.uint8, pin_memory=device.type == "cuda")
    images = found.numpy()
    for place in np.argsort(rows, kind="stable"):  # in the order of the file
        images[place] = pixels[rows[place]]
    return found


def _fits(pixels: Pixels, device: torch.device) -> bool:
    if device.type != "cuda":
        return not isinstance(pixels, np.memmap)
    free: int = torch.cuda.mem_get_info(device)[0]
    return pixels.nbytes <= GPU_SHARE * free
