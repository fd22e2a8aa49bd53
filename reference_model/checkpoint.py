"""A run's state to a file and back: written whole or not at all, read without executing anything.

A checkpoint holds all that a run needs to go on exactly as if it had never stopped, and all that a prediction needs
but the images. It is refused, with a reason, where it is none, is damaged, or answers another vocabulary.
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
from reference_model.weights import FORMAT, WrongCheckpoint

FILE = "checkpoint.pt"
REMEDY = "give the checkpoint.pt of a run of `python -m reference_model train`"

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
    """A run after some epochs.

    Attributes:
        configuration: of the run.
        vocabulary: all tasks of the benchmark that it was trained on.
        n_classes: of the tasks that the model learns.
        fingerprint: of that benchmark.
        n_epochs: done.
        facts: what a reader of results wants to know: pre-trained weights, device, time, images, and which part of the
            feature each task reads.
        log: one row per epoch.
        model, objective, optimiser: states.
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
    """Write a checkpoint; whatever happens, the file is the old one or the new one, complete.

    Raises:
        LimitExceeded: if the disk does not take it.
    """
    plain = {part.name: getattr(checkpoint, part.name) for part in fields(checkpoint)}
    plain |= {
        "format": FORMAT,
        "configuration": to_json(checkpoint.configuration),
        "vocabulary": [asdict(task) | {"labels": list(task.labels)} for task in checkpoint.vocabulary],
        "n_classes": dict(checkpoint.n_classes),
        "log": [dict(row) for row in checkpoint.log],
    }
    try:
        with written_whole(path) as temporary, temporary.open("wb") as stream:
            torch.save(plain, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:  # torch tells of a full disk as a RuntimeError
        raise unwritable(path, error) from None


def unwritable(path: Path, error: Exception) -> LimitExceeded:
    """The refusal to go on when a file of a run cannot be written."""
    found = f"cannot be written: {printable(error)}"
    place = next(place for place in path.absolute().parents if place.is_dir())
    free = f"{shutil.disk_usage(place).free / MIB:,.1f} MiB are free there"
    remedy = f"{free}; make room, then go on with --resume, or start again if no epoch was finished"
    return LimitExceeded(str(path), [Problem("unwritable", "file", found, remedy)])


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, onto the CPU.

    Args:
        path: the file, or the folder of its run.

    Raises:
        WrongCheckpoint: if it is none.
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
    """The checkpoints of a run, one for each of its models; none before the end of its first epoch."""
    whole = folder / FILE
    return [whole] if whole.is_file() else sorted(folder.glob(f"*/{FILE}"))


def damaged(path: Path, error: Exception) -> WrongCheckpoint:
    """The refusal of a checkpoint of ours with something wrong in it."""
    found = f"is damaged: {printable(f'{type(error).__name__} {error}')}"
    return WrongCheckpoint(str(path), [Problem("damaged", "file", found, REMEDY)])


def restored(checkpoint: Checkpoint, path: Path) -> PortraitModel:
    """The checkpoint's model, with its weights.

    Args:
        checkpoint: as loaded.
        path: what a refusal names.

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
    """Refuse a checkpoint whose tasks read other parts of the feature, of the same lengths, than its model's do.

    Raises:
        WrongCheckpoint: if another version cut the feature.
    """
    slices = checkpoint.facts.get("slices", model.split.edges())
    if slices != model.split.edges():
        found, remedy = f"the feature is cut as {quoted(slices)}", f"this version cuts it as {model.split.edges()}"
        raise WrongCheckpoint(str(path), [Problem("other-slices", "slices", found, remedy)])


def require_vocabulary(checkpoint: Checkpoint, benchmark: Benchmark, path: Path) -> None:
    """Refuse a checkpoint that answers tasks which the benchmark does not have, or has with other labels.

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
        elif _form(task) != _form(other):
            found, remedy = f"learned {_form(task)}", f"the benchmark asks for {_form(other)}"
        else:
            continue
        problems.append(Problem("other-vocabulary", printable(task.name), found, remedy))
    if problems:
        raise BadUsage(f"{path} for {quoted(benchmark.name)}", problems)


def _require_whole(checkpoint: Checkpoint) -> None:
    """Raise an error that names the first part that is no such thing, or tells another number of classes."""
    for part, kind in PARTS.items():
        if not isinstance(getattr(checkpoint, part), kind):
            raise TypeError(f"{part} is no {kind.__name__}")
    labels = {task.name: len(task.labels) for task in checkpoint.vocabulary}
    for task, n in checkpoint.n_classes.items():
        if not isinstance(n, int) or not 0 < n < MAX_CLASSES or n != (labels[task] or n):
            raise ValueError(f"{task} with {n} classes")
    if not all(isinstance(row, Mapping) for row in checkpoint.log):
        raise TypeError("log is no list of rows")


def _form(task: Task) -> str:
    if task.kind == RETRIEVAL:
        return "retrieval"
    return f"{'any' if task.multi_label else 'one'} of {first_few(task.labels, len(task.labels), len(task.labels))}"


def _opened(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickles than torch's own, which are then refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        found = printable(error.strerror or error)
    except pickle.UnpicklingError:
        found = "holds something else beside plain values; nothing was executed"
    except Exception as error:  # a stranger's bytes can fail in any way
        reason = printable(f"{type(error).__name__} {error}".splitlines()[0], 160)
        found = f"cannot be read, so it is cut off, or torch.save did not write it: {reason}"
    raise WrongCheckpoint(str(path), [Problem("unreadable", "file", found, REMEDY)])
