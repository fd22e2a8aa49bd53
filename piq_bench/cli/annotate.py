"""`piq annotate`: labels a data set by hand on a local web page, and writes the labels down."""

from contextlib import closing
from pathlib import Path

import click

from piq_bench.cli import Command
from piq_bench.cli.options import WORKERS_HELP
from piq_bench.errors import exit_codes


@click.command(
    "annotate",
    cls=Command,
    sections={
        "What is labelled": "--second --embedding --import",
        "What is written": "--export",
        "The page": "--host --port --workers",
    },
    examples=(
        "piq annotate DATASET",
        "piq annotate DATASET --second 0.1 --host 0.0.0.0",
        "piq annotate DATASET --export",
    ),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--export", is_flag=True, help="Write the labels into annotations.csv, and end.")
@click.option(
    "--import",
    "imports",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Take up labels from CVAT (Market-1501: a folder or .zip) or Label Studio (.json), and end. Repeatable.",
)
@click.option("--second", type=click.FloatRange(0, 1), default=0.0, help="Share of the tracks that two people label.")
@click.option(
    "--embedding",
    type=click.Path(path_type=Path),
    help="Features that tell how alike two portraits are; any file that `piq convert` reads. [default: colours]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Beyond this machine, only who has the printed token gets in; the connection is not"
    " encrypted.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8023, show_default=True, help="Port; 0: any free one.")
@click.option("--workers", type=click.IntRange(1, 64), help=WORKERS_HELP)
def annotate_command(
    dataset: Path,
    export: bool,
    imports: tuple[Path, ...],
    second: float,
    embedding: Path | None,
    host: str,
    port: int,
    workers: int | None,
) -> None:
    """Label the people and attributes of DATASET by hand, on a local web page.

    Every click is saved in DATASET/annotate before it is acknowledged. --export writes what was agreed into
    annotations.csv; images on which people disagree are written as not annotated.
    """
    with exit_codes():
        from piq_bench.build.annotate.project import open_project

        if imports or export:
            from piq_bench.build.annotate.export import export as write_labels
            from piq_bench.build.annotate.imports import take_up

            project = open_project(dataset, writes=bool(imports))
            with closing(project):
                for path in imports:
                    click.echo(take_up(project, path))
                if export:
                    done = write_labels(project, dataset)
                    for task, n in done.conflicts.items():
                        click.echo(f"{task}: {n} images in conflict are written as not annotated", err=True)
                    if done.not_people:
                        hint = (
                            ""
                            if project.junk
                            else '; declare junk = ["-1"] in [retrieval] to leave them out of scoring'
                        )
                        click.echo(f"{done.not_people} images show no person{hint}", err=True)
                    click.echo(f"wrote {done.path}: {done.cells} cells changed")
            return

        from piq_bench.build.annotate.serve import require

        require()
        from piq_bench.build.annotate.app import Pages, application
        from piq_bench.build.annotate.likeness import Likeness, colour_features, file_features
        from piq_bench.build.annotate.queue import Queue
        from piq_bench.build.annotate.serve import serve
        from piq_bench.cli.progress import progress_bar

        project = open_project(dataset)
        try:
            if embedding is None:
                with progress_bar("colours", project.benchmark.images.size) as advance:
                    features = colour_features(project, workers=workers, advance=advance)
            else:
                features = file_features(embedding, project.benchmark)
            pages = Pages(project, Queue(project, second), Likeness(features, project.film))
            serve(application(pages), host, port, lambda address: click.echo(f"open {address}  (Ctrl-C ends)"))
        finally:
            project.close()
