"""PETA, PA-100K and both releases of RAP are read by the protocol of their field."""

import json
from pathlib import Path

import mat_builders as mat
import numpy as np
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command
from piq_bench.errors import BadDataset, BadUsage
from piq_bench.read.dataset import Inspection, inspect_dataset, read_benchmark
from piq_bench.read.layouts.peta import STANDARD
from piq_bench.records import GALLERY, TRAIN, Benchmark
from piq_bench.write.submission import write_submission


def notes(inspection: Inspection) -> dict[str, str]:
    return {note.code: note.found for note in inspection.notes}


def labels_of(benchmark: Benchmark, task: str, image: str) -> list[str]:
    """Names of the labels that an image has."""
    names = next(known.labels for known in benchmark.tasks if known.name == task)
    value = benchmark.labels[task][benchmark.images.tolist().index(image)]
    if np.ndim(value) == 0:
        return [] if value < 0 else [names[value]]
    return [name for name, is_set in zip(names, value, strict=True) if is_set == 1]


def peta_labels(*images: tuple[str, ...]) -> np.ndarray:
    names = (*STANDARD, "personalFemale")
    return np.array([[name in present for name in names] for present in images], dtype=np.uint8)


PETA = peta_labels(
    ("personalMale", "hairLong"),
    ("personalFemale",),
    (),
    ("personalMale",),
    ("personalFemale", "carryingOther"),
    ("personalMale", "personalFemale"),
    (),
)


def test_peta_has_its_35_attributes_in_the_files_order(tmp_path: Path) -> None:
    found = inspect_dataset(mat.write_peta(tmp_path, PETA))
    benchmark = found.benchmark
    (task,) = benchmark.tasks
    assert (task.name, task.multi_label, task.labels) == ("attributes", True, STANDARD)
    assert len(STANDARD) == 35
    assert (STANDARD[0], STANDARD[16], STANDARD[34]) == ("personalLess30", "personalMale", "upperBodyVNeck")
    assert benchmark.images.tolist() == [f"{i:05}.png" for i in range(1, 8)]
    assert benchmark.split.tolist() == [TRAIN] * 3 + [GALLERY] * 4  # the first split: val joins train
    assert labels_of(benchmark, "attributes", "00001.png") == ["hairLong", "personalMale"]
    assert labels_of(benchmark, "attributes", "00005.png") == ["carryingOther"]
    assert (benchmark.labels["attributes"][2] == 0).all()  # annotated, and none applies
    assert (benchmark.name, benchmark.images_folder, benchmark.layout) == ("PETA", "images", "peta")
    assert benchmark.exclude == ()
    assert notes(found)["unofficial-count"] == "has 4 images, not 7600"


def test_peta_is_read_whatever_the_order_of_its_names(tmp_path: Path) -> None:
    names = (*STANDARD, "personalFemale")
    order = np.random.default_rng(0).permutation(len(names))
    shuffled = read_benchmark(mat.write_peta(tmp_path / "a", PETA[:, order], names=[names[i] for i in order]))
    plain = read_benchmark(mat.write_peta(tmp_path / "b", PETA))
    assert (shuffled.labels["attributes"] == plain.labels["attributes"]).all()


def test_who_is_not_male_in_peta_is_female_only_if_said_so(tmp_path: Path) -> None:
    benchmark = read_benchmark(mat.write_peta(tmp_path, PETA), taxonomy="portrait")
    assert [task.name for task in benchmark.tasks] == ["gender", "attributes"]
    assert [task.aspect for task in benchmark.tasks] == ["appearance", "attributes"]
    found = [labels_of(benchmark, "gender", f"{i:05}.png") for i in range(1, 8)]
    assert found == [["male"], ["female"], [], ["male"], ["female"], [], []]
    assert "personalMale" not in benchmark.tasks[1].labels
    assert len(benchmark.tasks[1].labels) == 34


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([0, 1], [2], [3]), "splits: train: names row 0\n.*rows 1 to 7, counted from 1"),
        (([1, 2], [3], [8]), "splits: test: names row 8"),
        (([1, 2], [2], [4]), "splits: val: names a row that is in a part already"),
        (([1, 1], [2], [4]), "splits: train: names a row that is in a part already"),
    ],
)
def test_rows_of_peta_are_counted_from_1_and_in_one_part(
    tmp_path: Path, parts: tuple[list[int], ...], message: str
) -> None:
    with pytest.raises(BadDataset, match=message.replace(": names", r":?\s+names")):
        read_benchmark(mat.write_peta(tmp_path, PETA, parts=parts))


def test_images_of_no_part_are_left_out_and_counted(tmp_path: Path) -> None:
    found = inspect_dataset(mat.write_peta(tmp_path, PETA, parts=([1], [2], [7])))
    assert found.benchmark.images.tolist() == ["00001.png", "00002.png", "00007.png"]
    assert notes(found)["unused-image"] == "4 images are in no part of split 0 and are left out"


def test_peta_without_the_four_other_columns_is_refused(tmp_path: Path) -> None:
    names = (*STANDARD, "personalFemale", "a", "b", "c", "d")  # as many names as columns: what are the first four?
    with pytest.raises(BadDataset, match=r"labels\s+has the shape 7 x 40\n.*expected 7 x 44"):
        read_benchmark(mat.write_peta(tmp_path, PETA, names=names))


def test_a_value_other_than_0_1_2_is_named(tmp_path: Path) -> None:
    labels = PETA.copy()
    labels[4, 10] = 3
    with pytest.raises(BadDataset, match=r"row 5 \('00005.png'\): 'accessoryHat' is 3"):
        read_benchmark(mat.write_peta(tmp_path, labels))


def test_a_lost_standard_attribute_is_named(tmp_path: Path) -> None:
    names = ["hat" if name == "accessoryHat" else name for name in (*STANDARD, "personalFemale")]
    with pytest.raises(BadDataset, match="lack 'accessoryHat'"):
        read_benchmark(mat.write_peta(tmp_path, PETA, names=names))


PA100K = {
    "train": np.array([[1, 0, 1, 0, 0], [0, 0, 0, 1, 0]]),
    "val": np.array([[0, 1, 0, 0, 0]]),
    "test": np.array([[1, 0, 1, 0, 1], [0, 0, 1, 0, 0]]),
}


def test_pa100k_has_the_attributes_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    benchmark = read_benchmark(mat.write_pa100k(tmp_path, PA100K))
    (task,) = benchmark.tasks
    assert task.labels == mat.PA100K_NAMES
    assert benchmark.split.tolist() == [TRAIN] * 3 + [GALLERY] * 2
    assert benchmark.images.tolist() == [f"{i:06}.jpg" for i in range(1, 6)]
    assert labels_of(benchmark, "attributes", "000004.jpg") == ["Female", "Age18-60", "Skirt&Dress"]
    assert benchmark.images_folder == "data"


@pytest.mark.parametrize("images", ["data", "release_data/release_data"])
def test_pa100k_may_have_its_labels_in_a_folder_beside_the_images(images: str, tmp_path: Path) -> None:
    mat.write_pa100k(tmp_path / "annotation", PA100K)
    (tmp_path / images).mkdir(parents=True)
    for given in (tmp_path, tmp_path / "annotation"):
        benchmark = read_benchmark(given)
        assert benchmark.root is not None
        assert (benchmark.root / benchmark.images_folder).resolve() == (tmp_path / images).resolve()


def test_pa100k_maps_gender_and_keeps_its_ages(tmp_path: Path) -> None:
    (tmp_path / "release_data" / "release_data").mkdir(parents=True)
    benchmark = read_benchmark(mat.write_pa100k(tmp_path, PA100K), taxonomy="portrait")
    assert [labels_of(benchmark, "gender", f"00000{i}.jpg") for i in (1, 2, 4, 5)] == [
        ["female"],
        ["male"],
        ["female"],
        ["male"],
    ]
    assert benchmark.tasks[1].labels == mat.PA100K_NAMES[1:]
    assert benchmark.images_folder == "release_data/release_data"


def test_pa100k_with_other_counts_of_names_and_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"test_label\s+has the shape 2 x 4\n.*expected 2 x 5"):
        read_benchmark(mat.write_pa100k(tmp_path, {**PA100K, "test": PA100K["test"][:, :4]}))


#                Female <16 Fat Normal Thin Calling
RAP = np.array(
    [
        [0, 0, 0, 1, 0, 0],
        [1, 0, 1, 0, 0, 1],
        [2, 1, 0, 0, 1, 0],
        [2, 0, 0, 0, 0, 0],
        [1, 0, 1, 1, 0, 1],
    ]
)


def test_rap_v1_reads_the_first_split_and_counts_unknown_gender(tmp_path: Path) -> None:
    found = inspect_dataset(mat.write_rap1(tmp_path, RAP, [1, 3], [2, 4, 5]))
    benchmark = found.benchmark
    names = mat.rap_images(5)
    assert benchmark.tasks[0].labels == mat.RAP_NAMES[:-1]
    assert dict(zip(benchmark.images, benchmark.split, strict=True)) == dict(zip(names, [0, 2, 0, 2, 2], strict=True))
    assert labels_of(benchmark, "attributes", names[1]) == ["Female", "BodyFat"]
    assert labels_of(benchmark, "attributes", names[2]) == ["AgeLess16", "BodyThin"]
    assert notes(found)["unknown-attribute"] == "2 values are unknown and count as absent: 'Female: 2'"
    assert (benchmark.name, benchmark.images_folder) == ("RAPv1", "RAP_dataset")


def test_rap_maps_gender_and_physique_where_they_are_known(tmp_path: Path) -> None:
    found = inspect_dataset(mat.write_rap1(tmp_path, RAP, [1, 3], [2, 4, 5]), taxonomy="portrait")
    benchmark = found.benchmark
    names = mat.rap_images(5)
    assert [labels_of(benchmark, "gender", name) for name in names] == [["male"], ["female"], [], [], ["female"]]
    assert [labels_of(benchmark, "physique", name) for name in names] == [["medium"], ["fat"], ["thin"], [], []]
    assert benchmark.tasks[2].labels == ("AgeLess16",)
    assert "unknown-attribute" not in notes(found)


def test_rap_v2_takes_the_selected_attributes_counted_from_1(tmp_path: Path) -> None:
    labels = RAP.copy()
    labels[1, 5] = 2  # uncertain, and selected
    labels[1, 1] = 2  # not selected
    found = inspect_dataset(mat.write_rap2(tmp_path, labels, [6, 1, 3]))
    benchmark = found.benchmark
    names = mat.rap_images(5)
    assert benchmark.tasks[0].labels == ("Calling", "Female", "BodyFat")
    assert [benchmark.split[benchmark.images == name][0] for name in names] == [0, 0, 0, 2, 2]
    assert labels_of(benchmark, "attributes", names[1]) == ["Female", "BodyFat"]
    assert labels_of(benchmark, "attributes", names[4]) == ["Calling", "Female", "BodyFat"]
    assert notes(found)["unknown-attribute"].startswith("3 values are unknown and count as absent: 'Calling: 1'")
    assert benchmark.name == "RAPv2"


def test_rows_follow_their_images_when_the_files_order_is_another(tmp_path: Path) -> None:
    names = ["d.png", "b.png", "e.png", "a.png", "c.png"]
    benchmark = read_benchmark(mat.write_rap2(tmp_path, RAP, [2, 3, 4, 5, 6], name=mat.cells(names)))
    assert benchmark.images.tolist() == sorted(names)
    assert dict(zip(benchmark.images, benchmark.split, strict=True)) == dict(zip(names, [0, 0, 0, 2, 2], strict=True))
    for name, row in zip(names, RAP, strict=True):
        assert labels_of(benchmark, "attributes", name) == [mat.RAP_NAMES[i] for i in range(1, 6) if row[i] == 1]


@pytest.mark.parametrize("selected", [[0, 1], [1, 7]])
def test_rap_v2_refuses_attributes_that_are_not_there(tmp_path: Path, selected: list[int]) -> None:
    with pytest.raises(BadDataset, match="names attributes that are not there"):
        read_benchmark(mat.write_rap2(tmp_path, RAP, selected))


def test_image_names_that_leave_the_folder_or_repeat_are_refused(tmp_path: Path) -> None:
    names = ["../a.png", "b.png", "c.png", "d.png", "b.png"]
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(mat.write_rap2(tmp_path, RAP, [1, 3], name=mat.cells(names)))
    assert {problem.code for problem in refusal.value.problems} == {"image-path", "image-in-two-splits"}


@pytest.mark.parametrize("bad", ["a|b", "-", "", " a"])
def test_attribute_names_that_cannot_be_labels_are_refused(tmp_path: Path, bad: str) -> None:
    names = mat.cells([bad, *mat.RAP_NAMES[1:]])
    with pytest.raises(BadDataset, match=r"cannot be label names|is no text"):
        read_benchmark(mat.write_rap2(tmp_path, RAP, [1, 3], attribute=names))


def run(command: str, *options: object) -> Result:
    return CliRunner().invoke(load_command(command), list(map(str, options)), catch_exceptions=False)


def test_a_perfect_submission_scores_1_without_re_identification(tmp_path: Path) -> None:
    benchmark = read_benchmark(mat.write_pa100k(tmp_path, PA100K))
    rows = benchmark.test_rows
    truth = {"attributes": benchmark.labels["attributes"][rows].astype(np.float32)}
    meta = {"name": "perfect", "benchmark": benchmark.name}
    write_submission(tmp_path / "perfect.npz", images=benchmark.images[rows], predictions=truth, meta=meta)
    result = run("score", tmp_path / "perfect.npz", "--dataset", tmp_path, "--format", "json", "--bootstrap", 0)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["f1"] == {"attributes": 1.0}
    assert json.loads(result.stdout)["piq"] == 1.0


def test_statistics_say_how_the_data_set_was_read(tmp_path: Path) -> None:
    result = run("stats", mat.write_peta(tmp_path, PETA))
    assert result.exit_code == 0
    assert "read as     PETA" in result.stdout
    assert "has 4 images, not 7600" in result.stdout


def test_a_data_set_one_folder_deeper_is_found(tmp_path: Path) -> None:
    inner = mat.write_peta(tmp_path / "PETA dataset", PETA)
    (tmp_path / "empty").mkdir()
    assert read_benchmark(tmp_path).root == inner


def test_a_benchmark_toml_sets_the_name_but_not_the_tasks(tmp_path: Path) -> None:
    mat.write_peta(tmp_path, PETA)
    toml = 'schema = "piq-bench/benchmark/1"\nname = "mine"\nversion = "2"\n'
    (tmp_path / "benchmark.toml").write_text(toml, encoding="utf-8")
    benchmark = read_benchmark(tmp_path)
    assert (benchmark.name, benchmark.version, benchmark.images_folder) == ("mine", "2", "images")
    toml += '[tasks.gender]\naspect = "a"\nlabels = ["f", "m"]\n'
    (tmp_path / "benchmark.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(BadDataset, match="PETA brings its own tasks"):
        read_benchmark(tmp_path)


def test_a_taxonomy_needs_a_known_name_and_a_data_set_with_attributes(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="'faces' is unknown"):
        read_benchmark(mat.write_peta(tmp_path / "peta", PETA), taxonomy="faces")
    (tmp_path / "other").mkdir()
    with pytest.raises(BadUsage, match="'portrait' cannot be applied to this data set"):
        read_benchmark(tmp_path / "other", taxonomy="portrait")
