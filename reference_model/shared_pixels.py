"""Decoded images of the processes that torchrun starts on one machine: the first of them decodes, all map one file.

In comes what decodes, out comes the same array in each process, which takes the room of one.
"""

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from torch import distributed

from piq_bench.errors import BadInput
from piq_bench.images.buffer import pixel_buffer, unnamed_file
from piq_bench.records import Pixels
from reference_model.trainer import n_processes, rank

OPEN_FILES = Path("/proc/self/fd")  # where Linux lets another process find a file that has no name


def decode_once(shape: tuple[int, ...], folder: Path | None, decode: Callable[[Pixels], None]) -> Pixels:
    """Images for all processes; each of them has to call this.

    Args:
        shape: of the array.
        folder: as for `images.buffer.pixel_buffer`; nothing is shared if None.
        decode: fills an array, in one process of each machine.

    Raises:
        BadInput: whatever `decode` does, in every process; or if there is no room.
    """
    if folder is None or n_processes() == 1 or _n_here() == 1 or not OPEN_FILES.is_dir():
        pixels = pixel_buffer(shape, folder)
        decode(pixels)
        return pixels
    place_here = int(os.environ["LOCAL_RANK"])
    with ExitStack() as opened:
        path, refusal = "", None
        if place_here == 0:
            try:
                stream = opened.enter_context(unnamed_file(math.prod(shape), folder))
                path = f"/proc/{os.getpid()}/fd/{stream.fileno()}"
                decode(np.memmap(stream, np.uint8, "r+", shape=shape))
            except BadInput as error:
                refusal = error
        told: list[tuple[str, BadInput | None]] = [("", None)] * n_processes()
        distributed.all_gather_object(told, (path, refusal))
        for _, found in told:
            if found is not None:
                raise found
        pixels = np.memmap(told[rank() - place_here][0], np.uint8, "r+", shape=shape)
        distributed.barrier()  # now all have mapped it, and the first may close it
    return pixels


def _n_here() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
