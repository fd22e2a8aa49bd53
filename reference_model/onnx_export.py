"""Writes a trained model as an ONNX file, which other programs run without PyTorch.

The file takes 8-bit pixels and gives what `embed` gives: `embedding`, re-id features of length 1, and the probability
of each label for each task.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from piq_bench.errors import BadUsage, Problem
from piq_bench.records import RETRIEVAL
from piq_bench.write.files import written_whole
from reference_model.embed import TrainedModel, load_models
from reference_model.predict import answer_batch, checkpoints_in

INPUT, EMBEDDING = "pixels", "embedding"


class Exported(nn.Module):
    """What the file computes: pixels of shape (n, height, width, 3), uint8, to the answers of all networks."""

    def __init__(self, models: Sequence[TrainedModel]) -> None:
        super().__init__()
        self.models = models
        self.networks = nn.ModuleList(one.network for one in models)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The answers in the order of `names`."""
        found: list[Tensor] = []
        for one in self.models:
            feature, scores = answer_batch(one.network, pixels, one.tasks, one.checkpoint.configuration, gradients=True)
            embedding = [] if feature is None else [feature]
            found += [values for task in one.tasks for values in ([scores[task.name]] if task.labels else embedding)]
        return found

    def names(self) -> list[str]:
        """Names of the answers."""
        return [EMBEDDING if task.kind == RETRIEVAL else task.name for one in self.models for task in one.tasks]


def export_onnx(model: str | Path, path: Path) -> tuple[int, int]:
    """Write a trained model; any number of pictures can be a batch.

    Args:
        model: as for `embed_folder`.
        path: the .onnx file.

    Returns:
        Height and width of the pixels it takes; pictures are resized to them bilinearly.

    Raises:
        BadUsage: if the suffix is another one, or the model is none.
    """
    import onnx  # noqa: F401  (refused before minutes of work where it is missing)
    import onnxscript  # noqa: F401

    if path.suffix != ".onnx":
        problem = Problem("suffix", path.name, f"suffix {path.suffix!r} is unknown", "end the name with .onnx")
        raise BadUsage(str(path), [problem])
    models = load_models(checkpoints_in(Path(model)), torch.device("cpu"))
    height, width = models[0].checkpoint.configuration.size
    exported = Exported(models).eval()
    pixels = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program: Any = torch.onnx.export(
            exported,
            (pixels,),
            input_names=[INPUT],
            output_names=exported.names(),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
    labels = {task.name: list(task.labels) for one in models for task in one.tasks if task.labels}
    program.model.metadata_props["labels"] = json.dumps(labels)
    with written_whole(path) as temporary:
        program.save(temporary)
    return height, width
