"""Scores a model inside its training loop: collects predictions batch by batch, as torchmetrics does.

Predictions are kept on the CPU, so that a test set takes no GPU memory. With several processes, each collects its own
predictions and `compute` gathers them all; an image that a sampler gave to two processes is scored once.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.api import score
from piq_bench.records import Benchmark
from piq_bench.report.result import Result

if TYPE_CHECKING:
    from types import ModuleType

Array = NDArray[Any]
EMBEDDING = "embedding"


class ScoreCollector:
    """Collects predictions for a benchmark's query and gallery images.

    Args:
        benchmark: benchmark to score against.

    >>> import numpy as np
    >>> from piq_bench import Task, make_benchmark
    >>> images = [f"{i}.jpg" for i in range(4)]
    >>> labels = {"image": images, "split": ["query", "gallery"] * 2, "age": ["child", "old"] * 2}
    >>> collector = ScoreCollector(make_benchmark(labels, [Task("age", "appearance", labels=("child", "old"))]))
    >>> for batch in (images[:2], images[2:]):
    ...     collector.update(batch, {"age": np.array([[0.9, 0.1], [0.2, 0.8]])})
    >>> collector.compute().piq
    1.0
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self.images: list[str] = []
        self.parts: dict[str, list[Array]] = {}

    def update(
        self,
        images: Sequence[str],
        predictions: Mapping[str, Any],
        embedding: Any = None,  # noqa: ANN401
    ) -> None:
        """Add the predictions of a batch.

        Args:
            images: ids of the n images in the batch.
            predictions: array or tensor for each task, shape (n,) of label indices or (n, n_labels) of scores.
            embedding: array or tensor, shape (n, dimension).

        Raises:
            ValueError: if the numbers of rows differ, or the tasks differ from those of earlier batches.
        """
        by_name = dict(predictions) if embedding is None else {**predictions, EMBEDDING: embedding}
        arrays = {name: _on_cpu(values) for name, values in by_name.items()}
        for name, array in arrays.items():
            if len(array) != len(images):
                raise ValueError(f"{name} has {len(array)} rows for {len(images)} images")
        if self.images and arrays.keys() != self.parts.keys():
            raise ValueError(f"got {sorted(arrays)} after batches with {sorted(self.parts)}")
        self.images += [str(image) for image in images]
        for name, array in arrays.items():
            self.parts.setdefault(name, []).append(array)

    def compute(self, **options: Any) -> Result:  # noqa: ANN401
        """Score the predictions that all processes have collected; the options are those of `piq_bench.score`.

        Raises:
            BadSubmission: with every problem found, such as images that are missing.
        """
        images, arrays = self.images, {name: np.concatenate(parts) for name, parts in self.parts.items()}
        distributed = _process_group()
        if distributed is not None:
            gathered: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(gathered, (images, arrays))
            filled = [(part, own) for part, own in gathered if part]  # a short last batch may leave a process idle
            images = [image for part, _ in filled for image in part]
            names = filled[0][1] if filled else {}
            arrays = {name: np.concatenate([own[name] for _, own in filled]) for name in names}
            first = np.unique(np.array(images), return_index=True)[1]
            images = [images[place] for place in first]
            arrays = {name: array[first] for name, array in arrays.items()}
        return score({"image": images, **arrays}, self.benchmark, **options)

    def reset(self) -> None:
        """Discard all predictions collected so far."""
        self.images, self.parts = [], {}


def _process_group() -> "ModuleType | None":
    """`torch.distributed` where this process is one of several; a process that has not loaded torch is alone."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is None or not (distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed if distributed.get_world_size() > 1 else None


def _on_cpu(values: Any) -> Array:  # noqa: ANN401
    """Convert to a numpy array; bfloat16, which numpy lacks, becomes float32."""
    if not hasattr(values, "detach"):
        return np.asarray(values)
    values = values.detach().cpu()
    return np.asarray((values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy())
