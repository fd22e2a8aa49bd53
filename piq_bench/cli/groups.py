"""`piq groups`: hashes a data set's images, groups near-duplicates and shows what each threshold would do."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.cli import STDOUT, Command, json_output, tell, tell_note, wants_colour
from piq_bench.cli.options import WORKERS_HELP, follow_links_option
from piq_bench.errors import exit_codes

if TYPE_CHECKING:
    from piq_bench.group.build import GroupReport
    from piq_bench.records import Benchmark, Grouping

CACHE_SUFFIX = ".hashed"
DEFAULT_OUT = "groups.csv"
MODES = ("components", "neighbours")
HASHES = ("phash", "ahash", "dhash", "whash")


@click.command(
    "piq-groups",
    cls=Command,
    sections={
        "Which images are near-duplicates": "--hash --threshold --similarity --mode --within-source --min-quality",
        "What is written": "--out --force --json --check",
        "Reading images": "--keep-going --limit-pixels --follow-links --workers --scheduler",
    },
    examples=(
        "piq groups DATASET",
        "piq groups DATASET --threshold 4 --out groups-4.csv",
        "piq groups DATASET --mode neighbours --json -",
    ),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Groups to write: a .csv or .parquet file. [default: DATASET/groups.csv]",
)
@click.option(
    "--hash",
    "hash_name",
    type=click.Choice(HASHES),
    help="Perceptual hash that compares images. phash is the same on every machine; ahash, dhash and whash are "
    "those of the package imagehash. "
    "[default: that of benchmark.toml]",
)
@click.option(
    "--threshold",
    type=int,
    help="Largest Hamming distance between hashes of near-duplicates, 0 to 12. [default: that of benchmark.toml]",
)
@click.option(
    "--similarity",
    help="Similarity that near-duplicates exceed, in place of --threshold; 0.9 means 1 - distance/64 > 0.9.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="Which images form a group. components: near-duplicates of near-duplicates too; neighbours: direct ones only. "
    "[default: that of benchmark.toml]",
)
@click.option("--within-source", is_flag=True, help="Link only images of the same source, such as a film.")
@click.option(
    "--min-quality",
    type=click.FloatRange(0, 510),
    help="Link images with a mean gradient below this, for example 4.3, only to byte-identical files.",
)
@click.option("--workers", type=click.IntRange(1, 256), help=WORKERS_HELP)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler whose workers hash and compare, such as tcp://10.0.0.1:8786; they must see the images at the"
    " same path. Connect only to one that you trust.",
)
@click.option(
    "--keep-going", is_flag=True, help="Accept unreadable images, up to half of all; each stays alone in its group."
)
@click.option(
    "--limit-pixels", type=click.IntRange(1), help="Refuse images with more pixels than this. [default: 50 million]"
)
@follow_links_option
@click.option("--force", is_flag=True, help="Overwrite a file that this command did not write, or that was edited.")
@click.option("--check", is_flag=True, help="Exit with 5 if there is a warning.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    callback=json_output,
    help="Also write the report as JSON here; with - print it in place of the result.",
)
def groups_command(
    dataset: Path,
    out: Path | None,
    hash_name: str | None,
    threshold: int | None,
    similarity: str | None,
    mode: str | None,
    within_source: bool,
    min_quality: float | None,
    workers: int | None,
    scheduler: str | None,
    keep_going: bool,
    limit_pixels: int | None,
    follow_links: bool,
    force: bool,
    check: bool,
    json_file: Path | None,
) -> None:
    """Group the near-duplicates among the query and gallery images of DATASET.

    Images are compared by a perceptual hash. The report shows what each threshold would do.
    """
    with exit_codes():
        from dataclasses import replace

        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import GateNotMet, Problem
        from piq_bench.group.build import build_groups, write_groups
        from piq_bench.group.stored import parameters_file
        from piq_bench.images.folder import required_images_folder
        from piq_bench.limits import MAX_IMAGE_PIXELS
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.report.groups_json import groups_json
        from piq_bench.report.groups_table import groups_table
        from piq_bench.write.files import write_text

        benchmark = read_benchmark(dataset, need_labels=False, with_groups=False)
        benchmark = replace(benchmark, follow_links=follow_links)
        grouping = chosen_grouping(benchmark, hash_name, threshold, similarity, mode)
        images_root = required_images_folder(benchmark)
        folder = benchmark.root if benchmark.root is not None and dataset.is_dir() else dataset  # may lie one deeper
        path = checked_output(out or folder / DEFAULT_OUT, force=force)
        unedited(path, force=force)
        cache_path = checked_cache(path.with_name(path.name + CACHE_SUFFIX))
        refuse_links([*([path] if out is None else []), cache_path])
        try:
            with progress_bar("hashing images", len(benchmark.test_rows)) as advance:
                report = build_groups(
                    benchmark,
                    images_root,
                    grouping=grouping,
                    within_source=within_source,
                    min_quality=min_quality,
                    workers=workers,
                    limit_pixels=limit_pixels or MAX_IMAGE_PIXELS,
                    keep_going=keep_going,
                    cache_path=cache_path,
                    scheduler=scheduler,
                    advance=advance,
                )
        except KeyboardInterrupt:
            tell(f"hashes computed so far are kept in {cache_path.name}: the next run resumes from there")
            raise
        write_groups(unedited(checked_output(path, force=force), force=force), report)  # hashing may have taken hours
        cache_path.unlink(missing_ok=True)
        if json_file is not None and json_file != STDOUT:
            write_text(json_file, groups_json(report))
        to_print = groups_json(report) if json_file == STDOUT else groups_table(report, colour=wants_colour())
        click.echo(to_print, nl=False)
        tell(f"written: {path}")
        note_other_grouping(benchmark, report)
        if path.suffix == ".csv":
            click.echo(f"the parameters are in {parameters_file(path).name}; keep both files together", err=True)
        if check and report.warnings:
            remedy = "lower --threshold, or use --within-source, --min-quality or --mode neighbours"
            problems = [Problem(warning.code, "groups", warning.text, remedy) for warning in report.warnings]
            raise GateNotMet(str(dataset), problems)


def chosen_grouping(
    benchmark: "Benchmark", hash_name: str | None, threshold: int | None, similarity: str | None, mode: str | None
) -> "Grouping":
    """Combine the data set's grouping with the options of the command line."""
    from dataclasses import replace

    from piq_bench.errors import BadUsage, Problem
    from piq_bench.group.similarity import distance_exceeding

    if threshold is not None and similarity is not None:
        found = "--threshold and --similarity are both given"
        raise BadUsage("options", [Problem("two-thresholds", "--similarity", found, "give one of them")])
    if similarity is not None:
        threshold = distance_exceeding(similarity)
    grouping = benchmark.grouping
    if threshold is not None:
        grouping = replace(grouping, threshold=threshold)
    if hash_name is not None:
        grouping = replace(grouping, hash=hash_name)
    if mode is not None:
        grouping = replace(grouping, mode="neighbours" if mode == "neighbours" else "components")
    return grouping


def checked_output(path: Path, *, force: bool) -> Path:
    """Refuse a path that cannot be written, or must not be, before hours of hashing."""
    import os

    from piq_bench.errors import BadUsage, Problem
    from piq_bench.group.stored import foreign_file

    problem = None
    if path.suffix not in (".csv", ".parquet"):
        problem = Problem("bad-suffix", "--out", f"got '{path.name}'", "the name must end in .csv or .parquet")
    elif not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
        problem = Problem("cannot-write", "--out", f"cannot write '{path}'", "choose a folder that can be written")
    elif not force and (foreign := foreign_file(path)) is not None:
        found = f"'{foreign}' exists and was not written by `piq groups`"
        remedy = "choose another name, or use --force to overwrite it"
        problem = Problem("foreign-file", "--out", found, remedy)
    if problem:
        raise BadUsage("options", [problem])
    return path


def unedited(path: Path, *, force: bool) -> Path:
    """Refuse to lose what a person changed in a file of an earlier run."""
    from piq_bench.errors import BadUsage, Problem, quoted
    from piq_bench.read.groups import is_as_written

    if path.exists() and not force and not is_as_written(path):
        remedy = "choose another name, or use --force to overwrite it"
        raise BadUsage("options", [Problem("edited-file", "--out", f"{quoted(path)} was changed since", remedy)])
    return path


def checked_cache(path: Path) -> Path:
    """Refuse to write over, and remove in the end, a file that only has the name of our hashes."""
    from piq_bench.errors import BadUsage, Problem, quoted
    from piq_bench.group.cache import is_cache

    if path.is_file() and not path.is_symlink() and not is_cache(path):
        found = f"{quoted(path)} is in the way: the hashes of an unfinished run are kept there"
        raise BadUsage("options", [Problem("foreign-file", "--out", found, "move it, or choose another name")])
    return path


def refuse_links(paths: list[Path]) -> None:
    """Refuse to write through links that came with the data: they may lead anywhere."""
    from piq_bench.errors import BadUsage, Problem, quoted

    problems = [
        Problem("link", "--out", f"{quoted(path)} is a link", "remove it, or name another file by --out")
        for path in paths
        if path.is_symlink()
    ]
    if problems:
        raise BadUsage("options", problems)


def note_other_grouping(benchmark: "Benchmark", report: "GroupReport") -> None:
    """Print a note if the groups differ from benchmark.toml, since the data set could then not be read back."""
    expected, made = benchmark.grouping, report.groups.grouping
    if benchmark.layout == "folder" and expected != made:
        asked = f"threshold {expected.threshold} and mode {expected.mode}"
        needed = f'threshold = {made.threshold} and mode = "{made.mode}"'
        if expected.hash != made.hash:
            asked, needed = f"hash {expected.hash}, {asked}", f'hash = "{made.hash}", {needed}'
        tell_note(f"benchmark.toml asks for {asked}; before this file can be used, its [grouping] must say {needed}")
