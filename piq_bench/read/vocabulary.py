"""Reads benchmark.toml: a benchmark's name, its tasks, how it groups near-duplicates and who is a candidate.

A benchmark may have any tasks and aspects, with or without re-identification. A file without tasks gets those of
Portrait250K. The paper shows their label names only in a figure, so the names here follow earlier data sets.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from piq_bench.documents import parse_toml
from piq_bench.errors import BadDataset, Problem, printable, quoted
from piq_bench.group.hashes import HASHES
from piq_bench.limits import MAX_LABELS, MAX_TASKS
from piq_bench.read.kinds import N_BYTES, PAGE, POINTER, kind_of
from piq_bench.read.rules import EXAMPLE, CandidateRules, ordered, rule_of
from piq_bench.read.validate import MAX_NAME, MAX_PATH, closest, expected, text_fault
from piq_bench.records import CLASSIFICATION, RETRIEVAL, Grouping, Rule, Task

SCHEMA = "piq-bench/benchmark/1"
FILE = "benchmark.toml"
MAX_BYTES = 1 << 20
MAX_THRESHOLD = 12  # differing bits of 64; above it, unrelated images count as near-duplicates
TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# Names of other columns and arrays, which a task may not have.
RESERVED_NAMES = ("image", "split", "identity", "source", "sequence", "camera", "embedding", "meta", "phash", "group")
MODES = ("components", "neighbours")
TABLES = ("schema", "name", "version", "licence", "grouping", "retrieval", "images", "tasks")
MAX_RULES = 16

DEFAULT_TASKS = (
    Task("reid", "reid", kind="retrieval"),
    Task("gender", "appearance", labels=("female", "male")),
    Task("age", "appearance", labels=("child", "teenager", "adult", "old")),
    Task("physique", "appearance", labels=("thin", "medium", "fat")),
    Task("height", "appearance", labels=("short", "medium", "tall")),
    Task("body", "posture", labels=("standing", "walking_running", "sitting", "bending_squatting", "lying")),
    Task("arm", "posture", labels=("down", "bent", "raised_extended", "crossed", "holding")),
    Task(
        "expression",
        "emotion",
        labels=("happiness", "sadness", "anger", "fear", "surprise", "disgust", "contempt"),
        multi_label=True,
    ),
)


@dataclass(frozen=True)
class Vocabulary:
    """The content of benchmark.toml.

    Attributes:
        name, version, licence: of the benchmark; the licence may be empty.
        tasks: in file order; DEFAULT_TASKS if the file defines none.
        grouping: parameters of the near-duplicate groups.
        has_tasks: whether the file defines tasks.
        candidates: rules of who is a candidate.
        images_folder: where image ids are found, relative to the file; None if the file does not say.
    """

    name: str
    version: str
    licence: str
    tasks: tuple[Task, ...]
    grouping: Grouping
    has_tasks: bool
    candidates: CandidateRules = field(default_factory=CandidateRules)
    images_folder: str | None = None


def read_vocabulary(path: Path) -> Vocabulary:
    """Read and check a benchmark.toml.

    Raises:
        BadDataset: with every problem found.
    """
    vocabulary, problems = inspect_vocabulary(path)
    if problems:
        raise BadDataset(str(path), problems)
    return vocabulary


def inspect_vocabulary(path: Path) -> tuple[Vocabulary, list[Problem]]:
    """Like `read_vocabulary`, but returns the problems, so that a table can still be checked.

    The vocabulary has no tasks if one of them is invalid.

    Raises:
        BadDataset: if the file cannot be read at all.
    """
    entries = _Entries(path.name)
    top = entries.table(_read_toml(path), "", TABLES)
    schema = entries.text(top, "", "schema", required=True)
    if schema not in ("", SCHEMA):
        entries.refuse("schema", "schema", f"is {quoted(schema)}", f"expected schema = {SCHEMA!r}")
    n_before = len(entries.problems)
    tasks = _tasks(entries, top["tasks"]) if "tasks" in top else DEFAULT_TASKS
    vocabulary = Vocabulary(
        tasks=tasks if len(entries.problems) == n_before else (),
        name=entries.text(top, "", "name", required=True),
        version=entries.text(top, "", "version", required=True, may_be_empty=True),
        licence=entries.text(top, "", "licence", required=False),
        grouping=_grouping(entries, top.get("grouping", {})),
        has_tasks="tasks" in top,
        images_folder=_images_folder(entries, top.get("images", {})),
        candidates=_candidates(entries, top.get("retrieval", {})),
    )
    return vocabulary, entries.problems


def _read_toml(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        kind = kind_of(raw[:N_BYTES])
        if kind in (POINTER, PAGE):
            problem = Problem("toml-syntax", path.name, kind.found, kind.remedy)
        elif len(raw) > MAX_BYTES:
            found = f"has more than {MAX_BYTES} bytes"
            problem = Problem("toml-syntax", path.name, found, f"a file of at most {MAX_BYTES} bytes")
        else:
            return parse_toml(raw.decode("utf-8").removeprefix("\ufeff"))
    except OSError as error:
        problem = Problem("unreadable-file", path.name, str(error.strerror or error), f"add a readable {FILE}")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem("encoding", path.name, f"line {line} is not UTF-8", "save the file as UTF-8")
    except ValueError as error:
        problem = Problem("toml-syntax", path.name, printable(error), "correct the syntax: see https://toml.io")
    raise BadDataset(str(path), [problem])


class _Entries:
    """Gets entries of the expected types from a parsed file and collects the problems of all others."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def refuse(self, code: str, key: str, found: str, remedy: str) -> None:
        self.problems.append(Problem(code, f"{self.file}: {printable(key)}" if key else self.file, found, remedy))

    def table(self, value: object, key: str, known: Sequence[str]) -> dict[str, object]:
        """Check that a value is a table with known keys only; an empty table if it is not a table."""
        if not isinstance(value, dict):
            self.refuse("toml-type", key, f"is {_kind(value)}", f"a table: [{key}]")
            return {}
        for name in value:
            if name not in known:
                meant = closest(name, known)
                remedy = f"did you mean {meant}?" if meant else f"the known keys are {', '.join(known)}"
                self.refuse("unknown-key", _join(key, name), "is not a known key", remedy)
        return value

    def text(
        self,
        table: Mapping[str, object],
        key: str,
        name: str,
        *,
        required: bool,
        may_be_empty: bool = False,
        most: int = MAX_NAME,
    ) -> str:
        """A text, which may be absent only if it is not required, and empty if that or `may_be_empty`."""
        if name not in table:
            if required:
                self.refuse("missing-key", _join(key, name), "is missing", f'add {name} = "..."')
            return ""
        value = table[name]
        if not isinstance(value, str):
            self.refuse("toml-type", _join(key, name), f"is {_kind(value)}", f'a text in quotes: {name} = "..."')
            return ""
        fault = text_fault(value, most) or ("it is empty" if required and not value and not may_be_empty else None)
        if fault:
            remedy = "printable text without spaces at its ends"
            self.refuse("bad-text", _join(key, name), f"is {quoted(value)}: {fault}", remedy)
        return value

    def choice(self, table: Mapping[str, object], key: str, name: str, known: Sequence[str]) -> str:
        """One of the known texts; the first of them if it is absent or unknown."""
        if name not in table:
            return known[0]
        value = table[name]
        if value not in known:
            self.refuse("unknown-value", _join(key, name), f"is {quoted(value)}", expected(str(value), known))
            return known[0]
        return str(value)

    def whole_number(self, table: Mapping[str, object], key: str, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`; the default if it is absent or invalid."""
        value = table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            shown = quoted(value) if isinstance(value, str | int | float) else _kind(value)
            self.refuse("unknown-value", _join(key, name), f"is {shown}", f"a whole number from 0 to {most}")
            return default
        return value

    def flag(self, table: Mapping[str, object], key: str, name: str) -> bool:
        """True or false; false if it is absent or invalid."""
        value = table.get(name, False)
        if not isinstance(value, bool):
            self.refuse("toml-type", _join(key, name), f"is {_kind(value)}", "true or false, without quotes")
            return False
        return value


def _grouping(entries: _Entries, value: object) -> Grouping:
    table = entries.table(value, "grouping", ("hash", "threshold", "mode"))
    mode: Literal["components", "neighbours"] = (
        "neighbours" if entries.choice(table, "grouping", "mode", MODES) == "neighbours" else "components"
    )
    return Grouping(
        hash=entries.choice(table, "grouping", "hash", HASHES),
        threshold=entries.whole_number(table, "grouping", "threshold", Grouping().max_bits, MAX_THRESHOLD),
        mode=mode,
    )


def _candidates(entries: _Entries, content: object) -> CandidateRules:
    table = entries.table(content, "retrieval", ("exclude", "junk", "distractors", "persons"))
    found = CandidateRules(
        exclude=_rules(entries, table["exclude"]) if "exclude" in table else None,
        junk=_names(entries, "retrieval.junk", table["junk"]) if "junk" in table else None,
        distractors=_names(entries, "retrieval.distractors", table["distractors"]) if "distractors" in table else None,
        persons=_names(entries, "retrieval.persons", table["persons"]) if "persons" in table else (),
    )
    both = sorted({*(found.junk or ())} & {*(found.distractors or ())})
    if both:
        remedy = "junk takes no part at all; a distractor is a candidate that is never right"
        entries.refuse("junk-and-distractor", "retrieval", f"{quoted(both[0])} is declared as both", remedy)
    return found


def _rules(entries: _Entries, value: object) -> tuple[Rule, ...]:
    where, example = "retrieval.exclude", f"a list of rules, each a list of columns: [{EXAMPLE}]"
    if not isinstance(value, list) or not all(isinstance(rule, list) for rule in value):
        entries.refuse("toml-type", where, "is no list of lists", example)
        return ()
    if len(value) > MAX_RULES:
        entries.refuse("too-many-rules", where, f"has {len(value)} rules", f"at most {MAX_RULES}")
        return ()
    rules = []
    for number, parts in enumerate(value, 1):
        if not all(isinstance(part, str) for part in parts):
            entries.refuse("toml-type", where, f"rule {number} is no list of texts", example)
            continue
        rule, fault = rule_of(parts)
        if rule is None:
            entries.refuse("bad-rule", where, f"rule {number} {fault}", example)
        else:
            rules.append(rule)
    return ordered(rules)


def _names(entries: _Entries, where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        entries.refuse("toml-type", where, "is no list of identities in quotes", '["-1"]')
        return ()
    return tuple(dict.fromkeys(value))


def _images_folder(entries: _Entries, content: object) -> str | None:
    table = entries.table(content, "images", ("root",))
    return entries.text(table, "images", "root", required=False, most=MAX_PATH) or None


def _tasks(entries: _Entries, value: object) -> tuple[Task, ...]:
    if not isinstance(value, dict):
        entries.refuse("toml-type", "tasks", f"is {_kind(value)}", "one table per task: [tasks.NAME]")
        return ()
    if not value:
        remedy = "define at least one [tasks.NAME], or leave out [tasks] to get the default tasks"
        entries.refuse("no-tasks", "tasks", "has no task", remedy)
    if len(value) > MAX_TASKS:
        entries.refuse("too-many-tasks", "tasks", f"has {len(value)} tasks", f"at most {MAX_TASKS}")
        return ()
    tasks = tuple(_task(entries, name, content) for name, content in value.items())
    folded = Counter(name.casefold() for name in value)
    for name in value:
        if folded[name.casefold()] > 1:
            entries.refuse(
                "task-name", f"tasks.{name}", "differs from another task only in case", "choose another name"
            )
    retrieval = [task.name for task in tasks if task.kind == RETRIEVAL]
    if len(retrieval) > 1:
        found = f"{len(retrieval)} tasks are of kind 'retrieval': {', '.join(map(quoted, retrieval))}"
        entries.refuse("two-retrieval-tasks", "tasks", found, "at most one: a submission has one embedding")
    return tasks


def _task(entries: _Entries, name: str, content: object) -> Task:
    key = f"tasks.{name}"
    if not TASK_NAME.fullmatch(name):
        entries.refuse("task-name", key, "is not a valid task name", "a letter, then letters, digits and '_'")
    table = entries.table(content, key, ("aspect", "kind", "labels", "multi_label"))
    aspect = entries.text(table, key, "aspect", required=True)
    kind = entries.choice(table, key, "kind", (CLASSIFICATION, RETRIEVAL))
    multi_label = entries.flag(table, key, "multi_label")
    if kind == RETRIEVAL:
        for extra in ("labels", "multi_label"):
            if extra in table:
                entries.refuse(
                    "unknown-key", _join(key, extra), "is not allowed in a retrieval task", "remove this key"
                )
        return Task(name, aspect, kind="retrieval")
    if name in RESERVED_NAMES:
        entries.refuse(
            "task-name", key, "is the name of another column or array", f"any but {', '.join(RESERVED_NAMES)}"
        )
    return Task(name, aspect, labels=_labels(entries, key, table, multi_label), multi_label=multi_label)


def _labels(entries: _Entries, key: str, table: Mapping[str, object], multi_label: bool) -> tuple[str, ...]:
    where = _join(key, "labels")
    if "labels" not in table:
        entries.refuse("missing-key", where, "is missing", 'add labels = ["...", "..."]')
        return ()
    value = table["labels"]
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        entries.refuse("toml-type", where, "is not a list of texts", 'a list of texts: ["...", "..."]')
        return ()
    if len(value) > MAX_LABELS:
        entries.refuse("too-many-labels", where, f"has {len(value)} labels", f"at most {MAX_LABELS}")
        return ()
    faults = {label: fault for label in value if (fault := _label_fault(label)) is not None}
    for label, fault in faults.items():
        entries.refuse("label-name", where, f"{quoted(label)}: {fault}", "printable text without '|', other than '-'")
    repeated = sorted(label for label, n in Counter(value).items() if n > 1)
    if repeated:
        entries.refuse(
            "label-name", where, f"{', '.join(map(quoted, repeated[:3]))} occurs twice", "list each label once"
        )
    fewest = 1 if multi_label else 2
    if len(value) < fewest:
        entries.refuse("too-few-labels", where, f"has {len(value)} labels", f"at least {fewest}")
    return tuple(value)


def _label_fault(label: str) -> str | None:
    if not label:
        return "it is empty, which means not annotated"
    if label == "-":
        return "'-' is reserved to mean that no label applies"
    if "|" in label:
        return "'|' is reserved to separate labels"
    return text_fault(label)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), "a date")
