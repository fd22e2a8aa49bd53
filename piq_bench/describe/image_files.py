"""Checks the image files of a data set: missing, linked, empty and unreadable ones, and one file under several names.

Only bytes are compared here; near-duplicate groups find images that merely look alike. Files of different sizes differ;
those of equal size are compared by SHA-256.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from piq_bench.errors import first_few
from piq_bench.images.folder import LINK_REMEDIES, ImageFolder, Unreadable, images_folder
from piq_bench.records import NO_IDENTITY, TRAIN, Benchmark, Finding, Severity
from piq_bench.write.files import sha256_of

N_WORKERS = 4  # threads; they wait for the disk, not for a processor
BATCH_FILES = 1024
DEFECTS = {  # by the code of `Unreadable`, as far as it has one: code and words of the finding
    "missing-file": ("missing-image-file", "have no file"),
    "broken-link": ("broken-image-link", "are links to files that do not exist"),
    "outside": ("image-link-outside", "are links that leave the image folder"),
    "empty": ("empty-image-file", "are empty files"),
    "unreadable-file": ("unreadable-image-file", "cannot be read"),
}


def check_files(benchmark: Benchmark, *, advance: Callable[[int], None] | None = None) -> list[Finding]:
    """Checks every image file; one finding for each kind of defect.

    Args:
        benchmark: the data set; it may have no image files.
        advance: called with the number of images checked since the last call.
    """
    root = images_folder(benchmark)
    if root is None:
        return [Finding("no-image-files", "note", "the data set has no folder of image files; none was checked")]
    advance = advance or (lambda images: None)
    folder = ImageFolder(root, follow_links=benchmark.follow_links)
    by_size: dict[int, list[int]] = {}
    defects: dict[str, list[int]] = {code: [] for code in DEFECTS}
    for row, image in enumerate(benchmark.images):
        try:
            size = folder.stat(image).st_size
        except Unreadable as failure:
            defects[failure.code if failure.code in DEFECTS else "missing-file"].append(row)
            continue
        (by_size.setdefault(size, []) if size else defects["empty"]).append(row)
    equal_size = [row for rows in by_size.values() if len(rows) > 1 for row in rows]
    advance(benchmark.images.size - len(equal_size))
    same, unreadable = _same_files(benchmark, folder, equal_size, advance)
    defects["unreadable-file"] = sorted(defects["unreadable-file"] + unreadable)
    findings = []
    for code, (finding, what) in DEFECTS.items():
        if rows := defects[code]:
            remedy = f"; {LINK_REMEDIES[code]}" if code in LINK_REMEDIES else ""
            text = f"{len(rows)} of {benchmark.images.size} images {what}: {_first_images(benchmark, rows)}{remedy}"
            findings.append(Finding(finding, "warning", text))
    return findings + _same_findings(benchmark, same)


def _same_files(
    benchmark: Benchmark, folder: ImageFolder, rows: Sequence[int], advance: Callable[[int], None]
) -> tuple[list[list[int]], list[int]]:
    """Sets of at least two rows whose files have the same bytes, and rows whose files cannot be read."""

    def content(row: int) -> str | None:
        try:
            return sha256_of(Path(folder.root, benchmark.images[row]))
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
            advance(len(batch))
    return sorted(sorted(same) for same in by_content.values() if len(same) > 1), unreadable


def _same_findings(benchmark: Benchmark, same: Sequence[Sequence[int]]) -> list[Finding]:
    """Findings on equal files, by the splits and identities that they have images in."""
    train_and_test: list[Sequence[int]] = []
    query_and_gallery: list[Sequence[int]] = []
    one_split: list[Sequence[int]] = []
    several_identities: list[Sequence[int]] = []
    for rows in same:
        splits = set(benchmark.split[list(rows)].tolist())
        people = set(benchmark.identity[list(rows)].tolist()) - {NO_IDENTITY}
        (one_split if len(splits) == 1 else train_and_test if TRAIN in splits else query_and_gallery).append(rows)
        if len(people) > 1:
            several_identities.append(rows)
    severity: Severity = "warning" if benchmark.groups is None else "note"
    kinds: tuple[tuple[str, Severity, list[Sequence[int]], str], ...] = (
        ("same-file-in-train-and-test", "warning", train_and_test, "are both in train and in the test set"),
        ("same-file-in-query-and-gallery", severity, query_and_gallery, "are both in query and in gallery"),
        ("same-file-in-one-split", "note", one_split, "are in one split under several names"),
        ("same-file-two-identities", "warning", several_identities, "are labelled with several identities"),
    )
    findings = []
    for code, severity, sets, what in kinds:
        if sets:
            shown = [f"{benchmark.images[rows[0]]} = {benchmark.images[rows[1]]}" for rows in sets]
            findings.append(Finding(code, severity, f"{len(sets)} files {what}: {first_few(shown, len(shown))}"))
    return findings


def _first_images(benchmark: Benchmark, rows: Sequence[int]) -> str:
    return first_few(benchmark.images[np.asarray(rows, dtype=np.int64)], len(rows))
