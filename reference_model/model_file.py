"""Writes a trained model to one small .safetensors file, without what only training needs, and reads it again.

Matrices and kernels are kept in 16 bits, everything else in 32. The header holds the configuration, the vocabulary and
the facts of the run as JSON, so the file alone suffices to predict. Nothing in a file is executed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from piq_bench.errors import BadUsage, Problem
from piq_bench.write.files import written_whole
from reference_model.weights import MAX_BYTES

SUFFIX = ".safetensors"
MODEL_FORMAT = "piq-bench/model/1"
ABOUT = ("configuration", "vocabulary", "n_classes", "fingerprint", "n_epochs", "facts")  # parts of a checkpoint
SHIPPED = {"small": Path(__file__).parent / "shipped" / "small.safetensors"}
"""Trained models that come with this package, by the name that `--model` takes."""

LIMITS = {"small": "drawn people only: attributes of photographs mean nothing, neighbours share colours and shapes"}
"""What the models that come with this package do not know; a page of their answers says it."""


def model_path(name: str | Path) -> Path:
    """The file or folder of a model: one that ships, by its name, or else a path.

    >>> model_path("small").name
    'small.safetensors'
    """
    return SHIPPED.get(str(name), Path(name))


def write_model_file(path: Path, plain: Mapping[str, Any], *, licence: str) -> None:
    """Write a model.

    Args:
        path: the file, whose suffix is .safetensors.
        plain: a checkpoint as plain values; see `checkpoint.plain`.
        licence: licence of the weights.

    Raises:
        BadUsage: if the suffix is another one, or the file cannot be written.
    """
    from safetensors.torch import save_file

    if path.suffix != SUFFIX:
        remedy = f"end the name with {SUFFIX}"
        raise BadUsage(str(path), [Problem("suffix", path.name, f"suffix {path.suffix!r} is unknown", remedy)])
    tensors = {key: _stored(value) for key, value in plain["model"].items()}
    about = {part: plain[part] for part in ABOUT}  # in order: that of the tasks is the order of the heads
    header = {"format": MODEL_FORMAT, "licence": licence, "about": json.dumps(about)}
    with written_whole(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def read_model_file(path: Path) -> dict[str, Any] | None:
    """The content of a file as plain values of a checkpoint without a log; None if it is no model of this format.

    Raises:
        Exception: of any type, if the file is damaged.
    """
    from safetensors import safe_open

    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        if header.get("format") != MODEL_FORMAT:
            return None
        about = json.loads(header["about"])
        model = {key: _loaded(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118  (no mapping)
    return {**about, "model": model, "objective": {}, "optimiser": {}, "log": []}


def _stored(value: torch.Tensor) -> torch.Tensor:
    """A tensor as it is stored: what can be large in 16 bits, statistics of batch normalisation in 32."""
    return (value.half() if value.ndim > 1 else value).contiguous()


def _loaded(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.is_floating_point() else value
