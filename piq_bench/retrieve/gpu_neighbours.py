"""Finds on a GPU the images that may be among a query's first: a `retrieve.neighbours.Search` by faiss or torch.

A block of the gallery is copied to the GPU, multiplied and searched there, and only a short list comes back. The proof
in `retrieve.neighbours` needs products as precise as float32's, so each implementation is tested before it is used.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import torch

from piq_bench.records import Float32Array, IntArray
from piq_bench.retrieve import gpu_products as products
from piq_bench.retrieve.gpu import full_precision, on

MOST_OF_FAISS = 2048  # neighbours that faiss can find for a query on a GPU

Select = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
"""Like `retrieve.neighbours.Search`, with tensors on a device."""


class GpuSearch:
    """The largest products of queries and gallery, found on one GPU."""

    def __init__(self, device: str = "cuda:0", *, faiss: bool = True) -> None:
        """Choose a device.

        Args:
            device: name of a torch device.
            faiss: whether faiss searches where it can.
        """
        self.device = torch.device(device)
        self.faiss = faiss
        self.select: Select | None = None  # chosen when the dimension is known

    def __call__(self, queries: Float32Array, gallery: Float32Array, n_asked: int) -> tuple[Float32Array, IntArray]:
        """See `retrieve.neighbours.Search`.

        Raises:
            LimitExceeded: if the GPU has too little memory for a block.
        """
        with full_precision(), on(self.device):
            if self.select is None:
                self.select = self._precise_select(queries.shape[1])
            left, right = (torch.from_numpy(vectors).to(self.device) for vectors in (queries, gallery))
            values, images = self.select(left, right, n_asked)
            return values.cpu().numpy(), images.cpu().numpy()

    def _precise_select(self, dimension: int) -> Select:
        """The first implementation whose products stay within their bound."""
        for select in self._implementations():
            if products.stays_within_bound(partial(_all_products, select), torch.float32, dimension, self.device):
                return select
        return partial(_by_torch, kind=torch.float64)

    def _implementations(self) -> Iterator[Select]:
        module, _ = products.find_faiss() if self.faiss and self.device.type == "cuda" else (None, "")
        if module is not None:
            yield by_faiss(module, self.device)
        yield _by_torch


def by_faiss(faiss: ModuleType, device: torch.device) -> Select:
    """Faiss's exhaustive search, from torch tensors on a device to torch tensors on it."""
    resources = faiss.StandardGpuResources()
    resources.setPinnedMemory(0)  # no data passes through pinned host memory
    lock = threading.Lock()  # one thread at a time may use the resources

    def select(queries: torch.Tensor, gallery: torch.Tensor, n_asked: int) -> tuple[torch.Tensor, torch.Tensor]:
        if n_asked > MOST_OF_FAISS:
            return _by_torch(queries, gallery, n_asked)
        shape = (queries.shape[0], n_asked)
        found = torch.empty(shape, dtype=torch.float32, device=queries.device)
        images = torch.empty(shape, dtype=torch.int64, device=queries.device)
        metric = faiss.METRIC_INNER_PRODUCT
        with lock, products.out_of_faiss_memory():
            faiss.knn_gpu(resources, queries, gallery, n_asked, D=found, I=images, metric=metric, device=device.index)
        return found, images

    return select


def _by_torch(
    queries: torch.Tensor, gallery: torch.Tensor, n_asked: int, *, kind: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    found, images = torch.topk(queries.to(kind) @ gallery.to(kind).T, n_asked)
    return found.float(), images


def _all_products(select: Select, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Shape (n_queries, n_gallery); all products, each in the column of its image."""
    found, images = select(one, other, other.shape[0])
    return torch.empty_like(found).scatter_(1, images, found)
