"""Runs a trained model on a folder of pictures and returns features and attribute probabilities.

Pictures are decoded, answered and let go batch by batch, so that a folder of any size fits into memory. One that cannot
be read is reported and left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from piq_bench.errors import BadDataset, BadUsage, Problem, first_few
from piq_bench.images.folder import Unreadable
from piq_bench.images.parallel import map_files
from piq_bench.read.layouts.scan import IMAGE_SUFFIXES
from piq_bench.records import Float32Array, Pixels, Task
from piq_bench.write.submission import write_submission
from reference_model.checkpoint import Checkpoint, load, restored
from reference_model.data import resized
from reference_model.heads import PortraitModel
from reference_model.predict import (
    BATCH_SIZE,
    Progress,
    answer_batch,
    checkpoints_in,
    models_facts,
    no_progress,
    require_finite,
    require_one_each,
    runnable,
)

DEFAULT_MODEL = "small"


@dataclass(frozen=True, eq=False)
class Embedded:
    """The answers to a folder of pictures.

    Attributes:
        images: paths of the n pictures below the folder, sorted.
        embedding: shape (n, dimension), re-id features of length 1; None where the model did not learn re-id.
        probabilities: by task, shape (n, n_labels).
        tasks: the tasks of `probabilities`, with their labels.
        unreadable: why a picture was left out, by its path.
        meta: the model behind the answers, as JSON values.
    """

    images: Sequence[str]
    embedding: Float32Array | None
    probabilities: Mapping[str, Float32Array]
    tasks: Sequence[Task]
    unreadable: Mapping[str, str]
    meta: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """One network of a trained model, on its device.

    Attributes:
        path: its file.
        checkpoint: content of the file.
        network: backbone and heads, in evaluation mode.
        tasks: the tasks that it answers, in its order.
    """

    path: Path
    checkpoint: Checkpoint
    network: PortraitModel
    tasks: Sequence[Task]


def embed_folder(
    folder: str | Path,
    model: str | Path = DEFAULT_MODEL,
    *,
    flip: bool = False,
    device: torch.device | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = 1,
    follow_links: bool = False,
    progress: Progress = no_progress,
) -> Embedded:
    """Compute the features and attribute probabilities of all pictures in a folder and its subfolders.

    Args:
        folder: a folder of pictures.
        model: the name of a model that comes with this package, a checkpoint, or the folder of a run.
        flip: average the answers to each picture and to its mirror image.
        device: where to compute; None for the CPU.
        batch_size: pictures per batch.
        workers: processes that decode; None for one per free core.
        follow_links: whether links may lead out of the folder.
        progress: shows a progress bar.

    Raises:
        BadUsage: if the model is none, or two of its files answer the same task.
        BadDataset: if no picture can be read.
    """
    root, place = Path(folder), device or torch.device("cpu")
    images = pictures_in(root)
    models = load_models(checkpoints_in(Path(model)), place)
    size = models[0].checkpoint.configuration.size
    names: list[str] = []
    unreadable: dict[str, str] = {}
    parts: dict[str, list[Float32Array]] = {}
    with progress("reading pictures and answering them", len(images)) as advance:
        decoded = map_files(
            root, images, partial(resized, size=size), workers=workers, follow_links=follow_links, advance=advance
        )
        for batch, pixels in batches(decoded, min(batch_size, len(images)), size, unreadable):
            names += batch
            for name, values in answers_of(models, pixels, flip=flip).items():
                parts.setdefault(name, []).append(values[: len(batch)])
    if not names:
        raise BadDataset(str(root), _unreadable_problems(unreadable))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    tasks = [task for one in models for task in one.tasks if task.labels]
    checkpoints = [one.checkpoint for one in models]
    meta = {
        "model": str(model),
        "method": f"reference model, preset {checkpoints[0].configuration.preset}",
        "start": checkpoints[0].configuration.start,
        "labels": {task.name: list(task.labels) for task in tasks},
        "flip": flip,
        "models": models_facts([one.path for one in models], checkpoints),
    }
    return Embedded(names, arrays.pop("", None), arrays, tasks, unreadable, meta)


def write_features(path: Path, found: Embedded) -> None:
    """Write answers in the format of a submission, with the labels of each task in its meta."""
    write_submission(
        path, images=found.images, embedding=found.embedding, predictions=found.probabilities, meta=found.meta
    )


def pictures_in(folder: Path) -> list[str]:
    """Paths of all files below a folder that have the suffix of a picture, sorted.

    Raises:
        BadDataset: if there is none.
    """
    images = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.lower().endswith(IMAGE_SUFFIXES)
    )
    if not images:
        found = "holds no pictures" if folder.is_dir() else "is no folder"
        remedy = f"a folder with files that end with {', '.join(IMAGE_SUFFIXES)}"
        raise BadDataset(str(folder), [Problem("no-images", "folder", found, remedy)])
    return images


def load_models(paths: Sequence[Path], device: torch.device) -> list[TrainedModel]:
    """Load the networks of a trained model.

    Raises:
        WrongCheckpoint: if a file is no checkpoint.
        BadUsage: if two of them answer the same task, or take images of different sizes.
    """
    checkpoints = [load(path) for path in paths]
    require_one_each(paths, checkpoints)
    sizes = {checkpoint.configuration.size for checkpoint in checkpoints}
    if len(sizes) > 1:
        found = f"models of sizes {first_few(sorted(sizes), len(sizes))}"
        raise BadUsage(first_few(paths, len(paths)), [Problem("sizes-differ", "model", found, "models of one run")])
    models = []
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        network = restored(runnable(checkpoint, device), path).to(device).eval()
        tasks = [task for task in checkpoint.vocabulary if task.name in checkpoint.n_classes]
        models.append(TrainedModel(path, checkpoint, network, tasks))
    return models


def batches(
    decoded: Iterator[tuple[str, Any]], batch_size: int, size: tuple[int, int], unreadable: dict[str, str]
) -> Iterator[tuple[list[str], Pixels]]:
    """Gather pictures into batches of one shape.

    Args:
        decoded: pictures by name, shape (height, width, 3), or why they cannot be read.
        batch_size: pictures per batch.
        size: height and width.
        unreadable: receives the reasons, by name.

    Yields:
        The names of n pictures, and pixels of shape (batch_size, height, width, 3), of which n rows are theirs.
    """
    names: list[str] = []
    pixels = np.zeros((batch_size, *size, 3), np.uint8)
    for image, value in decoded:
        if isinstance(value, Unreadable):
            unreadable[image] = value.found
            continue
        pixels[len(names)] = value
        names.append(image)
        if len(names) == batch_size:
            yield names, pixels
            names = []
    if names:
        yield names, pixels


def answers_of(models: Sequence[TrainedModel], pixels: Pixels, *, flip: bool) -> dict[str, Float32Array]:
    """Probabilities of a batch by task, and the re-id feature by the name ""."""
    arrays: dict[str, Float32Array] = {}
    for one in models:
        images = torch.from_numpy(pixels).to(next(one.network.parameters()).device)
        feature, scores = answer_batch(one.network, images, one.tasks, one.checkpoint.configuration, flip=flip)
        found = {task: values.cpu().numpy() for task, values in scores.items()}
        if feature is not None:
            found[""] = feature.cpu().numpy()
        require_finite(one.path, *found.values())
        arrays |= found
    return arrays


def _unreadable_problems(unreadable: Mapping[str, str]) -> list[Problem]:
    found = first_few([f"{image} {reason}" for image, reason in unreadable.items()], len(unreadable))
    return [Problem("unreadable", "images", f"no picture can be read: {found}", "another folder", len(unreadable))]
