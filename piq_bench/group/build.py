"""Hashes the query and gallery images of a data set, groups near-duplicates and writes the groups file."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import features

from piq_bench import __version__
from piq_bench.errors import BadDataset, BadUsage, Problem, first_few
from piq_bench.group.components import components
from piq_bench.group.hashes import HASHES, PHASH, degenerate, distance_step, hash_parameters, hash_software
from piq_bench.group.hashing import Failure, HashedImages, hash_images
from piq_bench.group.neighbours import neighbour_pairs
from piq_bench.group.nodes import Nodes, make_nodes
from piq_bench.group.positives import signed_codes
from piq_bench.group.selftest import wrong_hashes
from piq_bench.group.stored import (
    METADATA_KEY,
    SCHEMA,
    SOURCE_COLUMN,
    WITHIN_SOURCE,
    as_benchmark_rows,
    checksums,
    hex_digits,
    parameters_file,
)
from piq_bench.group.sweep import HIGHEST_SHOWN, ImageRoles, Sweep, sweep
from piq_bench.group.warnings import GroupWarning, warnings_of
from piq_bench.images.folder import LINK_REMEDIES
from piq_bench.limits import MAX_IMAGE_PIXELS
from piq_bench.records import GALLERY, QUERY, Benchmark, BoolArray, Grouping, Groups, IntArray
from piq_bench.write.files import write_texts, written_whole

HIGHEST_THRESHOLD = HIGHEST_SHOWN
HIGHEST_QUALITY = 510  # of alternating black and white pixels
REMEDIES = {
    "missing-file": "put every query and gallery image into the image folder",
    "bad-path": "an image id is a relative path below the image folder, with forward slashes",
    **LINK_REMEDIES,
    "too-large": "shrink the image, or raise --limit-pixels",
}
REPLACE = "replace the file"
KEEP_GOING = ", or use --keep-going to leave the image alone in its group"


@dataclass(frozen=True, eq=False)
class GroupReport:
    """Groups and how they were made. Arrays have one row per query and gallery image, ids ascending.

    Attributes:
        groups: the groups in the form of `Benchmark.groups`.
        images: shape (n_test,); image ids.
        hashed: hashes, qualities and failures.
        group: shape (n_test,); group numbers as in the groups file.
        source: shape (n_test,), str; None unless only images of one source are linked.
        degenerate: shape (n_test,); whether the image is readable but its hash says nothing about its content.
        sweep: figures for each threshold.
        warnings: signs that the chosen threshold is too high.
    """

    groups: Groups
    images: NDArray[np.object_]
    hashed: HashedImages
    group: IntArray
    source: NDArray[np.object_] | None
    degenerate: BoolArray
    sweep: Sweep
    warnings: tuple[GroupWarning, ...]


def build_groups(
    benchmark: Benchmark,
    images_root: Path,
    *,
    grouping: Grouping | None = None,
    within_source: bool = False,
    min_quality: float | None = None,
    workers: int | None = None,
    limit_pixels: int = MAX_IMAGE_PIXELS,
    keep_going: bool = False,
    cache_path: Path | None = None,
    advance: Callable[[int], None] | None = None,
) -> GroupReport:
    """Hashes all query and gallery images and groups them; `benchmark.groups` is ignored.

    Args:
        benchmark: the data set.
        images_root: the folder that image ids are relative to.
        grouping: hash, threshold and mode; None for those of the data set.
        within_source: whether to link only images of the same source.
        min_quality: images with a lower mean gradient are linked only to files with the same bytes; None for no limit.
        workers: number of processes; None chooses by free cores and number of images, 1 uses this process alone.
        limit_pixels: larger images are refused before they are decoded.
        keep_going: whether to accept unreadable images, each alone in its group, up to half of all images.
        cache_path: file of hashes from which an interrupted run resumes, removed by the caller; None keeps no hashes.
        advance: called with the number of images finished since the last call.

    Raises:
        BadUsage: if an option cannot work with this data set.
        BadDataset: if images are unreadable, or with `keep_going` more than half of them; all of them are counted.
        LimitExceeded: if there are too many pairs, or a process dies.
    """
    grouping = grouping or benchmark.grouping
    if grouping.hash == PHASH and (wrong := wrong_hashes()):
        raise RuntimeError(f"this installation does not hash as defined: {wrong}; please report it")
    images = benchmark.images[benchmark.test_rows]
    check_options(benchmark, grouping, within_source=within_source, min_quality=min_quality)
    hashed = hash_images(
        images.tolist(),
        images_root,
        hash_name=grouping.hash,
        workers=workers,
        limit_pixels=limit_pixels,
        follow_links=benchmark.follow_links,
        cache_path=cache_path,
        advance=advance,
    )
    mostly = 2 * len(hashed.failures) > len(images)
    if hashed.failures and (mostly or not keep_going):
        raise BadDataset(str(images_root), failure_problems(hashed.failures, n_images=len(images)))
    return group_hashed(
        benchmark,
        hashed,
        grouping=grouping,
        within_source=within_source,
        min_quality=min_quality,
        limit_pixels=limit_pixels,
    )


def group_hashed(
    benchmark: Benchmark,
    hashed: HashedImages,
    *,
    grouping: Grouping | None = None,
    within_source: bool = False,
    min_quality: float | None = None,
    limit_pixels: int = MAX_IMAGE_PIXELS,
) -> GroupReport:
    """Groups images by their hashes; `hashed` has one row per query and gallery image, ids ascending."""
    grouping = grouping or benchmark.grouping
    check_options(benchmark, grouping, within_source=within_source, min_quality=min_quality)
    rows = benchmark.test_rows
    images = benchmark.images[rows]
    source = benchmark.source[rows] if within_source and benchmark.source is not None else None
    nodes = make_nodes(
        hashed.phash,
        bytes_hash=hashed.bytes_hash,
        readable=hashed.readable,
        quality=hashed.quality,
        min_quality=min_quality,
        source=source,
        hash_name=grouping.hash,
    )
    group = components(nodes, grouping.max_bits)
    figures = sweep(nodes, roles_of(benchmark), threshold=grouping.max_bits, step=distance_step(grouping.hash))
    warnings = warnings_of(figures, grouping)
    flat = hashed.readable & degenerate(hashed.phash, grouping.hash)
    parameters: dict[str, object] = {
        "schema": SCHEMA,
        "dataset": {"name": benchmark.name, "version": benchmark.version},
        **hash_parameters(grouping.hash),
        "threshold": grouping.threshold,
        "mode": grouping.mode,
        "within": WITHIN_SOURCE if within_source else None,
        "min_quality": min_quality,
        "limit_pixels": limit_pixels,
        "images": len(images),
        "unreadable": len(hashed.failures),
        "degenerate": int(flat.sum()),
        "below_min_quality": 0 if min_quality is None else int((hashed.quality < min_quality).sum()),
        **checksums(images, grouping.hash, hash_column(hashed), group),
        "software": software() | hash_software(grouping.hash),
        "sweep": [asdict(level) for level in figures.levels if level.threshold <= HIGHEST_SHOWN],
        "warnings": [warning.code for warning in warnings],
    }
    return GroupReport(
        groups=groups_record(benchmark, hashed, nodes, group, grouping, parameters),
        images=images,
        hashed=hashed,
        group=group,
        source=source,
        degenerate=flat,
        sweep=figures,
        warnings=warnings,
    )


def check_options(benchmark: Benchmark, grouping: Grouping, *, within_source: bool, min_quality: float | None) -> None:
    """Refuses options that cannot work, before hours of hashing."""
    problems = []
    if grouping.hash not in HASHES:
        found, remedy = f"hash is {grouping.hash!r}", f"one of {', '.join(HASHES)}"
        problems.append(Problem("unknown-hash", "grouping", found, remedy))
    if grouping.threshold is None or not 0 <= grouping.threshold <= HIGHEST_THRESHOLD:
        found = f"threshold is {grouping.threshold}"
        problems.append(Problem("bad-threshold", "grouping", found, f"it must be from 0 to {HIGHEST_THRESHOLD} bits"))
    if within_source and benchmark.source is None:
        remedy = 'add a column "source" to the annotations, or leave out --within-source'
        problems.append(Problem("no-source", "annotations", "no image has a source", remedy))
    if min_quality is not None and not 0 <= min_quality <= HIGHEST_QUALITY:
        remedy = f"give a mean gradient from 0 to {HIGHEST_QUALITY}"
        problems.append(Problem("bad-min-quality", "--min-quality", f"got {min_quality}", remedy))
    if not len(benchmark.test_rows):
        problems.append(Problem("no-images", "annotations", "there is no query or gallery image", "add some"))
    if problems:
        raise BadUsage(benchmark.name, problems)


def failure_problems(failures: tuple[Failure, ...], *, n_images: int) -> list[Problem]:
    """One problem per reason, naming the first few images; the first says so if it is more than half of all images."""
    by_code: dict[str, list[Failure]] = {}
    for failure in failures:
        by_code.setdefault(failure.code, []).append(failure)
    problems = []
    mostly = 2 * len(failures) > n_images
    if mostly:
        found = f"{len(failures)} of {n_images} images cannot be read"
        remedy = "check the image folder: --keep-going accepts at most half"
        problems.append(Problem("mostly-unreadable", "images", found, remedy, len(failures)))
    other_remedy = REPLACE if mostly else REPLACE + KEEP_GOING
    for code, same in by_code.items():
        counted = f"{len(same)} image{'s' if len(same) > 1 else ''}"
        found = f"{counted}: {first_few((failure.image for failure in same), len(same))}; the first {same[0].found}"
        problems.append(Problem(code, "images", found, REMEDIES.get(code, other_remedy), len(same)))
    return problems


def roles_of(benchmark: Benchmark) -> ImageRoles:
    """Says which images are queries and which are gallery, with their identity, source and camera."""
    rows = benchmark.test_rows
    split, junk, identity = benchmark.split[rows], benchmark.junk[rows], benchmark.identity[rows]
    query = (split == QUERY) & ~junk
    labelled = bool((identity[query] >= 0).any())
    rules = [rule for rule in benchmark.exclude if "group" not in rule.columns]
    return ImageRoles(
        query=query & (identity >= 0) if labelled else query,  # a query needs an identity
        gallery=(split == GALLERY) & ~junk,
        identity=identity if labelled else None,
        source=codes(benchmark.source[rows]) if benchmark.source is not None else None,
        excluded=signed_codes(rules, lambda name: benchmark.codes(name)[rows]),
    )


def codes(names: NDArray[np.object_]) -> IntArray:
    """Numbers names from 0; -1 where the name is empty."""
    known, index = np.unique(names.astype(np.str_), return_inverse=True)
    return np.where(known == "", -1, np.arange(len(known)))[index.reshape(-1)].astype(np.int64)


def groups_record(
    benchmark: Benchmark,
    hashed: HashedImages,
    nodes: Nodes,
    group: IntArray,
    grouping: Grouping,
    parameters: Mapping[str, object],
) -> Groups:
    """The groups as `Benchmark.groups`, equal to what reading the groups file gives."""
    rows = benchmark.test_rows
    phash = np.zeros(len(benchmark.images), dtype=np.uint64)
    phash[rows] = hashed.phash
    return Groups(
        grouping=grouping,
        phash=phash,
        group=as_benchmark_rows(group, rows, len(benchmark.images)),
        pairs=neighbour_pairs(nodes, grouping.max_bits, rows=rows) if grouping.mode == "neighbours" else None,
        parameters=parameters,
    )


def software() -> dict[str, str | None]:
    """Versions of the software that computes the hashes."""
    return {
        "piq_bench": __version__,
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version_feature("libjpeg_turbo"),
        "numpy": np.__version__,
    }


def hash_column(hashed: HashedImages) -> list[str]:
    """Hashes in hex digits; empty where the image is unreadable."""
    return [digits if ok else "" for digits, ok in zip(hex_digits(hashed.phash), hashed.readable, strict=True)]


def write_groups(path: Path, report: GroupReport) -> None:
    """Writes groups.csv with its parameters in groups.csv.json, or groups.parquet, by suffix, whole or not at all.

    Raises:
        BadUsage: if the suffix is neither, or the file cannot be written.
    """
    hashed = report.hashed
    columns: dict[str, list[object]] = {
        "image": report.images.tolist(),
        report.groups.grouping.hash: list(hash_column(hashed)),
        "group": report.group.tolist(),
        # Text as Python writes it, which is read back exactly from CSV and from Parquet.
        "quality": [
            repr(value) if ok else "" for value, ok in zip(hashed.quality.tolist(), hashed.readable, strict=True)
        ],
        "bytes_sha256": [
            digits if ok else "" for digits, ok in zip(hex_digits(hashed.bytes_hash), hashed.readable, strict=True)
        ],
    }
    if report.source is not None:
        columns[SOURCE_COLUMN] = report.source.tolist()
    parameters = report.groups.parameters
    try:
        if path.suffix == ".parquet":
            write_parquet(path, columns, json.dumps(parameters, ensure_ascii=True))
        elif path.suffix == ".csv":
            write_csv(path, columns, json.dumps(parameters, ensure_ascii=True, indent=2))
        else:
            problem = Problem("bad-suffix", "--out", f"got '{path.name}'", "the name must end in .csv or .parquet")
            raise BadUsage(str(path), [problem])
    except OSError as error:
        problem = Problem("cannot-write", "--out", error.strerror or str(error), "choose a folder that can be written")
        raise BadUsage(str(path), [problem]) from error


def write_csv(path: Path, columns: Mapping[str, list[object]], parameters: str) -> None:
    """Writes the table, and the parameters beside it.

    The parameters appear first: a table without them would be read as that of another tool.
    """
    if parameters_file(path).is_symlink():  # it came with the data and may lead anywhere
        found = f"{parameters_file(path).name} beside it is a link"
        raise BadUsage(str(path), [Problem("link", "--out", found, "remove it, or name another file by --out")])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_texts({path: text.getvalue(), parameters_file(path): parameters + "\n"})  # the last one appears first


def write_parquet(path: Path, columns: Mapping[str, list[object]], header: str) -> None:
    """Writes the table, with the header in the metadata of its schema."""
    fields = [pa.field(name, pa.int64() if name == "group" else pa.string()) for name in columns]
    table = pa.table(dict(columns), schema=pa.schema(fields, metadata={METADATA_KEY: header.encode()}))
    with written_whole(path) as temporary:
        pq.write_table(table, temporary)
