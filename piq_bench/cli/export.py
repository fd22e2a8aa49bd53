"""`piq export`: exports a benchmark to challenge hosts, to Croissant and to the Hugging Face hub."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from piq_bench.cli import Command, output_file, tell_note, version_option
from piq_bench.cli.options import DISCLOSURE_HELP, FORCE_HELP, bootstrap_option
from piq_bench.errors import exit_codes

if TYPE_CHECKING:
    from piq_bench.export.bundle import Plan

DISCLOSURES = ("score", "public", "full")
DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
DATE = click.DateTime(["%Y-%m-%d"])
DAYS = 90  # length of a phase if no dates are given
Function = TypeVar("Function", bound=Callable[..., Any])


@click.group("export", context_settings={"help_option_names": ["-h", "--help"]}, params=[version_option()])
def export_command() -> None:
    """Export a benchmark to challenge hosts (Codabench, EvalAI), to Croissant and to the Hugging Face hub."""


def challenge_options(command: Function) -> Function:
    """Add the options that both hosts share."""
    options = (
        click.option(
            "--dataset",
            "datasets",
            type=click.Path(path_type=Path),
            multiple=True,
            help="Benchmark of a phase: a folder, with labels; repeat the option for each phase. "
            "[default: the bundled portrait-mini]",
        ),
        click.option(
            "--date",
            "dates",
            type=click.DateTime(DATE_FORMATS),
            multiple=True,
            metavar="DATE",
            help="Start of each phase, then the end of the last one, in UTC, such as 2026-12-24T18:00; repeat the "
            "option for each. [default: from today, 90 days per phase]",
        ),
        click.option("--title", help="Title of the challenge. [default: the benchmark's name]"),
        click.option(
            "--disclosure", type=click.Choice(DISCLOSURES), default="score", show_default=True, help=DISCLOSURE_HELP
        ),
        bootstrap_option,
        click.option(
            "--precision",
            type=click.IntRange(0, 6),
            default=2,
            show_default=True,
            help="Number of decimals on the leaderboard.",
        ),
        click.option(
            "--per-day",
            type=click.IntRange(1, 10_000),
            default=3,
            show_default=True,
            help="Maximum number of submissions of a participant per day.",
        ),
        click.option(
            "--in-all",
            type=click.IntRange(1, 100_000),
            default=30,
            show_default=True,
            help="Maximum number of submissions of a participant per phase.",
        ),
        click.option("--contact", default="", help="E-mail address of the organiser."),
        click.option("--force", is_flag=True, help=FORCE_HELP),
    )
    for option in reversed(options):
        command = option(command)
    return command


@export_command.command(
    "codabench",
    cls=Command,
    short_help="Write a Codabench competition: a zip to upload.",
    sections={
        "The challenge": "--dataset --date --title --contact --image",
        "Rules for participants": "--disclosure --per-day --in-all",
        "What is written": "--out --force --precision --bootstrap",
    },
    examples=("piq export codabench --dataset DATASET --image docker.io/lab/piq:1",),
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("codabench.zip"),
    show_default=True,
    callback=output_file,
    help="Zip file to write, for upload to Codabench.",
)
@click.option(
    "--image",
    required=True,
    help="Name of the Docker image that scores, such as docker.io/lab/piq:1; build it from the Dockerfile in the zip.",
)
@challenge_options
def codabench_command(out: Path, image: str, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Write a Codabench competition: a zip to upload. It holds the labels, which Codabench hides from participants."""
    with exit_codes():
        from piq_bench.export.codabench import write_codabench

        plan = _plan(**options)
        write_codabench(out, plan, image, force=force)
        click.echo(f"wrote {out}: {_summary(plan)}; build and push the image first, see image/README.md in it")


@export_command.command(
    "evalai",
    cls=Command,
    short_help="Write an EvalAI challenge, and a worker that scores.",
    sections={
        "The challenge": "--dataset --date --title --contact",
        "Rules for participants": "--disclosure --per-day --in-all",
        "What is written": "--out --force --upload-labels --precision --bootstrap",
    },
    examples=("piq export evalai --dataset DATASET --title 'Our challenge' --out challenge",),
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("evalai"), show_default=True, help="New folder to write."
)
@click.option("--upload-labels", is_flag=True, help="Put the labels into challenge.zip, for your own EvalAI server.")
@challenge_options
def evalai_command(out: Path, upload_labels: bool, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Write an EvalAI challenge: challenge.zip to upload, and a worker that scores on your own machine."""
    with exit_codes():
        from piq_bench.export.evalai import write_evalai

        plan = _plan(**options)
        write_evalai(out, plan, upload_labels=upload_labels, force=force)
        click.echo(f"wrote {out}: {_summary(plan)}; README.md in it says what to upload and what to run")


@export_command.command(
    "croissant",
    cls=Command,
    short_help="Describe a data set in Croissant 1.1.",
    sections={
        "About the data set": "--url --person --organisation --published --description --licence --cite",
        "What is written": "--out --force",
    },
    examples=(
        "piq export croissant DATASET --url https://example.org \\\n    --person 'Ada Byron' --published 2026-12-24",
    ),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="JSON-LD file to write; it belongs beside benchmark.toml. [default: DATASET/croissant.json]",
)
@click.option("--url", required=True, help="Web page of the data set.")
@click.option("--person", "people", multiple=True, help="Person who created the data set; repeat the option for each.")
@click.option(
    "--organisation",
    "organisations",
    multiple=True,
    help="Organisation that created the data set; repeat the option for each.",
)
@click.option("--published", type=DATE, required=True, metavar="DATE", help="Date of publication, such as 2026-12-24.")
@click.option("--description", help="Description of the data set. [default: a summary made from the data]")
@click.option("--licence", help="Web address of the licence. [default: the licence in benchmark.toml]")
@click.option("--cite", help="Citation of the data set, preferably in BibTeX.")
@click.option("--force", is_flag=True, help=FORCE_HELP)
def croissant_command(dataset: Path, out: Path | None, published: datetime, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Describe the folder DATASET in Croissant 1.1 (JSON-LD), for dataset search engines and loaders."""
    with exit_codes():
        from piq_bench.errors import BadUsage, Problem
        from piq_bench.export.croissant import NAME, About, write_croissant
        from piq_bench.read.dataset import read_benchmark

        if not options["people"] and not options["organisations"]:
            remedy = "--person NAME or --organisation NAME"
            raise BadUsage("croissant", [Problem("no-creator", "creator", "no creator is named", remedy)])
        path = dataset / NAME if out is None else out
        if out is None and path.is_symlink():
            found = "is a link, which may lead anywhere"
            raise BadUsage(str(path), [Problem("link", path.name, found, "remove it, or name another file by --out")])
        benchmark = read_benchmark(dataset)
        for note in write_croissant(
            path, benchmark, dataset, About(published=published.date(), **options), force=force
        ):
            tell_note(note)
        click.echo(f"wrote {path}")


@export_command.command(
    "hf-eval",
    cls=Command,
    short_help="Write a score for a model's page on the Hugging Face hub.",
    sections={
        "The evaluation": "--dataset-id --date --source-url --source-name",
        "What is written": "--out --force",
    },
    examples=("piq export hf-eval score.json --dataset-id lab/portraits",),
)
@click.argument("score_file", metavar="SCORE", type=click.Path(path_type=Path))
@click.option("--dataset-id", required=True, help="Name of the benchmark's data set on the hub: owner/name.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("piq.yaml"),
    show_default=True,
    callback=output_file,
    help="YAML file to write; it belongs in the folder .eval_results of the model's repository.",
)
@click.option(
    "--date",
    "evaluated",
    type=DATE,
    metavar="DATE",
    help="Date of the evaluation, such as 2026-12-24. [default: today]",
)
@click.option("--source-url", help="Web page about the evaluation.")
@click.option("--source-name", help="Title of the page at --source-url, which is then needed.")
@click.option("--force", is_flag=True, help=FORCE_HELP)
def hf_eval_command(
    score_file: Path,
    dataset_id: str,
    out: Path,
    evaluated: datetime | None,
    source_url: str | None,
    source_name: str | None,
    force: bool,
) -> None:
    """Convert SCORE, a file written by `piq-score --json`, to the evaluation results of the Hugging Face hub."""
    with exit_codes():
        from piq_bench.export.hf_eval import Source, write_hf_eval
        from piq_bench.export.pages import require

        require()
        when = date.today() if evaluated is None else evaluated.date()
        source = Source(dataset_id, when, source_url, source_name)
        n_numbers = write_hf_eval(out, score_file, source, force=force)
        click.echo(f"wrote {out}: {n_numbers} numbers")


@export_command.command(
    "public",
    cls=Command,
    short_help="Write what participants may have: no label of the test set.",
    examples=("piq export public DATASET --out public",),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder to write.")
@click.option("--force", is_flag=True, help=FORCE_HELP)
def public_command(dataset: Path, out: Path, force: bool) -> None:
    """Write what the participants of a challenge may have of the folder DATASET.

    It is everything about the training images, names and splits of the test images, a valid example of a submission
    and a guide. No label, person, group or camera of the test set is in any file. Images are not copied.
    """
    with exit_codes():
        from piq_bench.export.public import export_public
        from piq_bench.report.html import require

        require()
        benchmark, notes = export_public(dataset, out, force=force)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        n_test = benchmark.test_rows.size
        n_train = benchmark.images.size - n_test
        click.echo(f"wrote {out}: {n_train} training images with labels, {n_test} test images without")


def _plan(
    datasets: tuple[Path, ...],
    dates: tuple[datetime, ...],
    **options: Any,  # noqa: ANN401
) -> "Plan":
    from piq_bench.export.bundle import make_plan
    from piq_bench.export.pages import require

    require()
    phases: list[Path | None] = list(datasets) or [None]
    return make_plan(phases, list(dates) or _default_dates(len(phases)), **options)


def _default_dates(n_phases: int) -> list[datetime]:
    from datetime import timedelta

    today = datetime.combine(date.today(), datetime.min.time())
    return [today + timedelta(days=DAYS * place) for place in range(n_phases + 1)]


def _summary(plan: "Plan") -> str:
    n_phases = len(plan.phases)
    return f"{n_phases} phase{'s' if n_phases > 1 else ''}, {len(plan.columns)} columns"
