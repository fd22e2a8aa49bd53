"""Who may be among a query's first, found on a GPU: what `retrieve.neighbours` asks of a search, by faiss or by torch.

A block of the gallery travels to the GPU, is multiplied and sorted out there, and only a short list comes back. The
proof in `retrieve.neighbours` needs products as good as float32's, so a way to them is tried before it is used.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import torch

from piq_bench.records import Float32Array, IntArray
from piq_bench.retrieve import gpu_products as products
from piq_bench.retrieve.gpu import full_precision, on

MOST = 2048  # that faiss finds for a query on a GPU

Select = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
"""As `retrieve.neighbours.Search`, on a device."""


class GpuSearch:
    """The largest products of queries and gallery, found on one GPU."""

    def __init__(self, device: str = "cuda:0", *, faiss: bool = True) -> None:
        """Choose a device.

        Args:
            device: name of a torch device.
            faiss: let faiss find them where it can.
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
                self.select = self._chosen(queries.shape[1])
            one, other = (torch.from_numpy(vectors).to(self.device) for vectors in (queries, gallery))
            found, images = self.select(one, other, n_asked)
            return found.cpu().numpy(), images.cpu().numpy()

    def _chosen(self, dimension: int) -> Select:
        """The first way whose products stay within their bound."""
        for select in self._ways():
            if products.stays_within_bound(partial(_all_products, select), torch.float32, dimension, self.device):
                return select
        return partial(_by_torch, kind=torch.float64)

    def _ways(self) -> Iterator[Select]:
        module, _ = products.find_faiss() if self.faiss and self.device.type == "cuda" else (None, "")
        if module is not None:
            yield by_faiss(module, self.device)
        yield _by_torch


def by_faiss(faiss: ModuleType, device: torch.device) -> Select:
    """Faiss's search of all vectors, from torch tensors on a device to torch tensors on it."""
    resources = faiss.StandardGpuResources()
    resources.setPinnedMemory(0)  # of the host: nothing passes through it
    turn = threading.Lock()  # resources are for one thread at a time

    def select(queries: torch.Tensor, gallery: torch.Tensor, n_asked: int) -> tuple[torch.Tensor, torch.Tensor]:
        if n_asked > MOST:
            return _by_torch(queries, gallery, n_asked)
        shape = (queries.shape[0], n_asked)
        found = torch.empty(shape, dtype=torch.float32, device=queries.device)
        images = torch.empty(shape, dtype=torch.int64, device=queries.device)
        metric = faiss.METRIC_INNER_PRODUCT
        with turn, products.out_of_faiss_memory():
            faiss.knn_gpu(resources, queries, gallery, n_asked, D=found, I=images, metric=metric, device=device.index)
        return found, images

    return select


def _by_torch(
    queries: torch.Tensor, gallery: torch.Tensor, n_asked: int, *, kind: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    found, images = torch.topk(queries.to(kind) @ gallery.to(kind).T, n_asked)
    return found.float(), images


def _all_products(select: Select, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Shape (n_queries, n_gallery): all that were found, each put where it belongs."""
    found, images = select(one, other, other.shape[0])
    return torch.empty_like(found).scatter_(1, images, found)
