"""The commands that use a trained model on pictures of one's own, and those that write it to a file."""

from pathlib import Path

import click

from piq_bench.cli import Command, output_file, tell
from piq_bench.cli.options import follow_links_option
from piq_bench.errors import exit_codes
from reference_model.options import DEVICE, FLIP, WORKERS, device_of, torch_needed

FOLDER = click.argument("folder", type=click.Path(path_type=Path))
MODEL = click.option(
    "--model",
    default="small",
    show_default=True,
    help="small, which comes with this package; a checkpoint; or the folder of a run.",
)
BATCH_SIZE = click.option(
    "--batch-size", type=click.IntRange(1, 65536), default=256, show_default=True, help="Pictures per batch."
)
MANY = 5  # unreadable pictures that are named


class PictureCommand(Command):
    """A command that reads pictures alone from its folder, beside which its features may lie."""

    reads_arrays = False


@click.command(
    "embed",
    cls=PictureCommand,
    sections={
        "Model and features": "--model --out --flip",
        "Running": "--batch-size --device --workers --follow-links",
    },
    examples=("python -m reference_model embed PICTURES --model small --out features.npz",),
)
@FOLDER
@MODEL
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("features.npz"),
    show_default=True,
    callback=output_file,
    help="Features to write: a .npz or .parquet file, or a new folder.",
)
@FLIP
@BATCH_SIZE
@DEVICE
@WORKERS
@follow_links_option
def embed_command(
    folder: Path,
    model: str,
    out: Path,
    flip: bool,
    batch_size: int,
    device: str,
    workers: int | None,
    follow_links: bool,
) -> None:
    """Write features and attribute probabilities of all pictures in FOLDER and its subfolders.

    The file has the arrays `image`, `embedding` and one per task, in the format of a submission.
    """
    with exit_codes(), torch_needed():
        from piq_bench.cli.progress import progress_bar
        from reference_model.embed import embed_folder, write_features
        from reference_model.trainer import compiler, memory

        with memory(batch_size, "--batch-size"), compiler():
            found = embed_folder(
                folder,
                model,
                flip=flip,
                device=device_of(device),
                batch_size=batch_size,
                workers=workers,
                follow_links=follow_links,
                progress=progress_bar,
            )
        tell_unreadable(found.unreadable)
        write_features(out, found)
        click.echo(f"wrote {out}: {len(found.images)} pictures")


@click.command(
    "describe",
    cls=PictureCommand,
    sections={
        "Model and page": "--model --out --pictures --flip",
        "Running": "--batch-size --device --workers --follow-links",
    },
    examples=("python -m reference_model describe PICTURES --model small --out page.html",),
)
@FOLDER
@MODEL
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("page.html"),
    show_default=True,
    callback=output_file,
    help="Page to write.",
)
@click.option(
    "--pictures",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="The most pictures to show; of more, they are taken evenly from all.",
)
@FLIP
@BATCH_SIZE
@DEVICE
@WORKERS
@follow_links_option
def describe_command(
    folder: Path,
    model: str,
    out: Path,
    pictures: int,
    flip: bool,
    batch_size: int,
    device: str,
    workers: int | None,
    follow_links: bool,
) -> None:
    """Show the pictures of FOLDER on a page, each with its predicted attributes and its nearest neighbours."""
    with exit_codes(), torch_needed():
        from piq_bench.cli.progress import progress_bar
        from piq_bench.report.html import require
        from piq_bench.write.files import write_text
        from reference_model.describe import description_html
        from reference_model.embed import embed_folder
        from reference_model.trainer import compiler, memory

        require()
        with memory(batch_size, "--batch-size"), compiler():
            found = embed_folder(
                folder,
                model,
                flip=flip,
                device=device_of(device),
                batch_size=batch_size,
                workers=workers,
                follow_links=follow_links,
                progress=progress_bar,
            )
        tell_unreadable(found.unreadable)
        write_text(out, description_html(folder, found, n_shown=pictures, follow_links=follow_links))
        click.echo(f"wrote {out}: {min(pictures, len(found.images))} of {len(found.images)} pictures")


@click.command(
    "export-onnx", cls=Command, examples=("python -m reference_model export-onnx --model run --out model.onnx",)
)
@MODEL
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("model.onnx"),
    show_default=True,
    callback=output_file,
    help="File to write.",
)
def export_onnx_command(model: str, out: Path) -> None:
    """Write a model as ONNX, for programs without PyTorch.

    Its input is `pixels`, 8-bit RGB; its outputs are `embedding` and the probabilities of each task's labels.
    """
    with exit_codes(), torch_needed():
        from reference_model.onnx_export import export_onnx

        height, width = export_onnx(model, out)
        click.echo(f"wrote {out}; pixels: n x {height} x {width} x 3, resized bilinearly")


@click.command("pack", cls=Command, examples=("python -m reference_model pack run --out model.safetensors",))
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("model.safetensors"),
    show_default=True,
    callback=output_file,
    help="File to write.",
)
@click.option("--licence", default="Apache-2.0", show_default=True, help="Licence of the weights, kept in the file.")
def pack_command(run: Path, out: Path, licence: str) -> None:
    """Write the model of RUN to one small .safetensors file, which --model takes."""
    with exit_codes(), torch_needed():
        from piq_bench.errors import BadUsage, Problem
        from piq_bench.write.files import sha256_of
        from reference_model.checkpoint import load, plain
        from reference_model.model_file import write_model_file
        from reference_model.predict import checkpoints_in

        paths = checkpoints_in(run)
        if len(paths) > 1:
            problem = Problem("several-models", "run", f"holds {len(paths)} models", "the subfolder of one of them")
            raise BadUsage(str(run), [problem])
        write_model_file(out, plain(load(paths[0])), licence=licence)
        click.echo(f"wrote {out}: {out.stat().st_size:,} bytes, SHA-256 {sha256_of(out)}")


def tell_unreadable(unreadable: dict[str, str] | object) -> None:
    """Say which pictures were left out."""
    from collections.abc import Mapping

    from piq_bench.errors import first_few

    if isinstance(unreadable, Mapping) and unreadable:
        n = len(unreadable)
        found = first_few([f"{image} {reason}" for image, reason in unreadable.items()], n, MANY)
        tell(f"{n} picture{'s' if n > 1 else ''} left out, since unreadable: {found}")
