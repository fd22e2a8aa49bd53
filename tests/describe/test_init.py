"""`piq init`: the file that it writes is read by the reader of data sets at once, whatever the table looks like."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command
from piq_bench.describe.stats import describe
from piq_bench.read.dataset import inspect_dataset
from piq_bench.records import Task

HEAD = "image,split,identity"
PEOPLE = ["a.jpg,train,p1", "b.jpg,query,p2", "c.jpg,gallery,p2", "d.jpg,gallery,p3"]


def init(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("init"), [str(argument) for argument in arguments])


def table(folder: Path, columns: dict[str, list[str]]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [",".join([HEAD, *columns])]
    lines += [",".join([row, *cells]) for row, cells in zip(PEOPLE, zip(*columns.values(), strict=True), strict=True)]
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def text_of(folder: Path) -> str:
    return (folder / "benchmark.toml").read_text(encoding="utf-8")


def test_tasks_labels_and_rules_are_guessed_and_commented(tmp_path: Path) -> None:
    folder = table(
        tmp_path / "Ours 1",
        {
            "gender": ["male", "female", "", "male"],
            "mood": ["sad|glad", "-", "", "glad"],
            "floor": ["10", "9", "9", "10"],
            "camera": ["c1", "c2", "c1", "c2"],
            "clothes": ["x", "x", "x", "y"],
            "height": ["1.5", "1.6", "1.7", "1.8"],
            "hair colour": ["red", "red", "brown", "brown"],
            "bag": ["n/a", "red", "red", "n/a"],
            "caption": ["", "", "", ""],
        },
    )
    done = init(folder)
    assert done.exit_code == 0, done.output
    benchmark = inspect_dataset(folder).benchmark
    assert (benchmark.name, benchmark.version, benchmark.exclude) == ("Ours 1", "1", ())
    assert benchmark.tasks == (
        Task("reid", "reid", kind="retrieval"),
        Task("gender", "appearance", labels=("female", "male")),
        Task("mood", "attributes", labels=("glad", "sad"), multi_label=True),
        Task("floor", "attributes", labels=("9", "10")),
        Task("bag", "attributes", labels=("n/a", "red")),
    )
    text = text_of(folder)
    assert '\n# exclude = [["group"], ["identity", "camera"], ["clothes"]]\n' in text
    assert "# gallery: 2 images of 2 identities" in text
    for column in ("height", "hair colour", "caption"):
        assert f"#   '{column}' has" in text and f"column '{column}' has" in done.stderr
    assert "'n/a' counts as a label" in text and "no rule uses the column camera" in done.stderr
    (folder / "benchmark.toml").write_text(text.replace("# exclude", "exclude"), encoding="utf-8")
    assert len(inspect_dataset(folder).benchmark.exclude) == 2  # a rule for groups counts once there are some
    assert describe(benchmark, files=False).labels["mood"]["train"].labels == {"glad": 1, "sad": 1}


def test_a_file_that_is_there_is_overwritten_only_by_force(tmp_path: Path) -> None:
    folder = table(tmp_path / "data", {"age": ["1", "2", "1", "2"]})
    (folder / "benchmark.toml").write_text("mine", encoding="utf-8")
    refused = init(folder)
    assert refused.exit_code == 2 and "--force" in refused.stderr and text_of(folder) == "mine"
    assert init(folder, "--force").exit_code == 0 and "[tasks.age]" in text_of(folder)
    (folder / "benchmark.toml").unlink()
    (folder / "benchmark.toml").symlink_to(tmp_path / "elsewhere")
    assert init(folder, "--force").exit_code == 2 and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,split\na.jpg,train\n", "neither a column identity nor a column of labels"),
        ("filename,subset,pid\na.jpg,train,1\n", "if 'filename' is meant, call it 'image'"),
        ("filename,subset,pid\na.jpg,train,1\n", "if 'subset' is meant, call it 'split'"),
        ("image,split,identity\na.jpg,test,1\n", "line 2 ('a.jpg'): 'test'"),
        ("image,split,mood\na.jpg,train,x||y\nb.jpg,train,x\n", "missing"),
        ("image,split,identity\n", "has a header but no rows"),
    ],
)
def test_a_table_that_must_be_corrected_gets_no_file(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.csv").write_text(content, encoding="utf-8")
    done = init(tmp_path)
    assert done.exit_code == 4 and message in done.stderr, done.output
    assert not (tmp_path / "benchmark.toml").exists()


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        assert init(path).exit_code == 2


ODD = {
    "quotes": {'say"so"': ["a", "b", "a", "b"], "back\\slash": ["a", "b", "a", "b"], "x": ['"', "\\", '"', "\\"]},
    "unicode": {"größe": ["klein", "groß", "klein", "groß"], "size": ["kl#ein", "groß", "kl#ein", "groß"]},
    "case": {"Age": ["1", "2", "1", "2"], "AGE": ["1", "2", "1", "2"], "reid": ["1", "2", "1", "2"]},
    "names": {"embedding": ["1", "2", "1", "2"], "2d": ["1", "2", "1", "2"], "group": ["1", "2", "1", "2"]},
    "dashes": {"a": ["-", "-", "-", "-"], "b": ["-", "x", "", "-"], "c": ["", "", "", ""]},
    "separators": {"colour": ["red;blue", "red", "blue", "red"], "plus": ["a+b", "a", "b", "a"]},
    "missing": {"sequence": ["", "", "", ""], "kind": ["nan", "none", "?", "nan"]},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_are_read_at_once(name: str, tmp_path: Path) -> None:
    columns = {key.replace('"', '""').join('""'): [v.replace('"', '""').join('""') for v in cells]
               for key, cells in ODD[name].items()}  # fmt: skip
    folder = table(tmp_path / f"{name} #1 'x'", columns)
    done = init(folder)
    assert done.exit_code == 0, done.output
    inspection = inspect_dataset(folder)
    describe(inspection.benchmark, files=False)
    written = text_of(folder)
    for column in ODD[name]:
        known = {task.name for task in inspection.benchmark.tasks} | {"sequence"}
        assert column in known or repr(column)[1:-1].replace("\\\\", "\\") in written


def test_parquet_a_bare_table_and_identities_that_look_missing(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    folder.mkdir()
    columns = {"image": ["a", "b", "c"], "split": ["train", "query", "gallery"], "identity": ["nan", "-1", "-1"],
               "box": [1.5, 2.5, 3.5], "floor": [1, 2, 1]}  # fmt: skip
    pq.write_table(pa.table(columns), folder / "annotations.parquet")
    done = init(folder)
    assert done.exit_code == 0 and "'-1', 'nan' count as people" in done.stderr.replace("\n", " "), done.output
    assert "'box' is neither text nor whole numbers" in text_of(folder)
    assert [task.name for task in inspect_dataset(folder).benchmark.tasks] == ["reid", "floor"]
    labels = tmp_path / "labels.csv"
    labels.write_text("image,mood\na,x\nb,y\nc,x\n", encoding="utf-8")
    assert init(labels).exit_code == 0
    benchmark = inspect_dataset(labels).benchmark
    assert (benchmark.name, [task.name for task in benchmark.tasks]) == ("labels", ["mood"])


def test_images_and_stored_groups_are_found(tmp_path: Path) -> None:
    folder = table(tmp_path / "data", {"age": ["1", "2", "1", "2"]})
    (folder / "crops").mkdir()
    for image in "abcd":
        (folder / "crops" / f"{image}.jpg").touch()
    (folder / "groups.csv").write_text("image,group\nb.jpg,1\nc.jpg,1\n", encoding="utf-8")
    assert init(folder).exit_code == 0
    benchmark = inspect_dataset(folder).benchmark
    assert (benchmark.images_folder, benchmark.grouping.threshold) == ("crops", 6)
    assert benchmark.groups is not None


def test_the_grouping_of_a_file_by_piq_groups_is_taken_over(tmp_path: Path) -> None:
    folder = table(tmp_path / "data", {"age": ["1", "2", "1", "2"]})
    header = '# piq-bench/groups/1 {"hash": "dhash", "threshold": 4, "mode": "neighbours"}\n'
    (folder / "groups.csv").write_text(header + "image,dhash,group\nb.jpg,,0\n", encoding="utf-8")
    assert init(folder).exit_code == 0
    for line in ('hash = "dhash"', "threshold = 4 ", 'mode = "neighbours"'):
        assert f"\n{line}" in text_of(folder)


def test_columns_that_are_no_tasks_say_why(tmp_path: Path) -> None:
    moods = ["glad;calm", "glad", "calm", "glad;calm", "sad", "sad", "glad", "calm"]
    lines = [f"{i}.jpg,{'gallery' if i else 'query'},p{i % 3},{'mf'[i % 2]},{'mf'[i % 2]},{moods[i]}" for i in range(8)]
    (tmp_path / "annotations.csv").write_text("\n".join([f"{HEAD},gender,Gender,mood", *lines]) + "\n")
    done = init(tmp_path)
    assert done.exit_code == 0 and "split query" not in " ".join(done.output.split())
    text = " ".join(text_of(tmp_path).replace("#", " ").split())
    assert "has the name of another task" in text and "is one of more than" not in text
    assert "joins labels by ';', as in 'glad;calm'" in text


def test_a_table_without_a_query_says_so(tmp_path: Path) -> None:
    (tmp_path / "annotations.csv").write_text(f"{HEAD}\na,train,p\nb,gallery,p\n")
    done = init(tmp_path)
    assert done.exit_code == 0 and "no image is in split query" in " ".join(done.output.split())
