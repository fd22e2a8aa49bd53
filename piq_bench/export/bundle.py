"""The parts that bundles for all hosts share: phases, reference data, a starting kit for participants, the evaluator.

A bundle contains the source files of the evaluator that made it, so that the host scores with exactly this version and
needs no network and no published package. A bundle is written whole or not at all, and the same input gives the same
bytes.
"""

import csv
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from platform import python_version_tuple

import numpy as np

from piq_bench import __version__
from piq_bench.errors import BadDataset, BadUsage, Problem, printable, quoted
from piq_bench.export.columns import Column, columns_of
from piq_bench.export.host import Settings
from piq_bench.export.kit import vocabulary_for_participants
from piq_bench.export.pages import Verbatim
from piq_bench.group.stored import parameters_file
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import BUNDLED, read_benchmark
from piq_bench.read.litter import is_litter
from piq_bench.read.submission import takes_matrix
from piq_bench.read.vocabulary import FILE as VOCABULARY
from piq_bench.records import GALLERY, NO_IDENTITY, NOT_ANNOTATED, QUERY, SPLITS, TRAIN, Benchmark
from piq_bench.report.rows import excluded_text
from piq_bench.write.files import new_folder, written_whole
from piq_bench.write.template import write_template

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can hold
TABLES = ("annotations", "groups")
SUFFIXES = (".csv", ".parquet")
SOURCES = (
    ".py",
    ".html",
    ".md",
    ".json",
    ".toml",
    ".csv",
    ".txt",
    ".typed",
)  # of the evaluator, without compiled files
MAX_TITLE = 64  # characters; the limit of Codabench for a leaderboard, below the 100 of EvalAI
KIT_DIMENSION = 4  # of the embeddings in the example, which only shows the format

Files = dict[str, bytes]
"""Content of files by path, with forward slashes."""


@dataclass(frozen=True, eq=False)
class Phase:
    """A part of a challenge with a data set of its own.

    Attributes:
        codename: name in files, such as "phase1".
        name: name that people see.
        benchmark: data set of the phase.
        folder: folder of that data set.
        fingerprint: fingerprint of that data set.
        start, end: times in UTC.
    """

    codename: str
    name: str
    benchmark: Benchmark
    folder: Path
    fingerprint: str
    start: datetime
    end: datetime


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that defines a challenge.

    Attributes:
        title: title of the challenge.
        phases: consecutive phases, all with the same tasks.
        columns: columns of the leaderboard.
        settings: settings of the evaluation.
        precision: number of decimals on the leaderboard.
        per_day, in_all: maximum number of submissions of a participant per day, and per phase.
        contact: e-mail address of the organiser; empty for none.
    """

    title: str
    phases: tuple[Phase, ...]
    columns: tuple[Column, ...]
    settings: Settings
    precision: int
    per_day: int
    in_all: int
    contact: str

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark of the first phase; all phases have the same tasks and labels."""
        return self.phases[0].benchmark


def make_plan(
    datasets: Sequence[Path | None],
    dates: Sequence[datetime],
    *,
    title: str | None,
    disclosure: str,
    n_resamples: int,
    precision: int,
    per_day: int,
    in_all: int,
    contact: str,
) -> Plan:
    """Read the data sets and check that they can form one challenge.

    Args:
        datasets: data set of each phase; None for the bundled one.
        dates: start of each phase, then the end of the last one.
        title: title of the challenge; None for the name of the benchmark.
        disclosure: how much results reveal: a level of `report.disclosure`.
        n_resamples: number of bootstrap resamples for the intervals; 0 for no intervals.
        precision: number of decimals on the leaderboard.
        per_day: maximum number of submissions of a participant per day.
        in_all: maximum number of submissions of a participant per phase.
        contact: e-mail address of the organiser; empty for none.

    Raises:
        BadUsage: if the dates or data sets do not fit together.
        BadDataset: if a data set is broken or not fit for scoring.
    """
    benchmarks = [read_benchmark(dataset) for dataset in datasets]
    problems = [*_date_problems(dates, len(datasets)), *_task_problems(benchmarks)]
    if problems:
        raise BadUsage("phases", problems)
    problems = [problem for benchmark in benchmarks for problem in _scoring_problems(benchmark)]
    if problems:
        raise BadDataset(", ".join(dict.fromkeys(benchmark.name for benchmark in benchmarks)), problems)
    first = benchmarks[0]
    columns = columns_of(first)
    names = [f"{benchmark.name} {benchmark.version}".strip() for benchmark in benchmarks]
    phases = tuple(
        Phase(
            codename=f"phase{number}",
            name=printable(name if names.count(name) == 1 else f"{name}, part {number}", MAX_TITLE),
            benchmark=benchmark,
            folder=_folder(dataset),
            fingerprint=fingerprint(benchmark),
            start=start,
            end=end,
        )
        for number, (name, benchmark, dataset, start, end) in enumerate(
            zip(names, benchmarks, datasets, dates[:-1], dates[1:], strict=True), 1
        )
    )
    return Plan(
        title=printable(title or first.name, MAX_TITLE),
        phases=phases,
        columns=columns,
        settings=Settings(disclosure, n_resamples, tuple(column.key for column in columns)),
        precision=precision,
        per_day=per_day,
        in_all=in_all,
        contact=contact,
    )


def page_values(plan: Plan, host: str) -> dict[str, object]:
    """The values that the page templates show."""
    return {
        "title": plan.title,
        "host": host,
        "benchmark": plan.benchmark,
        "phases": [
            {
                "name": phase.name,
                "start": f"{phase.start:%Y-%m-%d %H:%M}",
                "end": f"{phase.end:%Y-%m-%d %H:%M}",
                "queries": int((phase.benchmark.split == QUERY).sum()),
                "gallery": int((phase.benchmark.split == GALLERY).sum()),
                "train": int((phase.benchmark.split == TRAIN).sum()),
                "fingerprint": phase.fingerprint,
                "excluded": excluded_text(list(map(str, phase.benchmark.exclude))),
                "grouping": None if phase.benchmark.groups is None else phase.benchmark.groups.grouping,
            }
            for phase in plan.phases
        ],
        "columns": plan.columns,
        "reid": plan.benchmark.retrieval_task,
        "matrix": takes_matrix(plan.benchmark),
        "tasks": plan.benchmark.classification_tasks,
        "aspects": list(dict.fromkeys(task.aspect for task in plan.benchmark.tasks)),
        "per_day": plan.per_day,
        "in_all": plan.in_all,
        "disclosure": plan.settings.disclosure,
        "resamples": plan.settings.n_resamples,
        "contact": plan.contact,
        "licence": plan.benchmark.licence,
        "version": Verbatim(__version__),
        "python": Verbatim(python_version()),
    }


def reference_files(phase: Phase) -> Files:
    """The files that scoring needs: the vocabulary, the annotations with labels, and the groups, without images."""
    files = {VOCABULARY: (phase.folder / VOCABULARY).read_bytes()}
    for table in TABLES:
        for suffix in SUFFIXES:
            path = phase.folder / f"{table}{suffix}"
            if path.is_file():
                files[path.name] = path.read_bytes()
    beside = parameters_file(phase.folder / "groups.csv")
    if "groups.csv" in files and beside.is_file():
        files[beside.name] = beside.read_bytes()
    return files


def kit_files(phase: Phase) -> Files:
    """The starting kit: the list of images, the vocabulary and a valid example, without any label or identity."""
    benchmark = phase.benchmark
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "split"])
    writer.writerows((benchmark.images[row], SPLITS[benchmark.split[row]]) for row in benchmark.test_rows)
    with tempfile.TemporaryDirectory() as place:
        example = Path(place) / "submission.npz"
        write_template(example, benchmark, dimension=KIT_DIMENSION, seed=0)
        return {
            VOCABULARY: vocabulary_for_participants(phase.folder / VOCABULARY),
            "annotations.csv": table.getvalue().encode(),
            "submission.npz": example.read_bytes(),
        }


def evaluator_files() -> Files:
    """The source files of this package."""
    files: Files = {}
    _collect(resources.files("piq_bench"), "piq_bench", files)
    return files


def requirements() -> str:
    """The content of a requirements.txt for pip: all that the evaluator needs, each file by its hash."""
    return (resources.files("piq_bench.export") / "requirements.txt").read_text(encoding="utf-8")


def python_version() -> str:
    """The version of this Python, such as "3.12", with which `requirements` works too."""
    return ".".join(python_version_tuple()[:2])


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file whose bytes depend only on the names and content of its files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, files[name])
    return stream.getvalue()


def in_folder(folder: str, files: Mapping[str, bytes]) -> Files:
    """The same files, moved into a folder."""
    return {f"{folder}/{name}": content for name, content in files.items()}


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file whole or not at all.

    Raises:
        BadUsage: if the path exists and `force` is not set, or if it cannot be written.
    """
    _refuse(path, force=force and not path.is_dir())
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def write_folder(path: Path, files: Mapping[str, bytes], *, force: bool, mark: str) -> None:
    """Write a folder whole or not at all.

    Args:
        path: path of the folder.
        files: content of the files by path in the folder.
        force: replace a folder that an earlier run wrote.
        mark: name of a file in every such folder; a folder without it is never removed.

    Raises:
        BadUsage: if the path exists and `force` is not set, or if it cannot be written.
    """
    _refuse(path, force=force and path.is_dir() and not path.is_symlink() and (path / mark).is_file())
    with new_folder(path, replace=force) as temporary:
        for name, content in files.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _refuse(path: Path, *, force: bool) -> None:
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        problem = Problem(
            "no-folder", printable(path.parent), "is not a folder that can be written to", "another place"
        )
        raise BadUsage(str(path), [problem])
    if (path.exists() or path.is_symlink()) and not force:
        remedy = "another name, or --force to replace the output of an earlier run"
        raise BadUsage(str(path), [Problem("exists", printable(path.name), "already exists", remedy)])


def _folder(dataset: Path | None) -> Path:
    return Path(str(resources.files("piq_bench") / "data" / BUNDLED)) if dataset is None else dataset


def _date_problems(dates: Sequence[datetime], n_phases: int) -> list[Problem]:
    if len(dates) != n_phases + 1:
        found = f"{len(dates)} dates for {n_phases} phase{'s' if n_phases > 1 else ''}"
        return [Problem("dates", "--date", found, "the start of each phase, then the end of the last one")]
    if any(later <= earlier for earlier, later in pairwise(dates)):
        return [Problem("dates", "--date", "a date is not later than the one before it", "dates in ascending order")]
    return []


def _task_problems(benchmarks: Sequence[Benchmark]) -> list[Problem]:
    """All phases share one leaderboard, so they need the same tasks and labels."""
    first = benchmarks[0]
    return [
        Problem(
            "other-tasks",
            printable(benchmark.name),
            f"its tasks differ from those of {quoted(first.name)}",
            "data sets with the same tasks and labels",
        )
        for benchmark in benchmarks[1:]
        if benchmark.tasks != first.tasks
    ]


def _scoring_problems(benchmark: Benchmark) -> list[Problem]:
    """A challenge reports PIQ, which needs annotations for every task."""
    where = printable(benchmark.name)
    if benchmark.layout != "folder":
        remedy = "a folder with benchmark.toml and annotations; `piq import auto` writes one of a public data set"
        return [Problem("layout", where, f"is a data set of layout {quoted(benchmark.layout)}", remedy)]
    rows, problems = benchmark.test_rows, []
    for task in benchmark.classification_tasks:
        if not (benchmark.labels[task.name][rows] != NOT_ANNOTATED).any():
            found = f"no query or gallery image is annotated for {quoted(task.name)}"
            problems.append(Problem("nothing-to-score", where, found, "labels, or a benchmark without the task"))
    if benchmark.retrieval_task is not None:
        of_queries, of_gallery = (
            set(np.unique(benchmark.identity[benchmark.split == split]).tolist()) - {NO_IDENTITY}
            for split in (QUERY, GALLERY)
        )
        if not of_queries & of_gallery:
            found = f"no query has an identity{' that is in the gallery' if of_queries else ''}"
            problems.append(Problem("nothing-to-score", where, found, "identities, or a benchmark without re-id"))
    return problems


def _collect(folder: Traversable, name: str, files: Files) -> None:
    """Add the source files below a folder to `files`."""
    for entry in sorted(folder.iterdir(), key=lambda child: child.name):
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__" and not is_litter(entry.name):
                _collect(entry, path, files)
        elif Path(entry.name).suffix in SOURCES and not is_litter(entry.name):
            files[path] = entry.read_bytes()
