"""Checkpoints and pictures to a submission: what every query and gallery image is answered with.

A checkpoint answers the tasks that it learned. Several of them, one for each task, are put together. Scores are
written rather than decisions, and the re-id feature has unit length, so that 16 bits hold any of it.
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
from reference_model.checkpoint import FILE, Checkpoint, files_of, load, require_vocabulary, restored
from reference_model.config import Configuration, to_json
from reference_model.data import read_pixels
from reference_model.feed import read_ahead
from reference_model.heads import Answers, PortraitModel
from reference_model.weights import WrongCheckpoint

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Given what is done in how many steps: a bar to tell of steps."""

BATCH_SIZE = 256
SHORTEST = 1e-12  # a feature of a smaller norm says nothing


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a submission is written from; see `piq_bench.write.submission.write_submission`.

    Attributes:
        embedding: shape (n_images, dimension), rows of length 1; None where no checkpoint learned re-identification.
        scores: by task, shape (n_images, n_labels): probabilities.
    """

    embedding: NDArray[np.float16] | None
    scores: Mapping[str, Float32Array]


def quiet(description: str, total: int) -> AbstractContextManager[Advance]:
    """No bar."""
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
    progress: Progress = quiet,
) -> tuple[Predictions, dict[str, Any]]:
    """Answer the query and gallery images of a benchmark.

    Args:
        benchmark: with image files; its labels are not used.
        paths: of checkpoints, none of which answers a task of another.
        name: of the submission.
        device: to compute on.
        batch_size: images at a time.
        folder: where pixels that are too many for memory may lie; see `images.buffer.pixel_buffer`.
        workers: processes that decode; None for one per free core.
        progress: told what is done.

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
    torch.backends.cudnn.benchmark = True  # of kernels, since all batches have one shape
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
            found = answer(
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
    """The checkpoint of a run, or those of a run with one model for each task.

    Args:
        path: a checkpoint or the folder of a run.

    Raises:
        BadUsage: if there is none.
    """
    if path.is_file():
        return [path]
    found = files_of(path)
    if not found:
        missing = f"holds no {FILE}" if path.is_dir() else "there is no such file or folder"
        raise BadUsage(str(path), [Problem("no-checkpoint", "run", missing, "the folder of a training run")])
    return found


def answer(
    model: PortraitModel,
    pixels: Pixels,
    tasks: Sequence[Task],
    configuration: Configuration,
    device: torch.device,
    *,
    batch_size: int = BATCH_SIZE,
    advance: Advance = lambda steps: None,
) -> Predictions:
    """What a model says of images.

    Args:
        model: on `device`; left in evaluation mode.
        pixels: shape (n_images, height, width, 3), uint8.
        tasks: those of the model, in its order.
        configuration: of its run.
        device: to compute on.
        batch_size: images at a time.
        advance: told the number of images done.
    """
    model.eval()
    embeddings: list[NDArray[np.float16]] = []
    scores: dict[str, list[Float32Array]] = {task.name: [] for task in tasks if task.kind != RETRIEVAL}
    n_images = len(pixels)
    batch_size = min(batch_size, n_images)
    rows = np.arange(-(-n_images // batch_size) * batch_size).clip(max=n_images - 1)  # the last batch is full as well
    batches = read_ahead(pixels, rows.reshape(-1, batch_size), device)
    for first, images in zip(range(0, n_images, batch_size), batches, strict=True):
        n = min(batch_size, n_images - first)
        answers = inferred(model, images, configuration)
        for place, task in enumerate(tasks):
            if task.kind == RETRIEVAL:
                embeddings.append(_unit(answers, place, configuration)[:n].cpu().numpy())
            else:
                several = task.multi_label and configuration.multi_label != "softmax"
                logits = answers.logits[place]
                found = logits.sigmoid() if several else logits.softmax(dim=1)
                scores[task.name].append(found[:n].cpu().numpy())
        advance(n)
    embedding = np.concatenate(embeddings) if embeddings else None
    return Predictions(embedding, {task: np.concatenate(parts) for task, parts in scores.items()})


def inferred(model: PortraitModel, pixels: Tensor, configuration: Configuration) -> Answers:
    """What a model in evaluation mode says of a batch.

    Args:
        model: on the device of the pixels.
        pixels: shape (n, height, width, 3), uint8.
        configuration: of the run.
    """
    with torch.inference_mode(), autocast(pixels.device, configuration):
        found: Answers = model(normalised(pixels))
    return found


def autocast(device: torch.device, configuration: Configuration) -> torch.autocast:
    """What the backbone computes in: 16 bits on a GPU, if the configuration says so."""
    enabled = device.type == "cuda" and configuration.precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _runnable(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    """The same; what was compiled for a GPU need not be compiled for a CPU, where that takes longer than it saves."""
    if device.type == "cuda":
        return checkpoint
    return replace(checkpoint, configuration=replace(checkpoint.configuration, compiled=False, graphs=False))


def _unit(answers: Answers, place: int, configuration: Configuration) -> Tensor:
    """The re-id feature at length 1, in 16 bits; one without direction gets the same number everywhere."""
    feature = (answers.necks if configuration.reid_feature == "after" else answers.features)[place]
    norm = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    unit = torch.where(norm > SHORTEST, feature / norm.clamp(min=SHORTEST), feature.shape[1] ** -0.5)
    return unit.to(torch.float16)


def _require_one_each(paths: Sequence[Path], checkpoints: Sequence[Checkpoint]) -> None:
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
    """What the submission says of itself: all open choices, and where its numbers come from."""
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
