"""Saves the state of a training run to a file and loads it; nothing in a file is executed.

A checkpoint holds all that a run needs to resume exactly as if it had never stopped, and all that a prediction needs
except the images. Files that are no checkpoint, are damaged or answer another vocabulary are refused with a reason.
"""

import os
import pickle
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from piq_bench.errors import BadInput, BadUsage, LimitExceeded, Problem, first_few, printable, quoted
from piq_bench.records import RETRIEVAL, Benchmark, Task
from piq_bench.write.files import written_whole
from reference_model.config import Configuration, from_json, to_json
from reference_model.heads import PortraitModel, build_model
from reference_model.model_file import SUFFIX, read_model_file
from reference_model.weights import FORMAT, WrongCheckpoint

FILE = "checkpoint.pt"
REMEDY = "give the checkpoint.pt of a run of `python -m reference_model train`, or a file that `pack` wrote"

MAX_CLASSES = 1 << 24
MIB = 1 << 20
PARTS: Mapping[str, type] = {
    "n_classes": Mapping,
    "fingerprint": str,
    "n_epochs": int,
    "model": Mapping,
    "objective": Mapping,
    "optimiser": Mapping,
    "facts": Mapping,
    "log": list,
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after some epochs.

    Attributes:
        configuration: configuration of the run.
        vocabulary: all tasks of the benchmark it was trained on.
        n_classes: number of classes of each task that the model learns.
        fingerprint: fingerprint of that benchmark.
        n_epochs: number of finished epochs.
        facts: facts for readers of results: pre-trained weights, device, time, images, and which part of the feature
            each task reads.
        log: one row per epoch.
        model, objective, optimiser: state dicts.
    """

    configuration: Configuration
    vocabulary: tuple[Task, ...]
    n_classes: Mapping[str, int]
    fingerprint: str
    n_epochs: int
    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    optimiser: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    log: Sequence[Mapping[str, Any]] = ()


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; if that fails at any point, the old file stays whole.

    Raises:
        LimitExceeded: if the file cannot be written, for example to a full disk.
    """
    try:
        with written_whole(path) as temporary, temporary.open("wb") as stream:
            torch.save(plain(checkpoint), stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError, BadUsage, LimitExceeded) as error:  # torch reports a full disk as a RuntimeError
        raise unwritable(path, error) from None


def plain(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint as plain values and tensors."""
    return {part.name: getattr(checkpoint, part.name) for part in fields(checkpoint)} | {
        "format": FORMAT,
        "configuration": to_json(checkpoint.configuration),
        "vocabulary": [asdict(task) | {"labels": list(task.labels)} for task in checkpoint.vocabulary],
        "n_classes": dict(checkpoint.n_classes),
        "log": [dict(row) for row in checkpoint.log],
    }


def unwritable(path: Path, error: Exception) -> LimitExceeded:
    """The error for a file of a run that cannot be written."""
    reason = error.problems[0].found if isinstance(error, BadInput) else printable(error)
    found = f"cannot be written: {reason}"
    place = next(place for place in path.absolute().parents if place.is_dir())
    free = f"{shutil.disk_usage(place).free / MIB:,.1f} MiB are free there"
    remedy = f"{free}; make room, then continue with --resume, or start again if no epoch was finished"
    return LimitExceeded(str(path), [Problem("unwritable", "file", found, remedy)])


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; its tensors are on the CPU.

    Args:
        path: the file, the folder of its run, or a .safetensors file that `model_file` wrote, which no run resumes.

    Raises:
        WrongCheckpoint: if the file is no checkpoint, or a damaged one.
    """
    path = path / FILE if path.is_dir() else path
    content = _opened(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = f"is no checkpoint of format {FORMAT}"
        raise WrongCheckpoint(str(path), [Problem("not-a-checkpoint", "file", found, REMEDY)])
    try:
        del content["format"]
        content["configuration"] = from_json(content["configuration"])
        content["vocabulary"] = tuple(Task(**one | {"labels": tuple(one["labels"])}) for one in content["vocabulary"])
        checkpoint = Checkpoint(**content)
        _require_whole(checkpoint)
        return checkpoint
    except BadInput as refusal:
        raise WrongCheckpoint(str(path), refusal.problems) from None
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a run, one per model; none before its first epoch is finished."""
    whole = folder / FILE
    return [whole] if whole.is_file() else sorted(folder.glob(f"*/{FILE}"))


def damaged(path: Path, error: Exception) -> WrongCheckpoint:
    """The error for a checkpoint of this project with a wrong part in it."""
    found = f"is damaged: {printable(f'{type(error).__name__} {error}')}"
    return WrongCheckpoint(str(path), [Problem("damaged", "file", found, REMEDY)])


def restored(checkpoint: Checkpoint, path: Path) -> PortraitModel:
    """Build the checkpoint's model and load its weights.

    Args:
        checkpoint: a loaded checkpoint.
        path: its file, for error messages.

    Raises:
        WrongCheckpoint: if the weights are not those of the model that the configuration describes.
    """
    model = build_model(checkpoint.configuration, checkpoint.vocabulary, checkpoint.n_classes)
    try:
        model.load_state_dict(checkpoint.model)
    except (RuntimeError, TypeError) as error:
        found = printable(" ".join(str(error).split()), 300)
        raise WrongCheckpoint(str(path), [Problem("wrong-weights", "model", found, REMEDY)]) from None
    require_slices(checkpoint, model, path)
    return model


def require_slices(checkpoint: Checkpoint, model: PortraitModel, path: Path) -> None:
    """Refuse a checkpoint that splits the feature differently than this version does, even with the same lengths.

    Raises:
        WrongCheckpoint: if the splits differ.
    """
    slices = checkpoint.facts.get("slices", model.split.edges())
    if slices != model.split.edges():
        found, remedy = f"the feature is cut as {quoted(slices)}", f"this version cuts it as {model.split.edges()}"
        raise WrongCheckpoint(str(path), [Problem("other-slices", "slices", found, remedy)])


def require_vocabulary(checkpoint: Checkpoint, benchmark: Benchmark, path: Path) -> None:
    """Refuse a checkpoint with a task that the benchmark does not have, or has with other labels.

    Raises:
        BadUsage: listing every such task.
    """
    asked = {task.name: task for task in benchmark.tasks}
    problems = []
    for task in checkpoint.vocabulary:
        other = asked.get(task.name)
        if task.name not in checkpoint.n_classes:
            continue
        if other is None:
            found, remedy = "the benchmark has no such task", f"its tasks are {first_few(asked, len(asked), 20)}"
        elif _describe(task) != _describe(other):
            found, remedy = f"learned {_describe(task)}", f"the benchmark asks for {_describe(other)}"
        else:
            continue
        problems.append(Problem("other-vocabulary", printable(task.name), found, remedy))
    if problems:
        raise BadUsage(f"{path} for {quoted(benchmark.name)}", problems)


def _require_whole(checkpoint: Checkpoint) -> None:
    """Raise an error that names the first part of a wrong type, or a task with a wrong number of classes."""
    for part, kind in PARTS.items():
        if not isinstance(getattr(checkpoint, part), kind):
            raise TypeError(f"{part} is no {kind.__name__}")
    labels = {task.name: len(task.labels) for task in checkpoint.vocabulary}
    for task, n in checkpoint.n_classes.items():
        if not isinstance(n, int) or not 0 < n < MAX_CLASSES or n != (labels[task] or n):
            raise ValueError(f"{task} with {n} classes")
    if not all(isinstance(row, Mapping) for row in checkpoint.log):
        raise TypeError("log is no list of rows")


def _describe(task: Task) -> str:
    if task.kind == RETRIEVAL:
        return "retrieval"
    return f"{'any' if task.multi_label else 'one'} of {first_few(task.labels, len(task.labels), len(task.labels))}"


def _opened(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are not torch's own, which are then refused
            if path.suffix == SUFFIX:
                content = read_model_file(path)
                return None if content is None else content | {"format": FORMAT}
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        found = printable(error.strerror or error)
    except pickle.UnpicklingError:
        found = "holds something other than plain values; nothing was executed"
    except ModuleNotFoundError:
        raise  # nothing is wrong with the file: its library is missing
    except Exception as error:  # a stranger's bytes can fail in any way
        reason = printable(f"{type(error).__name__} {error}".splitlines()[0], 160)
        found = f"cannot be read, so it is cut off, or torch.save did not write it: {reason}"
    raise WrongCheckpoint(str(path), [Problem("unreadable", "file", found, REMEDY)])
