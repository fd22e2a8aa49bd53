"""Keeps the near-duplicate groups of all images, and makes those of the test set from them.

`piq groups` compares the images of the test set. To know the near-duplicates of all images, all must be in the gallery
when it runs, as `piq collect` leaves them. A split keeps its file as groups-all for another split, and groups.csv then
lists the test set. No group is cut by the border of the test set, so that its groups are those of all images.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.build import GroupReport, group_hashed
from piq_bench.group.hashing import Failure, HashedImages
from piq_bench.group.stored import SOURCE_COLUMN, parameters_file
from piq_bench.read.table import SUFFIXES, read_table
from piq_bench.records import Benchmark, Groups
from piq_bench.write.files import written_whole

ALL = "groups-all"  # groups of the images of all splits
UNREADABLE = Failure("", "unreadable", "could not be read when the groups were made")


def stored_groups(folder: Path) -> Path | None:
    """The groups of all images: those kept by an earlier split, or else those that `piq groups` has just made."""
    for stem in (ALL, "groups"):
        found = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
        if found:
            return found[0]
    return None


def keep_all(stored: Path) -> None:
    """Keeps the groups of all images under a name of their own."""
    kept = stored.with_name(f"{ALL}{stored.suffix}")
    if kept == stored:
        return
    for source, target in ((parameters_file(stored), parameters_file(kept)), (stored, kept)):
        if source.is_file():
            with written_whole(target) as temporary:
                temporary.write_bytes(source.read_bytes())


def groups_of_test(benchmark: Benchmark, stored: Path, groups: Groups) -> GroupReport:
    """The groups of query and gallery images.

    Args:
        benchmark: the data set as it is split.
        stored: the file of `piq groups` with all images.
        groups: its content, as read.
    """
    table, _ = read_table(stored, comment=True)
    columns = {name: column.rows() for name, column in table.columns.items()}
    order = np.argsort(columns["image"].astype(np.str_), kind="stable")[benchmark.test_rows]
    digits = columns[groups.grouping.hash][order]
    readable = (digits != "").astype(np.bool_)
    images = benchmark.images[benchmark.test_rows]
    hashed = HashedImages(
        phash=_numbers(digits),
        quality=np.array([float(text) if text else np.nan for text in columns["quality"][order]], dtype=np.float64),
        bytes_hash=_numbers(columns["bytes_sha256"][order]),
        readable=readable,
        failures=tuple(replace(UNREADABLE, image=str(image)) for image in images[~readable]),
    )
    minimum = groups.parameters.get("min_quality")
    return group_hashed(
        benchmark,
        hashed,
        grouping=groups.grouping,
        within_source=SOURCE_COLUMN in columns,
        min_quality=float(minimum) if isinstance(minimum, int | float) else None,
    )


def _numbers(digits: NDArray[np.object_]) -> NDArray[np.uint64]:
    """Numbers from hexadecimal digits, 0 where there are none."""
    return np.array([int(text or "0", 16) for text in digits], dtype=np.uint64)
