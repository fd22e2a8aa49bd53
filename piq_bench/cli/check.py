"""`piq check`: is this a valid submission? Needs no labels."""

import json
from pathlib import Path

import click

from piq_bench.cli import exit_codes


@click.command("check")
@click.argument("submission", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    envvar="PIQ_DATASET",
    type=click.Path(path_type=Path),
    help="Benchmark to check against; image and split are enough. [default: the bundled portrait-mini]",
)
@click.option("--partial", is_flag=True, help="Accept a submission that lacks tasks.")
@click.option("--format", "layout", type=click.Choice(["table", "json"]), default="table", show_default=True)
def check_command(submission: Path, dataset: Path | None, partial: bool, layout: str) -> None:
    """Check the format of SUBMISSION, and say what is in it."""
    with exit_codes():
        from piq_bench.errors import printable
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.read.submission import read_submission

        benchmark = read_benchmark(dataset, need_labels=False)
        entry = read_submission(submission, benchmark, partial=partial)
        fields: dict[str, object] = {
            "submission": entry.name,
            "benchmark": f"{benchmark.name} {benchmark.version}",
            "images": entry.order.size,
        }
        if entry.embedding is not None:
            fields["embedding"] = f"{entry.embedding.shape[1]} values, {entry.embedding.dtype.name}, {entry.distance}"
        for task in benchmark.classification_tasks:
            kind = "multi-label" if task.multi_label else "single-label"
            given = f"{kind}, {len(task.labels)} labels" if task.name in entry.predictions else "not submitted"
            fields[task.name] = given
        fields |= {"content": entry.content, "file": f"{entry.file_bytes} bytes, SHA-256 {entry.file_sha256}"}
        if layout == "json":
            click.echo(json.dumps({"valid": True, **fields}, indent=2, ensure_ascii=False))
            return
        for name, value in fields.items():
            click.echo(f"{printable(name, 20):12} {printable(value, 200)}")
        click.echo("valid")
