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
from reference_model.flip import flipped_labels
from reference_model.heads import Answers, PortraitModel
from reference_model.model_file import SHIPPED, model_path
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
    flip: bool = False,
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
        flip: average the answers to each image and to its mirror image.
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
    require_one_each(paths, checkpoints)
    torch.backends.cudnn.benchmark = True  # measure kernels once, since all batches have one shape
    rows = benchmark.test_rows
    pixels: dict[tuple[int, int], Pixels] = {}
    embedding: NDArray[np.float16] | None = None
    scores: dict[str, Float32Array] = {}
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        model = restored(runnable(checkpoint, device), path).to(device)
        size = checkpoint.configuration.size
        if size not in pixels:
            with progress("reading pictures", rows.size) as advance:
                pixels[size] = read_pixels(benchmark, rows, size, folder=folder, workers=workers, advance=advance)
        tasks = [task for task in checkpoint.vocabulary if task.name in checkpoint.n_classes]
        with progress(f"predicting {', '.join(task.name for task in tasks)}", rows.size) as advance:
            found = predict_pixels(
                model,
                pixels[size],
                tasks,
                checkpoint.configuration,
                device,
                batch_size=batch_size,
                flip=flip,
                advance=advance,
            )
        require_finite(path, found.embedding, *found.scores.values())
        embedding = embedding if found.embedding is None else found.embedding
        scores |= found.scores
    meta = _meta(benchmark, name, paths, checkpoints)
    return Predictions(embedding, scores), meta | ({"flip": True} if flip else {})


def require_finite(path: Path, *answers: NDArray[Any] | None) -> None:
    """Refuse a model that gave an answer that is infinite or NaN."""
    if not all(np.isfinite(values).all() for values in answers if values is not None):
        remedy = "train again with a lower rate"
        raise WrongCheckpoint(str(path), [Problem("not-finite", "weights", "answers are not finite", remedy)])


def checkpoints_in(path: Path) -> list[Path]:
    """Find the checkpoint of a run, or all checkpoints of a run with one model per task.

    Args:
        path: a checkpoint, the folder of a run, or the name of a model that comes with this package.

    Raises:
        BadUsage: if there is no checkpoint.
    """
    path = model_path(path)
    if path.is_file():
        return [path]
    found = checkpoint_files(path)
    if not found:
        missing = f"holds no {FILE}" if path.is_dir() else "there is no such file or folder"
        remedy = f"the folder of a training run, or one of {', '.join(SHIPPED)}"
        raise BadUsage(str(path), [Problem("no-checkpoint", "run", missing, remedy)])
    return found


def predict_pixels(
    model: PortraitModel,
    pixels: Pixels,
    tasks: Sequence[Task],
    configuration: Configuration,
    device: torch.device,
    *,
    batch_size: int = BATCH_SIZE,
    flip: bool = False,
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
        flip: average the answers to each image and to its mirror image.
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
        feature, probabilities = answer_batch(model, images, tasks, configuration, flip=flip)
        if feature is not None:
            embeddings.append(feature[:n].to(torch.float16).cpu().numpy())
        for task, values in probabilities.items():
            scores[task].append(values[:n].cpu().numpy())
        advance(n)
    embedding = np.concatenate(embeddings) if embeddings else None
    return Predictions(embedding, {task: np.concatenate(parts) for task, parts in scores.items()})


def answer_batch(
    model: PortraitModel,
    pixels: Tensor,
    tasks: Sequence[Task],
    configuration: Configuration,
    *,
    flip: bool = False,
    gradients: bool = False,
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """The re-id feature at unit length, None where it was not learned, and by task the probability of each label.

    Args:
        model: the model, on the device of the pixels, in evaluation mode.
        pixels: shape (n, height, width, 3), uint8.
        tasks: the model's tasks, in its order.
        configuration: configuration of the model's run.
        flip: average the answers to each image and its mirror image, in which labels that name sides change places.
        gradients: compute as in training, which an exporter can follow, rather than in inference mode.
    """
    infer = traceable if gradients else infer_batch
    views = [infer(model, view, configuration) for view in ((pixels, pixels.flip(2)) if flip else (pixels,))]
    feature: Tensor | None = None
    probabilities: dict[str, Tensor] = {}
    for place, task in enumerate(tasks):
        if task.kind == RETRIEVAL:
            kind = "necks" if configuration.reid_feature == "after" else "features"
            feature = unit_feature(sum_of([getattr(view, kind)[place] for view in views]))
            continue
        found = [probability(view.logits[place], task) for view in views]
        if flip:
            found[1] = found[1][:, torch.from_numpy(flipped_labels(task)).to(pixels.device)]
        probabilities[task.name] = sum_of(found) / len(found)
    return feature, probabilities


def probability(logits: Tensor, task: Task) -> Tensor:
    """Probabilities of a task's labels: independent of each other if several may apply."""
    return logits.sigmoid() if task.multi_label else logits.softmax(dim=1)


def sum_of(views: Sequence[Tensor]) -> Tensor:
    """The sum of one or two tensors; that of one is the tensor itself, to the last bit."""
    return views[0] if len(views) == 1 else views[0] + views[1]


def infer_batch(model: PortraitModel, pixels: Tensor, configuration: Configuration) -> Answers:
    """Run a model in evaluation mode on one batch.

    Args:
        model: the model, on the device of the pixels.
        pixels: shape (n, height, width, 3), uint8.
        configuration: configuration of the model's run.
    """
    with torch.inference_mode():
        return traceable(model, pixels, configuration)


def traceable(model: PortraitModel, pixels: Tensor, configuration: Configuration) -> Answers:
    """Run a model on one batch as `infer_batch` does, in the mode that is set."""
    with autocast(pixels.device, configuration):
        answers: Answers = model(normalised(pixels))
    return answers


def autocast(device: torch.device, configuration: Configuration) -> torch.autocast:
    """The precision of the backbone: 16 bits on a GPU if the configuration says so, else 32."""
    enabled = device.type == "cuda" and configuration.precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def runnable(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    """Turn compilation off on a CPU, where it takes longer than it saves."""
    if device.type == "cuda":
        return checkpoint
    return replace(checkpoint, configuration=replace(checkpoint.configuration, compiled=False, graphs=False))


def unit_feature(feature: Tensor) -> Tensor:
    """Features at unit length; one without direction becomes a constant vector."""
    norm = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    return torch.where(norm > MIN_NORM, feature / norm.clamp(min=MIN_NORM), feature.shape[1] ** -0.5)


def require_one_each(paths: Sequence[Path], checkpoints: Sequence[Checkpoint]) -> None:
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


def models_facts(paths: Sequence[Path], checkpoints: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """Each checkpoint and the data behind it, as JSON values."""
    return [
        {
            "tasks": list(checkpoint.n_classes),
            "checkpoint_sha256": sha256_of(path),
            "trained_on": checkpoint.fingerprint,
            "epochs": checkpoint.n_epochs,
            **checkpoint.facts,
        }
        for path, checkpoint in zip(paths, checkpoints, strict=True)
    ]


def _meta(benchmark: Benchmark, name: str, paths: Sequence[Path], checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    """The submission's meta: the whole configuration, and the checkpoints and data behind the predictions."""
    return {
        "name": name,
        "benchmark": benchmark.name,
        "distance": "cosine",
        "method": f"reference model, preset {checkpoints[0].configuration.preset}",
        "configuration": to_json(checkpoints[0].configuration),
        "models": models_facts(paths, checkpoints),
    }
