"""Runs trained models on the query and gallery images of a benchmark and returns the predictions of a submission.

A checkpoint answers the tasks it learned; several checkpoints, one per task, are combined. Predictions are scores, not
decisions. The re-id feature has unit length, so none of its values overflows in 16 bits.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piq_bench.errors import BadUsage, Problem, first_few, printable
from piq_bench.records import RETRIEVAL, Benchmark, Float32Array, Pixels, Task
from piq_bench.write.files import sha256_of
from reference_model.augment import normalised
from reference_model.checkpoint import FILE, Checkpoint, checkpoint_files, load, require_vocabulary, restored
from reference_model.config import Configuration, to_json
from reference_model.data import read_pixels
from reference_model.feed import prefetched_batches
from reference_model.heads import Answers, PortraitModel
from reference_model.weights import WrongCheckpoint

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Opens a progress bar, given a description and a total; its context yields a function that takes finished steps."""

BATCH_SIZE = 256
MIN_NORM = 1e-12  # a feature of a smaller norm has no direction


@dataclass(frozen=True, eq=False)
class Predictions:
    """The content of a submission; see `piq_bench.write.submission.write_submission`.

    Attributes:
        embedding: shape (n_images, dimension), rows of length 1; None where no checkpoint learned re-identification.
        scores: by task, shape (n_images, n_labels): probabilities.
    """

    embedding: NDArray[np.float16] | None
    scores: Mapping[str, Float32Array]


def no_progress(description: str, total: int) -> AbstractContextManager[Advance]:
    """Show no progress bar."""
    return nullcontext(lambda steps: None)


def predict(
    benchmark: Benchmark,
    paths: Sequence[Path],
    *,
    name: str,
    device: torch.device,
    batch_size: int = BATCH_SIZE,
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> tuple[Predictions, dict[str, Any]]:
    """Predict the labels and re-id features of all query and gallery images of a benchmark.

    Args:
        benchmark: with image files; its labels are not used.
        paths: checkpoints; no two of them may answer the same task.
        name: name of the submission.
        device: where to compute.
        batch_size: images per batch.
        folder: folder for a file with the pixels if they do not fit into memory; see `images.buffer.pixel_buffer`.
        workers: processes that decode; None for one per free core.
        progress: shows a progress bar for each step.

    Returns:
        The predictions and the submission's meta.

    Raises:
        WrongCheckpoint: if a file is no checkpoint.
        BadUsage: if a checkpoint learned another vocabulary, or two answer the same task.
        BadDataset: listing every picture that cannot be read.
        LimitExceeded: if there is no room for the pixels.
    """
    checkpoints = [load(path) for path in paths]
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        require_vocabulary(checkpoint, benchmark, path)
    _require_one_each(paths, checkpoints)
    torch.backends.cudnn.benchmark = True  # measure kernels once, since all batches have one shape
    rows = benchmark.test_rows
    pixels: dict[tuple[int, int], Pixels] = {}
    embedding: NDArray[np.float16] | None = None
    scores: dict[str, Float32Array] = {}
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        model = restored(_runnable(checkpoint, device), path).to(device)
        size = checkpoint.configuration.size
        if size not in pixels:
            with progress("reading pictures", rows.size) as advance:
                pixels[size] = read_pixels(benchmark, rows, size, folder=folder, workers=workers, advance=advance)
        tasks = [task for task in checkpoint.vocabulary if task.name in checkpoint.n_classes]
        with progress(f"predicting {', '.join(task.name for task in tasks)}", rows.size) as advance:
            found = predict_pixels(
                model, pixels[size], tasks, checkpoint.configuration, device, batch_size=batch_size, advance=advance
            )
        if not all(
            np.isfinite(values).all() for values in (found.embedding, *found.scores.values()) if values is not None
        ):
            remedy = "train again with a lower rate"
            raise WrongCheckpoint(str(path), [Problem("not-finite", "weights", "answers are not finite", remedy)])
        embedding = embedding if found.embedding is None else found.embedding
        scores |= found.scores
    return Predictions(embedding, scores), _meta(benchmark, name, paths, checkpoints)


def checkpoints_in(path: Path) -> list[Path]:
    """Find the checkpoint of a run, or all checkpoints of a run with one model per task.

    Args:
        path: a checkpoint or the folder of a run.

    Raises:
        BadUsage: if there is no checkpoint.
    """
    if path.is_file():
        return [path]
    found = checkpoint_files(path)
    if not found:
        missing = f"holds no {FILE}" if path.is_dir() else "there is no such file or folder"
        raise BadUsage(str(path), [Problem("no-checkpoint", "run", missing, "the folder of a training run")])
    return found


def predict_pixels(
    model: PortraitModel,
    pixels: Pixels,
    tasks: Sequence[Task],
    configuration: Configuration,
    device: torch.device,
    *,
    batch_size: int = BATCH_SIZE,
    advance: Advance = lambda steps: None,
) -> Predictions:
    """Predict images that are already decoded.

    Args:
        model: the model, on `device`; put into evaluation mode.
        pixels: shape (n_images, height, width, 3), uint8.
        tasks: the model's tasks, in its order.
        configuration: configuration of the model's run.
        device: where to compute.
        batch_size: images per batch.
        advance: called with the number of images finished since the last call.
    """
    model.eval()
    embeddings: list[NDArray[np.float16]] = []
    scores: dict[str, list[Float32Array]] = {task.name: [] for task in tasks if task.kind != RETRIEVAL}
    n_images = len(pixels)
    batch_size = min(batch_size, n_images)
    rows = np.arange(-(-n_images // batch_size) * batch_size).clip(max=n_images - 1)  # the last batch is padded
    batches = prefetched_batches(pixels, rows.reshape(-1, batch_size), device)
    for first, images in zip(range(0, n_images, batch_size), batches, strict=True):
        n = min(batch_size, n_images - first)
        answers = infer_batch(model, images, configuration)
        for place, task in enumerate(tasks):
            if task.kind == RETRIEVAL:
                embeddings.append(_unit_feature(answers, place, configuration)[:n].cpu().numpy())
            else:
                independent = task.multi_label and configuration.multi_label != "softmax"
                logits = answers.logits[place]
                probabilities = logits.sigmoid() if independent else logits.softmax(dim=1)
                scores[task.name].append(probabilities[:n].cpu().numpy())
        advance(n)
    embedding = np.concatenate(embeddings) if embeddings else None
    return Predictions(embedding, {task: np.concatenate(parts) for task, parts in scores.items()})


def infer_batch(model: PortraitModel, pixels: Tensor, configuration: Configuration) -> Answers:
    """Run a model in evaluation mode on one batch.

    Args:
        model: the model, on the device of the pixels.
        pixels: shape (n, height, width, 3), uint8.
        configuration: configuration of the model's run.
    """
    with torch.inference_mode(), autocast(pixels.device, configuration):
        answers: Answers = model(normalised(pixels))
    return answers


def autocast(device: torch.device, configuration: Configuration) -> torch.autocast:
    """The precision of the backbone: 16 bits on a GPU if the configuration says so, else 32."""
    enabled = device.type == "cuda" and configuration.precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _runnable(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    """Turn compilation off on a CPU, where it takes longer than it saves."""
    if device.type == "cuda":
        return checkpoint
    return replace(checkpoint, configuration=replace(checkpoint.configuration, compiled=False, graphs=False))


def _unit_feature(answers: Answers, place: int, configuration: Configuration) -> Tensor:
    """The re-id feature at unit length, in 16 bits; a feature without direction becomes a constant vector."""
    feature = (answers.necks if configuration.reid_feature == "after" else answers.features)[place]
    norm = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    unit = torch.where(norm > MIN_NORM, feature / norm.clamp(min=MIN_NORM), feature.shape[1] ** -0.5)
    return unit.to(torch.float16)


def _require_one_each(paths: Sequence[Path], checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse checkpoints of which two answer the same task."""
    first: dict[str, Path] = {}
    problems = []
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        for task in checkpoint.n_classes:
            if first.setdefault(task, path) != path:
                found = f"is answered by {first[task]} and by {path}"
                problems.append(Problem("answered-twice", printable(task), found, "one checkpoint for each task"))
    if problems:
        raise BadUsage(first_few(paths, len(paths)), problems)


def _meta(benchmark: Benchmark, name: str, paths: Sequence[Path], checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    """The submission's meta: the whole configuration, and the checkpoints and data behind the predictions."""
    models = [
        {
            "tasks": list(checkpoint.n_classes),
            "checkpoint_sha256": sha256_of(path),
            "trained_on": checkpoint.fingerprint,
            "epochs": checkpoint.n_epochs,
            **checkpoint.facts,
        }
        for path, checkpoint in zip(paths, checkpoints, strict=True)
    ]
    return {
        "name": name,
        "benchmark": benchmark.name,
        "distance": "cosine",
        "method": f"reference model, preset {checkpoints[0].configuration.preset}",
        "configuration": to_json(checkpoints[0].configuration),
        "models": models,
    }
