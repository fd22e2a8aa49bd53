"""Scores inside a training loop: batches of predictions come in, a score comes out, as torchmetrics does it.

Predictions are kept on the CPU, so that a test set needs no memory of the GPU. With several processes, each collects
what it predicted, and `compute` puts all of them together; images that a sampler gave to two of them count once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, distributed

from piq_bench.api import score
from piq_bench.records import Benchmark
from piq_bench.result import Result
from reference_model.trainer import n_processes

Array = NDArray[Any]
EMBEDDING = "embedding"


class ScoreCollector:
    """Collects predictions for a benchmark's query and gallery images.

    Args:
        benchmark: to score against.

    >>> import torch
    >>> from piq_bench import Task, make_benchmark
    >>> images = [f"{i}.jpg" for i in range(4)]
    >>> labels = {"image": images, "split": ["query", "gallery"] * 2, "age": ["child", "old"] * 2}
    >>> collector = ScoreCollector(make_benchmark(labels, [Task("age", "appearance", labels=("child", "old"))]))
    >>> for batch in (images[:2], images[2:]):
    ...     collector.update(batch, {"age": torch.tensor([[0.9, 0.1], [0.2, 0.8]])})
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
        predictions: Mapping[str, Tensor | Array],
        embedding: Tensor | Array | None = None,
    ) -> None:
        """Add a batch.

        Args:
            images: ids of n images.
            predictions: by task, shape (n,) label indices, or (n, n_labels) scores.
            embedding: shape (n, dimension).

        Raises:
            ValueError: if something has another number of rows, or not the tasks that earlier batches had.
        """
        given = dict(predictions) if embedding is None else {**predictions, EMBEDDING: embedding}
        arrays = {name: _on_cpu(values) for name, values in given.items()}
        for name, array in arrays.items():
            if len(array) != len(images):
                raise ValueError(f"{name} has {len(array)} rows for {len(images)} images")
        if self.images and arrays.keys() != self.parts.keys():
            raise ValueError(f"got {sorted(arrays)} after batches with {sorted(self.parts)}")
        self.images += [str(image) for image in images]
        for name, array in arrays.items():
            self.parts.setdefault(name, []).append(array)

    def compute(self, **options: Any) -> Result:  # noqa: ANN401
        """The score of all that was collected, by all processes; options as for `piq_bench.score`.

        Raises:
            BadSubmission: with every problem found, such as images that are missing.
        """
        images, arrays = self.images, {name: np.concatenate(parts) for name, parts in self.parts.items()}
        if n_processes() > 1:
            gathered: list[Any] = [None] * n_processes()
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
        """Forget everything."""
        self.images, self.parts = [], {}


def _on_cpu(values: Tensor | Array) -> Array:
    """As an array; 16-bit floats with 8 bits of exponent, which numpy lacks, as 32-bit ones."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return np.asarray((values.float() if values.is_floating_point() and values.itemsize == 2 else values).numpy())
