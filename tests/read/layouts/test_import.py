"""`piq import` takes every public data set by its name, and refuses what it cannot write down or does not find."""

from pathlib import Path

import mat_builders as mat
import numpy as np
import pytest
from click.testing import CliRunner, Result
from folders import write_csv, write_market
from layout_builders import CELEB, MARKET

from piq_bench.cli import load_command
from piq_bench.errors import BadDataset, BadUsage
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.read.layouts.labelled import EXPECTED, READERS, TITLES

OML = ("label", "split", "is_query", "is_gallery", "path")
ROWS = (("1", "train", "", "", "1.jpg"), ("2", "validation", "1", "", "2.jpg"), ("2", "validation", "", "1", "3.jpg"))
PA100K = {part: np.ones((1, 5), dtype=np.int64) for part in ("train", "val", "test")}
PEOPLE = {"bounding_box_train": "0002", "query": "0001", "bounding_box_test": "0001"}
NAMES = {
    folder: [f"{person}_c{camera}s1_000451_03.jpg"] for camera, (folder, person) in enumerate(PEOPLE.items(), start=1)
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("import"), [*map(str, arguments)])


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Market-1501 with attributes beside it."""
    folder = write_market(tmp_path / "Market-1501", NAMES)
    train, test = (mat.people(mat.MARKET, [name], upred=[2], downblue=[2]) for name in ("0002", "0001"))
    mat.write_market_attribute(tmp_path / "Market-1501_Attribute" / "market_attribute.mat", train, test)
    return folder


def test_data_sets_with_attributes_and_tables_have_names_too(market: Path, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "df.csv", ROWS, OML)
    for layout, path in (("market-attribute", market), ("market-attribute", tmp_path), ("oml", table)):
        out = tmp_path / f"{layout}-{path.name}"
        assert run(layout, path, "--out", out).exit_code == 0
        assert fingerprint(read_benchmark(out)) == fingerprint(read_benchmark(market if path == tmp_path else path))
    help_text = run("--help").stdout
    assert all(name in help_text for name in READERS)
    assert READERS.keys() == TITLES.keys() == EXPECTED.keys()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", '[["group"], ["identity", "camera"]]'),
        ("exclude = []", "[]"),
        ('exclude = [["identity", "camera"]]', '[["identity", "camera"]]'),
        ('exclude = [["camera", "group"]]', '[["camera", "group"]]'),
    ],
)
def test_the_rules_of_the_data_set_are_imported_as_they_are(
    market: Path, own: str, expected: str, tmp_path: Path
) -> None:
    """There are no groups yet: a rule for them waits until they are made, and none is added."""
    head = 'schema = "piq-bench/benchmark/1"\nname = "m"\nversion = "1"\nlicence = "none"\n'
    (market / "benchmark.toml").write_text(f"{head}[retrieval]\n{own}\n", encoding="utf-8")
    done = run("auto", market, "--out", tmp_path / "own")
    assert done.exit_code == 0, done.output
    assert f"exclude = {expected}\n" in (tmp_path / "own" / "benchmark.toml").read_text(encoding="utf-8")


def test_a_layout_that_is_not_there_is_refused_with_what_it_needs(market: Path, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"has no file of PA-100K\s+-> expected annotation\.mat"):
        inspect_dataset(market, layout="pa100k")
    with pytest.raises(BadUsage, match="did you mean 'pa100k'"):
        inspect_dataset(market, layout="pa-100k")
    assert run("oml", tmp_path / "nothing", "--out", tmp_path / "own").exit_code == 4


def test_market1501_by_name_leaves_the_attributes_out_and_has_no_taxonomy(market: Path, tmp_path: Path) -> None:
    assert [task.name for task in inspect_dataset(market, layout="market1501").benchmark.tasks] == ["reid"]
    refused = run("market1501", market, "--out", tmp_path / "own", "--taxonomy", "portrait")
    assert refused.exit_code == 2 and "'portrait' cannot be applied to this data set" in refused.stderr


def test_data_sets_of_different_kinds_in_one_folder_are_ambiguous(tmp_path: Path) -> None:
    CELEB.write(tmp_path / "data")
    for name in ("A", "B"):
        mat.write_pa100k(tmp_path / "data" / name, PA100K)
        with pytest.raises(BadDataset, match=r"folders hold data sets: 'A'.*\s+-> pass one of them"):
            read_benchmark(tmp_path / "data")
    with pytest.raises(BadDataset, match="2 folders hold data sets: 'A', 'B'"):
        inspect_dataset(tmp_path / "data", layout="pa100k")


@pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "a\udcff", " a"])
def test_a_folder_whose_name_cannot_be_that_of_a_benchmark_has_the_title_of_its_layout(
    name: str, tmp_path: Path
) -> None:
    folder = MARKET.write(tmp_path / "given").rename(tmp_path / name)
    assert read_benchmark(folder).name == "Market-1501"
    refused = run("auto", folder, "--out", tmp_path / "own")
    if name.isprintable():
        assert refused.exit_code == 0
    else:
        assert (refused.exit_code, "it has control characters" in refused.stderr) == (2, True)
        assert not (tmp_path / "own").exists()
    table = write_csv(tmp_path / f"{name[:100]}.csv", ROWS, OML)
    assert read_benchmark(table).name in ("a table of OpenMetricLearning", name[:100])


def test_messages_name_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    for path in (Path(), Path("..", "mine", "..", "mine"), Path("query", "..")):
        with pytest.raises(BadDataset, match="mine  has no images"):
            read_benchmark(path)


def test_a_folder_of_many_tables_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from piq_bench.read.layouts import named_columns

    monkeypatch.setattr(named_columns, "MAX_TABLES", 2)
    write_csv(tmp_path / "df.csv", ROWS, OML)
    (tmp_path / "other.csv").touch()
    assert read_benchmark(tmp_path).layout == "oml"
    (tmp_path / "third.csv").touch()
    with pytest.raises(BadDataset, match="there is no annotation table"):
        read_benchmark(tmp_path)
    assert read_benchmark(tmp_path / "df.csv").layout == "oml"


def test_a_submission_to_the_folder_scores_the_same_on_the_import(market: Path, tmp_path: Path) -> None:
    assert run("auto", market, "--out", tmp_path / "own").exit_code == 0
    template = [*("--dataset", str(market)), "--out", str(tmp_path / "t.npz")]
    assert CliRunner().invoke(load_command("template"), template).exit_code == 0
    scores = []
    for folder in (market, tmp_path / "own"):
        arguments = [str(tmp_path / "t.npz"), "--dataset", str(folder), "--json", "-"]
        scored = CliRunner().invoke(load_command("score"), arguments)
        assert scored.exit_code == 0, scored.stderr
        recognised = "data set: recognised as Market-1501 with Market-1501_Attribute (market-attribute)"
        assert (recognised in scored.stderr) == (folder == market)
        scores.append(scored.stdout)
    assert scores[0] == scores[1]


def test_features_alone_do_not_answer_a_data_set_of_attributes(tmp_path: Path) -> None:
    folder = mat.write_pa100k(tmp_path / "PA-100K", PA100K)
    np.save(tmp_path / "probabilities.npy", np.zeros((1, 5), dtype=np.float32))
    arguments = [str(tmp_path / "probabilities.npy"), "--dataset", str(folder)]
    for command, remedy in (("convert", "`piq template` writes an example"), ("score", "named like its task")):
        refused = CliRunner().invoke(load_command(command), arguments)
        assert remedy in refused.stderr, refused.stderr
    (tmp_path / "own").mkdir()  # as the remedy says
    np.save(tmp_path / "own" / "attributes.npy", np.zeros((1, 5), dtype=np.float32))
    np.save(tmp_path / "own" / "image.npy", np.array(["000003.jpg"]))
    arguments = [str(tmp_path / "own"), "--dataset", str(folder)]
    assert CliRunner().invoke(load_command("check"), arguments).exit_code == 0


def test_whether_a_data_set_is_found_does_not_hang_on_the_order_of_a_folder(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:03}").mkdir()
    mat.write_pa100k(tmp_path / "PA-100K", PA100K)
    mat.write_pa100k(tmp_path / "__MACOSX", PA100K)
    assert read_benchmark(tmp_path).layout == "pa100k"
    for number in range(200, 1000):
        (tmp_path / f"{number:03}").mkdir()
    with pytest.raises(BadDataset, match="there is no annotation table"):  # too many to search
        read_benchmark(tmp_path)


def test_an_incomplete_public_data_set_is_named_before_what_our_own_folders_need(tmp_path: Path) -> None:
    (tmp_path / "bounding_box_train").mkdir()
    (tmp_path / "query").mkdir()
    with pytest.raises(BadDataset, match="to be read as market1501, it lacks 'bounding_box_test'") as refusal:
        read_benchmark(tmp_path)
    assert [problem.code for problem in refusal.value.problems][-2:] == ["unreadable-file", "missing-file"]
    assert refusal.value.problems[0].code == "unknown-layout"
