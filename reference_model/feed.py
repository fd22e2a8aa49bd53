"""Feeds batches of images to the device, in the order of given rows.

Pixels that leave enough room for the network are kept in the GPU's memory. Others stay in main memory or in a file, and
a thread prefetches the next batches while the device is busy. Where pixels are kept changes no bit of a batch.
"""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from piq_bench.images.prefetch import in_order
from piq_bench.records import IntArray, Pixels

GPU_SHARE = 0.5  # share of a GPU's free memory that pixels may take
N_PREFETCHED = 2  # batches that wait for the device, besides the one it works on


class Feed:
    """The images to train on; gives batches of them in any order, for any number of epochs.

    Args:
        pixels: shape (n_images, height, width, 3), uint8.
        device: where batches are needed.

    Attributes:
        resident: all pixels, on the device; None if batches are prefetched instead.
    """

    def __init__(self, pixels: Pixels, device: torch.device) -> None:
        self.pixels, self.device = pixels, device
        self.resident = torch.from_numpy(pixels).to(device) if _fits_on_device(pixels, device) else None

    def batches(self, rows: IntArray) -> Generator[Tensor, None, None]:
        """Yield one batch of images for each row of `rows`.

        Args:
            rows: shape (n_batches, n).

        Yields:
            Shape (n, height, width, 3), on the device.
        """
        if self.resident is None:
            yield from prefetched_batches(self.pixels, rows, self.device)
            return
        for batch in torch.from_numpy(rows).to(self.device):
            yield self.resident.index_select(0, batch)


def prefetched_batches(pixels: Pixels, rows: IntArray, device: torch.device) -> Generator[Tensor, None, None]:
    """Yield batches as `Feed.batches` does, reading them shortly before they are needed."""
    with ThreadPoolExecutor(1) as reader:
        for images in in_order(lambda batch: reader.submit(_read_batch, pixels, batch, device), rows, N_PREFETCHED):
            yield images.to(device, non_blocking=True)


def _read_batch(pixels: Pixels, rows: IntArray, device: torch.device) -> Tensor:
    """Copy images from main memory or a file into memory that a GPU can fetch from by itself (pinned)."""
    # Torch does not reuse pinned memory before the copy from it is done, so nothing here has to wait for that copy.
    batch = torch.empty((rows.size, *pixels.shape[1:]), dtype=torch.uint8, pin_memory=device.type == "cuda")
    images = batch.numpy()
    for place in np.argsort(rows, kind="stable"):  # in the order of the file
        images[place] = pixels[rows[place]]
    return batch


def _fits_on_device(pixels: Pixels, device: torch.device) -> bool:
    if device.type != "cuda":
        return not isinstance(pixels, np.memmap)
    free: int = torch.cuda.mem_get_info(device)[0]
    return pixels.nbytes <= GPU_SHARE * free
