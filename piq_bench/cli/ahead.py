"""Starts, while a command still imports what it needs, the process that unpacks the Parquet tables of a data set."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = ("annotations.parquet", "groups.parquet")


@contextmanager
def tables_ahead(dataset: Path | None) -> Iterator[None]:
    """Start a process for the Parquet tables of a data set, if it has any."""
    try:
        has_tables = dataset is not None and any((dataset / name).is_file() for name in TABLES)
    except (OSError, ValueError):  # reading the data set will say why
        has_tables = False
    if not has_tables:
        yield
        return
    from piq_bench.read.unpacking import unpacker_started

    with unpacker_started():
        yield
