"""`piq convert`: writes a submission from the features of another tool."""

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import click

from piq_bench.cli import Command, tell_note, try_next
from piq_bench.cli.options import dataset_option, submission_file_option
from piq_bench.errors import exit_codes

RERANKING_OPTIONS = ("k1", "k2", "weight")


@click.command(
    "convert",
    cls=Command,
    sections={
        "What is read": "--dataset --names --distance",
        "What is written": "--out --name",
        "Re-ranking": "--rerank --k1 --k2 --lambda",
    },
    examples=(
        "piq convert pytorch_result.mat --dataset Market-1501-v15.09.15",
        "piq convert features.npy --names names.txt --out mine.npz",
    ),
)
@click.argument("source", type=click.Path(path_type=Path))
@dataset_option
@submission_file_option
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="Image of each row, if SOURCE has no names: a text file with one a line, or .npy, .json, .csv.",
)
@click.option(
    "--distance",
    type=click.Choice(["cosine", "euclidean"]),
    default="cosine",
    show_default=True,
    help="How features are compared.",
)
@click.option("--name", help="Name of the submission. [default: that of SOURCE]")
@click.option(
    "--rerank",
    type=click.Choice(["k-reciprocal"]),
    help="Way to re-rank (Zhong et al. 2017); distances are then written in place of features. Junk images take part.",
)
@click.option(
    "--k1",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="For --rerank: number of nearest images that must have each other among theirs.",
)
@click.option(
    "--k2",
    type=click.IntRange(1, 1000),
    default=6,
    show_default=True,
    help="For --rerank: number of nearest images whose neighbourhoods are averaged.",
)
@click.option(
    "--lambda",
    "weight",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="For --rerank: weight of the original distance, from 0 to 1.",
)
@click.pass_context
def convert_command(
    ctx: click.Context,
    source: Path,
    dataset: Path | None,
    out: Path,
    names: Path | None,
    distance: Literal["cosine", "euclidean"],
    name: str | None,
    rerank: str | None,
    k1: int,
    k2: int,
    weight: float,
) -> None:
    """Write a submission from SOURCE, a file or folder of features that another tool wrote.

    Read are .mat (layumi's pytorch_result.mat too), .npy, .npz, .pt, .pth, .safetensors, .csv and .parquet files, and
    folders of one .npy file per image. Rows are matched to images by their names. Pickles are refused.
    """
    given = [
        key for key in RERANKING_OPTIONS if ctx.get_parameter_source(key) is not click.core.ParameterSource.DEFAULT
    ]
    if given and rerank is None:
        raise click.UsageError("--k1, --k2 and --lambda need --rerank k-reciprocal")
    if rerank is not None and out.suffix not in ("", ".npz"):
        raise click.UsageError(
            "--rerank writes a matrix of distances: end --out with .npz, or with nothing for a folder"
        )
    with exit_codes():
        from piq_bench.cli.progress import progress_bar
        from piq_bench.convert.rerank import Parameters
        from piq_bench.convert.submission import convert
        from piq_bench.read.dataset import read_benchmark

        benchmark = read_benchmark(dataset, need_labels=False)
        parameters = None if rerank is None else Parameters(k1, k2, weight)
        bar = (
            nullcontext(lambda images: None) if rerank is None else progress_bar("re-ranking", benchmark.test_rows.size)
        )
        with bar as advance:
            result = convert(
                source,
                benchmark,
                out,
                names=names,
                distance=distance,
                name=name,
                reranking=parameters,
                advance=advance,
            )
        for note in result.notes:
            tell_note(note)
        options = ["--partial"] if benchmark.classification_tasks else []
        size = f"{result.n_images} images, {result.dimension} values each"
        click.echo(f"wrote {out}: {size}; try: {try_next('piq-score', out, *options, dataset=dataset)}")
