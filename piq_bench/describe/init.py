"""Writes benchmark.toml for a table of annotations, with comments that say what was found and what to check.

It is in this room since it reads a table, which no room before `read` may do. The reader of data sets accepts whatever
is written here: a column that cannot be a task is only mentioned, and a table with faults is refused before.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from piq_bench.describe.guess import REID, Guess, guesses_of, listed
from piq_bench.errors import BadDataset, BadUsage, LimitExceeded, Problem, quoted
from piq_bench.read.annotations import parse_table
from piq_bench.read.groups import stored_grouping
from piq_bench.read.identity_names import look_missing
from piq_bench.read.rows import Rows
from piq_bench.read.rules import EXPECTED
from piq_bench.read.table import SUFFIXES, Table, read_table
from piq_bench.read.validate import text_fault
from piq_bench.read.vocabulary import FILE, MAX_BYTES, SCHEMA
from piq_bench.records import NO_IDENTITY, QUERY, SPLITS, Grouping, Task
from piq_bench.write.files import write_text

N_LOOKED_FOR = 3  # images
MAX_FOLDERS = 100  # in which they are looked for
OTHER_NAMES = {  # names that others give to our columns
    "image": ("filename", "file", "path", "img", "image_path", "name", "image_id"),
    "split": ("subset", "set", "partition", "phase"),
    "identity": ("pid", "person_id", "person", "id", "vid", "identity_id", "label"),
    "camera": ("cam", "camid", "cam_id", "camera_id"),
    "sequence": ("seq", "track", "tracklet", "tracklet_id", "sequence_id"),
}


@dataclass(frozen=True)
class Written:
    """What was written, and what the person who edits it should decide.

    Attributes:
        path: the file.
        summary: its tasks, in a few words.
        doubts: guesses that may be wrong; each stands in the file as a comment too.
    """

    path: Path
    summary: str
    doubts: tuple[str, ...]


def write_init(dataset: Path, *, force: bool) -> Written:
    """Write benchmark.toml into a data set's folder.

    Args:
        dataset: folder with annotations.csv or annotations.parquet, or such a table of any name.
        force: whether a file that is there already may be overwritten.

    Raises:
        BadUsage: if there is no table, or a benchmark.toml already.
        BadDataset: if the table has faults, or nothing to score; nothing is written.
    """
    source = _source(dataset)
    path = source.parent / FILE
    _refuse_existing(path, force=force)
    table, problems = read_table(source, any_type=True)
    guesses = guesses_of(table)
    has_identity = "identity" in table.columns and bool(table.columns["identity"].distinct - {""})
    tasks = tuple(guess.task for guess in guesses if guess.task is not None)
    tasks = (*((REID,) if has_identity else ()), *tasks)
    parsed = parse_table(table, tasks, need_labels=True, need_split=dataset.is_dir())
    problems = [*problems, *(_with_other_name(problem, table) for problem in parsed.problems)]
    if not tasks and not problems:
        found = f"has neither a column identity nor a column of labels: {listed(table.columns)}"
        problems = [Problem("no-tasks", table.file, found, "add what is to be scored")]
    if problems or parsed.rows is None:
        raise BadDataset(str(source), problems)
    text = _text(source, table, parsed.rows, tasks, guesses)
    if len(text.encode()) > MAX_BYTES:
        found = f"the labels of {len(tasks)} tasks would need {len(text.encode())} bytes"
        raise LimitExceeded(str(path), [Problem("too-large", FILE, found, f"at most {MAX_BYTES} bytes")])
    write_text(path, text)
    n_labelled = len(tasks) - has_identity
    counted = f"{n_labelled} task{'' if n_labelled == 1 else 's'} with labels"
    summary = f"re-id and {counted}" if has_identity else counted
    return Written(path, summary, tuple(_doubts(table, parsed.rows, guesses, has_identity=has_identity)))


def _source(dataset: Path) -> Path:
    """The table to read."""
    if dataset.is_file() and dataset.suffix in SUFFIXES:
        return dataset
    found = [path for suffix in SUFFIXES if (path := dataset / f"annotations{suffix}").exists()]
    if len(found) == 1:
        return found[0]
    either = " or ".join(f"annotations{suffix}" for suffix in SUFFIXES)
    if found:
        problem = Problem(
            "ambiguous-file", "annotations", "exists as CSV and as Parquet", f"keep one of them: {either}"
        )
    elif not dataset.exists():
        problem = Problem("missing-dataset", "DATASET", "no such folder", "check the path")
    else:
        remedy = f"a folder with {either}; `piq import --help` lists public data sets, which need no such table"
        problem = Problem("missing-file", "DATASET", "there is no table of annotations", remedy)
    raise BadUsage(str(dataset), [problem])


def _refuse_existing(path: Path, *, force: bool) -> None:
    if path.is_symlink():  # it came with the data and may lead anywhere
        raise BadUsage(str(path), [Problem("link", FILE, "is a link", "remove it")])
    if path.exists() and not (force and path.is_file()):
        remedy = "edit it, or overwrite it by --force" if path.is_file() else "remove it"
        raise BadUsage(str(path), [Problem("exists", FILE, "is there already", remedy)])


def _with_other_name(problem: Problem, table: Table) -> Problem:
    """The problem of a missing column, with the column that is probably meant."""
    if problem.code != "missing-column":
        return problem
    for name, others in OTHER_NAMES.items():
        meant = next((column for column in table.columns if column.casefold() in others), None)
        if meant is not None and f"no column {quoted(name)}" in problem.found:
            remedy = f"{problem.remedy}; if {quoted(meant)} is meant, call it {quoted(name)}"
            return Problem(problem.code, problem.where, problem.found, remedy)
    return problem


def _text(source: Path, table: Table, rows: Rows, tasks: Sequence[Task], guesses: Sequence[Guess]) -> str:
    """The text of benchmark.toml."""
    name = source.parent.resolve().name if source.stem == "annotations" else source.stem
    lines = [
        f"# Written by `piq init` from {quoted(source.name)}: edit it, and check it with `piq-stats`.",
        "# What follows a # is a comment.",
        *(f"# {line}" for line in _counts(rows)),
        f"schema = {_value(SCHEMA)}",
        f"name = {_value(name if name and text_fault(name) is None else 'benchmark')}",
        'version = "1"  # change it whenever the data change',
        'licence = ""  # such as "CC BY 4.0" or "academic research only"',
    ]
    lines += ["", *_grouping(source.parent), "", *_retrieval(rows), "", *_images(source.parent, rows)]
    lines += ["", "# PIQ is the mean over aspects, and an aspect that over its tasks: name the aspects as you like."]
    by_name = {guess.column: guess for guess in guesses}
    for task in tasks:
        remark = by_name[task.name].remark if task.name in by_name else ""
        lines += ["", *([f"# {remark}"] if remark else []), f"[tasks.{task.name}]", *_task(task)]
    left_out = [guess for guess in guesses if guess.task is None]
    if left_out:
        lines += ["", "# Columns that are no tasks:", *(f"#   {quoted(one.column)} {one.remark}" for one in left_out)]
    return "\n".join(lines) + "\n"


def _counts(rows: Rows) -> list[str]:
    """Images and people of each split."""
    lines = []
    for index, split in enumerate(SPLITS):
        here = rows.split == index
        people = np.unique(rows.identity[here & (rows.identity != NO_IDENTITY)]).size
        if here.any():
            lines.append(f"{split}: {int(here.sum())} images" + (f" of {people} identities" if people else ""))
    return lines


def _grouping(folder: Path) -> list[str]:
    """How near-duplicates are grouped: as in a groups file that is there, or by default."""
    stored = next((path for suffix in SUFFIXES if (path := folder / f"groups{suffix}").is_file()), None)
    grouping = (None if stored is None else stored_grouping(stored)) or Grouping()
    remark = "`piq groups` finds near-duplicates by these" if stored is None else f"as in {stored.name}"
    return [
        f"[grouping]  # {remark}",
        f"hash = {_value(grouping.hash)}",
        f"threshold = {grouping.max_bits}  # differing bits of 64; near-duplicates differ in so many or fewer",
        f'mode = {_value(grouping.mode)}  # "components": also near-duplicates of near-duplicates; or "neighbours"',
    ]


def _retrieval(rows: Rows) -> list[str]:
    """Who is a candidate: by default only near-duplicates of the query are none."""
    present = {**rows.columns, "camera": rows.camera, "sequence": rows.sequence}
    usable = [name for name in EXPECTED if present.get(name) is not None]
    rules = [["group"], *(["identity", "camera"] if name == "camera" else [name] for name in usable)]
    lines = [
        "[retrieval]",
        "# A gallery image that agrees with a query in all columns of one list is no candidate of that query.",
        '# Without a line that begins with "exclude", these are its near-duplicates alone, once `piq groups` has run.',
    ]
    if usable:
        usual = f"the usual rule{'s' if len(usable) > 1 else ''} for {' and '.join(usable)}"
        lines.append(f"# The next line has {usual}; delete its # to use it.")
    lines.append(f"# exclude = {json.dumps(rules)}")
    missing = look_missing(rows.identities, ())
    if missing:
        lines += [
            f"# {listed(missing)} may mean no identity. Move each to where it belongs, and delete the #:",
            f"# junk = {_values(missing)}  # takes no part at all",
            "# distractors = []  # candidates that are nobody's: never right",
            "# persons = []  # people like others",
        ]
    return lines


def _images(folder: Path, rows: Rows) -> list[str]:
    """Where the images are; they are looked for in this folder and in those directly below it."""
    wanted = [str(image) for image in rows.images[:N_LOOKED_FOR]]
    try:
        below = sorted(path.name for path in folder.iterdir() if path.is_dir())[:MAX_FOLDERS]
    except OSError:
        below = []
    for root in ("images", ".", *below):
        if text_fault(root) is None and all((folder / root / image).is_file() for image in wanted):
            return ["[images]  # where the paths of the column image begin", f"root = {_value(root)}"]
    return [
        "[images]  # where the paths of the column image begin; no image was found, and none is needed for scoring",
        'root = "images"',
    ]


def _task(task: Task) -> list[str]:
    lines = [f"aspect = {_value(task.aspect)}"]
    if task == REID:
        return [*lines, 'kind = "retrieval"  # people of the column identity']
    lines.append(f"labels = {_values(task.labels)}")
    return (
        [*lines, "multi_label = true  # cells join labels by |, and - is none of them"] if task.multi_label else lines
    )


def _doubts(table: Table, rows: Rows, guesses: Iterable[Guess], *, has_identity: bool) -> list[str]:
    """What a person should decide, most important first."""
    doubts = []
    if not has_identity:
        other = next((name for name in table.columns if name.casefold() in OTHER_NAMES["identity"]), None)
        hint = f"; if {quoted(other)} is meant, call it identity" if other else ""
        doubts.append(f"no re-identification: no image has an identity in a column identity{hint}")
    elif not (rows.split == QUERY).any():
        doubts.append("no image is in split query, so that re-identification cannot be scored")
    if missing := look_missing(rows.identities, ()):
        doubts.append(f"the identities {listed(missing)} count as people; see junk under [retrieval]")
    present = {**rows.columns, "camera": rows.camera, "sequence": rows.sequence}
    doubts += [
        f"no rule uses the column {name}; see exclude under [retrieval]"
        for name in EXPECTED
        if has_identity and present.get(name) is not None
    ]
    doubts += [
        f"column {quoted(one.column)} {one.remark}" for one in guesses if one.remark and one.column not in EXPECTED
    ]
    return doubts


def _values(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_value, values))}]"


def _value(value: str) -> str:
    """A TOML basic string; JSON escapes the same characters, as long as it leaves others than ASCII alone."""
    return json.dumps(value, ensure_ascii=False)
