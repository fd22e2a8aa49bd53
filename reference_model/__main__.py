"""The command line, `python -m reference_model`: reads options, calls the package, prints and sets the exit code.

Nothing heavier than click is imported before a command runs, so that `--help` answers at once.
"""

from piq_bench.cli import Command, output_file, tell, try_next, version_option

# The first of all imports, since it answers Ctrl-C during the others.
# isort: split

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from piq_bench.cli.options import follow_links_option
from piq_bench.errors import exit_codes, hanging, width_of
from piq_bench.write.streams import accept_every_character
from reference_model.options import DATASET, DEVICE, FLIP, SMALL, TINY, WORKERS, device_of, torch_needed
from reference_model.picture_commands import describe_command, embed_command, export_onnx_command, pack_command
from reference_model.weights_command import weights_command

if TYPE_CHECKING:
    import torch

    from reference_model.config import Configuration

WIDTH = 120  # of printed lines
MAX_WAIT_HOURS = 6  # for which processes that train together wait for each other
F = TypeVar("F", bound=Callable[..., None])


def configuration_options(command: F) -> F:
    """Add the options that make a configuration to a command."""
    options = (
        click.option("--preset", help="Row of the paper's tables to start from; `presets` lists them."),
        click.option(
            "--config", "file", type=click.Path(path_type=Path), help="A config.json to start from instead of a preset."
        ),
        SMALL,
        TINY,
        click.option(
            "--epochs", type=click.IntRange(1), help="Number of epochs; the learning-rate schedule is scaled to it."
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Change any field of the configuration, such as schedule.base_rate=1e-3; may be given several times.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, params=[version_option()])
def main() -> None:
    """The paper's baselines: train one on a data set and predict a submission, which piq-score then scores."""
    accept_every_character()


@main.command(
    "train",
    cls=Command,
    sections={
        "Configuration": "--preset --config --small --tiny --epochs --set --weights",
        "The run": "--out --resume --device --workers --follow-links",
    },
    examples=(
        "python -m reference_model train DATASET --preset fss-br-uncertainty --tiny --out run",
        "python -m reference_model train DATASET --resume --out run",
        "torchrun --nproc-per-node 4 -m reference_model train DATASET --preset fss --out run",
    ),
)
@DATASET
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the run; made if it does not exist.",
)
@configuration_options
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="File with weights of the backbone to start from; or `small`, the model that comes with this package.",
)
@click.option("--resume", is_flag=True, help="Resume the interrupted run in --out with its own configuration.")
@DEVICE
@WORKERS
@follow_links_option
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
    follow_links: bool,
) -> None:
    """Train on the images of DATASET's split train; DATASET may have any layout that piq-bench reads.

    The configuration starts from a preset or a file and is changed by --small or --tiny, then --epochs, then --set.
    Started by torchrun, several processes train one model together.
    """
    with exit_codes(), torch_needed():
        from dataclasses import replace

        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import BadDataset
        from piq_bench.read.dataset import inspect_dataset
        from reference_model import config
        from reference_model.checkpoint import checkpoint_files
        from reference_model.model_file import model_path
        from reference_model.predict import no_progress
        from reference_model.train import train

        weights = None if weights is None else model_path(weights)
        begun = configuration_of_run(out) if resume and preset is None and file is None else None
        configuration = configuration_from(preset, file, scale, epochs, settings, begun)
        if begun is None:
            configuration = replace(configuration, start=config.RANDOM if weights is None else weights.name)
        inspection = inspect_dataset(dataset)
        if inspection.integrity:
            raise BadDataset(str(dataset), inspection.integrity)
        with processes(device) as (place, is_first):

            def echo(line: str) -> None:
                if is_first:
                    tell(line)

            echo(hanging("  ", " ".join(config.settings(configuration)), width_of(sys.stderr) or WIDTH) + "\n")
            try:
                train(
                    replace(inspection.benchmark, follow_links=follow_links),
                    configuration,
                    out,
                    device=place,
                    weights=weights,
                    resume=resume,
                    workers=workers,
                    progress=progress_bar if is_first else no_progress,
                    tell=echo,
                )
            except KeyboardInterrupt:
                if checkpoint_files(out):
                    start = f" --weights {weights}" if weights is not None and configuration.models == "each" else ""
                    echo(f"the last full epoch is in {out}; continue with --resume{start}")
                else:
                    echo("no epoch was finished; start again as before")
                raise
            if is_first:
                click.echo(f"wrote {out}; try: {try_next('python -m reference_model predict', out, dataset)}")


@main.command(
    "predict",
    cls=Command,
    sections={
        "The submission": "--out --name --flip",
        "Running": "--batch-size --device --workers --follow-links",
    },
    examples=(
        "python -m reference_model predict run DATASET --out mine.npz",
        "python -m reference_model predict small DATASET --flip --out mine.npz",
    ),
)
@click.argument("run", type=click.Path(path_type=Path))
@DATASET
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("submission.npz"),
    show_default=True,
    callback=output_file,
    help="Submission to write: a .npz or .parquet file, or a new folder.",
)
@click.option("--name", help="Name of the submission. [default: the preset's name]")
@click.option("--batch-size", type=click.IntRange(1, 65536), default=256, show_default=True, help="Images per batch.")
@DEVICE
@FLIP
@WORKERS
@follow_links_option
def predict_command(
    run: Path,
    dataset: Path,
    out: Path,
    name: str | None,
    batch_size: int,
    flip: bool,
    device: str,
    workers: int | None,
    follow_links: bool,
) -> None:
    """Predict the query and gallery images of DATASET and write a submission.

    RUN is a checkpoint or the folder of a run, which may hold one checkpoint per task; or `small`, the model that comes
    with this package.
    """
    with exit_codes(), torch_needed():
        from dataclasses import replace

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
                click.echo(f"{path}: the run is not finished: {done}", err=True)
        benchmark = replace(read_benchmark(dataset, need_labels=False), follow_links=follow_links)
        with memory(batch_size, "--batch-size"), compiler():
            predictions, meta = predict(
                benchmark,
                paths,
                name=name or states[0].configuration.preset or "reference-model",
                device=device_of(device),
                batch_size=batch_size,
                flip=flip,
                folder=out.parent,
                workers=workers,
                progress=progress_bar,
            )
        write_submission(
            out,
            images=benchmark.images[benchmark.test_rows],
            embedding=predictions.embedding,
            predictions=predictions.scores,
            meta=meta,
        )
        learned = {task for state in states for task in state.n_classes}
        not_learned = [task.name for task in benchmark.tasks if task.name not in learned]
        if not_learned:
            click.echo(f"not answered, since not learned: {first_few(not_learned, len(not_learned))}", err=True)
        options = ["--partial"] if not_learned else []
        click.echo(f"wrote {out}; try: {try_next('piq-score', out, *options, dataset=dataset)}")


@main.command(
    "presets",
    cls=Command,
    examples=("python -m reference_model presets", "python -m reference_model presets fss-br --tiny"),
)
@click.argument("name", required=False)
@SMALL
@TINY
def presets_command(name: str | None, scale: str | None) -> None:
    """List the presets, or print the whole configuration of preset NAME as JSON."""
    with exit_codes(), torch_needed():
        import json

        from reference_model.config import PRESETS, to_json

        if name is not None:
            click.echo(json.dumps(to_json(configuration_from(name, None, scale, None, ())), indent=2))
            return
        for preset, row in PRESETS.items():
            parts = (row.features.kind, row.backbone, f"metric {row.metric}", row.combination, row.sampling.kind)
            click.echo(f"{preset:20} {'  '.join(parts)}")


@main.command(
    "bench",
    cls=Command,
    sections={
        "Configuration": "--preset --config --small --tiny --epochs --set",
        "Running": "--steps --device",
    },
    examples=("python -m reference_model bench --preset fss --tiny --steps 10",),
)
@configuration_options
@click.option(
    "--steps", type=click.IntRange(1), default=50, show_default=True, help="Steps to time, after as many to warm up."
)
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
    """Measure images per second of training and prediction, and peak memory; print them as JSON."""
    with exit_codes(), torch_needed():
        import json

        from reference_model.bench import bench
        from reference_model.trainer import compiler, memory

        configuration = configuration_from(preset, file, scale, epochs, settings)
        with memory(configuration.sampling.batch_size, "--set sampling.batch_size"), compiler():
            click.echo(json.dumps(bench(configuration, device_of(device), n_steps=steps), indent=2))


def configuration_from(
    preset: str | None,
    file: Path | None,
    scale: str | None,
    epochs: int | None,
    settings: tuple[str, ...],
    begun: "Configuration | None" = None,
) -> "Configuration":
    """Make the configuration that the options describe.

    Args:
        preset: name of a preset; None if there is a file or a run to resume.
        file: a config.json.
        scale: "small" or "tiny".
        epochs: number of epochs; None for those of the preset or file.
        settings: changes as FIELD=VALUE.
        begun: configuration of the run to resume, to which the other options apply.

    Raises:
        BadUsage: if the options contradict each other or do not describe a configuration.
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
    configuration = begun or (config.PRESETS[preset] if preset is not None else config.read(file or Path()))
    if scale is not None:
        configuration = config.SCALES[scale](configuration)
    if epochs is not None:
        configuration = replace(configuration, schedule=schedule.scaled(configuration.schedule, epochs))
    return config.changed(configuration, settings)


def configuration_of_run(folder: Path) -> "Configuration":
    """The configuration that the run in a folder was started with.

    Args:
        folder: folder of a run: with a checkpoint, or with one subfolder per task.

    Raises:
        BadUsage: if the folder holds no run that could be resumed.
    """
    from dataclasses import replace

    from piq_bench.errors import BadUsage, Problem
    from reference_model.checkpoint import checkpoint_files, load

    found = checkpoint_files(folder)
    begun = load(found[0]).configuration if found else None
    if begun is None or (found[0].parent != folder and begun.task is None):  # a folder of whole runs is no run
        missing, remedy = "no epoch of a run was finished here", "start a run with --preset, without --resume"
        raise BadUsage(str(folder), [Problem("no-run", "--out", missing, remedy)])
    return begun if found[0].parent == folder else replace(begun, task=None)


@contextmanager
def processes(name: str) -> "Iterator[tuple[torch.device, bool]]":
    """Join the processes that torchrun started, if it did; yields this one's device and whether it is the first."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device_of(name), True
        return
    from torch import cuda, distributed

    from piq_bench.errors import BadUsage, Problem, quoted

    if name.startswith("cuda:"):
        found, remedy = (
            f"{quoted(name)} for every process of torchrun",
            "cuda, which gives each process its own GPU",
        )
        raise BadUsage("device", [Problem("one-gpu", "--device", found, remedy)])
    own = name == "cuda" or (name == "auto" and cuda.is_available())
    device = device_of(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if own else name)
    # The others wait while the first decodes all images or validates the model.
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=MAX_WAIT_HOURS))
    yield device, distributed.get_rank() == 0
    # Not after a failure: NCCL would wait here for the other processes, which wait for this one's part of a batch, and
    # torchrun would not notice that it has to end them.
    distributed.destroy_process_group()


for command in (embed_command, describe_command, export_onnx_command, pack_command, weights_command):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="python -m reference_model")
