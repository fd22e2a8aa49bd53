"""`python -m reference_model`: options, one call into the package, output, exit code.

Nothing heavier than click is imported here, so that `--help` answers at once.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, TypeVar

import click

from piq_bench.cli import output_file
from piq_bench.errors import exit_codes

if TYPE_CHECKING:
    import torch

    from reference_model.config import Configuration

WIDTH = 120  # of printed lines
PATIENCE = 6  # hours for which processes that train together wait for one of them
INSTALL = "pip install 'piq-bench[reference]'"
F = TypeVar("F", bound=Callable[..., None])

DATASET = click.argument("dataset", type=click.Path(path_type=Path))
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1. auto: a GPU if there is one."
)
SMALL = click.option("--small", "scale", flag_value="small", help="Small network, images and batches: for a CPU.")
TINY = click.option("--tiny", "scale", flag_value="tiny", help="Even smaller, to try things out.")
WORKERS = click.option("--workers", type=click.IntRange(1, 64), help="Processes that decode. [default: one per core]")


def configured(command: F) -> F:
    """The options that make a configuration."""
    options = (
        click.option("--preset", help="A row of the paper; see `presets`."),
        click.option("--config", "file", type=click.Path(path_type=Path), help="A config.json instead of a preset."),
        SMALL,
        TINY,
        click.option("--epochs", type=click.IntRange(1), help="The same course of the rate in so many epochs."),
        click.option(
            "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Another value: schedule.base_rate=1e-3."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The paper's baselines: train one on a data set, predict a submission, score it with piq-score."""


@main.command("train")
@DATASET
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run.")
@configured
@click.option("--weights", type=click.Path(path_type=Path), help="ImageNet weights of the backbone to start from.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, as it was started.")
@DEVICE
@WORKERS
def train_command(
    dataset: Path,
    out: Path,
    preset: str | None,
    file: Path | None,
    scale: str | None,
    epochs: int | None,
    settings: tuple[str, ...],
    weights: Path | None,
    resume: bool,
    device: str,
    workers: int | None,
) -> None:
    """Train on the images of split train of DATASET, in any layout that piq-bench reads.

    The configuration is a preset or a file, then changed by --small or --tiny, --epochs and --set, in this order. With
    torchrun, several processes train together.
    """
    with exit_codes(), torch_needed():
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import BadDataset
        from piq_bench.read.dataset import inspect_dataset
        from reference_model import config
        from reference_model.checkpoint import files_of
        from reference_model.predict import quiet
        from reference_model.train import train

        begun = of_run(out) if resume and preset is None and file is None else None
        configuration = chosen(preset, file, scale, epochs, settings, begun)
        inspection = inspect_dataset(dataset)
        if inspection.integrity:
            raise BadDataset(str(dataset), inspection.integrity)
        with processes(device) as (place, is_first):

            def tell(line: str) -> None:
                if is_first:
                    click.echo(line, err=True)

            text = " ".join(config.settings(configuration))
            tell(fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n")
            try:
                train(
                    inspection.benchmark,
                    configuration,
                    out,
                    device=place,
                    weights=weights,
                    resume=resume,
                    workers=workers,
                    progress=progress_bar if is_first else quiet,
                    tell=tell,
                )
            except KeyboardInterrupt:
                if files_of(out):
                    start = f" --weights {weights}" if weights is not None and configuration.models == "each" else ""
                    tell(f"the last full epoch is in {out}; go on with --resume{start}")
                else:
                    tell("no epoch was finished; start again as before")
                raise
            if is_first:
                click.echo(f"wrote {out}; try: python -m reference_model predict {out} {dataset}")


@main.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@DATASET
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("submission.npz"),
    show_default=True,
    callback=output_file,
    help="A .npz or .parquet file, or a new folder.",
)
@click.option("--name", help="Of the submission. [default: the preset's]")
@click.option("--batch-size", type=click.IntRange(1, 65536), default=256, show_default=True)
@DEVICE
@WORKERS
def predict_command(
    run: Path, dataset: Path, out: Path, name: str | None, batch_size: int, device: str, workers: int | None
) -> None:
    """Answer the query and gallery images of DATASET with the checkpoint of RUN, or with those of its tasks."""
    with exit_codes(), torch_needed():
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import first_few
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.write.submission import write_submission
        from reference_model.checkpoint import load
        from reference_model.predict import checkpoints_in, predict
        from reference_model.trainer import compiler, memory

        paths = checkpoints_in(run)
        states = [load(path) for path in paths]
        for path, state in zip(paths, states, strict=True):
            if state.n_epochs < state.configuration.schedule.n_epochs:
                done = f"{state.n_epochs} of {state.configuration.schedule.n_epochs} epochs"
                click.echo(f"{path}: the run is not at its end, {done}", err=True)
        benchmark = read_benchmark(dataset, need_labels=False)
        with memory(batch_size, "--batch-size"), compiler():
            found, meta = predict(
                benchmark,
                paths,
                name=name or states[0].configuration.preset or "reference-model",
                device=device_of(device),
                batch_size=batch_size,
                folder=out.parent,
                workers=workers,
                progress=progress_bar,
            )
        write_submission(
            out,
            images=benchmark.images[benchmark.test_rows],
            embedding=found.embedding,
            predictions=found.scores,
            meta=meta,
        )
        learned = {task for state in states for task in state.n_classes}
        left_out = [task.name for task in benchmark.tasks if task.name not in learned]
        if left_out:
            click.echo(f"not answered, since not learned: {first_few(left_out, len(left_out))}", err=True)
        partial = " --partial" if left_out else ""
        click.echo(f"wrote {out}; try: piq-score {out} --dataset {dataset}{partial}")


@main.command("presets")
@click.argument("name", required=False)
@SMALL
@TINY
def presets_command(name: str | None, scale: str | None) -> None:
    """List the presets, or print all of one's configuration as JSON."""
    with exit_codes(), torch_needed():
        import json

        from reference_model.config import PRESETS, to_json

        if name is not None:
            click.echo(json.dumps(to_json(chosen(name, None, scale, None, ())), indent=2))
            return
        for known, one in PRESETS.items():
            parts = (one.features.kind, one.backbone, f"metric {one.metric}", one.combination, one.sampling.kind)
            click.echo(f"{known:20} {'  '.join(parts)}")


@main.command("bench")
@configured
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True, help="Timed, after as many to warm up.")
@DEVICE
def bench_command(
    preset: str | None,
    file: Path | None,
    scale: str | None,
    epochs: int | None,
    settings: tuple[str, ...],
    steps: int,
    device: str,
) -> None:
    """Measure images per second, training and predicting, and memory; as JSON."""
    with exit_codes(), torch_needed():
        import json

        from reference_model.bench import bench
        from reference_model.trainer import compiler, memory

        configuration = chosen(preset, file, scale, epochs, settings)
        with memory(configuration.sampling.batch_size, "--set sampling.batch_size"), compiler():
            click.echo(json.dumps(bench(configuration, device_of(device), n_steps=steps), indent=2))


def chosen(
    preset: str | None,
    file: Path | None,
    scale: str | None,
    epochs: int | None,
    settings: tuple[str, ...],
    begun: "Configuration | None" = None,
) -> "Configuration":
    """The configuration that the options describe, or that of a run which has begun, with the options' changes.

    Raises:
        BadUsage: if they do not describe one.
    """
    from dataclasses import replace

    from piq_bench.errors import BadUsage, Problem, first_few
    from reference_model import config, schedule

    if begun is None and (preset is None) == (file is None):
        found = "neither a preset nor a file" if preset is None else "both a preset and a file"
        raise BadUsage("configuration", [Problem("no-configuration", "--preset", found, "one of the two")])
    if preset is not None and preset not in config.PRESETS:
        known = first_few(config.PRESETS, len(config.PRESETS), shown=len(config.PRESETS))
        raise BadUsage(
            "configuration", [Problem("no-preset", "--preset", f"there is no {preset!r}", f"one of {known}")]
        )
    found_one = begun or (config.PRESETS[preset] if preset is not None else config.read(file or Path()))
    if scale is not None:
        found_one = config.SCALES[scale](found_one)
    if epochs is not None:
        found_one = replace(found_one, schedule=schedule.scaled(found_one.schedule, epochs))
    return config.changed(found_one, settings)


def of_run(folder: Path) -> "Configuration":
    """What the run in a folder was started with: one model, or one for each task in a folder of its own.

    Raises:
        BadUsage: if the folder holds no run that could be resumed.
    """
    from dataclasses import replace

    from piq_bench.errors import BadUsage, Problem
    from reference_model.checkpoint import files_of, load

    found = files_of(folder)
    begun = load(found[0]).configuration if found else None
    if begun is None or (found[0].parent != folder and begun.task is None):  # a folder of whole runs is no run
        missing, remedy = "no epoch of a run was finished here", "start a run with --preset, without --resume"
        raise BadUsage(str(folder), [Problem("no-run", "--out", missing, remedy)])
    return begun if found[0].parent == folder else replace(begun, task=None)


def device_of(name: str) -> "torch.device":
    """The device that an option names.

    Raises:
        BadUsage: if there is no such device here.
    """
    import torch

    from piq_bench.errors import BadUsage, Problem, printable, quoted

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"nothing here was tried on {device.type}")
        torch.empty(0, device=device)
        if device.index is not None and device.type == "cuda":
            torch.cuda.set_device(device)  # or whoever asks for the current device would set up another GPU as well
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        reason = printable(str(error).partition("\n")[0], 160)
        found, remedy = f"{quoted(name)} does not work here: {reason}", "auto, cpu, or cuda where torch finds a GPU"
        raise BadUsage("device", [Problem("no-device", "--device", found, remedy)]) from None
    return device


@contextmanager
def processes(name: str) -> "Iterator[tuple[torch.device, bool]]":
    """This process's device, and whether it is the first of those that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device_of(name), True
        return
    from torch import cuda, distributed

    from piq_bench.errors import BadUsage, Problem, quoted

    if name.startswith("cuda:"):
        found, remedy = f"{quoted(name)} for every process of torchrun", "cuda, for a GPU of its own for each"
        raise BadUsage("device", [Problem("one-gpu", "--device", found, remedy)])
    own = name == "cuda" or (name == "auto" and cuda.is_available())
    device = device_of(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if own else name)
    # The others wait while the first decodes all images, or tries a model on those held out.
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=PATIENCE))
    yield device, distributed.get_rank() == 0
    # Not after a failure: NCCL would wait here for the others, who wait for this process's part of a batch, and
    # torchrun would not learn that there is anything to end.
    distributed.destroy_process_group()


@contextmanager
def torch_needed() -> Iterator[None]:
    """Say what to install where torch is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise click.UsageError(f"{error.name} is not installed: {INSTALL}") from None


if __name__ == "__main__":
    main(prog_name="python -m reference_model")
