"""Splits a data set in its folder: reads it without its split, divides it, writes the new split and groups to fit."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from piq_bench.build.split.divide import CannotDivide, Columns, Shares, divide
from piq_bench.build.split.groups import groups_of_test, keep_all, stored_groups
from piq_bench.build.split.table import write_split
from piq_bench.errors import BadDataset, BadUsage, Problem, first_few
from piq_bench.group.build import write_groups
from piq_bench.read.annotations import parse_table
from piq_bench.read.groups import read_groups
from piq_bench.read.rows import declare_identities
from piq_bench.read.table import SUFFIXES, Table, read_table
from piq_bench.read.vocabulary import FILE, inspect_vocabulary
from piq_bench.records import GALLERY, GIVEN, QUERY, SAME_GROUP, TRAIN, Benchmark, joint_codes


@dataclass(frozen=True)
class Divided:
    """What was written.

    Attributes:
        path: the table of annotations.
        has_groups: whether near-duplicate groups were known.
        has_films: whether the films of images were known.
        n_people: number of identities.
        n_train: number of those in train.
        n_queried: number of those with a query.
    """

    path: Path
    has_groups: bool
    has_films: bool
    n_people: int
    n_train: int
    n_queried: int


def split_dataset(folder: Path, shares: Shares, *, force: bool) -> Divided:
    """Splits the data set of a folder with benchmark.toml and annotations.

    Args:
        folder: the data set.
        shares: how much goes where.
        force: whether to replace a split that is there.

    Raises:
        BadUsage: if the data set is none of our own, or split already.
        BadDataset: if its files have problems, or it cannot be split; nothing is changed.
    """
    path = _annotations(folder)
    table, problems = read_table(path, any_type=True)
    _refuse_split(path, table, force=force)
    benchmark = _unsplit(folder, path, table, problems)
    stored = stored_groups(folder)
    if stored is not None:
        groups, _ = read_groups(stored, benchmark.images, benchmark.split, benchmark.grouping)
        benchmark = replace(benchmark, groups=groups)
    if shares.whole_films and benchmark.source is None:
        found, remedy = "there is no column 'source' that names films", "add it, or leave out --whole-films"
        raise BadUsage(str(path), [Problem("no-source", "--whole-films", found, remedy)])
    try:
        split = divide(_columns(benchmark), shares)
    except CannotDivide as reason:
        raise BadDataset(str(path), [Problem(reason.code, "split", reason.found, reason.remedy)]) from None
    if stored is not None:
        keep_all(stored)
    write_split(path, dict(zip(benchmark.images.tolist(), split.tolist(), strict=True)))
    if stored is not None and benchmark.groups is not None and benchmark.groups.grouping != GIVEN:
        report = groups_of_test(replace(benchmark, split=split, groups=None), stored, benchmark.groups)
        write_groups(stored.with_name(f"groups{stored.suffix}"), report)

    def people(*splits: int) -> int:
        return np.unique(benchmark.identity[np.isin(split, splits) & (benchmark.identity >= 0)]).size

    return Divided(
        path, stored is not None, benchmark.source is not None, len(benchmark.identities), people(TRAIN), people(QUERY)
    )


def _annotations(folder: Path) -> Path:
    found = [path for suffix in SUFFIXES if (path := folder / f"annotations{suffix}").is_file()]
    if len(found) == 1:
        if not found[0].is_symlink():
            return found[0]
        problem = Problem("link", found[0].name, "is a link, and what it leads to would be changed", "copy the file")
    elif found:
        problem = Problem("ambiguous-file", "annotations", "exists as CSV and as Parquet", "keep one of them")
    else:
        remedy = "name a folder of `piq collect`, `piq init` or `piq import`"
        problem = Problem("missing-file", "DATASET", "there is no annotations.csv or annotations.parquet", remedy)
    raise BadUsage(str(folder), [problem])


def _refuse_split(path: Path, table: Table, *, force: bool) -> None:
    found = sorted(table.columns["split"].distinct - {""}) if "split" in table.columns else []
    if len(found) > 1 and not force:
        text = f"images are split already, into {first_few(found, len(found))}"
        remedy = "use --force to split them anew; results of the old split are then no longer comparable"
        raise BadUsage(str(path), [Problem("is-split", "split", text, remedy)])


def _unsplit(folder: Path, path: Path, table: Table, problems: list[Problem]) -> Benchmark:
    """The data set with all images in the gallery."""
    vocabulary, faults = inspect_vocabulary(folder / FILE)
    others = {name: column for name, column in table.columns.items() if name != "split"}
    parsed = parse_table(replace(table, columns=others), vocabulary.tasks, need_labels=False, need_split=False)
    problems = [*faults, *problems, *parsed.problems]
    if problems or parsed.rows is None:
        raise BadDataset(str(path), problems)
    rules = vocabulary.candidates
    rows = declare_identities(parsed.rows, rules.junk or (), rules.distractors or ())
    return Benchmark(
        name=vocabulary.name,
        version=vocabulary.version,
        licence=vocabulary.licence,
        tasks=vocabulary.tasks,
        grouping=vocabulary.grouping,
        images=rows.images,
        split=np.full(rows.images.size, GALLERY, dtype=np.int64),
        identity=rows.identity,
        identities=rows.identities,
        labels=rows.labels,
        junk=rows.junk,
        distractor=rows.distractor,
        source=rows.source,
        sequence=rows.sequence,
        camera=rows.camera,
        groups=None,
        columns=rows.columns,
        exclude=(SAME_GROUP,) if rules.exclude is None else rules.exclude,
        root=folder,
    )


def _columns(benchmark: Benchmark) -> Columns:
    """The codes that a division depends on."""
    known = benchmark.rule_columns
    excluded = []
    for rule in benchmark.exclude:
        agree = [name for name in rule.agree if name != "identity"]  # images of one person agree in it
        if agree and set(agree) <= set(known):
            excluded.append(joint_codes([benchmark.codes(name) for name in agree]))
        elif not agree:
            excluded.append(np.zeros(benchmark.images.size, dtype=np.int64))
    nothing = np.full(benchmark.images.size, -1, dtype=np.int64)
    return Columns(
        identity=benchmark.identity,
        group=nothing if benchmark.groups is None else benchmark.groups.group,
        film=nothing if benchmark.source is None else benchmark.codes("source"),
        excluded=tuple(excluded),
    )
