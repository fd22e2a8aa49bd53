"""Shares decoded images among the processes that torchrun starts on one machine, so that they take memory only once.

The first process of the machine decodes into a file without a name; all of them map this file.
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
from reference_model.processes import n_processes, rank

OPEN_FILES = Path("/proc/self/fd")  # where Linux lets another process find a file that has no name


def decode_once(shape: tuple[int, ...], folder: Path | None, decode: Callable[[Pixels], None]) -> Pixels:
    """Decode images once per machine, for all its processes; each process has to call this.

    Args:
        shape: shape of the array.
        folder: folder for the file, as for `images.buffer.pixel_buffer`; None shares nothing.
        decode: function that fills an array; called in one process of each machine.

    Raises:
        BadInput: in every process, if `decode` raises it in one; or if there is no room.
    """
    if folder is None or n_processes() == 1 or _n_processes_here() == 1 or not OPEN_FILES.is_dir():
        pixels = pixel_buffer(shape, folder)
        decode(pixels)
        return pixels
    local_rank = int(os.environ["LOCAL_RANK"])
    with ExitStack() as opened:
        path, refusal = "", None
        if local_rank == 0:
            try:
                stream = opened.enter_context(unnamed_file(math.prod(shape), folder))
                path = f"/proc/{os.getpid()}/fd/{stream.fileno()}"
                decode(np.memmap(stream, np.uint8, "r+", shape=shape))
            except BadInput as raised:
                refusal = raised
        gathered: list[tuple[str, BadInput | None]] = [("", None)] * n_processes()
        distributed.all_gather_object(gathered, (path, refusal))
        for _, error in gathered:
            if error is not None:
                raise error
        pixels = np.memmap(gathered[rank() - local_rank][0], np.uint8, "r+", shape=shape)
        distributed.barrier()  # all have mapped the file now, so the first process may close it
    return pixels


def _n_processes_here() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
