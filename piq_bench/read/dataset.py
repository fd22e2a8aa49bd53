"""A data set of any known layout to one checked `Benchmark`: our folder, a Market-1501 style folder, a bare table.

Every rule is checked on every load and all problems are raised at once. Rows come out sorted by image id, so that the
order of rows in a file, its format and its line ends cannot change anything later.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal, TypeVar

from piq_bench.errors import BadDataset, Problem, first_few, quoted
from piq_bench.read.annotations import EMPTY_SET, LABEL_SEPARATOR, RESERVED, parse_table
from piq_bench.read.market1501 import FOLDERS, is_market1501, read_market1501
from piq_bench.read.market1501 import RULES as MARKET1501
from piq_bench.read.rows import Rows, declared
from piq_bench.read.rules import CandidateRules, column_problems, ordered
from piq_bench.read.table import SUFFIXES, Table, read_table
from piq_bench.read.validate import identity_problems, text_fault
from piq_bench.read.vocabulary import DEFAULT_TASKS, FILE, Vocabulary, inspect_vocabulary
from piq_bench.records import CLASSIFICATION, RETRIEVAL, SAME_GROUP, Benchmark, Grouping, Groups, Rule, Task

BUNDLED = "portrait-mini"
MAX_INFERRED_LABELS = 1000  # a column with more different values is no set of labels
Layout = Literal["folder", "market1501", "table"]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Inspection:
    """A data set whose form is right, with what is wrong or remarkable about its content.

    Attributes:
        benchmark: as `read_benchmark` gives it.
        integrity: broken rules between rows, for which `read_benchmark` refuses the data set: people in train and
            test, queries nobody can answer.
        notes: what was passed over: columns and files without a meaning.
    """

    benchmark: Benchmark
    integrity: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def read_benchmark(path: Path | None, *, need_labels: bool = True, with_groups: bool = True) -> Benchmark:
    """Read a data set to score against.

    Args:
        path: a folder, or a .csv or .parquet file; None for the benchmark bundled with the package.
        need_labels: whether labels and identities must be there; without them only the format of a submission can
            be checked.
        with_groups: whether to read stored groups; not where they are about to be made anew.

    Raises:
        BadDataset: with every problem found.
        LimitExceeded: if a file is too large.
    """
    inspection = inspect_dataset(path, need_labels=need_labels, with_groups=with_groups)
    problems = list(inspection.integrity)
    if not inspection.benchmark.test_rows.size:
        found = "every image is of split train"
        problems.append(Problem("no-test-images", "split", found, "query and gallery images: the test set"))
    if problems:
        raise BadDataset(str(path or BUNDLED), problems)
    return inspection.benchmark


def inspect_dataset(path: Path | None, *, need_labels: bool = True, with_groups: bool = True) -> Inspection:
    """Read a data set to describe it: the same, but what makes it unfit for scoring is handed back.

    Raises:
        BadDataset: if its form is wrong, with every problem found.
        LimitExceeded: if a file is too large.
    """
    root = Path(str(resources.files("piq_bench") / "data" / BUNDLED)) if path is None else path
    try:
        if root.is_file():
            return _Reading(root, root.parent, need_labels, with_groups).bare_table()
        if root.is_dir():
            reading = _Reading(root, root, need_labels, with_groups)
            if is_market1501(root) and not any((root / f"annotations{suffix}").exists() for suffix in SUFFIXES):
                return reading.market1501()
            return reading.folder()
        problem = Problem("missing-dataset", root.name, "there is no such file or folder", "the path of a data set")
    except OSError as error:
        remedy = "files and folders that this user may read"
        problem = Problem("unreadable-file", root.name, str(error.strerror or error), remedy)
    raise BadDataset(str(root), [problem])


class _Reading:
    """One data set on its way in; problems pile up until the end."""

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

    def folder(self) -> Inspection:
        """benchmark.toml, annotations and perhaps groups."""
        vocabulary = self._vocabulary()
        file = self._one_of("annotations", needed=True)
        read = self._attempt(lambda: read_table(file)) if file else None
        tasks = vocabulary.tasks if vocabulary else ()
        rows = self._parse(*read, tasks, need_labels=self.need_labels and bool(tasks)) if read else None
        return self._finish(rows, vocabulary, "folder")

    def market1501(self) -> Inspection:
        """Names of image files; a benchmark.toml may name the data set and its grouping."""
        rows, problems, notes = read_market1501(self.root)
        self.problems += problems
        self.notes += notes
        name = self.root.resolve().name
        tasks = tuple(task for task in DEFAULT_TASKS if task.kind == RETRIEVAL)
        vocabulary: Vocabulary | None = Vocabulary(name, "", "", tasks, Grouping(), has_tasks=False)
        if (self.root / FILE).exists():
            vocabulary = self._vocabulary()
        if vocabulary is not None and vocabulary.has_tasks:
            labelled = [task.name for task in vocabulary.tasks if task.kind == CLASSIFICATION]
            if labelled:
                found = f"tasks {first_few(labelled, len(labelled))}, for which file names hold no label"
                remedy = "only the retrieval task, or an annotations.csv"
                self.problems.append(Problem("task-without-labels", FILE, found, remedy, len(labelled)))
        elif vocabulary is not None:
            vocabulary = replace(vocabulary, tasks=tasks)
        return self._finish(rows, vocabulary, "market1501")

    def bare_table(self) -> Inspection:
        """A table alone, or with the vocabulary that lies beside it; without a split, all images are of train."""
        read = self._attempt(lambda: read_table(self.source))
        vocabulary: Vocabulary | None
        if (self.root / FILE).exists():
            vocabulary = self._vocabulary()
        else:
            tasks = self._inferred_tasks(read[0]) if read else ()
            vocabulary = Vocabulary(self.source.stem, "", "", tasks, Grouping(), has_tasks=True)
        tasks = vocabulary.tasks if vocabulary else ()
        rows = self._parse(*read, tasks, need_labels=bool(tasks), need_split=False) if read else None
        return self._finish(rows, vocabulary, "table")

    def _vocabulary(self) -> Vocabulary | None:
        read = self._attempt(lambda: inspect_vocabulary(self.root / FILE))
        if read is None:
            return None
        self.problems += read[1]
        return read[0]

    def _attempt(self, read: Callable[[], T]) -> T | None:
        """What `read` returns, or None with its problems noted: the rest of the data set is looked at as well."""
        try:
            return read()
        except BadDataset as refusal:
            self.problems += refusal.problems
            return None

    def _one_of(self, stem: str, *, needed: bool) -> Path | None:
        """The .csv or .parquet file of that name."""
        found = [path for suffix in SUFFIXES if (path := self.root / f"{stem}{suffix}").exists()]
        if len(found) == 1:
            return found[0]
        either = " or ".join(f"{stem}{suffix}" for suffix in SUFFIXES)
        if found:
            problem = Problem("ambiguous-file", stem, "is there as CSV and as Parquet", f"one of them: {either}")
            self.problems.append(problem)
        elif needed:
            remedy = f"{either} beside {FILE}; or a Market-1501 style folder with {', '.join(FOLDERS)}"
            self.problems.append(Problem("missing-file", stem, "there is no table of annotations", remedy))
        return None

    def _parse(
        self,
        table: Table,
        faults: list[Problem],
        tasks: tuple[Task, ...],
        *,
        need_labels: bool,
        need_split: bool = True,
    ) -> Rows | None:
        parsed = parse_table(table, tasks, need_labels=need_labels, need_split=need_split)
        self.problems += faults + parsed.problems
        self.complete = not faults
        self.labels_file = table.file
        self.notes += [
            Problem(
                "unused-column",
                table.file,
                f"column {quoted(name)} is not read",
                "nothing, a task of that name, or a rule",
            )
            for name in parsed.unused
        ]
        return parsed.rows

    def _inferred_tasks(self, table: Table) -> tuple[Task, ...]:
        """Every column of a bare table with a meaning of its own is a task; its labels are the values in it."""
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
        path = self._one_of("groups", needed=False) if self.with_groups else None
        if path is None:
            return None
        from piq_bench.read.groups import read_groups  # only here: most data sets have none

        return self._attempt(lambda: read_groups(path, rows.images, rows.split, grouping))

    def _finish(self, rows: Rows | None, vocabulary: Vocabulary | None, layout: Layout) -> Inspection:
        groups = None
        if rows is not None and vocabulary is not None and layout != "table" and not self.problems:
            groups = self._groups(rows, vocabulary.grouping)
        standard, folder = (MARKET1501, ".") if layout == "market1501" else (CandidateRules(), "images")
        if rows is not None and vocabulary is not None:
            rules = vocabulary.candidates.over(standard)
            rows = declared(rows, rules.junk or (), rules.distractors or ())
            if self.complete:  # people of rows that could not be read would be missed
                file, identity, names = self.labels_file, rows.identity, rows.identities
                self.integrity += identity_problems(file, rows.split, identity, names, rows.place)
        if self.problems or rows is None or vocabulary is None:
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
            persons=vocabulary.candidates.persons,
            root=self.root,
            images_folder=vocabulary.images_folder or folder,
            layout=layout,
        )
        benchmark = self._with_rules(benchmark, vocabulary.candidates.exclude, standard.exclude or ())
        return Inspection(benchmark, tuple(self.integrity), tuple(self.notes))

    def _with_rules(self, benchmark: Benchmark, own: tuple[Rule, ...] | None, standard: tuple[Rule, ...]) -> Benchmark:
        """The data set's own exclusion rules, or else those of its layout and the one for near-duplicates."""
        grouped = (SAME_GROUP,) if benchmark.groups is not None else ()
        rules = (*grouped, *standard) if own is None else own
        if benchmark.groups is None:  # they may be made later: the score says that there are none
            rules = tuple(rule for rule in rules if "group" not in rule.columns)
        problems = column_problems(f"{FILE}: retrieval.exclude", rules, benchmark.rule_columns)
        if problems:
            raise BadDataset(str(self.source), problems)
        return replace(benchmark, exclude=ordered(rules), rules_declared=own is not None)
