"""Market-1501 and DukeMTMC-reID with their attributes are one benchmark of re-identification and attributes."""

import json
from pathlib import Path

import mat_builders as mat
import numpy as np
import pytest
from click.testing import CliRunner
from folders import write_csv, write_market

from piq_bench.cli import load_command
from piq_bench.errors import BadDataset
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.records import SAME_CAMERA, SAME_GROUP, Benchmark, Rule
from piq_bench.write.submission import write_submission

NAMES = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000451_03.jpg", "0007_c2s3_000001_01.jpg"],
    "query": ["0001_c1s1_001051_00.jpg", "0003_c1s1_001051_00.jpg"],
    "bounding_box_test": [
        "-1_c1s1_000401_03.jpg",
        "0000_c1s1_000151_01.jpg",
        "0001_c1s1_000302_01.jpg",
        "0001_c2s1_000301_01.jpg",
        "0003_c6s4_000810_05.jpg.jpg",
        "0004_c6s4_000810_05.jpg",
    ],
}
TRAIN = mat.people(mat.MARKET, ["0002", "0007"], gender=[1, 2], age=[1, 3], upred=[2, 1], downblue=[1, 2])
TEST = mat.people(
    mat.MARKET,
    ["0001", "0003", "0004"],
    gender=[2, 1, 1],
    age=[4, 1, 2],
    up=[1, 2, 1],
    down=[2, 2, 1],
    hat=[2, 1, 1],
    upred=[2, 1, 1],
    upblue=[1, 1, 2],
    downblack=[1, 2, 1],
    downbrown=[1, 1, 2],
)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    folder = write_market(tmp_path / "Market-1501-v15.09.15", NAMES)
    mat.write_market_attribute(tmp_path / "Market-1501_Attribute" / "market_attribute.mat", TRAIN, TEST)
    return folder


def label(benchmark: Benchmark, task: str, image: str) -> str | None:
    index = int(benchmark.labels[task][benchmark.images.tolist().index(image)])
    names = next(known.labels for known in benchmark.tasks if known.name == task)
    return None if index < 0 else names[index]


def test_every_image_has_the_attributes_of_its_person(market: Path) -> None:
    benchmark = read_benchmark(market)
    assert [task.name for task in benchmark.tasks] == [
        *("reid", "gender", "age", "hair", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"),
        *("upper_colour", "lower_colour"),
    ]
    for image in ("bounding_box_test/0001_c1s1_000302_01.jpg", "query/0001_c1s1_001051_00.jpg"):
        found = [label(benchmark, task, image) for task in ("gender", "age", "up", "down", "hat", "upper_colour")]
        assert found == ["female", "old", "long", "short", "yes", "red"]
    third = "bounding_box_test/0003_c6s4_000810_05.jpg.jpg"
    assert [label(benchmark, task, third) for task in ("gender", "age", "hat", "lower_colour", "clothes")] == [
        *("male", "young", "no", "black", "dress")
    ]
    assert label(benchmark, "gender", "bounding_box_train/0002_c2s1_000451_03.jpg") == "male"
    assert label(benchmark, "age", "bounding_box_train/0007_c2s3_000001_01.jpg") == "adult"
    assert label(benchmark, "lower_colour", "bounding_box_train/0007_c2s3_000001_01.jpg") == "blue"
    assert (benchmark.root, benchmark.images_folder) == (market, ".")


def test_junk_distractors_and_people_without_a_colour_are_not_annotated(market: Path) -> None:
    found = inspect_dataset(market)
    benchmark = found.benchmark
    for image in ("bounding_box_test/-1_c1s1_000401_03.jpg", "bounding_box_test/0000_c1s1_000151_01.jpg"):
        assert [label(benchmark, task.name, image) for task in benchmark.classification_tasks] == [None] * 12
    assert benchmark.junk.sum() == benchmark.distractor.sum() == 1
    assert benchmark.exclude == (SAME_CAMERA,)
    assert label(benchmark, "upper_colour", "query/0003_c1s1_001051_00.jpg") is None
    notes = {note.where: note.found for note in found.notes}
    assert notes["market_attribute.mat: test.upper_colour"].startswith("1 people have no colour or several")


def test_a_benchmark_toml_may_change_the_rules(market: Path) -> None:
    toml = 'schema = "piq-bench/benchmark/1"\nname = "mine"\nversion = "1"\n[retrieval]\nexclude = [["camera"]]\n'
    (market / "benchmark.toml").write_text(toml + "distractors = []\n", encoding="utf-8")
    benchmark = read_benchmark(market)
    assert benchmark.exclude == (Rule(("camera",)),)
    assert "0000" in benchmark.identities
    assert "-1" not in benchmark.identities  # junk stays as the data set has it


def test_near_duplicates_are_excluded_beside_the_camera(market: Path) -> None:
    tested = sorted(f"{part}/{name}" for part in ("query", "bounding_box_test") for name in NAMES[part])
    rows = [(image, f"{1 << (8 * (i % 8)) | 1 << i:016x}", str(i)) for i, image in enumerate(tested)]
    write_csv(market / "groups.csv", rows, ("image", "phash", "group"))
    benchmark = read_benchmark(market)
    assert benchmark.groups is not None
    assert benchmark.exclude == (SAME_GROUP, SAME_CAMERA)


@pytest.mark.parametrize("place", ["market_attribute.mat", "attribute/market_attribute.mat"])
def test_the_file_may_lie_inside_the_folder(tmp_path: Path, place: str) -> None:
    folder = write_market(tmp_path / "market", NAMES)
    mat.write_market_attribute(folder / place, TRAIN, TEST)
    assert read_benchmark(folder).classification_tasks


def test_a_market_folder_alone_is_re_identification(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_market(tmp_path / "market", NAMES))
    assert (benchmark.layout, benchmark.classification_tasks) == ("market1501", ())


def test_people_on_one_side_alone_are_noted(tmp_path: Path) -> None:
    folder = write_market(tmp_path / "market", NAMES)
    test = mat.people(mat.MARKET, ["0001", "0003", "0099"])
    mat.write_market_attribute(folder / "market_attribute.mat", TRAIN, test)
    found = inspect_dataset(folder)
    notes = {note.code: note.found for note in found.notes}
    assert notes["no-attributes"] == "1 people of the images are not in it: '0004'"
    assert notes["no-images"] == "1 people have no images: '0099'"
    assert label(found.benchmark, "gender", "bounding_box_test/0004_c6s4_000810_05.jpg") is None


def test_a_value_outside_the_coding_is_named(tmp_path: Path) -> None:
    folder = write_market(tmp_path / "market", NAMES)
    test = mat.people(mat.MARKET, ["0001", "0003", "0004"], age=[1, 5, 1])
    mat.write_market_attribute(folder / "market_attribute.mat", TRAIN, test)
    with pytest.raises(BadDataset, match=r"test\.age\s+'0003' has the value 5\n.*expected 1 to 4"):
        read_benchmark(folder)


def test_a_lost_field_is_named(tmp_path: Path) -> None:
    folder = write_market(tmp_path / "market", NAMES)
    test = {name: value for name, value in TEST.items() if name != "hat"}
    mat.write_market_attribute(folder / "market_attribute.mat", TRAIN, test)
    with pytest.raises(BadDataset, match="test  has no field 'hat'"):
        read_benchmark(folder)


def test_portrait_names_gender_and_age(market: Path) -> None:
    benchmark = read_benchmark(market, taxonomy="portrait")
    tasks = {task.name: task for task in benchmark.tasks}
    assert tasks["gender"].labels == ("female", "male")
    assert tasks["age"].labels == ("child", "teenager", "adult", "old")
    assert tasks["gender"].aspect == tasks["age"].aspect == "appearance"
    assert tasks["hat"].aspect == "attributes"
    own = read_benchmark(market)
    young = {"young": "child", None: None}
    for image in benchmark.images:
        assert label(benchmark, "gender", image) == label(own, "gender", image)
        age = label(own, "age", image)
        assert label(benchmark, "age", image) == young.get(age, age)


def perfect(benchmark: Benchmark, path: Path) -> Path:
    """A submission with the true labels, and one direction of the embedding for each person."""
    rows = benchmark.test_rows
    embedding = np.zeros((rows.size, rows.size + len(benchmark.identities)), dtype=np.float32)
    identity = benchmark.identity[rows]
    embedding[
        np.arange(rows.size), np.where(identity < 0, len(benchmark.identities) + np.arange(rows.size), identity)
    ] = 1
    truth = {task.name: np.maximum(benchmark.labels[task.name][rows], 0) for task in benchmark.classification_tasks}
    truth = {name: values.astype(float) if values.ndim == 2 else values for name, values in truth.items()}
    meta = {"name": "perfect", "benchmark": benchmark.name, "distance": "cosine"}
    write_submission(path, images=benchmark.images[rows], embedding=embedding, predictions=truth, meta=meta)
    return path


def piq(dataset: Path, submission: Path) -> float:
    command = load_command("score")
    options = [str(submission), "--dataset", str(dataset), "--format", "json", "--bootstrap", "0"]
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 0, result.output
    return float(json.loads(result.stdout)["piq"])


def test_a_perfect_submission_scores_1(market: Path, tmp_path: Path) -> None:
    assert piq(market, perfect(read_benchmark(market), tmp_path / "perfect.npz")) == 1.0


DUKE_NAMES = {
    "bounding_box_train": ["0370_c1_f0046182.jpg", "0005_c2_f0046302.jpg"],
    "query": ["0002_c1_f0046182.jpg"],
    "bounding_box_test": ["0002_c2_f0046182.jpg", "0008_c3_f0046182.jpg"],
}


@pytest.fixture
def duke(tmp_path: Path) -> Path:
    train = mat.people(mat.DUKE, ["0005", "0370"], top=[2, 0], upbrown=[2, 1], downred=[2, 1])
    test = mat.people(
        mat.DUKE, ["0002", "0008"], top=[1, 2], shoes=[2, 1], gender=[2, 1], downblack=[2, 1], downblue=[2, 1]
    )
    folder = write_market(tmp_path / "DukeMTMC-reID", DUKE_NAMES)
    mat.write_duke_attribute(tmp_path / "DukeMTMC-attribute-master" / "duke_attribute.mat", train, test)
    return folder


def test_duke_has_several_lower_colours_none_and_unknown_tops(duke: Path) -> None:
    found = inspect_dataset(duke)
    benchmark = found.benchmark
    lower = next(task for task in benchmark.tasks if task.name == "lower_colour")
    assert lower.multi_label
    rows = {image: benchmark.labels["lower_colour"][i].tolist() for i, image in enumerate(benchmark.images)}
    both = [int(name in ("black", "blue")) for name in lower.labels]
    assert rows["query/0002_c1_f0046182.jpg"] == rows["bounding_box_test/0002_c2_f0046182.jpg"] == both
    assert rows["bounding_box_test/0008_c3_f0046182.jpg"] == [-1] * 7
    assert label(benchmark, "top", "bounding_box_train/0370_c1_f0046182.jpg") is None
    assert label(benchmark, "top", "bounding_box_train/0005_c2_f0046302.jpg") == "long"
    assert label(benchmark, "upper_colour", "bounding_box_train/0005_c2_f0046302.jpg") == "brown"
    assert label(benchmark, "upper_colour", "query/0002_c1_f0046182.jpg") is None
    assert [label(benchmark, "shoes", f"bounding_box_test/000{i}_c{c}_f0046182.jpg") for i, c in ((2, 2), (8, 3))] == [
        *("light", "dark")
    ]
    assert any("value 0" in note.found and "'top: 1'" in note.found for note in found.notes)
    assert benchmark.exclude == (Rule(("identity", "camera")),)
    assert benchmark.identities == ("0002", "0005", "0008", "0370")


def test_a_perfect_submission_for_duke_scores_1(duke: Path, tmp_path: Path) -> None:
    benchmark = read_benchmark(duke)
    truth = benchmark.labels["upper_colour"][benchmark.test_rows]
    assert (truth < 0).all()  # a task without annotation is refused, so colour them
    test = mat.people(mat.DUKE, ["0002", "0008"], upred=[2, 1], downblack=[2, 1], downblue=[2, 1])
    file = duke.parent / "DukeMTMC-attribute-master" / "duke_attribute.mat"
    mat.write_duke_attribute(file, mat.people(mat.DUKE, ["0005", "0370"]), test)
    assert piq(duke, perfect(read_benchmark(duke), tmp_path / "perfect.npz")) == 1.0


@pytest.mark.parametrize("taxonomy", [None, "portrait"])
@pytest.mark.parametrize("name", ["market", "duke"])
def test_an_imported_data_set_is_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, taxonomy: str | None
) -> None:
    folder: Path = request.getfixturevalue(name)
    options = ["auto", str(folder), "--out", str(tmp_path / "own"), *(["--taxonomy", taxonomy] if taxonomy else [])]
    result = CliRunner().invoke(load_command("import"), options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    ours, theirs = read_benchmark(tmp_path / "own"), read_benchmark(folder, taxonomy=taxonomy)
    assert ours.tasks == theirs.tasks
    assert ours.exclude == theirs.exclude
    assert (ours.images == theirs.images).all()
    for task in theirs.classification_tasks:
        assert (ours.labels[task.name] == theirs.labels[task.name]).all()


def hostile(kind: str, good: bytes) -> bytes:
    faults = {
        "truncated": good[: len(good) // 2],
        "empty": b"",
        "v7.3": good[:124] + b"\x00\x02" + good[126:],
        "huge header": good[:132] + b"\xff\xff\xff\x7f" + good[136:],
        "pickle": b"\x80\x04\x95" + bytes(200),
    }
    return faults[kind]


@pytest.mark.parametrize("kind", ["truncated", "empty", "v7.3", "huge header", "pickle"])
@pytest.mark.parametrize("command", ["score", "stats"])
def test_a_hostile_file_ends_with_exit_code_4_and_no_traceback(market: Path, command: str, kind: str) -> None:
    file = market.parent / "Market-1501_Attribute" / "market_attribute.mat"
    file.write_bytes(hostile(kind, file.read_bytes()))
    options = {"score": ["x.npz", "--dataset", str(market)], "stats": [str(market)]}[command]
    result = CliRunner().invoke(load_command(command), options)
    assert result.exit_code == 4
    assert "market_attribute.mat" in result.stderr
    assert "Traceback" not in result.output


def test_the_file_of_another_data_set_is_refused_by_its_variables(market: Path) -> None:
    mat.save(market.parent / "Market-1501_Attribute" / "market_attribute.mat", {"duke_attribute": {"train": 1}})
    with pytest.raises(BadDataset, match="has no variable 'market_attribute'; it has 'duke_attribute'"):
        read_benchmark(market)
