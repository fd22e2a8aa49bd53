"""Public data sets are recognised, read from their names, and scored by their own rules."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from layout_builders import (
    BY_PERSON,
    CELEB,
    CUHK03,
    DEEPCHANGE,
    LTCC,
    MARKET,
    MARKET_BY_PERSON,
    MINIATURES,
    MSMT17_V1,
    PRCC,
    PRCC_SAME,
    SYSU,
    VC_CLOTHES,
    Miniature,
)
from PIL import Image

from piq_bench.cli import load_command
from piq_bench.describe.findings import find_findings
from piq_bench.errors import BadDataset, BadUsage, LimitExceeded
from piq_bench.read.dataset import Inspection, inspect_dataset, read_benchmark
from piq_bench.read.layouts import recognise, scan
from piq_bench.read.layouts.known import LAYOUTS, TITLES
from piq_bench.read.layouts.recognise import layout_named
from piq_bench.records import SPLITS, Benchmark

BY_NAME = pytest.mark.parametrize("miniature", MINIATURES, ids=lambda miniature: miniature.layout)
AUTOMATIC = pytest.mark.parametrize(
    "miniature",
    [miniature for miniature in MINIATURES if layout_named(miniature.layout).automatic],
    ids=lambda miniature: miniature.layout,
)


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(load_command(command), [*map(str, arguments)])


def inspected(miniature: Miniature, place: Path) -> Inspection:
    """Read a miniature; by itself, unless its layout must be asked for."""
    layout = layout_named(miniature.layout)
    return inspect_dataset(miniature.write(place), layout=None if layout.automatic else layout.name)


def sorted_rows(miniature: Miniature) -> list[tuple[str, str, str, str]]:
    return sorted(miniature.rows)


def read_identities(benchmark: Benchmark) -> list[str]:
    return [[*benchmark.identities, ""][index] for index in benchmark.identity]


def submission(miniature: Miniature, path: Path) -> Path:
    """An embedding in which gallery images come in a seeded random order."""
    rng = np.random.default_rng(len(miniature.rows))
    test = [image for image, split, *_ in miniature.rows if split != "train"]
    np.savez(path, image=np.array(test), embedding=rng.standard_normal((len(test), 3)).astype(np.float32))
    return path


def expected_average_precision(miniature: Miniature, path: Path) -> float:
    """The mean over queries by the text of the rule: whoever agrees in all of its columns is no candidate."""
    arrays = np.load(path)
    embedding = arrays["embedding"].astype(np.float64)
    vectors = dict(zip(arrays["image"].tolist(), embedding, strict=True))
    scores, by_place = [], miniature.rules == ("place",)
    for query, split, person, place in miniature.rows:
        if split != "query":
            continue
        candidates = [
            (similarity(vectors[query], vectors[image]), identity == person)
            for image, other_split, identity, other_place in miniature.rows
            if other_split == "gallery"
            and identity not in miniature.junk
            and not (miniature.rules and place and place == other_place and (by_place or identity == person))
        ]
        hits = [hit for _, hit in sorted(candidates, reverse=True)]
        precisions = [Fraction(sum(hits[: rank + 1]), rank + 1) for rank, hit in enumerate(hits) if hit]
        scores.append(sum(precisions) / len(precisions))
    return float(sum(scores) / len(scores))


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


@BY_NAME
def test_rows_and_rules_are_those_of_the_names(miniature: Miniature, tmp_path: Path) -> None:
    inspection = inspected(miniature, tmp_path)
    benchmark, rows = inspection.benchmark, sorted_rows(miniature)
    assert (benchmark.layout, benchmark.name, benchmark.version) == (miniature.layout, miniature.folder, "")
    assert benchmark.images.tolist() == [image for image, *_ in rows]
    assert [SPLITS[index] for index in benchmark.split] == [split for _, split, *_ in rows]
    nobody = {*miniature.junk, *miniature.distractors}
    assert read_identities(benchmark) == ["" if who in nobody else who for _, _, who, _ in rows]
    assert benchmark.junk.tolist() == [who in miniature.junk for _, _, who, _ in rows]
    assert benchmark.distractor.tolist() == [who in miniature.distractors for _, _, who, _ in rows]
    cameras = [camera for *_, camera in rows]
    assert (benchmark.camera is None) == (not any(cameras))
    assert benchmark.camera is None or benchmark.camera.tolist() == cameras
    assert list(map(str, benchmark.exclude)) == list(miniature.rules)
    assert benchmark.rules_declared
    assert [task.kind for task in benchmark.tasks] == ["retrieval"]
    if miniature.clothes:
        given = dict(zip((image for image, *_ in miniature.rows), miniature.clothes, strict=True))
        assert benchmark.columns["clothes"].tolist() == [given[image] for image in benchmark.images]
    assert not inspection.integrity
    assert not [finding for finding in find_findings(benchmark) if finding.code == "identity-looks-missing"]


@BY_NAME
def test_a_score_is_that_of_the_rule_in_plain_python(miniature: Miniature, tmp_path: Path) -> None:
    folder, entry = miniature.write(tmp_path), submission(miniature, tmp_path / "s.npz")
    if miniature is PRCC_SAME:  # recognised only when asked for
        assert run("import", "prcc-same", folder, "--out", tmp_path / "own").exit_code == 0
        folder = tmp_path / "own"
    compared = {"deepchange": "57 60 60 61 62", "sysu-mm01": "1 2 2 6 2 2 4 4 5"}.get(miniature.layout)
    if compared is not None:  # the rule compares tracklets or places instead of cameras
        rows = tuple((*row[:3], value) for row, value in zip(miniature.rows, compared.split(), strict=True))
        miniature = replace(miniature, rows=rows)
    done = run("score", entry, "--dataset", folder, "--bootstrap", 0, "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["reid"]["map"] == pytest.approx(
        expected_average_precision(miniature, entry), rel=1e-12
    )
    title = TITLES[miniature.layout]
    assert miniature is PRCC_SAME or f"data set: recognised as {title} ({miniature.layout})" in done.stderr


@AUTOMATIC
def test_a_folder_and_its_import_score_alike(miniature: Miniature, tmp_path: Path) -> None:
    folder, entry = miniature.write(tmp_path), submission(miniature, tmp_path / "s.npz")
    imported = run("import", "auto", folder, "--out", tmp_path / "own")
    assert imported.exit_code == 0, imported.stderr
    one, other = (
        json.loads(run("score", entry, "--dataset", place, "--bootstrap", 0, "--format", "json").stdout)
        for place in (folder, tmp_path / "own")
    )
    for part in ("reid", "benchmark", "protocol", "notes"):
        assert one[part] == other[part], part


@AUTOMATIC
def test_a_data_set_may_lie_one_folder_deeper(miniature: Miniature, tmp_path: Path) -> None:
    folder = miniature.write(tmp_path / "outer")
    (tmp_path / "outer" / "__MACOSX" / miniature.folder).mkdir(parents=True)
    inspection = inspect_dataset(tmp_path / "outer")
    assert (inspection.benchmark.layout, inspection.benchmark.root) == (miniature.layout, folder)
    assert inspection.benchmark.images.tolist() == read_benchmark(folder).images.tolist()
    assert "inner-folder" in [note.code for note in inspection.notes]


def test_every_layout_has_a_miniature_and_a_name_of_its_own() -> None:
    assert sorted(TITLES) == sorted([*(miniature.layout for miniature in MINIATURES), "mars"])
    assert len(TITLES) == len(LAYOUTS) == len(set(TITLES.values()))


def test_the_example_of_each_layout_is_one_of_its_names() -> None:
    for layout in LAYOUTS:
        assert any(part.name.fullmatch(layout.example) for part in layout.parts) or layout.read, layout.name


def test_changed_clothes_are_asked_for_by_rules(tmp_path: Path) -> None:
    folder, entry = LTCC.write(tmp_path), submission(LTCC, tmp_path / "s.npz")
    rules = {"changed": "identity+clothes", "same": "identity+~clothes"}
    kept = {"changed": "test/000_2_c3_000003.png", "same": "test/000_1_c3_000002.png"}
    for setting, rule in rules.items():
        options = ("--dataset", folder, "--bootstrap", 0, "--format", "json", "--exclude", rule)
        scored = json.loads(run("score", entry, *options).stdout)["reid"]
        positives = {row[0] for row in LTCC.rows if row[1] == "gallery" and row[2] == "000"} - {kept[setting]}
        small = replace(LTCC, rows=tuple(row for row in LTCC.rows if row[0] not in positives))
        assert scored["map"] == expected_average_precision(small, entry)


def test_official_sizes_are_compared(tmp_path: Path) -> None:
    notes = {note.code: note for note in inspect_dataset(MARKET.write(tmp_path)).notes}
    assert "train has 1 images of 1 people instead of 12936 images of 751 people" in notes["other-sizes"].found
    assert notes["other-sizes"].count == 3


def test_the_edition_most_like_it_is_named(tmp_path: Path) -> None:
    folder = CUHK03.write(tmp_path)
    for number in range(2, 1401):
        (folder / "query" / f"{3 + (number - 1) % 700:04}_c1_{1000 + number}.png").touch()
    inspection = inspect_dataset(folder)
    note = next(note for note in inspection.notes if note.code == "other-sizes")
    assert "query" not in note.found  # the same in both editions
    assert note.count == 2


def test_duke_and_its_occluded_form_differ_by_the_folder_alone(tmp_path: Path) -> None:
    folder = next(m for m in MINIATURES if m.layout == "occluded-duke").write(tmp_path)
    assert read_benchmark(folder.rename(tmp_path / "set")).layout == "dukemtmc"


def test_a_folder_of_many_folders_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MARKET.write(tmp_path)
    (tmp_path / "notes.txt").touch()
    assert read_benchmark(tmp_path).layout == "market1501"
    monkeypatch.setattr(recognise, "MAX_ENTRIES", 1)
    with pytest.raises(BadDataset, match="there is no annotation table"):
        read_benchmark(tmp_path)


def test_two_data_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    CUHK03.write(tmp_path / "cuhk03-np")
    replace(CUHK03, folder="labeled").write(tmp_path / "cuhk03-np")
    with pytest.raises(BadDataset, match="2 folders hold data sets: 'detected', 'labeled'"):
        read_benchmark(tmp_path / "cuhk03-np")


def test_what_is_nearly_a_data_set_says_what_it_lacks(tmp_path: Path) -> None:
    folder = MSMT17_V1.write(tmp_path)
    (folder / "list_train.txt").unlink()
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder)
    assert "has 'train', 'test', 'list_query.txt', 'list_gallery.txt' of MSMT17 V1" in str(refusal.value)
    assert "to be read as msmt17-v1, it lacks 'list_train.txt'" in str(refusal.value)
    with pytest.raises(BadDataset, match="to be read as msmt17-v1, it lacks 'list_train"):
        read_benchmark(tmp_path)  # one level up
    asked = run("import", "veri776", folder, "--out", tmp_path / "own")
    assert asked.exit_code == 4
    assert "has no folder of VeRi-776" in asked.stderr


def test_lines_and_names_that_cannot_be_read_are_refused_at_once(tmp_path: Path) -> None:
    folder = DEEPCHANGE.write(tmp_path)
    (folder / "train-set-bbox.txt").write_text("../../P1_C1_1_1_1_1.jpg,1\n" + "P" * 600 + "\n", encoding="utf-8")
    (folder / "test-set-query-bbox.txt").write_bytes(b"\xff\n")
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder)
    problems = {problem.code: problem for problem in refusal.value.problems}
    assert problems["image-name"].count == 2
    assert "lines such as P3_C12" in problems["image-name"].remedy
    assert problems["encoding"].where == "test-set-query-bbox.txt"


def test_people_of_lists_are_in_their_split_alone(tmp_path: Path) -> None:
    folder = SYSU.write(tmp_path)
    (folder / "cam1" / "0400").mkdir()
    (folder / "cam1" / "0400" / "0001.jpg").touch()  # of nobody's list
    (folder / "cam1" / ".DS_Store").touch()
    inspection = inspect_dataset(folder)
    assert inspection.benchmark.images.tolist() == sorted(image for image, *_ in SYSU.rows)
    assert inspection.benchmark.columns["place"].tolist() == [
        {"3": "2"}.get(row[3], row[3]) for row in sorted_rows(SYSU)
    ]
    assert next(note for note in inspection.notes if note.code == "litter").count == 1
    (folder / "exp" / "val_id.txt").write_text("2,two\n", encoding="utf-8")
    with pytest.raises(BadDataset, match="identities that are no numbers: 'two'"):
        read_benchmark(folder)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    folder = MSMT17_V1.write(tmp_path)
    query = (folder / "list_query.txt").read_text(encoding="utf-8")
    (folder / "list_query.txt").write_text(query * 2, encoding="utf-8")
    gallery = folder / "list_gallery.txt"
    gallery.write_text(gallery.read_text(encoding="utf-8") + query, encoding="utf-8")
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder)
    assert {problem.code for problem in refusal.value.problems} == {"duplicate-image", "image-in-two-splits"}


def test_litter_is_passed_over_with_a_note(tmp_path: Path) -> None:
    folder = BY_PERSON.write(tmp_path)
    for name in (".DS_Store", "gallery/._x.jpg", "gallery/anna/Thumbs.db", "query/.ipynb_checkpoints/1.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "query" / "stray.jpg").touch()
    inspection = inspect_dataset(folder)
    assert inspection.benchmark.images.size == len(BY_PERSON.rows)
    assert [(note.code, note.count) for note in inspection.notes] == [("ignored-file", 1), ("litter", 3)]


def test_people_without_cameras_have_no_rule(tmp_path: Path) -> None:
    benchmark = read_benchmark(replace(BY_PERSON, rows=BY_PERSON.rows[:3]).write(tmp_path))
    assert (benchmark.exclude, benchmark.camera) == ((), None)


def test_too_many_files_are_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_TABLE_ROWS", 5)
    with pytest.raises(LimitExceeded, match="more than 5 files"):
        read_benchmark(MARKET_BY_PERSON.write(tmp_path))
    monkeypatch.setattr(scan, "MAX_LIST_BYTES", 5)
    with pytest.raises(LimitExceeded, match="more than 5 bytes"):
        read_benchmark(MSMT17_V1.write(tmp_path / "lists"))


def test_images_are_found_below_the_data_set_after_import(tmp_path: Path) -> None:
    folder = VC_CLOTHES.write(tmp_path)
    assert run("import", "vc-clothes", folder, "--out", tmp_path / "own").exit_code == 0
    benchmark = read_benchmark(tmp_path / "own")
    assert benchmark.root is not None
    assert all((benchmark.root / benchmark.images_folder / image).exists() for image in benchmark.images)
    lines = (tmp_path / "own" / "annotations.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image,split,identity,camera,clothes"
    assert "gallery/0001-04-02-00.jpg,gallery,0001,04,0001-02" in lines


def test_junk_and_distractors_are_imported_under_their_names(tmp_path: Path) -> None:
    folder = MARKET.write(tmp_path)
    (folder / "benchmark.toml").write_text(
        'schema = "piq-bench/benchmark/1"\nname = "m \\"x\\""\nversion = "2"\n[retrieval]\njunk = ["0003"]\n', "utf-8"
    )
    assert run("import", "auto", folder, "--out", tmp_path / "own").exit_code == 0
    toml = (tmp_path / "own" / "benchmark.toml").read_text(encoding="utf-8")
    assert 'junk = ["0003"]\ndistractors = ["0000"]' in toml
    assert 'exclude = [["group"], ["identity", "camera"]]' in toml
    lines = (tmp_path / "own" / "annotations.csv").read_text(encoding="utf-8").splitlines()
    assert "bounding_box_test/-1_c1s1_000401_03.jpg,gallery,-1,c1s1,c1" in lines
    assert (read_benchmark(tmp_path / "own").name, read_benchmark(tmp_path / "own").version) == ('m "x"', "2")


def test_groups_are_imported_with_the_data(tmp_path: Path) -> None:
    folder = MARKET.write(tmp_path)
    test = [image for image, split, *_ in MARKET.rows if split != "train"]
    pairs = [(image, number // 2) for number, image in enumerate(sorted(test))]
    groups = "".join(f"{image},{pair:08x}00000000,{2 * pair}\n" for image, pair in pairs)
    (folder / "groups.csv").write_text("image,phash,group\n" + groups, encoding="utf-8")
    assert run("import", "auto", folder, "--out", tmp_path / "own").exit_code == 0
    one, other = read_benchmark(folder), read_benchmark(tmp_path / "own")
    assert one.groups is not None and other.groups is not None
    assert one.groups.group.tolist() == other.groups.group.tolist()
    assert one.exclude == other.exclude and len(one.exclude) == 2


def test_an_import_is_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = CELEB.write(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine").touch()
    occupied = run("import", "auto", folder, "--out", tmp_path / "own")
    assert (occupied.exit_code, [path.name for path in (tmp_path / "own").iterdir()]) == (2, ["mine"])
    (folder / "query" / "strange.jpg").touch()
    assert run("import", "auto", folder, "--out", tmp_path / "new").exit_code == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Celeb-reID", "own"]


def test_what_needs_no_import_is_bad_usage(tmp_path: Path) -> None:
    assert run("import", "auto", CELEB.write(tmp_path), "--out", tmp_path / "own").exit_code == 0
    again = run("import", "auto", tmp_path / "own", "--out", tmp_path / "twice")
    assert again.exit_code == 2 and "is no public data set" in again.stderr
    with pytest.raises(BadUsage, match="did you mean 'market1501'"):
        layout_named("market-1501")
    help_text = run("import", "--help").stdout
    assert all(name in help_text for name in TITLES)


def test_prcc_has_two_sets_of_queries(tmp_path: Path) -> None:
    folder = PRCC.write(tmp_path)
    PRCC_SAME.write(tmp_path)
    for layout, query in (("prcc", "rgb/test/C/"), ("prcc-same", "rgb/test/B/")):
        assert run("import", layout, folder, "--out", tmp_path / query[-2]).exit_code == 0
        benchmark = read_benchmark(tmp_path / query[-2])
        assert [image for image in benchmark.images[benchmark.split == 1] if not image.startswith(query)] == []
    assert read_benchmark(folder).layout == "prcc"


def test_groups_of_a_data_set_one_folder_deeper_lie_with_it(tmp_path: Path) -> None:
    folder = MARKET.write(tmp_path)
    rng = np.random.default_rng(0)
    for image, *_ in MARKET.rows:
        Image.fromarray(rng.integers(0, 256, (64, 32, 3), dtype=np.uint8)).save(folder / image)
    done = run("groups", tmp_path, "--workers", 1)
    assert done.exit_code == 0, done.stderr
    assert (folder / "groups.csv").exists()
    assert read_benchmark(tmp_path).groups is not None
