"""Valid benchmark.toml files are read as written, and every mistake is named with its remedy."""

from pathlib import Path

import pytest
from folders import TOML

from piq_bench.errors import BadDataset
from piq_bench.read.vocabulary import DEFAULT_TASKS, read_vocabulary
from piq_bench.records import Grouping, Task

NAMES = ["reid", "gender", "age", "physique", "height", "body", "arm", "expression"]
HEAD = 'schema = "piq-bench/benchmark/1"\nname = "x"\nversion = "1"\n'


def refused(folder: Path, content: str | bytes) -> BadDataset:
    path = folder / "benchmark.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadDataset) as refusal:
        read_vocabulary(path)
    return refusal.value


def test_everything_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "benchmark.toml").write_text(TOML, encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "benchmark.toml")
    assert (vocabulary.name, vocabulary.version, vocabulary.licence) == ("tiny", "1", "none")
    assert vocabulary.grouping == Grouping("phash", 6, "components")
    assert vocabulary.tasks == (
        Task("reid", "reid", kind="retrieval"),
        Task("gender", "appearance", labels=("female", "male")),
        Task("mood", "emotion", labels=("happy", "sad", "angry"), multi_label=True),
    )


def test_without_tasks_those_of_portrait250k_apply(tmp_path: Path) -> None:
    (tmp_path / "benchmark.toml").write_text("\ufeff" + HEAD, encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "benchmark.toml")
    assert vocabulary.tasks == DEFAULT_TASKS
    assert not vocabulary.has_tasks
    assert [task.name for task in DEFAULT_TASKS] == NAMES
    assert [task.aspect for task in DEFAULT_TASKS] == ["reid", *["appearance"] * 4, *["posture"] * 2, "emotion"]
    assert [len(task.labels) for task in DEFAULT_TASKS] == [0, 2, 4, 3, 3, 5, 5, 7]
    assert [task.multi_label for task in DEFAULT_TASKS] == [False] * 7 + [True]
    assert vocabulary.grouping == Grouping()


def task(*lines: str, name: str = "t") -> str:
    return HEAD + f"[tasks.{name}]\n" + "\n".join(lines) + "\n"


GOOD = ('aspect = "a"', 'labels = ["x", "y"]')


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("schema = \n", "toml-syntax", "line 1"),
        (b'name = "\xff"\n', "encoding", "line 1 is not UTF-8"),
        ("#" * (1 << 20) + "\n", "toml-syntax", "more than"),
        (HEAD.replace("/1", "/9"), "schema", "piq-bench/benchmark/9"),
        (HEAD.replace("schema", "schem"), "unknown-key", "did you mean schema?"),
        (HEAD.replace("schema", "schem"), "missing-key", "benchmark.toml: schema"),
        (HEAD.replace('name = "x"\n', ""), "missing-key", "benchmark.toml: name"),
        (HEAD.replace('"x"', '""'), "bad-text", "it is empty"),
        (HEAD.replace('"x"', '" x"'), "bad-text", "spaces at its ends"),
        (HEAD.replace('"x"', '"\\u001b[2J"'), "bad-text", r"\x1b[2J"),
        (HEAD.replace('version = "1"', "version = 1"), "toml-type", 'version = "..."'),
        (HEAD + 'license = "MIT"\n', "unknown-key", "did you mean licence?"),
        (HEAD + "grouping = 6\n", "toml-type", "a table: [grouping]"),
        (HEAD + '[grouping]\nhash = "pdq"\n', "unknown-value", "one of 'phash'"),
        (HEAD + "[grouping]\nthreshold = 13\n", "unknown-value", "from 0 to 12"),
        (HEAD + "[grouping]\nthreshold = -1\n", "unknown-value", "'-1'"),
        (HEAD + "[grouping]\nthreshold = 6.0\n", "unknown-value", "'6.0'"),
        (HEAD + "[grouping]\nthreshold = true\n", "unknown-value", "a whole number"),
        (HEAD + '[grouping]\nmode = "neighbors"\n', "unknown-value", "did you mean 'neighbours'?"),
        (HEAD + "[grouping]\ntreshold = 6\n", "unknown-key", "did you mean threshold?"),
        (HEAD + "tasks = []\n", "toml-type", "one table per task"),
        (HEAD + "[tasks]\n", "no-tasks", "at least one"),
        (HEAD + "[tasks]\nt = 3\n", "toml-type", "a table: [tasks.t]"),
        (task(*GOOD, name='"my task"'), "task-name", "a letter, then letters"),
        (task(*GOOD, name='"../x"'), "task-name", "is not a valid task name"),
        (task(*GOOD, name="embedding"), "task-name", "another column or array"),
        (task(*GOOD, name="identity"), "task-name", "another column or array"),
        (task(*GOOD) + '[tasks.T]\naspect = "a"\nlabels = ["x", "y"]\n', "task-name", "only in case"),
        (task(GOOD[1]), "missing-key", "tasks.t.aspect"),
        (task(GOOD[0]), "missing-key", "tasks.t.labels"),
        (task(*GOOD, 'kind = "retreival"'), "unknown-value", "did you mean 'retrieval'?"),
        (task(*GOOD, "kind = 1"), "unknown-value", "'1'"),
        (task(*GOOD, 'multi_label = "yes"'), "toml-type", "true or false, without quotes"),
        (task(*GOOD, "multilabel = true"), "unknown-key", "did you mean multi_label?"),
        (task(*GOOD, 'kind = "retrieval"'), "unknown-key", "not allowed in a retrieval task"),
        (task('aspect = "a"', 'labels = "x"'), "toml-type", "a list of texts"),
        (task('aspect = "a"', "labels = [1, 2]"), "toml-type", "a list of texts"),
        (task('aspect = "a"', 'labels = ["x"]'), "too-few-labels", "at least 2"),
        (task('aspect = "a"', "labels = []", "multi_label = true"), "too-few-labels", "at least 1"),
        (task('aspect = "a"', 'labels = ["x", "x"]'), "label-name", "'x' occurs twice"),
        (task('aspect = "a"', 'labels = ["x", ""]'), "label-name", "it is empty"),
        (task('aspect = "a"', 'labels = ["x", "-"]'), "label-name", "no label applies"),
        (task('aspect = "a"', 'labels = ["x", "y|z"]'), "label-name", "'|' is reserved to separate labels"),
        (task('aspect = "a"', 'labels = ["x", "y "]'), "label-name", "spaces at its ends"),
        (
            HEAD + "".join(f'[tasks.{name}]\naspect = "a"\nkind = "retrieval"\n' for name in "ab"),
            "two-retrieval-tasks",
            "'a', 'b'",
        ),
    ],
)
def test_every_mistake_is_named_with_its_remedy(tmp_path: Path, content: str | bytes, code: str, says: str) -> None:
    refusal = refused(tmp_path, content)
    assert code in [problem.code for problem in refusal.problems]
    assert says in str(refusal)
    assert "\x1b" not in str(refusal)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    content = 'name = 3\n[grouping]\nmode = "x"\nthreshold = 99\n[tasks.t]\nlabels = ["-"]\n'
    problems = refused(tmp_path, content).problems
    assert sorted(problem.code for problem in problems) == [
        "label-name",
        "missing-key",  # schema
        "missing-key",  # version
        "missing-key",  # tasks.t.aspect
        "toml-type",
        "too-few-labels",
        "unknown-value",
        "unknown-value",
    ]


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="unreadable-file"):
        read_vocabulary(tmp_path / "benchmark.toml")
