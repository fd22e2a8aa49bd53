"""Exports what the participants of a challenge may have: the data set without one label of its test set.

The rows of `train` keep everything. Of query and gallery images only the name and the split are written: no label, no
identity, no near-duplicate group, no camera, sequence or other column. The files do not depend on what is hidden, so
that two data sets that differ only in that give the same bytes. Names of images are published as they are; a data set
whose names tell people or labels apart is refused.
"""

import math
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadDataset, Problem, first_few, printable
from piq_bench.export.bundle import KIT_DIMENSION, Files, write_folder
from piq_bench.export.pages import Verbatim, markdown_page
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import takes_matrix
from piq_bench.read.vocabulary import FILE as VOCABULARY
from piq_bench.records import (
    GALLERY,
    GIVEN,
    NO_IDENTITY,
    NOT_ANNOTATED,
    QUERY,
    TRAIN,
    Benchmark,
    Grouping,
    IntArray,
)
from piq_bench.write.benchmark import benchmark_toml, write_annotations
from piq_bench.write.template import write_template

GUIDE = "PARTICIPANTS.md"
ANNOTATIONS = "annotations.csv"
EXAMPLE = "submission.npz"
METADATA = "metadata.toml"
REMARK = "Written by `piq export public`: the test set has no labels here."
TOLD = 0.1  # share of test images whose names may hold their own person's or label's name more often than by chance
DEVIATIONS = 3.0  # by which the share may be larger in a small test set
CLOSE = 5.0  # times as often as by chance that neighbours in the order of names show the same person
PARTS = re.compile(r"[^0-9A-Za-z]+")
RENAME = "give the test images names that tell nothing, such as numbers in random order"


def export_public(dataset: Path, out: Path, *, force: bool = False) -> tuple[Benchmark, list[str]]:
    """Write the folder for participants.

    Args:
        dataset: folder of the data set, with all labels.
        out: folder to write; a new one, or with `force` one that an earlier run wrote.
        force: replace the output of an earlier run.

    Returns:
        The data set, and notes for the organiser.

    Raises:
        BadDataset: if the data set is broken, or the names of its test images tell what is to be hidden.
        BadUsage: if the folder cannot be written.
    """
    benchmark = read_benchmark(dataset)
    if benchmark.layout != "folder":
        found = f"is a data set of layout {benchmark.layout!r}"
        remedy = "a folder with benchmark.toml and annotations; `piq import auto` writes one of a public data set"
        raise BadDataset(str(dataset), [Problem("layout", printable(benchmark.name), found, remedy)])
    if problems := telling_names(benchmark):
        raise BadDataset(str(dataset), problems)
    write_folder(out, public_files(benchmark), force=force, mark=GUIDE)
    return benchmark, _notes(benchmark)


def public_files(benchmark: Benchmark) -> Files:
    """The content of the folder by file name; it depends on nothing that is hidden."""
    shown = without_test_labels(benchmark)
    columns = _train_columns(shown)
    known = {"identity", "group", *columns}
    shown = replace(
        shown,
        exclude=tuple(rule for rule in shown.exclude if known.issuperset(rule.columns)),
        grouping=Grouping() if shown.grouping == GIVEN else shown.grouping,
    )
    names = ["" if index == NO_IDENTITY else shown.identities[index] for index in shown.identity]
    with tempfile.TemporaryDirectory() as place:
        table, example = Path(place) / ANNOTATIONS, Path(place) / EXAMPLE
        write_annotations(table, shown, names, columns)
        write_template(example, shown, dimension=KIT_DIMENSION, seed=0)
        files = {ANNOTATIONS: table.read_bytes(), EXAMPLE: example.read_bytes()}
    toml = benchmark_toml(shown, remark=REMARK, images_root="images", junk=(), distractors=())
    n_images = {split: int((shown.split == split).sum()) for split in (TRAIN, QUERY, GALLERY)}
    guide = markdown_page(
        "public.md",
        {
            "benchmark": shown,
            "n_train": n_images[TRAIN],
            "n_query": n_images[QUERY],
            "n_gallery": n_images[GALLERY],
            "rules": [str(rule) for rule in benchmark.exclude],
            "matrix": takes_matrix(shown),
            "dimension": KIT_DIMENSION,
            "name": Verbatim(printable(METADATA)),
        },
    )
    metadata = markdown_page("metadata.toml", {"benchmark": Verbatim(_toml_text(shown.name))})
    return files | {VOCABULARY: toml.encode(), GUIDE: guide.encode(), METADATA: metadata.encode()}


def without_test_labels(benchmark: Benchmark) -> Benchmark:
    """The data set with nothing about its query and gallery images but their names and splits."""
    is_test = benchmark.split != TRAIN
    in_train = {
        benchmark.identities[index] for index in np.unique(benchmark.identity[~is_test]) if index != NO_IDENTITY
    }

    def hidden(labels: IntArray) -> IntArray:
        shown = labels.copy()
        shown[is_test] = NOT_ANNOTATED
        return shown

    def blank(column: NDArray[np.object_]) -> NDArray[np.object_]:
        return np.where(is_test, "", column).astype(object)

    return replace(
        benchmark,
        identity=np.where(is_test, NO_IDENTITY, benchmark.identity),
        labels={task: hidden(labels) for task, labels in benchmark.labels.items()},
        junk=benchmark.junk & ~is_test,
        distractor=benchmark.distractor & ~is_test,
        source=None if benchmark.source is None else blank(benchmark.source),
        sequence=None if benchmark.sequence is None else blank(benchmark.sequence),
        camera=None if benchmark.camera is None else blank(benchmark.camera),
        columns={name: blank(column) for name, column in benchmark.columns.items()},
        groups=None,
        persons=tuple(name for name in benchmark.persons if name in in_train),
    )


def telling_names(benchmark: Benchmark) -> list[Problem]:
    """Problems of test images whose names tell what is to be hidden."""
    rows = benchmark.test_rows
    parts = [set(PARTS.split(str(image))) for image in benchmark.images[rows]]
    identity = benchmark.identity[rows]
    people = [None if index == NO_IDENTITY else str(benchmark.identities[index]) for index in identity]
    told: list[tuple[str, list[str | None]]] = [("identity", people)]
    for task in benchmark.classification_tasks:
        if not task.multi_label:
            indices = benchmark.labels[task.name][rows].tolist()
            told.append((task.name, [None if index == NOT_ANNOTATED else task.labels[index] for index in indices]))
    problems = []
    for name, values in told:
        known = [number for number, value in enumerate(values) if value is not None]
        telling = [number for number in known if values[number] in parts[number]]
        counts = Counter(values[number] for number in known)
        named = Counter(value for number in known for value in parts[number] & counts.keys())
        by_chance = sum(counts[value] * named[value] / len(known) for value in named)
        wanted = TOLD + DEVIATIONS / math.sqrt(max(1, len(known)))
        if len(telling) - by_chance > wanted * (len(known) - by_chance):
            images = first_few((benchmark.images[rows[number]] for number in telling[:3]), len(telling))
            found = (
                f"the names of {len(telling)} of {len(known)} test images hold their own {printable(name)}: {images}"
            )
            problems.append(Problem("telling-name", "image", found, RENAME, len(telling)))
    folders: dict[str, set[str]] = {}
    n_images: dict[str, int] = {}
    for image, person in zip(benchmark.images[rows], people, strict=True):
        if person is not None:
            folder = str(image).rpartition("/")[0]
            folders.setdefault(folder, set()).add(person)
            n_images[folder] = n_images.get(folder, 0) + 1
    shared = [folder for folder in folders if n_images[folder] > 1]
    if len(shared) > 1 and all(len(folders[folder]) == 1 for folder in shared):
        found = f"every folder of test images holds one person: {first_few(shared[:3], len(shared))}"
        problems.append(Problem("telling-folder", "image", found, RENAME, len(shared)))
    return problems


def _train_columns(shown: Benchmark) -> dict[str, Sequence[str]]:
    """The further columns of the annotations that have a value in train."""
    own = {"source": shown.source, "sequence": shown.sequence, "camera": shown.camera, **shown.columns}
    return {name: column.tolist() for name, column in own.items() if column is not None and (column != "").any()}


def _notes(benchmark: Benchmark) -> list[str]:
    """Notes about names whose order shows which images belong together."""
    identity = benchmark.identity[benchmark.test_rows]
    identity = identity[identity != NO_IDENTITY]
    if identity.size < 2:
        return []
    share = float((identity[1:] == identity[:-1]).mean())
    counts = np.bincount(identity)
    chance = float(((counts / identity.size) ** 2).sum())
    if share <= CLOSE * chance:
        return []
    return [
        f"image: {100 * share:.0f}% of neighbours in the order of names show the same person, by chance it would be "
        f"{100 * chance:.1f}%: names in order of time or person tell who belongs together; {RENAME}"
    ]


def _toml_text(text: str) -> str:
    """Text inside a TOML basic string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
