"""`piq demo`: draws a synthetic benchmark and writes it to disk."""

import sys
from pathlib import Path

import click

from piq_bench.cli import Command, output_file, try_next
from piq_bench.cli.options import SEED, WORKERS_HELP
from piq_bench.errors import exit_codes, hanging, width_of

SIZES, VIDEO = "portrait250k", "films"


@click.command(
    "demo",
    cls=Command,
    sections={
        "What is drawn": "--images --seed --sheet --workers",
        "Something else": "--preset",
        "With --preset portrait250k": "--no-images --difficulty --dimension --dtype",
    },
    examples=(
        "piq demo portrait-demo",
        "piq demo small --images 300 --sheet people.png",
        "piq demo full-size --preset portrait250k --no-images",
        "piq demo films --preset films",
    ),
)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", "n_images", type=int, default=3000, show_default=True, help="Number of images to draw.")
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Random seed; the same seed gives the same benchmark."
)
@click.option("--workers", type=click.IntRange(1, 1024), help=WORKERS_HELP)
@click.option(
    "--preset",
    type=click.Choice([SIZES, VIDEO]),
    help="portrait250k: labels at the sizes of that benchmark. films: two short films with the boxes and labels of"
    " everybody in them, to try `piq collect` with.",
)
@click.option("--no-images", is_flag=True, help="Write labels, groups and a submission, but no images.")
@click.option(
    "--difficulty",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of noise in the embeddings.",
)
@click.option(
    "--dimension",
    type=click.IntRange(8, 4096),
    default=512,
    show_default=True,
    help="Number of values in each embedding.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="Number format of the embeddings.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=output_file,
    help="Also write a contact sheet here: a PNG that shows people, poses and expressions.",
)
@click.pass_context
def demo_command(
    ctx: click.Context,
    out: Path,
    n_images: int,
    seed: int,
    workers: int | None,
    preset: str | None,
    no_images: bool,
    difficulty: float,
    dimension: int,
    dtype: str,
    sheet: Path | None,
) -> None:
    """Draw a synthetic benchmark into the new folder OUT.

    The defaults give exactly the benchmark that is bundled with this package. With `--preset portrait250k --no-images`,
    the benchmark has the sizes of Portrait250K and comes with a submission, OUT/submission, to try the scorer at full
    scale. With `--preset films`, OUT holds films instead, and truth.csv says who is in them.
    """
    with exit_codes():
        refuse_conflicting_options(ctx, preset, no_images=no_images, sheet=sheet)
        if preset == VIDEO:
            write_films(out, seed)
        elif preset:
            write_scale_set(out, seed, difficulty, dimension, dtype)
        else:
            write_pictures(out, n_images, seed, workers, sheet)


def write_pictures(out: Path, n_images: int, seed: int, workers: int | None, sheet: Path | None) -> None:
    """Draw the images, group them and print a summary."""
    from piq_bench.cli.progress import progress_bar
    from piq_bench.demo.build import build_demo
    from piq_bench.demo.sheet import contact_sheet
    from piq_bench.write.files import written_whole

    n_steps = n_images + n_images * 7 // 15  # all images are drawn; those of query and gallery are also hashed
    with progress_bar("drawing and hashing", n_steps) as advance:
        built = build_demo(out, n_images=n_images, seed=seed, workers=workers, advance=advance)
    groups = built.report.group
    n_grouped = len(groups) - sum(1 for size in sizes_of(groups.tolist()) if size == 1)
    click.echo(f"{out}: {built.name}, {len(built.frames)} images")
    click.echo(f"  {n_grouped} of {len(groups)} query and gallery images have a near-duplicate")
    click.echo(f"  fingerprint {built.fingerprint}")
    if sheet is not None:
        picture, legend = contact_sheet(seed, built.frames)
        with written_whole(sheet) as temporary:
            picture.save(temporary, format="PNG")
        click.echo(f"{sheet}: rows from top to bottom, each from left to right")
        for line in legend:
            title, _, cells = line.partition(": ")
            click.echo(hanging(f"  {title}: ", cells, width_of(sys.stdout)))


def write_scale_set(out: Path, seed: int, difficulty: float, dimension: int, dtype: str) -> None:
    """Write labels, groups and a submission at the sizes of Portrait250K."""
    from piq_bench.cli.progress import progress_bar
    from piq_bench.demo.scale import N_STEPS, build_scale_set

    with progress_bar("making the scale set", N_STEPS) as advance:
        built = build_scale_set(
            out, seed=seed, difficulty=difficulty, dimension=dimension, dtype=dtype, advance=advance
        )
    click.echo(f"{out}: {built.name}, {built.n_images} images, without image files")
    click.echo(f"  submission for them in {out / 'submission'}, fingerprint {built.fingerprint}")


def write_films(out: Path, seed: int) -> None:
    """Draw films with their boxes and labels."""
    from piq_bench.cli.progress import progress_bar
    from piq_bench.demo.video import FILMS, N_PICTURES, draw_films

    with progress_bar("drawing films", N_PICTURES) as advance:
        drawn = draw_films(out, seed=seed, advance=advance)
    click.echo(
        f"{out}: {len(FILMS)} films of {drawn.n_people} people, {drawn.n_frames} frames with {drawn.n_tracks} tracks"
    )
    videos = [out / f"{film}.mp4" for film in FILMS]
    click.echo(f"try: {try_next('piq collect', *videos, '--every', '6', '--out', 'people')}")


def sizes_of(groups: list[int]) -> list[int]:
    """Count the images of each group."""
    from collections import Counter

    return list(Counter(groups).values())


def refuse_conflicting_options(ctx: click.Context, preset: str | None, *, no_images: bool, sheet: Path | None) -> None:
    """Raise BadUsage listing every option that conflicts with another."""
    from click.core import ParameterSource

    from piq_bench.errors import BadUsage, Problem

    def is_set(name: str) -> bool:
        return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT

    problems = []
    if preset == SIZES and not no_images:
        found = f"{preset} has 250000 images, and drawing them would take about an hour"
        problems.append(
            Problem("needs-no-images", "--preset", found, "add --no-images, or use --images without --preset")
        )
    if no_images and preset != SIZES:
        found = "films consist of images" if preset else "a benchmark without a preset consists of its images"
        problems.append(Problem("needs-preset", "--no-images", found, "add --preset portrait250k"))
    if preset:
        for name, option in (("n_images", "--images"), ("workers", "--workers")):
            if is_set(name):
                found = f"{option} has no effect with a preset"
                problems.append(Problem("unused-option", option, found, "leave it out"))
        if sheet is not None:
            found = "a contact sheet shows portraits, and there are none"
            problems.append(Problem("unused-option", "--sheet", found, "leave it out"))
    if preset != SIZES:
        for name in ("difficulty", "dimension", "dtype"):
            if is_set(name):
                found = f"only --preset {SIZES} comes with an embedding"
                problems.append(Problem("unused-option", f"--{name}", found, "leave it out, or use that preset"))
    if problems:
        raise BadUsage("piq demo", problems)
