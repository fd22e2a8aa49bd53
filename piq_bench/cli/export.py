"""`piq export`: a benchmark to the hosts of challenges, and to descriptions that other programs read."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from piq_bench.cli import exit_codes, output_file

if TYPE_CHECKING:
    from piq_bench.export.bundle import Plan

DISCLOSURES = ("score", "public", "full")
DISCLOSURE_HELP = "What participants are told: scores without any label; nothing of single images and people; or all."
DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
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

        _refuse_no_parent(out)
        plan = _plan(**options)
        write_evalai(out, plan, upload_labels=upload_labels, force=force)
        click.echo(f"wrote {out}: {_summary(plan)}; README.md in it says what to upload and what to run")


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


def _refuse_no_parent(folder: Path) -> None:
    if not folder.absolute().parent.is_dir():
        raise click.BadParameter(f"{str(folder.parent)!r} is no folder", param_hint="--out")
