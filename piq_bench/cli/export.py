"""`piq export`: a benchmark to the hosts of challenges, and to descriptions that other programs read."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from piq_bench.cli import output_file
from piq_bench.errors import exit_codes

if TYPE_CHECKING:
    from piq_bench.export.bundle import Plan

DISCLOSURES = ("score", "public", "full")
DISCLOSURE_HELP = "What participants are told: scores without any label; nothing of single images and people; or all."
DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
DATE = click.DateTime(["%Y-%m-%d"])
DAYS = 90  # of a phase, where no dates are given
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("export", context_settings={"help_option_names": ["-h", "--help"]})
def export_command() -> None:
    """Write a benchmark as others take it: Codabench, EvalAI, Croissant, the Hugging Face hub."""


def challenge_options(command: Command) -> Command:
    """Options that both hosts have in common."""
    options = (
        click.option(
            "--dataset",
            "datasets",
            type=click.Path(path_type=Path),
            multiple=True,
            help="Folder of a data set, with labels; again for each further phase. [default: the bundled one]",
        ),
        click.option(
            "--date",
            "dates",
            type=click.DateTime(DATE_FORMATS),
            multiple=True,
            metavar="DATE",
            help="UTC: the start of each phase, then the end of the last, such as 2026-12-24T18:00. "
            "[default: today, and 90 days for each]",
        ),
        click.option("--title", help="Of the challenge. [default: the benchmark's name]"),
        click.option(
            "--disclosure", type=click.Choice(DISCLOSURES), default="score", show_default=True, help=DISCLOSURE_HELP
        ),
        click.option(
            "--bootstrap",
            "n_resamples",
            type=click.IntRange(0, 100_000),
            default=1000,
            show_default=True,
            help="Resamples for the intervals; 0 for none.",
        ),
        click.option(
            "--precision", type=click.IntRange(0, 6), default=2, show_default=True, help="Digits that the board shows."
        ),
        click.option(
            "--per-day",
            type=click.IntRange(1, 10_000),
            default=3,
            show_default=True,
            help="Submissions of each participant in a day.",
        ),
        click.option(
            "--in-all",
            type=click.IntRange(1, 100_000),
            default=30,
            show_default=True,
            help="The same in a whole phase.",
        ),
        click.option("--contact", default="", help="The organiser's address."),
        click.option("--force", is_flag=True, help="Replace what is there."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@export_command.command("codabench", short_help="A Codabench competition: a zip to upload.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("codabench.zip"),
    show_default=True,
    callback=output_file,
    help="The zip to upload.",
)
@click.option("--image", required=True, help="Name under which you push the image that the bundle's Dockerfile builds.")
@challenge_options
def codabench_command(out: Path, image: str, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Write a Codabench competition: a zip to upload, labels included, which Codabench keeps from participants."""
    with exit_codes():
        from piq_bench.export.codabench import write_codabench

        plan = _plan(**options)
        write_codabench(out, plan, image, force=force)
        click.echo(f"wrote {out}: {_summary(plan)}; build and push the image first, see image/README.md in it")


@export_command.command("evalai", short_help="An EvalAI challenge, and a worker that scores.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("evalai"), show_default=True, help="A new folder.")
@click.option("--upload-labels", is_flag=True, help="Put the labels into challenge.zip, for a server of your own.")
@challenge_options
def evalai_command(out: Path, upload_labels: bool, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Write an EvalAI challenge: challenge.zip to upload, and a worker that scores where the labels are."""
    with exit_codes():
        from piq_bench.export.evalai import write_evalai

        plan = _plan(**options)
        write_evalai(out, plan, upload_labels=upload_labels, force=force)
        click.echo(f"wrote {out}: {_summary(plan)}; README.md in it says what to upload and what to run")


@export_command.command("croissant", short_help="Croissant 1.1, for search engines and loaders.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="JSON-LD file; it belongs beside benchmark.toml. [default: DATASET/croissant.json]",
)
@click.option("--url", required=True, help="Page of the data set.")
@click.option("--person", "people", multiple=True, help="Who made it; again for each.")
@click.option("--organisation", "organisations", multiple=True, help="The same.")
@click.option("--published", type=DATE, required=True, metavar="DATE", help="Such as 2026-12-24.")
@click.option("--description", help="[default: made from the data]")
@click.option("--licence", help="Its address. [default: what benchmark.toml says]")
@click.option("--cite", help="A citation, best as BibTeX.")
@click.option("--force", is_flag=True, help="Replace what is there.")
def croissant_command(dataset: Path, out: Path | None, published: datetime, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Describe the folder DATASET in Croissant 1.1 (JSON-LD), with a SHA-256 of each table."""
    with exit_codes():
        from piq_bench.errors import BadUsage, Problem
        from piq_bench.export.croissant import NAME, About, write_croissant
        from piq_bench.read.dataset import read_benchmark

        if not options["people"] and not options["organisations"]:
            remedy = "--person NAME or --organisation NAME"
            raise BadUsage("croissant", [Problem("no-creator", "creator", "nobody made it", remedy)])
        path = dataset / NAME if out is None else out
        benchmark = read_benchmark(dataset)
        for note in write_croissant(
            path, benchmark, dataset, About(published=published.date(), **options), force=force
        ):
            click.echo(f"note: {note}", err=True)
        click.echo(f"wrote {path}")


@export_command.command("hf-eval", short_help="A score file for a model's page on the Hugging Face hub.")
@click.argument("score_file", metavar="SCORE", type=click.Path(path_type=Path))
@click.option("--dataset-id", required=True, help="Of the benchmark on the hub: owner/name.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("piq.yaml"),
    show_default=True,
    callback=output_file,
    help="YAML file, which belongs into .eval_results of the model's repository.",
)
@click.option("--date", "evaluated", type=DATE, metavar="DATE", help="When it was evaluated. [default: today]")
@click.option("--source-url", help="A page that tells more.")
@click.option("--source-name", help="What it is called.")
@click.option("--force", is_flag=True, help="Replace what is there.")
def hf_eval_command(
    score_file: Path,
    dataset_id: str,
    out: Path,
    evaluated: datetime | None,
    source_url: str | None,
    source_name: str | None,
    force: bool,
) -> None:
    """Write the numbers of SCORE, a file that `piq-score --json` wrote, as the Hugging Face hub takes them."""
    with exit_codes():
        from piq_bench.export.hf_eval import Source, write_hf_eval
        from piq_bench.export.pages import require

        require()
        when = date.today() if evaluated is None else evaluated.date()
        source = Source(dataset_id, when, source_url, source_name)
        n_numbers = write_hf_eval(out, score_file, source, force=force)
        click.echo(f"wrote {out}: {n_numbers} numbers")


def _plan(
    datasets: tuple[Path, ...],
    dates: tuple[datetime, ...],
    **options: Any,  # noqa: ANN401
) -> "Plan":
    from piq_bench.export.bundle import make_plan
    from piq_bench.export.pages import require

    require()
    given: list[Path | None] = list(datasets) or [None]
    return make_plan(given, list(dates) or _default_dates(len(given)), **options)


def _default_dates(n_phases: int) -> list[datetime]:
    from datetime import timedelta

    today = datetime.combine(date.today(), datetime.min.time())
    return [today + timedelta(days=DAYS * place) for place in range(n_phases + 1)]


def _summary(plan: "Plan") -> str:
    n_phases = len(plan.phases)
    return f"{n_phases} phase{'s' if n_phases > 1 else ''}, {len(plan.columns)} columns"
