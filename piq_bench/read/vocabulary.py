"""Reads benchmark.toml: a benchmark's name, its tasks, how it groups near-duplicates and who is a candidate.

The vocabulary is data: any tasks and aspects, with or without re-identification. A file without tasks has those of
Portrait250K, whose label names the paper shows only in a picture; these are the names of earlier data sets.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from piq_bench.errors import BadDataset, Problem, printable, quoted
from piq_bench.read.rules import EXAMPLE, CandidateRules, ordered, rule_of
from piq_bench.read.validate import closest, expected, text_fault
from piq_bench.records import CLASSIFICATION, RETRIEVAL, Grouping, Rule, Task

SCHEMA = "piq-bench/benchmark/1"
FILE = "benchmark.toml"
MAX_BYTES = 1 << 20
MAX_THRESHOLD = 12  # of 64 bits; beyond it, unrelated images meet
TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# Columns of annotations and fields of submissions, which no task may be called.
TAKEN = ("image", "split", "identity", "source", "sequence", "camera", "embedding", "meta", "phash", "group")
HASHES = ("phash",)
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
    """What benchmark.toml says.

    Attributes:
        name, version, licence: texts; licence may be empty.
        tasks: in file order; DEFAULT_TASKS if the file has none.
        grouping: parameters of near-duplicate groups.
        has_tasks: whether the file has tasks of its own.
        candidates: who is a candidate of whom.
        images_folder: where image ids are found, relative to the file; None if the file says nothing of it.
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
    """The same with the problems handed back, so that a table can still be checked; without tasks if one is bad.

    Raises:
        BadDataset: if the file cannot be read at all.
    """
    entries = _Entries(path.name)
    top = entries.table(_read_toml(path), "", TABLES)
    schema = entries.text(top, "", "schema", needed=True)
    if schema not in ("", SCHEMA):
        entries.add("schema", "schema", f"is {quoted(schema)}", f"schema = {SCHEMA!r}, the only one so far")
    n_before = len(entries.problems)
    tasks = _tasks(entries, top["tasks"]) if "tasks" in top else DEFAULT_TASKS
    vocabulary = Vocabulary(
        tasks=tasks if len(entries.problems) == n_before else (),
        name=entries.text(top, "", "name", needed=True),
        version=entries.text(top, "", "version", needed=True),
        licence=entries.text(top, "", "licence", needed=False),
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
        if len(raw) > MAX_BYTES:
            problem = Problem("toml-syntax", path.name, f"has more than {MAX_BYTES} bytes", "a short description")
        else:
            return tomllib.loads(raw.decode("utf-8").removeprefix("\ufeff"))
    except OSError as error:
        problem = Problem("unreadable-file", path.name, str(error.strerror or error), f"a readable {FILE}")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem("encoding", path.name, f"line {line} is not UTF-8", "save the file as UTF-8")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = Problem("toml-syntax", path.name, printable(error), "TOML as on https://toml.io")
    raise BadDataset(str(path), [problem])


class _Entries:
    """Takes entries of the wanted type out of a parsed file, and notes what is wrong with the others."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, code: str, key: str, found: str, remedy: str) -> None:
        self.problems.append(Problem(code, f"{self.file}: {printable(key)}" if key else self.file, found, remedy))

    def table(self, value: object, key: str, known: Sequence[str]) -> dict[str, object]:
        """A table whose keys are all known."""
        if not isinstance(value, dict):
            self.add("toml-type", key, f"is {_kind(value)}", f"a table: [{key}]")
            return {}
        for name in value:
            if name not in known:
                meant = closest(name, known)
                remedy = f"did you mean {meant}?" if meant else f"the keys are {', '.join(known)}"
                self.add("unknown-key", _join(key, name), "is no known key", remedy)
        return value

    def text(self, table: Mapping[str, object], key: str, name: str, *, needed: bool) -> str:
        """A text, not empty if needed."""
        if name not in table:
            if needed:
                self.add("missing-key", _join(key, name), "is missing", f'{name} = "..."')
            return ""
        value = table[name]
        if not isinstance(value, str):
            self.add("toml-type", _join(key, name), f"is {_kind(value)}", f'a text in quotes: {name} = "..."')
            return ""
        fault = text_fault(value) or ("it is empty" if needed and not value else None)
        if fault:
            self.add(
                "bad-text", _join(key, name), f"is {quoted(value)}: {fault}", "printable text without blanks around it"
            )
        return value

    def choice(self, table: Mapping[str, object], key: str, name: str, known: Sequence[str]) -> str:
        """One of some texts; the first if it is not there."""
        if name not in table:
            return known[0]
        value = table[name]
        if value not in known:
            self.add("unknown-value", _join(key, name), f"is {quoted(value)}", expected(str(value), known))
            return known[0]
        return str(value)

    def whole_number(self, table: Mapping[str, object], key: str, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`; the default if it is not there."""
        value = table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            shown = quoted(value) if isinstance(value, str | int | float) else _kind(value)
            self.add("unknown-value", _join(key, name), f"is {shown}", f"a whole number from 0 to {most}")
            return default
        return value

    def flag(self, table: Mapping[str, object], key: str, name: str) -> bool:
        """True or false; false if it is not there."""
        value = table.get(name, False)
        if not isinstance(value, bool):
            self.add("toml-type", _join(key, name), f"is {_kind(value)}", "true or false, without quotes")
            return False
        return value


def _grouping(entries: _Entries, value: object) -> Grouping:
    table = entries.table(value, "grouping", ("hash", "threshold", "mode"))
    mode: Literal["components", "neighbours"] = (
        "neighbours" if entries.choice(table, "grouping", "mode", MODES) == "neighbours" else "components"
    )
    return Grouping(
        hash=entries.choice(table, "grouping", "hash", HASHES),
        threshold=entries.whole_number(table, "grouping", "threshold", Grouping.threshold, MAX_THRESHOLD),
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
        entries.add("junk-and-distractor", "retrieval", f"{quoted(both[0])} is declared as both", remedy)
    return found


def _rules(entries: _Entries, value: object) -> tuple[Rule, ...]:
    where, example = "retrieval.exclude", f"a list of rules, each a list of columns: [{EXAMPLE}]"
    if not isinstance(value, list) or not all(isinstance(rule, list) for rule in value):
        entries.add("toml-type", where, "is no list of lists", example)
        return ()
    if len(value) > MAX_RULES:
        entries.add("too-many-rules", where, f"has {len(value)} rules", f"at most {MAX_RULES}")
        return ()
    rules = []
    for number, parts in enumerate(value, 1):
        if not all(isinstance(part, str) for part in parts):
            entries.add("toml-type", where, f"rule {number} is no list of texts", example)
            continue
        rule, fault = rule_of(parts)
        if rule is None:
            entries.add("bad-rule", where, f"rule {number} {fault}", example)
        else:
            rules.append(rule)
    return ordered(rules)


def _names(entries: _Entries, where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        entries.add("toml-type", where, "is no list of identities in quotes", '["-1"]')
        return ()
    return tuple(dict.fromkeys(value))


def _images_folder(entries: _Entries, content: object) -> str | None:
    table = entries.table(content, "images", ("root",))
    return entries.text(table, "images", "root", needed=False) or None


def _tasks(entries: _Entries, value: object) -> tuple[Task, ...]:
    if not isinstance(value, dict):
        entries.add("toml-type", "tasks", f"is {_kind(value)}", "one table per task: [tasks.NAME]")
        return ()
    if not value:
        entries.add("no-tasks", "tasks", "has no task", "at least one [tasks.NAME], or no [tasks] for the default")
    tasks = tuple(_task(entries, name, content) for name, content in value.items())
    folded = [name.casefold() for name in value]
    for name in value:
        if folded.count(name.casefold()) > 1:
            entries.add("task-name", f"tasks.{name}", "differs from another task only in case", "different names")
    retrieval = [task.name for task in tasks if task.kind == RETRIEVAL]
    if len(retrieval) > 1:
        found = f"{len(retrieval)} tasks are of kind 'retrieval': {', '.join(map(quoted, retrieval))}"
        entries.add("two-retrieval-tasks", "tasks", found, "at most one: there is one embedding and one identity")
    return tasks


def _task(entries: _Entries, name: str, content: object) -> Task:
    key = f"tasks.{name}"
    if not TASK_NAME.fullmatch(name):
        entries.add("task-name", key, "is no name of a column and array", "a letter, then letters, digits and '_'")
    table = entries.table(content, key, ("aspect", "kind", "labels", "multi_label"))
    aspect = entries.text(table, key, "aspect", needed=True)
    kind = entries.choice(table, key, "kind", (CLASSIFICATION, RETRIEVAL))
    multi_label = entries.flag(table, key, "multi_label")
    if kind == RETRIEVAL:
        for extra in ("labels", "multi_label"):
            if extra in table:
                entries.add("unknown-key", _join(key, extra), "stands in a retrieval task", "no such key here")
        return Task(name, aspect, kind="retrieval")
    if name in TAKEN:
        entries.add("task-name", key, "is the name of another column or array", f"none of {', '.join(TAKEN)}")
    return Task(name, aspect, labels=_labels(entries, key, table, multi_label), multi_label=multi_label)


def _labels(entries: _Entries, key: str, table: Mapping[str, object], multi_label: bool) -> tuple[str, ...]:
    where = _join(key, "labels")
    if "labels" not in table:
        entries.add("missing-key", where, "is missing", 'labels = ["...", "..."]')
        return ()
    value = table["labels"]
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        entries.add("toml-type", where, "is no list of texts", 'a list of texts: ["...", "..."]')
        return ()
    faults = {label: fault for label in value if (fault := _label_fault(label)) is not None}
    for label, fault in faults.items():
        entries.add("label-name", where, f"{quoted(label)}: {fault}", "printable text without '|', and not '-'")
    twice = sorted({label for label in value if value.count(label) > 1})
    if twice:
        entries.add("label-name", where, f"{', '.join(map(quoted, twice[:3]))} stands twice", "each label once")
    fewest = 1 if multi_label else 2
    if len(value) < fewest:
        entries.add("too-few-labels", where, f"has {len(value)}", f"at least {fewest}")
    return tuple(value)


def _label_fault(label: str) -> str | None:
    if not label:
        return "it is empty, which means not annotated"
    if label == "-":
        return "'-' means that no label applies"
    if "|" in label:
        return "'|' separates labels"
    return text_fault(label)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), "a date")
