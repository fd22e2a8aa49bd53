"""Options that several commands share, and what they need before the package is called.

Nothing heavier than click is imported, so that `--help` answers at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import torch

INSTALL = "pip install 'piq-bench[{extra}]'"
EXTRAS = {"torch": "reference", "safetensors": "reference", "onnx": "onnx", "onnxscript": "onnx", "onnxruntime": "onnx"}

DATASET = click.argument("dataset", type=click.Path(path_type=Path))
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1. auto takes a GPU if there is one."
)
SMALL = click.option(
    "--small", "scale", flag_value="small", help="Use a small network, small images and small batches, for a CPU."
)
TINY = click.option("--tiny", "scale", flag_value="tiny", help="Use an even smaller network, to try things out.")
WORKERS = click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes that decode images. [default: one per core]"
)
FLIP = click.option(
    "--flip", is_flag=True, help="Average the answers to each picture and to its mirror image; takes twice as long."
)


def device_of(name: str) -> "torch.device":
    """The device that `--device` names.

    Raises:
        BadUsage: if there is no such device on this machine.
    """
    import torch

    from piq_bench.errors import BadUsage, Problem, printable, quoted

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"this model was never tested on {device.type}")
        torch.empty(0, device=device)
        if device.index is not None and device.type == "cuda":
            torch.cuda.set_device(device)  # else code that asks for the current device would set up another GPU as well
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        reason = printable(str(error).partition("\n")[0], 160)
        found, remedy = f"{quoted(name)} does not work here: {reason}", "auto, cpu, or cuda where torch finds a GPU"
        raise BadUsage("device", [Problem("no-device", "--device", found, remedy)]) from None
    return device


@contextmanager
def torch_needed() -> Iterator[None]:
    """Say what to install where a library of an extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise click.UsageError(f"{error.name} is not installed: {INSTALL.format(extra=EXTRAS[error.name])}") from None
