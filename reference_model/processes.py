"""Several processes that train one model, each on its part of every batch: who they are, and the rows of all of them.

A process that torchrun did not start is alone, and everything here is then as if this module did not exist.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


def is_one_of_several() -> bool:
    """Whether this process has joined others; a group of one process counts, so that one GPU can test all of this."""
    return bool(distributed.is_available() and distributed.is_initialized())


def n_processes() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if is_one_of_several() else 1


def rank() -> int:
    """Number of this process, from 0; the first one writes files and prints."""
    return distributed.get_rank() if is_one_of_several() else 0


def over_all(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Gather the rows of all processes in order of rank, in one exchange; the tensors themselves where there is one.

    Every process has to call this, with the same shapes. A loss of all rows is then the same in each process; its
    gradient arrives at the process's own rows, multiplied with the number of processes, since DistributedDataParallel
    takes the mean of the processes' gradients: parameters get the gradient of one process that holds all rows.

    Args:
        tensors: of any types, all with the same number of rows.
    """
    if not is_one_of_several():
        return list(tensors)
    n, n_rows = n_processes(), len(tensors[0])
    parts = [tensor.detach().reshape(n_rows, -1).contiguous().view(torch.uint8) for tensor in tensors]
    widths = [part.shape[1] for part in parts]
    everyone = of_each(torch.cat(parts, dim=1)).flatten(0, 1)
    start = rank() * n_rows
    found = []
    for tensor, part in zip(tensors, torch.split_with_sizes(everyone, widths, dim=1), strict=True):
        rows = part.contiguous().view(tensor.dtype).reshape(-1, *tensor.shape[1:])
        if tensor.requires_grad:
            fixed = tensor.detach()
            mine = fixed + n * (tensor - fixed)  # its value is the tensor's, to the bit
            rows = torch.cat([rows[:start], mine, rows[start + n_rows :]])
        found.append(rows)
    return found


def of_each(own: Tensor) -> Tensor:
    """A tensor of the same shape from each process, stacked in order of rank; no gradient passes."""
    parts = [torch.empty_like(own) for _ in range(n_processes())]
    distributed.all_gather(parts, own)
    return torch.stack(parts)
