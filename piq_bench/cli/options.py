"""Options that several commands share, each with one help text. Imports nothing heavier than click."""

from pathlib import Path

import click

from piq_bench.cli import output_file

FORMATS = ("table", "json", "markdown", "latex")
AP_CONVENTIONS = ("non-interpolated", "market1501")
ENGINES = ("auto", "cpu", "gpu", "dask")
DISCLOSURES = ("full", "public", "score")
SEED = click.IntRange(0, 2**63 - 1)

FORMAT_HELP = "Format of what is printed."
PARTIAL_HELP = "Accept a submission that lacks some tasks."
FORCE_HELP = "Overwrite the output of an earlier run."
WORKERS_HELP = "Number of processes that work on images. [default: one per free core]"
BOOTSTRAP_HELP = "Number of bootstrap resamples for the intervals; 0 leaves intervals out."
DISCLOSURE_HELP = (
    "How much results and messages reveal of hidden labels. full: everything; "
    "public: nothing about single images or people; score: only scores, nothing about single labels."
)

dataset_option = click.option(
    "--dataset",
    envvar="PIQ_DATASET",
    type=click.Path(path_type=Path),
    help="Benchmark: a folder or a table of labels. [default: $PIQ_DATASET, or the bundled portrait-mini]",
)
submission_file_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("submission.npz"),
    show_default=True,
    callback=output_file,
    help="Submission to write: a .npz or .parquet file, or a new folder.",
)
format_option = click.option(
    "--format", "layout", type=click.Choice(FORMATS), default="table", show_default=True, help=FORMAT_HELP
)
engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    help="Retrieval engine; all engines give the same score. auto: the GPU for large jobs if one works, else the CPU."
    " dask: the workers of a Dask cluster.",
)
scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="With --engine dask: scheduler whose workers count, such as tcp://10.0.0.1:8786; connect only to one that you"
    " trust. [default: workers on this machine]",
)
ap_option = click.option(
    "--ap",
    type=click.Choice(AP_CONVENTIONS),
    default=AP_CONVENTIONS[0],
    show_default=True,
    help="Definition of average precision; market1501 is the trapezoidal one of the original Market-1501 code.",
)
exclude_option = click.option(
    "--exclude",
    "rules",
    multiple=True,
    metavar="COLUMN[+COLUMN...]",
    help="Exclude gallery images that agree with the query in these columns, such as identity+camera or sequence."
    " ~COLUMN asks for different values. Repeatable; adds to the benchmark's own rules.",
)
follow_links_option = click.option(
    "--follow-links",
    is_flag=True,
    help="Read images through links that leave the image folder, as DVC and git-annex make them."
    " For data that you trust.",
)
bootstrap_option = click.option(
    "--bootstrap",
    "n_resamples",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help=BOOTSTRAP_HELP,
)
disclosure_option = click.option(
    "--disclosure", type=click.Choice(DISCLOSURES), default="full", show_default=True, help=DISCLOSURE_HELP
)
