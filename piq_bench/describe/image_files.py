"""The image files of a data set: which are missing, empty, or the same file under several names.

Only bytes are compared here; images that merely look alike are the business of near-duplicate groups. Files are told
apart by size first, and by SHA-256 where sizes agree.
"""

import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from piq_bench.errors import first_few
from piq_bench.images.folder import images_folder
from piq_bench.records import NO_IDENTITY, TRAIN, Benchmark, Finding, Severity
from piq_bench.write.files import sha256_of

N_WORKERS = 4  # waiting for a disk, not for a processor
BATCH_FILES = 1024


def check_files(benchmark: Benchmark, *, advance: Callable[[int], None] | None = None) -> list[Finding]:
    """Look at every image file.

    Args:
        benchmark: as read.
        advance: told how many images more have been looked at; `benchmark.images.size` in the end.
    """
    folder = images_folder(benchmark)
    if folder is None:
        return [Finding("no-image-files", "note", "there are no image files here, so that none was checked")]
    step = advance or (lambda images: None)
    by_size: dict[int, list[int]] = {}
    missing, empty = [], []
    for row, image in enumerate(benchmark.images):
        size = _size(folder / image)
        if size is None:
            missing.append(row)
        elif size == 0:
            empty.append(row)
        else:
            by_size.setdefault(size, []).append(row)
    alike = [row for rows in by_size.values() if len(rows) > 1 for row in rows]
    step(benchmark.images.size - len(alike))
    same, unreadable = _same_files(benchmark, folder, alike, step)
    findings = []
    for code, rows, what in (
        ("missing-image-file", missing, "have no file"),
        ("empty-image-file", empty, "are empty files"),
        ("unreadable-image-file", unreadable, "cannot be read"),
    ):
        if rows:
            text = f"{len(rows)} of {benchmark.images.size} images {what}: {_few(benchmark, rows)}"
            findings.append(Finding(code, "warning", text))
    return findings + _same_findings(benchmark, same)


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _same_files(
    benchmark: Benchmark, folder: Path, rows: Sequence[int], step: Callable[[int], None]
) -> tuple[list[list[int]], list[int]]:
    """Rows whose files hold the same bytes, in sets of at least two, and rows that could not be read."""

    def content(row: int) -> str | None:
        try:
            return sha256_of(folder / benchmark.images[row])
        except OSError:
            return None

    by_content: dict[str, list[int]] = {}
    unreadable = []
    with ThreadPoolExecutor(N_WORKERS) as pool:
        for start in range(0, len(rows), BATCH_FILES):
            batch = rows[start : start + BATCH_FILES]
            for row, digest in zip(batch, pool.map(content, batch), strict=True):
                if digest is None:
                    unreadable.append(row)
                else:
                    by_content.setdefault(digest, []).append(row)
            step(len(batch))
    return sorted(sorted(same) for same in by_content.values() if len(same) > 1), sorted(unreadable)


def _same_findings(benchmark: Benchmark, same: Sequence[Sequence[int]]) -> list[Finding]:
    """What it means that files are the same depends on where they stand."""
    leaks: list[Sequence[int]] = []
    across: list[Sequence[int]] = []
    within: list[Sequence[int]] = []
    two_people: list[Sequence[int]] = []
    for rows in same:
        splits = set(benchmark.split[list(rows)].tolist())
        people = set(benchmark.identity[list(rows)].tolist()) - {NO_IDENTITY}
        (within if len(splits) == 1 else leaks if TRAIN in splits else across).append(rows)
        if len(people) > 1:
            two_people.append(rows)
    ungrouped: Severity = "warning" if benchmark.groups is None else "note"
    kinds: tuple[tuple[str, Severity, list[Sequence[int]], str], ...] = (
        ("same-file-in-train-and-test", "warning", leaks, "are in train and in the test set"),
        ("same-file-in-query-and-gallery", ungrouped, across, "are in query and in gallery"),
        ("same-file-in-one-split", "note", within, "are in one split more than once"),
        ("same-file-two-identities", "warning", two_people, "have images of several identities"),
    )
    findings = []
    for code, severity, sets, what in kinds:
        if sets:
            shown = [f"{benchmark.images[rows[0]]} = {benchmark.images[rows[1]]}" for rows in sets]
            findings.append(Finding(code, severity, f"{len(sets)} files {what}: {first_few(shown, len(shown))}"))
    return findings


def _few(benchmark: Benchmark, rows: Sequence[int]) -> str:
    return first_few(benchmark.images[np.asarray(rows, dtype=np.int64)], len(rows))
