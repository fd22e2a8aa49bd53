"""Reads a data set into a checked `Benchmark`, from our folder, a public data set's own folders or a bare table.

Every rule is checked on every load, and all problems are raised together. Rows are sorted by image id, so that the
order of rows in a file, its format and its line ends cannot change any later result.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from piq_bench.errors import BadDataset, Problem, first_few, quoted
from piq_bench.read.annotations import EMPTY_SET, LABEL_SEPARATOR, RESERVED, parse_table
from piq_bench.read.rows import Rows, declare_identities
from piq_bench.read.rules import CandidateRules, column_problems, ordered
from piq_bench.read.table import SUFFIXES, ReadTable, Table, read_ahead, read_table
from piq_bench.read.validate import identity_problems, text_fault
from piq_bench.read.vocabulary import DEFAULT_TASKS, FILE, Vocabulary, inspect_vocabulary
from piq_bench.records import CLASSIFICATION, RETRIEVAL, SAME_GROUP, Benchmark, Grouping, Groups, Rule, Task

if TYPE_CHECKING:
    from piq_bench.read.layouts.labelled_rows import LabelledRows
    from piq_bench.read.layouts.layout import Layout
    from piq_bench.read.layouts.recognise import Found

BUNDLED = "portrait-mini"
MAX_INFERRED_LABELS = 1000  # a column with more distinct values is not taken for a task
NO_RULES = CandidateRules()
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Inspection:
    """A data set whose files are well-formed, with the problems of its content.

    Attributes:
        benchmark: the data set as `read_benchmark` returns it.
        integrity: problems for which `read_benchmark` refuses the data set: identities in both train and test, queries
            without an image of the same identity in the gallery.
        notes: columns and files that were ignored.
        rows: the rows as read, with the names of junk and distractors.
        rules: the rules of the data set and of its layout; those for near-duplicates even if there are no groups yet.
    """

    benchmark: Benchmark
    integrity: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    rows: Rows
    rules: CandidateRules


def read_benchmark(
    path: "str | PathLike[str] | None",
    *,
    need_labels: bool = True,
    with_groups: bool = True,
    taxonomy: str | None = None,
    tell: Callable[[str], None] = lambda note: None,
) -> Benchmark:
    """Read a data set to score against.

    Args:
        path: a folder, or a .csv or .parquet file, as text or `Path`; None for the benchmark bundled with the package.
        need_labels: whether labels and identities are required; without them only the format of a submission can be
            checked.
        with_groups: whether to read stored near-duplicate groups; false when they are about to be computed anew.
        taxonomy: "portrait" to give labels of a public attribute data set the names of Portrait250K where they mean
            exactly the same; None for its own names.
        tell: called with each note on what was ignored, or differs from the official release.

    Raises:
        BadDataset: with every problem found.
        BadUsage: for a taxonomy that the data set cannot be read in.
        LimitExceeded: if a file is too large.
    """
    inspection = inspect_dataset(path, need_labels=need_labels, with_groups=with_groups, taxonomy=taxonomy)
    problems = list(inspection.integrity)
    if not inspection.benchmark.test_rows.size:
        found = "every image is in split train"
        remedy = "expected query and gallery images, which are the test set"
        problems.append(Problem("no-test-images", "split", found, remedy))
    if problems:
        raise BadDataset(str(path or BUNDLED), problems)
    for note in inspection.notes:
        tell(f"{note.where}: {note.found}")
    return inspection.benchmark


def inspect_dataset(
    path: "str | PathLike[str] | None",
    *,
    need_labels: bool = True,
    with_groups: bool = True,
    layout: str | None = None,
    taxonomy: str | None = None,
) -> Inspection:
    """Read a data set to describe it; like `read_benchmark`, but returns the problems that only prevent scoring.

    Args:
        path: as for `read_benchmark`.
        need_labels: as for `read_benchmark`.
        with_groups: as for `read_benchmark`.
        layout: name of the public data set that the folder holds; None to recognise it.
        taxonomy: as for `read_benchmark`.

    Raises:
        BadDataset: if its files are not well-formed, with every problem found.
        BadUsage: for an unknown layout, or a taxonomy that the data set cannot be read in.
        LimitExceeded: if a file is too large.
    """
    root = Path(str(resources.files("piq_bench") / "data" / BUNDLED)) if path is None else Path(path)
    if root.name in ("", ".."):  # messages name the folder
        root = root.resolve()
    try:
        if layout is None and taxonomy is None and any((root / f"annotations{kind}").exists() for kind in SUFFIXES):
            return _Reader(root, root, need_labels, with_groups).read_own_folder()
        # Only here: a folder of our own need not wait for all other layouts.
        from piq_bench.read.layouts.labelled import READERS, find_labelled
        from piq_bench.read.layouts.recognise import layout_named, nearest, recognise

        wanted = None if layout is None or layout in READERS else layout_named(layout, READERS)
        if root.exists() and (labelled := find_labelled(root, taxonomy, layout)) is not None:
            inner = labelled.root.parent if labelled.root.is_file() else labelled.root
            reader = _Reader(labelled.root, inner, need_labels, with_groups)
            return reader.read_labelled(labelled.layout, labelled.read(labelled.root, taxonomy))
        if root.is_file():
            return _Reader(root, root.parent, need_labels, with_groups).read_bare_table()
        if root.is_dir():
            found = recognise(root, wanted)
            if found is not None:
                return _Reader(root, found.folder, need_labels, with_groups).read_public(found)
            if wanted is not None:
                raise BadDataset(str(root), nearest(root, [wanted]) or [_lacks_all(root, wanted)])
            return _Reader(root, root, need_labels, with_groups).read_own_folder()
        problem = Problem("missing-dataset", root.name, "no such file or folder", "check the path of the data set")
    except OSError as error:
        remedy = "check the path and its permissions"
        problem = Problem("unreadable-file", root.name, str(error.strerror or error), remedy)
    raise BadDataset(str(root), [problem])


def _lacks_all(root: Path, layout: "Layout") -> Problem:
    found = f"has no folder of {layout.title}"
    return Problem("unknown-layout", root.name, found, f"expected {', '.join(layout.needs)}")


def _valid_name(name: str, otherwise: str) -> str:
    """The name of a folder or file, which can be any bytes, or another if it cannot be the name of a benchmark."""
    return name if name and text_fault(name) is None else otherwise


class _Reader:
    """Reads one data set and collects its problems until the end."""

    def __init__(self, source: Path, root: Path, need_labels: bool, with_groups: bool) -> None:
        self.source = source
        self.root = root
        self.need_labels = need_labels
        self.with_groups = with_groups
        self.problems: list[Problem] = []
        self.integrity: list[Problem] = []
        self.notes: list[Problem] = []
        self.labels_file = root.name  # for messages
        self.complete = True  # whether every row of the table could be read
        self.groups_ahead: ReadTable | None = None  # stored groups that are being read

    def read_own_folder(self) -> Inspection:
        """Read a folder with benchmark.toml, annotations and perhaps groups."""
        vocabulary = self._vocabulary()
        file = self._find_table("annotations", required=True)
        annotations_ahead = read_ahead(file, any_type=True) if file else None  # first, since one process reads both
        groups = self.root / "groups.parquet"
        if file and self.with_groups and groups.is_file():
            self.groups_ahead = read_ahead(groups, comment=True)
        read = self._try_read(annotations_ahead) if annotations_ahead else None
        tasks = vocabulary.tasks if vocabulary else ()
        rows = self._parse(*read, tasks, need_labels=self.need_labels and bool(tasks)) if read else None
        if file is None:
            from piq_bench.read.layouts.recognise import nearest

            self.problems = nearest(self.root) + self.problems  # more likely an incomplete public data set
        return self._finish(rows, vocabulary, "folder")

    def read_public(self, found: "Found") -> Inspection:
        """Read a public data set's names of images; a benchmark.toml may set its name, grouping and rules."""
        from piq_bench.read.layouts.rows import read_layout

        rows, problems, notes = read_layout(found.layout, found.scanner)
        self.problems += problems
        self.notes += notes
        if self.root != self.source:
            text = f"{found.layout.title} lies in the folder {quoted(self.root.name)}"
            self.notes.append(Problem("inner-folder", self.source.name, text, "pass that folder"))
        name = _valid_name(self.root.resolve().name, found.layout.title)
        tasks = tuple(task for task in DEFAULT_TASKS if task.kind == RETRIEVAL)
        vocabulary: Vocabulary | None = Vocabulary(name, "", "", tasks, Grouping(), has_tasks=False)
        if (self.root / FILE).exists():
            vocabulary = self._vocabulary()
        if vocabulary is not None and vocabulary.has_tasks:
            labelled = [task.name for task in vocabulary.tasks if task.kind == CLASSIFICATION]
            if labelled:
                fault = f"file names hold no labels for the tasks {first_few(labelled, len(labelled))}"
                remedy = "keep only the retrieval task, or add an annotations.csv"
                self.problems.append(Problem("task-without-labels", FILE, fault, remedy, len(labelled)))
        elif vocabulary is not None:
            vocabulary = replace(vocabulary, tasks=tasks)
        standard = found.layout.rules
        if rows is not None and standard.exclude is not None:
            columns = {"identity", *rows.texts}  # columns that turned out to be empty are no columns
            rules = tuple(rule for rule in standard.exclude if columns.issuperset(rule.columns))
            standard = replace(standard, exclude=rules)
        return self._finish(rows, vocabulary, found.layout.name, standard, ".")

    def read_labelled(self, layout: str, labelled: "LabelledRows") -> Inspection:
        """Take over a public data set; a benchmark.toml may set all but its tasks."""
        from piq_bench.read.layouts.labelled import TITLES

        self.notes += labelled.all_notes()
        name = _valid_name(labelled.name, TITLES[layout])
        vocabulary: Vocabulary | None = Vocabulary(name, "", "", (), Grouping(), has_tasks=False)
        if (self.root / FILE).exists():
            vocabulary = self._vocabulary()
        if vocabulary is not None and vocabulary.has_tasks:
            remedy = "remove [tasks], or write an annotations.csv with tasks of your own"
            self.problems.append(Problem("fixed-tasks", FILE, f"{labelled.name} brings its own tasks", remedy))
        if vocabulary is not None:
            vocabulary = replace(vocabulary, tasks=labelled.tasks)
        return self._finish(labelled.rows, vocabulary, layout, labelled.rules, labelled.images_folder)

    def read_bare_table(self) -> Inspection:
        """Read a table, with benchmark.toml and groups beside it, if any; without a split, all images are in train."""
        read = self._try_read(lambda: read_table(self.source, any_type=True))
        vocabulary: Vocabulary | None
        if (self.root / FILE).exists():
            vocabulary = self._vocabulary()
        else:
            tasks = self._inferred_tasks(read[0]) if read else ()
            vocabulary = Vocabulary(_valid_name(self.source.stem, "table"), "", "", tasks, Grouping(), has_tasks=True)
        tasks = vocabulary.tasks if vocabulary else ()
        rows = self._parse(*read, tasks, need_labels=bool(tasks), need_split=False) if read else None
        return self._finish(rows, vocabulary, "table")

    def _vocabulary(self) -> Vocabulary | None:
        read = self._try_read(lambda: inspect_vocabulary(self.root / FILE))
        if read is None:
            return None
        self.problems += read[1]
        return read[0]

    def _try_read(self, read: Callable[[], T]) -> T | None:
        """The result of `read`; None if it refuses: its problems are collected and the rest is checked as well."""
        try:
            return read()
        except BadDataset as refusal:
            self.problems += refusal.problems
            return None

    def _find_table(self, stem: str, *, required: bool) -> Path | None:
        """The .csv or .parquet file of that name, None if there is none."""
        found = [path for suffix in SUFFIXES if (path := self.root / f"{stem}{suffix}").exists()]
        if len(found) == 1:
            return found[0]
        either = " or ".join(f"{stem}{suffix}" for suffix in SUFFIXES)
        if found:
            remedy = f"keep one of them: {either}"
            self.problems.append(Problem("ambiguous-file", stem, "exists as CSV and as Parquet", remedy))
        elif required:
            remedy = f"add {either} beside {FILE}, or pass a public data set: `piq import --help` lists them"
            self.problems.append(Problem("missing-file", stem, "there is no annotation table", remedy))
        return None

    def _parse(
        self,
        table: Table,
        table_problems: list[Problem],
        tasks: tuple[Task, ...],
        *,
        need_labels: bool,
        need_split: bool = True,
    ) -> Rows | None:
        parsed = parse_table(table, tasks, need_labels=need_labels, need_split=need_split)
        self.problems += table_problems + parsed.problems
        self.labels_file, self.complete = table.file, not table_problems
        self.notes += table.notes
        remedy = "to use it, add a task of that name, or name it in a rule"
        self.notes += [
            Problem("unused-column", table.file, f"column {quoted(name)} is ignored", remedy) for name in parsed.unused
        ]
        return parsed.rows

    def _inferred_tasks(self, table: Table) -> tuple[Task, ...]:
        """Take every column that is not reserved for a task, whose labels are the values in it."""
        tasks = [Task("reid", "reid", kind="retrieval")] if "identity" in table.columns else []
        for name, column in table.columns.items():
            cells = column.distinct - {""}
            multi_label = any(cell == EMPTY_SET or LABEL_SEPARATOR in cell for cell in cells)
            labels = {label for cell in cells for label in cell.split(LABEL_SEPARATOR)} if multi_label else cells
            labels = {label for label in labels - {"", EMPTY_SET} if text_fault(label) is None}
            if name not in RESERVED and 0 < len(labels) <= MAX_INFERRED_LABELS:
                tasks.append(Task(name, "attributes", labels=tuple(sorted(labels)), multi_label=multi_label))
        return tuple(tasks)

    def _groups(self, rows: Rows, grouping: Grouping) -> Groups | None:
        path = self._find_table("groups", required=False) if self.with_groups else None
        if path is None or path == self.source:
            return None
        from piq_bench.read.groups import read_groups  # imported only here: most data sets have no groups

        read = self._try_read(lambda: read_groups(path, rows.images, rows.split, grouping, self.groups_ahead))
        self.notes += read[1] if read else []
        return read[0] if read else None

    def _finish(
        self,
        rows: Rows | None,
        vocabulary: Vocabulary | None,
        layout: str,
        standard: CandidateRules = NO_RULES,
        folder: str = "images",
    ) -> Inspection:
        groups = None
        # A table has the groups beside it, unless it has no split and thus nothing to group.
        is_grouped = layout != "table" or (rows is not None and rows.split.any())
        if rows is not None and vocabulary is not None and is_grouped and not self.problems:
            groups = self._groups(rows, vocabulary.grouping)
        as_read = rows
        rules = vocabulary.candidates.over(standard) if vocabulary is not None else standard
        if rows is not None and vocabulary is not None:
            rows = declare_identities(rows, rules.junk or (), rules.distractors or ())
            if self.complete:  # otherwise rows that could not be read would be missing from the check
                file, identity, names = self.labels_file, rows.identity, rows.identities
                self.integrity += identity_problems(file, rows.split, identity, names, rows.row_name)
        if self.problems or rows is None or as_read is None or vocabulary is None:
            raise BadDataset(str(self.source), self.problems + self.integrity)
        benchmark = Benchmark(
            name=vocabulary.name,
            version=vocabulary.version,
            licence=vocabulary.licence,
            tasks=vocabulary.tasks,
            grouping=vocabulary.grouping,
            images=rows.images,
            split=rows.split,
            identity=rows.identity,
            identities=rows.identities,
            labels=rows.labels,
            junk=rows.junk,
            distractor=rows.distractor,
            source=rows.source,
            sequence=rows.sequence,
            camera=rows.camera,
            groups=groups,
            columns=rows.columns,
            persons=rules.persons,
            root=self.root,
            images_folder=vocabulary.images_folder or folder,
            layout=layout,
        )
        declared = vocabulary.candidates.exclude
        rules = replace(rules, exclude=(SAME_GROUP, *(standard.exclude or ())) if declared is None else declared)
        benchmark = self._with_rules(benchmark, declared, standard.exclude)
        return Inspection(benchmark, tuple(self.integrity), tuple(self.notes), as_read, rules)

    def _with_rules(
        self, benchmark: Benchmark, own: tuple[Rule, ...] | None, standard: tuple[Rule, ...] | None
    ) -> Benchmark:
        """The data set's own exclusion rules, or else those of its layout and the one for near-duplicates."""
        grouped = (SAME_GROUP,) if benchmark.groups is not None else ()
        rules = (*grouped, *(standard or ())) if own is None else own
        if not self.need_labels and not benchmark.identities:  # labels are held back, as in the kit of a challenge
            rules = tuple(rule for rule in rules if {*benchmark.rule_columns, "group"}.issuperset(rule.columns))
        known = tuple(dict.fromkeys((*benchmark.rule_columns, "group")))
        problems = column_problems(f"{FILE}: retrieval.exclude", rules, known)
        if problems:
            raise BadDataset(str(self.source), problems)
        if benchmark.groups is None:  # they may be made later: the score says that there are none
            rules = tuple(rule for rule in rules if "group" not in rule.columns)
        return replace(benchmark, exclude=ordered(rules), rules_declared=own is not None or standard is not None)
