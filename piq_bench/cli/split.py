"""`piq split`: divides a data set among train, query and gallery by identity, and describes the result."""

from pathlib import Path

import click

from piq_bench.cli import Command, tell_note, wants_colour
from piq_bench.cli.options import SEED
from piq_bench.errors import exit_codes


@click.command(
    "split",
    cls=Command,
    examples=(
        "piq split DATASET",
        "piq split DATASET --train-share 0.5 --whole-films --seed 7 --force",
    ),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--train-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.6,
    show_default=True,
    help="Share of the people, and of the images without identity, that go to train.",
)
@click.option(
    "--query-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.3,
    show_default=True,
    help="Share of each test person's images that become queries; one at least, and two stay in the gallery.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of everything that is drawn.")
@click.option("--whole-films", is_flag=True, help="Keep each film, the column source, on one side of train and test.")
@click.option("--force", is_flag=True, help="Split anew a data set that is split already.")
def split_command(
    dataset: Path, train_share: float, query_share: float, seed: int, whole_films: bool, force: bool
) -> None:
    """Divide the people of DATASET between train and test, and the images of the latter between query and gallery.

    Only the column split of annotations.csv or .parquet changes. Near-duplicates stay on one side: run `piq groups`
    before, while all images are in the gallery. Images without identity go to train or to the gallery film by film.
    Whoever is a query has images in the gallery that no rule excludes. The result is described as by `piq-stats`.
    """
    with exit_codes():
        import shutil

        from piq_bench.build.split.dataset import split_dataset
        from piq_bench.build.split.divide import Shares
        from piq_bench.cli.progress import doing
        from piq_bench.cli.stats import NARROWEST, WIDEST
        from piq_bench.describe.stats import describe
        from piq_bench.read.dataset import inspect_dataset
        from piq_bench.report.stats_table import stats_table

        with doing("splitting"):
            shares = Shares(train_share, query_share, seed, whole_films)
            divided = split_dataset(dataset, shares, force=force)
        with doing("reading the data set"):
            found = inspect_dataset(dataset, need_labels=False)
            stats = describe(found.benchmark, integrity=found.integrity, notes=found.notes)
        if not divided.has_groups:
            tell_note(
                "no near-duplicate groups are known, so that some may be in both train and test: run `piq groups` "
                "while all images are in the gallery"
            )
        if not divided.has_films:
            tell_note("no column source names films: images without identity were divided one by one")
        width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))
        click.echo(stats_table(stats, width=width, colour=wants_colour()), nl=False)
        n_test = divided.n_people - divided.n_train
        click.echo(
            f"wrote {divided.path}: of {divided.n_people:,} people {divided.n_train:,} are in train and {n_test:,} in "
            f"the test set, {divided.n_queried:,} of these with queries"
        )
