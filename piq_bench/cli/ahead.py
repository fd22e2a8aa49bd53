"""Starts, while a command still imports what it needs, the processes that unpack the Parquet tables of a data set."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = ("annotations.parquet", "groups.parquet")


@contextmanager
def tables_ahead(dataset: Path | None) -> Iterator[None]:
    """Start a process for each Parquet table of a data set; one that is not used ends at the end."""
    try:
        n_tables = 0 if dataset is None else sum((dataset / name).is_file() for name in TABLES)
    except (OSError, ValueError):  # reading the data set will say why
        n_tables = 0
    if n_tables == 0:
        yield
        return
    from piq_bench.read.unpacking import started

    with started(n_tables):
        yield
