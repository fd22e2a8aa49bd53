"""The command that lists published weights and checks a file of weights."""

from pathlib import Path

import click

from piq_bench.cli import Command
from piq_bench.errors import exit_codes
from reference_model.options import torch_needed


@click.command(
    "weights",
    cls=Command,
    examples=("python -m reference_model weights", "python -m reference_model weights resnet50.pth"),
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
def weights_command(file: Path | None) -> None:
    """List the published ImageNet weights that --weights takes, or check FILE: is it one of them, does it fit?"""
    with exit_codes(), torch_needed():
        from reference_model.known_weights import identity_of, listing

        if file is None:
            click.echo("\n".join(listing()))
            return
        from reference_model.weights import fitting_backbone

        backbone = fitting_backbone(file)
        digest, identity = identity_of(file)
        size = f"{file.stat().st_size:,} bytes; SHA-256 {digest}"
        click.echo("\n  ".join([str(file), f"fits backbone {backbone}", identity, size]))
