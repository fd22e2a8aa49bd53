"""A data set and its image files to a groups file with everything that a reader should know about it."""

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
from piq_bench.group.hashing import Failure, HashedImages, hash_images
from piq_bench.group.neighbours import neighbour_pairs
from piq_bench.group.phash import degenerate
from piq_bench.group.positives import signed_codes
from piq_bench.group.selftest import wrong_hashes
from piq_bench.group.stored import (
    CSV_MARK,
    HASH_PARAMETERS,
    METADATA_KEY,
    SCHEMA,
    SOURCE_COLUMN,
    WITHIN_SOURCE,
    checksums,
    hex_digits,
    in_benchmark,
)
from piq_bench.group.sweep import HIGHEST_SHOWN, ImageRoles, Sweep, sweep
from piq_bench.group.units import Units, units_of
from piq_bench.group.warnings import GroupWarning, warnings_of
from piq_bench.images.decode import DEFAULT_LIMIT_PIXELS
from piq_bench.records import GALLERY, QUERY, Benchmark, BoolArray, Grouping, Groups, IntArray
from piq_bench.write.files import write_text, written_whole

HIGHEST_THRESHOLD = HIGHEST_SHOWN
HIGHEST_QUALITY = 510  # black and white squares
REMEDIES = {
    "missing-file": "every query and gallery image must lie in the image folder",
    "bad-path": "an image id is a relative path below the image folder, with forward slashes",
    "outside": "links may not leave the image folder",
    "too-large": "shrink the picture, or raise --limit-pixels",
}
ANY_REMEDY = "replace the file; with --keep-going it stays alone in its group"


@dataclass(frozen=True, eq=False)
class GroupReport:
    """Groups and how they came about. Arrays have one row per query and gallery image, ids ascending.

    Attributes:
        groups: as `Benchmark.groups` holds them.
        images: shape (n_test,), ids.
        hashed: hashes, qualities, failures.
        group: shape (n_test,); as in the file.
        source: shape (n_test,), str; None unless links are kept within sources.
        degenerate: shape (n_test,); readable, but the hash says nothing.
        sweep: figures by threshold.
        warnings: rules that the chosen threshold breaks.
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
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    keep_going: bool = False,
    cache_path: Path | None = None,
    advance: Callable[[int], None] | None = None,
) -> GroupReport:
    """Hash all query and gallery images and group them. `benchmark.groups` is not looked at.

    Args:
        benchmark: the data set.
        images_root: the folder that image ids are relative to.
        grouping: threshold and mode; None for those of the data set.
        within_source: link only images of one source.
        min_quality: images with a lower mean gradient are linked only to files of the same bytes.
        workers: processes; None for as many as are free and worth while, 1 for none beside this one.
        limit_pixels: larger pictures are not decoded.
        keep_going: whether unreadable images, each alone in its group, are accepted.
        cache_path: where hashes are kept until the caller removes the file; None keeps none.
        advance: called with the number of images done since the last call.

    Raises:
        BadUsage: options that cannot work.
        BadDataset: unreadable images, all of them counted.
        LimitExceeded: too many pairs, or a process died.
    """
    if wrong := wrong_hashes():
        raise RuntimeError(f"this installation does not hash as defined: {wrong}; please report it")
    images = benchmark.images[benchmark.test_rows]
    check_options(benchmark, grouping or benchmark.grouping, within_source=within_source, min_quality=min_quality)
    hashed = hash_images(
        images.tolist(),
        images_root,
        workers=workers,
        limit_pixels=limit_pixels,
        cache_path=cache_path,
        advance=advance,
    )
    if hashed.failures and not keep_going:
        raise BadDataset(str(images_root), failure_problems(hashed.failures))
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
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
) -> GroupReport:
    """Group images that have been hashed: `hashed` has one row per query and gallery image, ids ascending."""
    grouping = grouping or benchmark.grouping
    check_options(benchmark, grouping, within_source=within_source, min_quality=min_quality)
    rows = benchmark.test_rows
    images = benchmark.images[rows]
    source = benchmark.source[rows] if within_source and benchmark.source is not None else None
    units = units_of(
        hashed.phash,
        bytes_hash=hashed.bytes_hash,
        readable=hashed.readable,
        quality=hashed.quality,
        min_quality=min_quality,
        source=source,
    )
    group = components(units, grouping.threshold)
    found = sweep(units, roles_of(benchmark), threshold=grouping.threshold)
    warnings = warnings_of(found, grouping)
    flat = hashed.readable & degenerate(hashed.phash)
    parameters: dict[str, object] = {
        "schema": SCHEMA,
        "dataset": {"name": benchmark.name, "version": benchmark.version},
        **HASH_PARAMETERS,
        "threshold": grouping.threshold,
        "mode": grouping.mode,
        "within": WITHIN_SOURCE if within_source else None,
        "min_quality": min_quality,
        "limit_pixels": limit_pixels,
        "images": len(images),
        "unreadable": len(hashed.failures),
        "degenerate": int(flat.sum()),
        "below_min_quality": 0 if min_quality is None else int((hashed.quality < min_quality).sum()),
        **checksums(images, phash_column(hashed), group),
        "software": software(),
        "sweep": [asdict(level) for level in found.levels if level.threshold <= HIGHEST_SHOWN],
        "warnings": [warning.code for warning in warnings],
    }
    return GroupReport(
        groups=groups_record(benchmark, hashed, units, group, grouping, parameters),
        images=images,
        hashed=hashed,
        group=group,
        source=source,
        degenerate=flat,
        sweep=found,
        warnings=warnings,
    )


def check_options(benchmark: Benchmark, grouping: Grouping, *, within_source: bool, min_quality: float | None) -> None:
    """Refuse what cannot work before hours of hashing."""
    problems = []
    if grouping.hash != HASH_PARAMETERS["hash"]:
        problems.append(Problem("unknown-hash", "grouping", f"hash is {grouping.hash!r}", 'the only hash is "phash"'))
    if not 0 <= grouping.threshold <= HIGHEST_THRESHOLD:
        found = f"threshold is {grouping.threshold}"
        problems.append(Problem("bad-threshold", "grouping", found, f"it must be from 0 to {HIGHEST_THRESHOLD} bits"))
    if within_source and benchmark.source is None:
        remedy = 'add a column "source" to the annotations, or leave out --within-source'
        problems.append(Problem("no-source", "annotations", "there is no source of any image", remedy))
    if min_quality is not None and not 0 <= min_quality <= HIGHEST_QUALITY:
        remedy = f"a mean gradient is from 0 to {HIGHEST_QUALITY}"
        problems.append(Problem("bad-min-quality", "--min-quality", f"got {min_quality}", remedy))
    if not len(benchmark.test_rows):
        problems.append(Problem("no-images", "annotations", "no query or gallery image", "there must be one to group"))
    if problems:
        raise BadUsage(benchmark.name, problems)


def failure_problems(failures: tuple[Failure, ...]) -> list[Problem]:
    """One problem per reason, the first few images named with what was found."""
    by_code: dict[str, list[Failure]] = {}
    for failure in failures:
        by_code.setdefault(failure.code, []).append(failure)
    problems = []
    for code, some in by_code.items():
        n_images = f"{len(some)} image{'s' if len(some) > 1 else ''}"
        found = f"{n_images}: {first_few((one.image for one in some), len(some))}; the first {some[0].found}"
        problems.append(Problem(code, "images", found, REMEDIES.get(code, ANY_REMEDY), len(some)))
    return problems


def roles_of(benchmark: Benchmark) -> ImageRoles:
    """Who is searched for and who can be found."""
    rows = benchmark.test_rows
    split, junk, identity = benchmark.split[rows], benchmark.junk[rows], benchmark.identity[rows]
    query = (split == QUERY) & ~junk
    labelled = bool((identity[query] >= 0).any())
    rules = [rule for rule in benchmark.exclude if "group" not in rule.columns]
    return ImageRoles(
        query=query & (identity >= 0) if labelled else query,  # an image of nobody is no query
        gallery=(split == GALLERY) & ~junk,
        identity=identity if labelled else None,
        source=codes(benchmark.source[rows]) if benchmark.source is not None else None,
        excluded=signed_codes(rules, lambda name: benchmark.codes(name)[rows]),
    )


def codes(names: NDArray[np.object_]) -> IntArray:
    """Names to indices, -1 where empty."""
    known, index = np.unique(names.astype(np.str_), return_inverse=True)
    return np.where(known == "", -1, np.arange(len(known)))[index.reshape(-1)].astype(np.int64)


def groups_record(
    benchmark: Benchmark,
    hashed: HashedImages,
    units: Units,
    group: IntArray,
    grouping: Grouping,
    parameters: Mapping[str, object],
) -> Groups:
    """The same as reading the file back gives."""
    rows = benchmark.test_rows
    phash = np.zeros(len(benchmark.images), dtype=np.uint64)
    phash[rows] = hashed.phash
    return Groups(
        grouping=grouping,
        phash=phash,
        group=in_benchmark(group, rows, len(benchmark.images)),
        pairs=rows[neighbour_pairs(units, grouping.threshold)] if grouping.mode == "neighbours" else None,
        parameters=parameters,
    )


def software() -> dict[str, str | None]:
    """Versions of all that touches pixels."""
    return {
        "piq_bench": __version__,
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version_feature("libjpeg_turbo"),
        "numpy": np.__version__,
    }


def phash_column(hashed: HashedImages) -> list[str]:
    """Hex digits, empty where unreadable."""
    return [digits if ok else "" for digits, ok in zip(hex_digits(hashed.phash), hashed.readable, strict=True)]


def write_groups(path: Path, report: GroupReport) -> None:
    """Write groups.csv or groups.parquet, by suffix, whole or not at all.

    Raises:
        BadUsage: if the suffix is neither, or the file cannot be written.
    """
    hashed = report.hashed
    columns: dict[str, list[object]] = {
        "image": report.images.tolist(),
        "phash": list(phash_column(hashed)),
        "group": report.group.tolist(),
        # As text, as Python writes it: reads back exactly, from CSV and from Parquet alike.
        "quality": [
            repr(value) if ok else "" for value, ok in zip(hashed.quality.tolist(), hashed.readable, strict=True)
        ],
        "bytes_sha256": [
            digits if ok else "" for digits, ok in zip(hex_digits(hashed.bytes_hash), hashed.readable, strict=True)
        ],
    }
    if report.source is not None:
        columns[SOURCE_COLUMN] = report.source.tolist()
    header = json.dumps(report.groups.parameters, ensure_ascii=True)
    try:
        if path.suffix == ".parquet":
            write_parquet(path, columns, header)
        elif path.suffix == ".csv":
            write_csv(path, columns, header)
        else:
            problem = Problem("bad-suffix", "--out", f"got '{path.name}'", "the name must end in .csv or .parquet")
            raise BadUsage(str(path), [problem])
    except OSError as error:
        problem = Problem("cannot-write", "--out", error.strerror or str(error), "choose a folder that can be written")
        raise BadUsage(str(path), [problem]) from error


def write_csv(path: Path, columns: Mapping[str, list[object]], header: str) -> None:
    """The header on the first line, then the table."""
    text = io.StringIO()
    text.write(f"{CSV_MARK}{header}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, text.getvalue())


def write_parquet(path: Path, columns: Mapping[str, list[object]], header: str) -> None:
    """The header in the schema's metadata."""
    fields = [pa.field(name, pa.int64() if name == "group" else pa.string()) for name in columns]
    table = pa.table(dict(columns), schema=pa.schema(fields, metadata={METADATA_KEY: header.encode()}))
    with written_whole(path) as temporary:
        pq.write_table(table, temporary)
