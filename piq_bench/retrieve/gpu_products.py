"""Blocks of similarities on a device, faster than the definition, each with a proven bound on its error.

Takes stored embeddings on a device (`Rows`) and computes tables of approximate similarities (`Table`) in float32 or
float64, and similarities of single pairs, approximate or by definition to the last bit. The error bounds and the matrix
products of faiss and torch are defined here; `gpu_tally` counts what the tables decide.

The bounds: a sum of n products, in any order, with or without fused multiply-add, is within g(n) = n u / (1 - n u)
times the sum of magnitudes of the true one, where one operation rounds by at most u (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1); by Cauchy-Schwarz those magnitudes sum to at most |q| |g|. Tensor cores
multiply float16 exactly, but align the terms of a block of k >= 4 with the largest and cut them off, so that a sum errs
by up to (n + 2 n / k) 2 u (Fasi, Higham, Mikaitis, Pranesh, Numerical behavior of NVIDIA tensor cores, 2021): 3 u are
allowed for every product there. The float64 error of the definition itself is far below the margin of each bound.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

import numpy as np
import torch

from piq_bench.errors import printable
from piq_bench.records import Float32Array, FloatArray, IntArray
from piq_bench.retrieve import faiss_probe

Distance = Literal["cosine", "euclidean"]
Precision = Literal["half", "single", "double"]
Multiply = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes (n, dimension) and (m, dimension), both float16 or both float32; returns (n, m) inner products in float32."""

SINGLE = 2.0**-24  # relative error of one float32 operation
DOUBLE = 2.0**-53  # relative error of one float64 operation
NO_EXPONENT = -500  # stands for that of a zero norm: below any float32 vector's, and its powers fit into float64
STEP_VALUES = 1 << 26  # float64 values of pairs held at a time
MIN_FAISS = (1, 8)
FAISS_MEMORY = 64 << 20  # bytes that faiss may reserve; a product into an existing block needs almost none
PROBE_ROWS = 512


@dataclass(frozen=True, eq=False)
class Rows:
    """Embeddings on a device.

    Attributes:
        stored: shape (n_rows, dimension); float16 or float32, as submitted.
        norm: shape (n_rows,); Euclidean norms by definition, on the host.
    """

    stored: torch.Tensor
    norm: FloatArray

    def part(self, first: int, last: int) -> "Rows":
        """Rows first to last - 1."""
        return Rows(self.stored[first:last], self.norm[first:last])

    def column(self, values: FloatArray | Float32Array | IntArray) -> torch.Tensor:
        """Numbers from the host, on the device of the rows."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.stored.device)

    def vectors(self, distance: Distance, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Shape (n, dimension); float64, divided by their norm under cosine: the same bits as `Similarity.vectors`."""
        values = (self.stored if rows is None else self.stored[rows]).double()
        if distance == "cosine":
            norm = self.column(self.norm)
            values /= (norm if rows is None else norm[rows])[:, None]
        return values


@dataclass(frozen=True, eq=False)
class Table:
    """Approximate similarities: |values - (similarity + offset) * unit| <= bound, row by row.

    Attributes:
        values: shape (n_queries, n_gallery); float32 or float64.
        unit: shape (n_queries,); positive.
        offset: shape (n_queries,).
        bound: shape (n_queries,); in the units of `values`.
    """

    values: torch.Tensor
    unit: FloatArray
    offset: FloatArray
    bound: FloatArray


def half_table(queries: Rows, gallery: Rows, distance: Distance, multiply: Multiply) -> Table:
    """From stored float16 values, whose products are exact in float32 and between 2**-48 and 2**32: never out of range.

    The norms are applied afterwards, since float16 rows divided by them would lose bits.
    """
    n_values = queries.stored.shape[1]
    values = multiply(queries.stored, gallery.stored)
    if distance == "cosine":  # similarity * |q|; 1 / |g|, its product and the margin: 3 (n + 24)
        values *= gallery.column((1 / gallery.norm).astype(np.float32))
        return Table(values, queries.norm, _zeros(queries), _growth(3 * (n_values + 24), SINGLE) * queries.norm)
    values -= gallery.column((gallery.norm**2 / 2).astype(np.float32))  # (similarity + |q|^2) / 2
    bound = _growth(1.5 * (n_values + 24), SINGLE) * _magnitude(queries, gallery)  # |q| |g| <= M / 2
    return Table(values, np.full(queries.norm.size, 0.5), queries.norm**2, bound)


def single_table(queries: Rows, gallery: Rows, distance: Distance, multiply: Multiply) -> Table:
    """From float32 values: unit vectors, or vectors scaled so that no product leaves float32.

    Euclidean, with M = |q|^2 + |g|^2 and in units of 4^e (see `_distances`): the product is off by n u M / 2, the rest
    by 3 u M; scaled values below the float32 range add less than n 2^-125, and M is at least 1/4.
    """
    n_values = queries.stored.shape[1]
    if distance == "cosine":
        values = multiply(queries.vectors(distance).float(), gallery.vectors(distance).float())
        return Table(values, _zeros(queries) + 1, _zeros(queries), _zeros(queries) + _growth(n_values + 16, SINGLE))
    return _distances(queries, gallery, torch.float32, multiply, _growth(n_values / 2 + 8, SINGLE))


def double_table(queries: Rows, gallery: Rows, distance: Distance) -> Table:
    """From float64 values: decides all pairs except exact ties and those that differ from a tie in the last bits only.

    Euclidean, with M = |q|^2 + |g|^2: the product is off by n u M / 2, |g|^2 / 2 and |q|^2 / 2 together by
    (n + 3) u M / 2, the difference by u M, and the definition, a sum of at most 2 M of rounded squares, by
    (n + 2) u M in these units.
    """
    growth = 2.25 * _growth(queries.stored.shape[1] + 8, DOUBLE)
    if distance == "euclidean":
        return _distances(queries, gallery, torch.float64, lambda one, other: one @ other.T, growth)
    values = queries.vectors(distance) @ gallery.vectors(distance).T
    return Table(values, _zeros(queries) + 1, _zeros(queries), _zeros(queries) + growth)


def _distances(queries: Rows, gallery: Rows, dtype: torch.dtype, multiply: Multiply, growth: float) -> Table:
    """(similarity + |q|^2) / (2 * 4^e), where |q| < 2^a, |g| < 2^c for all g, and e = max(a, c).

    Scaled by powers of two, which is exact, all vectors are at most 1 long, and every value fits float32.
    """
    largest = int(_exponent(gallery.norm).max(initial=NO_EXPONENT))
    common = np.maximum(_exponent(queries.norm), largest)
    scale = queries.column(np.ldexp(1.0, largest - 2 * common))
    values = multiply(
        (queries.vectors("euclidean") * scale[:, None]).to(dtype),
        (gallery.vectors("euclidean") * float(np.ldexp(1.0, -largest))).to(dtype),
    )
    half_square = gallery.column(np.ldexp(gallery.norm, -largest) ** 2 / 2).to(dtype)
    share = queries.column(np.ldexp(1.0, 2 * (largest - common))).to(dtype)
    values.addcmul_(share[:, None], half_square[None, :], value=-1)
    square = np.ldexp(1.0, -2 * common)
    return Table(values, square / 2, queries.norm**2, growth * _magnitude(queries, gallery) * square)


def near_pairs(
    queries: Rows, gallery: Rows, distance: Distance, row: torch.Tensor, column: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Similarities of the pairs (row[i], column[i]) summed in float64 in any order, and the bounds on their errors."""
    n_values = queries.stored.shape[1]
    step = max(1, STEP_VALUES // n_values)
    found = [row.new_zeros(0, dtype=torch.float64)]
    for first in range(0, len(row), step):
        part = slice(first, first + step)
        one, other = queries.vectors(distance, row[part]), gallery.vectors(distance, column[part])
        if distance == "cosine":
            found.append(one.mul_(other).sum(1))
        else:
            found.append(one.sub_(other).square_().sum(1).neg_())
    values = torch.cat(found)
    growth = 2.25 * _growth(n_values + 8, DOUBLE)
    return values, torch.full_like(values, growth) if distance == "cosine" else values.abs() * growth


def exact_pairs(
    queries: Rows, gallery: Rows, distance: Distance, row: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """The definition for the pairs (row[i], column[i]): shape (n_pairs,), to the last bit.

    One kernel per operation and index, so that no compiler can fuse a product with a sum or reorder the sums.
    """
    total = torch.zeros(row.numel(), dtype=torch.float64, device=row.device)
    query_norm, gallery_norm = queries.column(queries.norm)[row], gallery.column(gallery.norm)[column]
    for index in range(queries.stored.shape[1]):
        one, other = queries.stored[:, index][row].double(), gallery.stored[:, index][column].double()
        if distance == "cosine":
            one /= query_norm
            other /= gallery_norm
            one *= other
        else:
            one -= other
            one *= one
        total += one
    return total if distance == "cosine" else -total


def torch_multiply(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Inner products by torch; float16 on the tensor cores where this torch can keep their float32 sums."""
    if one.dtype == torch.float16 and one.is_cuda and _has_out_dtype():
        return torch.mm(one, other.T, out_dtype=torch.float32)
    return one.float() @ other.float().T


@cache
def find_faiss() -> tuple[ModuleType | None, str]:
    """Faiss with GPU support and its bindings to torch, or why it cannot be used."""
    if find_spec("faiss") is None:
        return None, "not installed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from the generated bindings; a user cannot act on them
            faiss = import_module("faiss")
            import_module("faiss.contrib.torch_utils")  # lets faiss use torch tensors without a copy
    except (ImportError, OSError, AttributeError) as error:  # a library that is missing, or built for another numpy
        return None, f"cannot be imported ({printable(error)})"
    version = str(getattr(faiss, "__version__", "of unknown version"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < MIN_FAISS:
        return None, f"{printable(version)} is older than {'.'.join(map(str, MIN_FAISS))}"
    if not hasattr(faiss, "StandardGpuResources"):
        return None, f"{printable(version)} is built without GPU support"
    if faiss.get_num_gpus() == 0:
        return None, f"{printable(version)} sees no GPU"
    reason = faiss_probe.why_not(*_cards_and_driver())
    return (None, f"{printable(version)} {reason}") if reason else (faiss, "")


def _cards_and_driver() -> tuple[list[str], str]:
    """Name and compute capability of each GPU, and what torch knows of the driver."""
    cards = []
    for index in range(torch.cuda.device_count()):
        cards.append(f"{torch.cuda.get_device_name(index)} {torch.cuda.get_device_capability(index)}")
    return cards, str(getattr(torch._C, "_cuda_getDriverVersion", int)())


def faiss_multiply(faiss: ModuleType, device: torch.device) -> Multiply:
    """Inner products by faiss, from torch tensors on a device to a torch tensor on it."""
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(FAISS_MEMORY)
    resources.setPinnedMemory(0)  # no data passes through pinned host memory
    lock = threading.Lock()  # one thread at a time may use the resources

    def multiply(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        out = torch.empty((one.shape[0], other.shape[0]), dtype=torch.float32, device=one.device)
        metric = faiss.METRIC_INNER_PRODUCT
        with lock, out_of_faiss_memory():
            faiss.pairwise_distance_gpu(
                resources, one.contiguous(), other.contiguous(), D=out, metric=metric, device=device.index
            )
        return out

    return multiply


@contextmanager
def out_of_faiss_memory() -> Iterator[None]:
    """Raise torch's error when faiss runs out of memory."""
    try:
        yield
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        raise torch.cuda.OutOfMemoryError(str(error)) from None


def stays_within_bound(multiply: Multiply, dtype: torch.dtype, dimension: int, device: torch.device) -> bool:
    """Whether a matrix product is as precise as the bounds assume, tested on values that tf32 or float16 would round.

    Settings and environment variables of torch and cuBLAS can silently lower the precision of products.
    """
    last_bits = 2.0**-10 if dtype == torch.float16 else 0.9 * 2.0**-11  # tf32 would round the latter off
    one = torch.full((PROBE_ROWS, dimension), 1 + last_bits, device=device).to(dtype)
    found, true = multiply(one, one).double(), one.double() @ one.double().T
    growth = _growth(3 * (dimension + 16) if dtype == torch.float16 else dimension + 2, SINGLE)
    return bool(((found - true).abs() <= growth * true).all())


def _has_out_dtype() -> bool:
    """Whether `torch.mm` takes `out_dtype`, new in torch 2.8."""
    major, minor = torch.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (2, 8)


def _growth(n_roundings: float, rounding: float) -> float:
    """Higham's gamma; infinite where it is not defined, so that nothing is decided."""
    product = n_roundings * rounding
    return product / (1 - product) if product < 1 else np.inf


def _magnitude(queries: Rows, gallery: Rows) -> FloatArray:
    """Shape (n_queries,); M = |q|^2 + the largest |g|^2."""
    return np.asarray(queries.norm**2 + float(gallery.norm.max(initial=0.0)) ** 2)


def _exponent(norm: FloatArray) -> IntArray:
    """The least whole e with norm < 2^e."""
    return np.where(norm > 0, np.frexp(norm)[1].astype(np.int64), NO_EXPONENT)


def _zeros(queries: Rows) -> FloatArray:
    return np.zeros(queries.norm.size)
