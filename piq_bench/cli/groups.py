"""`piq groups`: hash a data set's images, group the near-duplicates, show what each threshold would do."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.cli import output_file
from piq_bench.errors import exit_codes

if TYPE_CHECKING:
    from piq_bench.group.build import GroupReport
    from piq_bench.records import Benchmark, Grouping

CACHE_SUFFIX = ".hashed"
DEFAULT_OUT = "groups.csv"
MODES = ("components", "neighbours")


@click.command("piq-groups", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A .csv or .parquet file. [default: DATASET/groups.csv]")
@click.option("--threshold", type=int, help="Hamming distance, inclusive, 0 to 12. [default: as benchmark.toml says]")
@click.option("--similarity", help="Instead of a threshold: near-duplicates exceed it, as in 1 - d/64 > 0.9.")
@click.option("--mode", type=click.Choice(MODES), help="Groups by chaining, or direct neighbours only. [default: same]")
@click.option("--within-source", is_flag=True, help="Link only images of one source (film).")
@click.option(
    "--min-quality", type=click.FloatRange(0, 510), help="Do not link by hash what has a lower mean gradient, as 4.3."
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes. [default: as many as there are free cores]")
@click.option("--keep-going", is_flag=True, help="Accept unreadable images, each alone in its group.")
@click.option("--limit-pixels", type=click.IntRange(1), help="Refuse larger pictures. [default: 50 million]")
@click.option("--check", is_flag=True, help="Exit with 5 if a warning holds.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), callback=output_file, help="Also write the report here."
)
def groups_command(
    dataset: Path,
    out: Path | None,
    threshold: int | None,
    similarity: str | None,
    mode: str | None,
    within_source: bool,
    min_quality: float | None,
    workers: int | None,
    keep_going: bool,
    limit_pixels: int | None,
    check: bool,
    json_file: Path | None,
) -> None:
    """Hash the query and gallery images of DATASET and write their near-duplicate groups."""
    with exit_codes():
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import GateNotMet, Problem
        from piq_bench.group.build import build_groups, write_groups
        from piq_bench.images.decode import DEFAULT_LIMIT_PIXELS
        from piq_bench.images.folder import required_images_folder
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.report.groups_json import groups_json
        from piq_bench.report.groups_table import groups_table
        from piq_bench.write.files import write_text

        benchmark = read_benchmark(dataset, need_labels=False, with_groups=False)
        grouping = chosen_grouping(benchmark, threshold, similarity, mode)
        images_root = required_images_folder(benchmark)
        path = checked_output(out or dataset / DEFAULT_OUT)
        cache_path = path.with_name(path.name + CACHE_SUFFIX)
        try:
            with progress_bar("images", len(benchmark.test_rows)) as advance:
                report = build_groups(
                    benchmark,
                    images_root,
                    grouping=grouping,
                    within_source=within_source,
                    min_quality=min_quality,
                    workers=workers,
                    limit_pixels=limit_pixels or DEFAULT_LIMIT_PIXELS,
                    keep_going=keep_going,
                    cache_path=cache_path,
                    advance=advance,
                )
        except KeyboardInterrupt:
            click.echo(f"what has been hashed is kept in {cache_path.name}: the next run goes on from there", err=True)
            raise
        write_groups(path, report)
        cache_path.unlink(missing_ok=True)
        if json_file is not None:
            write_text(json_file, groups_json(report))
        click.echo(groups_table(report, colour=sys.stdout.isatty()), nl=False)
        click.echo(f"written: {path}", err=True)
        advise(benchmark, report)
        if check and report.warnings:
            remedy = "lower --threshold, or use --within-source, --min-quality or --mode neighbours"
            problems = [Problem(warning.code, "groups", warning.text, remedy) for warning in report.warnings]
            raise GateNotMet(str(dataset), problems)


def chosen_grouping(
    benchmark: "Benchmark", threshold: int | None, similarity: str | None, mode: str | None
) -> "Grouping":
    """The data set's own, changed by what was asked for."""
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
    if mode is not None:
        grouping = replace(grouping, mode="neighbours" if mode == "neighbours" else "components")
    return grouping


def checked_output(path: Path) -> Path:
    """Refuse a name that could not be written to, before hours of hashing."""
    import os

    from piq_bench.errors import BadUsage, Problem

    problem = None
    if path.suffix not in (".csv", ".parquet"):
        problem = Problem("bad-suffix", "--out", f"got '{path.name}'", "the name must end in .csv or .parquet")
    elif not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
        problem = Problem("cannot-write", "--out", f"cannot write '{path}'", "choose a folder that can be written")
    if problem:
        raise BadUsage("options", [problem])
    return path


def advise(benchmark: "Benchmark", report: "GroupReport") -> None:
    """Say at once what reading the data set back would refuse."""
    asked, made = benchmark.grouping, report.groups.grouping
    if benchmark.layout == "folder" and asked != made:
        click.echo(
            f"note: benchmark.toml asks for threshold {asked.threshold} and mode {asked.mode}; before this file can be "
            f'used, its [grouping] must say threshold = {made.threshold} and mode = "{made.mode}"',
            err=True,
        )
