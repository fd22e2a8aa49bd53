"""What participants get depends on nothing that is hidden: data sets that differ only in that give the same bytes."""

import csv
import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from piq_bench.board.metadata import read_metadata
from piq_bench.cli import load_command
from piq_bench.read.container import OF_MATRIX
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import NO_IDENTITY, NOT_ANNOTATED, TRAIN

pytest.importorskip("jinja2")

TOML = """\
# the organiser's remark, which names zaphod3
schema = "piq-bench/benchmark/1"
name = "hidden"
version = "1"
licence = "none"
[retrieval]
exclude = [["identity", "camera"], ["identity", "~wardrobe"], ["group"]]
junk = ["zaphod-junk"]
persons = [{persons}]
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
[tasks.mood]
aspect = "emotion"
labels = ["happy", "sad"]
multi_label = true
"""
HEAD = ["image", "split", "identity", "gender", "mood", "camera", "sequence", "wardrobe"]
SECRETS = ("zaphod", "cam-secret", "track-secret", "coat-secret")


def write(folder: Path, *, seed: int, toml: str = TOML) -> Path:
    """Four people in train, six in the test set, whose labels, people, cameras and groups depend on the seed."""
    rng = random.Random(seed)
    folder.mkdir()
    persons = '"ford0"' if seed == 0 else '"ford0", "zaphod2"'
    (folder / "benchmark.toml").write_text(toml.replace("{persons}", persons), encoding="utf-8")
    rows = []
    for person in range(4):
        rows += [
            [f"a/{4 * person + n:03}.jpg", "train", f"ford{person}", "male", "sad", f"c{n}", "", ""] for n in (0, 1)
        ]
    gallery, queries = [n % 6 for n in range(24)], list(range(6))
    rng.shuffle(gallery)
    rng.shuffle(queries)
    for number, (split, person) in enumerate([*(("query", n) for n in queries), *(("gallery", n) for n in gallery)]):
        name = "zaphod-junk" if split == "gallery" and rng.random() < 0.1 else f"zaphod{person}"
        gender, mood = rng.choice(["female", "male"]), rng.choice(["happy", "sad", "happy|sad", "-", ""])
        camera, track, coat = (f"{text}{rng.randrange(9)}" for text in SECRETS[1:])
        rows.append([f"t/{number:03}.jpg", split, name, gender, mood, camera, track, coat])
    with (folder / "annotations.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([HEAD, *rows])
    test = [row[0] for row in rows if row[1] != "train"]
    groups = "".join(f"{image},g{rng.randrange(20)}\n" for image in test)
    (folder / "groups.csv").write_text(f"image,group\n{groups}", encoding="utf-8")
    return folder


def export(dataset: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(load_command("export"), ["public", str(dataset), "--out", str(out), *options])


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The exports of two data sets that differ only in what is hidden."""
    root = tmp_path_factory.mktemp("public")
    found = []
    for seed in (0, 1):
        done = export(write(root / f"hidden{seed}", seed=seed), root / f"public{seed}")
        assert done.exit_code == 0, done.output
        assert "8 training images with labels, 30 test images without" in done.output
        found.append(root / f"public{seed}")
    return found


def test_no_byte_depends_on_what_is_hidden(places: list[Path]) -> None:
    one, other = (read_benchmark(place.parent / f"hidden{seed}") for seed, place in enumerate(places))
    assert (one.images == other.images).all()
    assert (one.split == other.split).all()
    for task in ("gender", "mood"):  # otherwise the next line would show nothing
        assert (one.labels[task] != other.labels[task]).any()
    assert (one.identity != other.identity).any()
    assert content(places[0]) == content(places[1])


def test_no_secret_is_in_the_bytes_of_any_file(places: list[Path]) -> None:
    files = content(places[0])
    assert sorted(files) == ["PARTICIPANTS.md", "annotations.csv", "benchmark.toml", "metadata.toml", "submission.npz"]
    with zipfile.ZipFile(io.BytesIO(files["submission.npz"])) as archive:
        files |= {name: archive.read(name) for name in archive.namelist()}
    for name, raw in files.items():
        for secret in SECRETS:
            for encoded in (secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-32-le")):
                assert encoded not in raw, (name, secret)


def test_the_table_has_all_of_train_and_only_names_and_splits_of_the_rest(places: list[Path]) -> None:
    with (places[0] / "annotations.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["image", "split", "identity", "camera", "gender", "mood"]  # no wardrobe: train has none
    train = [row for row in rows if row["split"] == "train"]
    assert [row["identity"] for row in train] == [f"ford{person}" for person in range(4) for _ in (0, 1)]
    assert {(row["gender"], row["mood"]) for row in train} == {("male", "sad")}
    assert [row["camera"] for row in train[:2]] == ["c0", "c1"]
    test = [row for row in rows if row["split"] != "train"]
    assert len(test) == 30
    assert {value for row in test for name, value in row.items() if name not in ("image", "split")} == {""}


def test_participants_can_read_train_on_and_check_with_it(places: list[Path]) -> None:
    benchmark = read_benchmark(places[0])
    is_test = benchmark.split != TRAIN
    assert (benchmark.identity[is_test] == NO_IDENTITY).all()
    assert all((labels[is_test] == NOT_ANNOTATED).all() for labels in benchmark.labels.values())
    assert (benchmark.identity[~is_test] != NO_IDENTITY).all()
    assert benchmark.persons == ("ford0",)
    for dataset in (places[0], places[0].parent / "hidden0"):  # one example suits both
        arguments = [str(places[0] / "submission.npz"), "--dataset", str(dataset)]
        done = CliRunner().invoke(load_command("check"), arguments)
        assert done.exit_code == 0, done.output
    assert read_metadata(places[0]).training.datasets == ["hidden"]
    guide = (places[0] / "PARTICIPANTS.md").read_text(encoding="utf-8")
    assert [name for name in (*OF_MATRIX, "image", "embedding") if f"`{name}`" not in guide] == []
    assert "`distances`" not in guide


def test_an_export_is_replaced_only_if_asked_and_only_if_it_is_one(places: list[Path], tmp_path: Path) -> None:
    dataset, out = places[0].parent / "hidden0", tmp_path / "out"
    assert export(dataset, out).exit_code == 0
    assert export(dataset, out).exit_code == 2
    assert export(dataset, out, "--force").exit_code == 0
    (out / "PARTICIPANTS.md").unlink()
    assert export(dataset, out, "--force").exit_code == 2
    assert (out / "annotations.csv").exists()


def rename(folder: Path, pattern: str) -> Path:
    """Give the test images other names, made of the columns of their rows."""
    with (folder / "annotations.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        if row["split"] != "train":
            row["image"] = pattern.format(number=number, **row)
    with (folder / "annotations.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, HEAD, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "groups.csv").unlink()
    toml = (folder / "benchmark.toml").read_text(encoding="utf-8")
    (folder / "benchmark.toml").write_text(toml.replace(', ["group"]', ""), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("t/{identity}_{number}.jpg", "hold their own identity"),
        ("t/{gender}/{number}.jpg", "hold their own gender"),
        ("t/{identity}x/{number}.jpg", "every folder of test images holds one person"),
    ],
)
def test_names_that_tell_what_is_hidden_are_refused(pattern: str, message: str, tmp_path: Path) -> None:
    dataset = rename(write(tmp_path / "hidden", seed=0), pattern)
    done = export(dataset, tmp_path / "out")
    assert done.exit_code == 4, done.output
    assert message in done.output
    assert "names that tell nothing" in done.output
    assert not (tmp_path / "out").exists()


def test_parts_of_names_that_equal_labels_by_chance_are_allowed(tmp_path: Path) -> None:
    dataset = rename(write(tmp_path / "hidden", seed=0), "t/female_male/{number}.jpg")
    done = export(dataset, tmp_path / "out")
    assert done.exit_code == 0, done.output


def test_the_bundled_benchmark_is_exported_with_a_note_on_the_order_of_its_names(tmp_path: Path) -> None:
    bundled = Path(__file__).parents[2] / "piq_bench" / "data" / "portrait-mini"
    done = export(bundled, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "neighbours in the order of names show the same person" in done.output
    hidden = read_benchmark(None)
    test_people = {
        hidden.identities[index] for index in np.unique(hidden.identity[hidden.split != TRAIN]) if index >= 0
    }
    cells = (tmp_path / "out" / "annotations.csv").read_text(encoding="utf-8").replace("\n", ",").split(",")
    assert test_people
    assert not test_people.intersection(cells)
