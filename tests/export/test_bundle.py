"""Data sets that form a challenge or do not, and bundles that are written whole or not at all."""

import csv
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from export_builders import DATES, TOML, WITHOUT_REID, dataset, submission
from group_builders import balanced_hashes, hashed_of

from piq_bench.cli import load_command
from piq_bench.errors import BadDataset, BadInput, BadUsage
from piq_bench.export.bundle import (
    Plan,
    kit_files,
    make_plan,
    page_values,
    reference_files,
    write_file,
    write_folder,
    zipped,
)
from piq_bench.export.evalai_program import evaluate
from piq_bench.export.host import score_upload
from piq_bench.export.pages import html_page, markdown_page
from piq_bench.group.build import group_hashed, write_groups
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import GALLERY, QUERY


def planned(*datasets: Path | None, dates: tuple[datetime, ...] | None = None) -> Plan:
    return make_plan(
        datasets,
        DATES[: len(datasets) + 1] if dates is None else dates,
        title=None,
        disclosure="score",
        n_resamples=10,
        precision=2,
        per_day=1,
        in_all=2,
        contact="",
    )


def refusal(*datasets: Path | None, dates: tuple[datetime, ...] | None = None) -> str:
    with pytest.raises(BadInput) as refused:
        planned(*datasets, dates=dates)
    return str(refused.value)


def test_the_bundled_benchmark_makes_a_challenge() -> None:
    plan = planned(None)
    assert [column.key for column in plan.columns][:3] == ["piq", "reid_macro_rank1", "reid_macro_map"]
    assert plan.phases[0].name == "portrait-mini 1" and plan.title == "portrait-mini"


def test_phases_of_the_same_name_are_numbered(tmp_path: Path) -> None:
    plan = planned(dataset(tmp_path / "a"), dataset(tmp_path / "b", n_people=8))
    assert [phase.name for phase in plan.phases] == ["tiny 1, part 1", "tiny 1, part 2"]


def test_wrong_dates_and_different_tasks_are_refused_together(tmp_path: Path) -> None:
    first, other = dataset(tmp_path / "a"), dataset(tmp_path / "b", name="other", toml=WITHOUT_REID)
    text = refusal(first, other, dates=DATES[:1])
    assert "1 dates for 2 phases" in text and "its tasks differ from those of 'tiny'" in text
    assert "not later than the one before it" in refusal(first, dates=(DATES[1], DATES[0]))


def test_a_data_set_without_labels_is_refused(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "a")
    table = folder / "annotations.csv"
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    lines = [",".join([image, split, "", "", mood]) for image, split, _, _, mood in rows[1:]]
    table.write_text("\n".join([",".join(rows[0]), *lines]) + "\n", encoding="utf-8")
    text = refusal(folder)
    assert "annotated for 'gender'" in text and "no query has an identity" in text


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / folder).mkdir()
    for name in ("bounding_box_train/0001_c1s1_000001_01.jpg", "query/0002_c1s1_000001_01.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "bounding_box_test" / "0002_c2s1_000001_01.jpg").touch()
    text = refusal(tmp_path)
    assert "layout 'market1501'" in text and "`piq import auto` writes one" in text


def test_a_kit_holds_neither_labels_nor_identities(tmp_path: Path) -> None:
    plan = planned(dataset(tmp_path / "a", toml="# a remark\n" + TOML))
    files = kit_files(plan.phases[0])
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    kit = read_benchmark(tmp_path, need_labels=False)
    assert kit.tasks == plan.benchmark.tasks and kit.identities == ()
    assert kit.images.tolist() == plan.benchmark.images.tolist()


def images_at(root: str) -> str:
    return TOML + f"[images] # of mine\n# kept\nroot = '{root}'\n[grouping]\nthreshold = 5\n"


@pytest.mark.parametrize("root", ["/home/zaphod/data", "C:\\\\zaphod", "../zaphod", "pictures/../../zaphod"])
def test_a_kit_does_not_tell_where_the_organisers_images_are(root: str, tmp_path: Path) -> None:
    phase = planned(dataset(tmp_path / "a", toml=images_at(root))).phases[0]
    text = kit_files(phase)["benchmark.toml"].decode()
    assert "zaphod" not in text and "# kept\n[grouping]\nthreshold = 5\n" in text
    assert root.encode() in reference_files(phase)["benchmark.toml"]


def test_a_kit_keeps_a_place_inside_the_data_set_and_refuses_what_it_cannot_remove(tmp_path: Path) -> None:
    phase = planned(dataset(tmp_path / "a", toml=images_at("pictures"))).phases[0]
    assert "root = 'pictures'\n" in kit_files(phase)["benchmark.toml"].decode()
    inline = "images.root = '/home'\n" + TOML
    with pytest.raises(BadDataset, match="images-root"):
        kit_files(planned(dataset(tmp_path / "b", toml=inline)).phases[0])


def with_rules(folder: Path) -> Path:
    """A data set whose rules name columns of the annotations, with groups of another tool."""
    rules = '[retrieval]\nexclude = [["group"], ["identity", "camera"], ["clothes"]]\n'
    toml = f'{TOML}{rules}junk = ["zaphod5"]\ndistractors = ["zaphod4"]\n'
    table = dataset(folder, toml=toml) / "annotations.csv"
    head, *lines = table.read_text(encoding="utf-8").splitlines()
    lines = [f"{line},c{number % 3},{number % 7}" for number, line in enumerate(lines)]
    table.write_text("\n".join([f"{head},camera,clothes", *lines]) + "\n", encoding="utf-8")
    groups = "image,group\np0/0.jpg,one\np0/1.jpg,one\np1/0.jpg,two\np2/3.jpg,two\n"
    (folder / "groups.csv").write_text(groups, encoding="utf-8")
    return folder


def test_a_host_applies_the_rules_of_the_data_set(tmp_path: Path) -> None:
    folder = with_rules(tmp_path / "a")
    plan = planned(folder)
    hosted = tmp_path / "hosted"
    hosted.mkdir()
    for name, content in reference_files(plan.phases[0]).items():
        (hosted / name).write_bytes(content)
    entry = submission(tmp_path / "entry.npz", folder)
    options = ["--dataset", str(folder), "--format", "json", "--bootstrap", "10"]
    done = CliRunner().invoke(load_command("score"), [str(entry), *options])
    assert done.exit_code == 0, done.output
    found, expected = score_upload(hosted, entry, plan.settings), json.loads(done.stdout)
    assert expected["protocol"]["exclude"] == ["clothes", "group", "identity+camera"]
    assert found.digest == expected["protocol"]["digest"]
    (folder / "benchmark.toml").write_text(TOML.format(name="tiny"), encoding="utf-8")
    without = json.loads(CliRunner().invoke(load_command("score"), [str(entry), *options]).stdout)
    assert without["protocol"]["digest"] != found.digest


def test_a_host_has_the_parameters_of_the_groups(tmp_path: Path) -> None:
    """In mode "neighbours" the lowest quality, which only groups.csv.json holds, moves scores."""
    folder = dataset(tmp_path / "a", toml=TOML + '[grouping]\nmode = "neighbours"\n')
    benchmark = read_benchmark(folder)
    n = benchmark.images.size
    hashes = [0xAAAAAAAAAAAAAAAA] * 10 + balanced_hashes(n - 10, seed=3).tolist()
    hashed = hashed_of(hashes, quality=[float(row % 2) for row in range(n)])
    write_groups(folder / "groups.csv", group_hashed(benchmark, hashed, min_quality=0.5))
    made = planned(folder)
    files = reference_files(made.phases[0])
    assert set(files) == {"annotations.csv", "benchmark.toml", "groups.csv", "groups.csv.json"}
    (tmp_path / "labels.zip").write_bytes(zipped(files))
    entry = submission(tmp_path / "entry.npz", folder)
    found = evaluate(tmp_path / "labels.zip", entry, "split", made.settings)
    options = ["--dataset", str(folder), "--format", "json", "--bootstrap", "10"]
    expected = json.loads(CliRunner().invoke(load_command("score"), [str(entry), *options]).stdout)
    assert json.loads(found["submission_metadata"])["protocol"]["digest"] == expected["protocol"]["digest"]
    files.pop("groups.csv.json")
    (tmp_path / "labels.zip").write_bytes(zipped(files))
    without = evaluate(tmp_path / "labels.zip", entry, "split", made.settings)
    assert without["result"] != found["result"]


def test_the_pages_tell_the_rules_and_that_a_matrix_may_be_submitted(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("markdown_it")
    named = TOML.replace("[tasks.gender]", "[tasks.distance]")  # then that is the name of a task
    table = dataset(tmp_path / "named", toml=named) / "annotations.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("gender", "distance", 1), encoding="utf-8")
    expected = {
        with_rules(tmp_path / "rules"): (True, "same clothes; near-duplicates of the query; same identity and camera"),
        tmp_path / "named": (False, "none"),
        dataset(tmp_path / "without", toml=WITHOUT_REID): (False, None),
    }
    for folder, (takes_matrix, excluded) in expected.items():
        values = page_values(planned(folder), "EvalAI")
        assert ("can submit a float16 or" in markdown_page("submission.md", values)) is takes_matrix
        text = html_page(markdown_page("evaluation.md", values))
        assert ("candidates</strong> in tiny 1: " in text) is (excluded is not None)
        assert excluded is None or f"in tiny 1: {excluded}.</li>" in text


def test_a_kit_checks_submissions_to_a_benchmark_whose_rules_need_labels(tmp_path: Path) -> None:
    folder, kit = with_rules(tmp_path / "a"), tmp_path / "kit"
    kit.mkdir()
    for name, content in kit_files(planned(folder).phases[0]).items():
        (kit / name).write_bytes(content)
    target = read_benchmark(folder)
    query, gallery = (target.images[target.split == split].astype(str) for split in (QUERY, GALLERY))
    distance = np.zeros((query.size, gallery.size), dtype=np.float32)
    matrix = {"distance": distance, "query": query, "gallery": gallery}
    with np.load(kit / "submission.npz") as example:
        by_row = {name: example[name] for name in example.files if name != "embedding"}
    np.savez(tmp_path / "matrix.npz", **by_row, **matrix)
    for entry in (kit / "submission.npz", tmp_path / "matrix.npz"):
        done = CliRunner().invoke(load_command("check"), [str(entry), "--dataset", str(kit)])
        assert done.exit_code == 0, done.output
    toml = (folder / "benchmark.toml").read_text(encoding="utf-8")
    (folder / "benchmark.toml").write_text(toml.replace('"clothes"', '"cloths"'), encoding="utf-8")
    with pytest.raises(BadDataset, match="did you mean 'clothes'"):  # where there are labels, a rule may be misspelt
        read_benchmark(folder, need_labels=False)


def test_the_order_of_files_does_not_matter() -> None:
    assert zipped({"a": b"1", "b": b"2"}) == zipped({"b": b"2", "a": b"1"})


def test_files_are_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_file(path, b"1", force=False)
    with pytest.raises(BadUsage, match="already exists"):
        write_file(path, b"2", force=False)
    assert path.read_bytes() == b"1"
    write_file(path, b"2", force=True)
    assert path.read_bytes() == b"2"
    with pytest.raises(BadUsage, match="already exists"):
        write_file(tmp_path, b"2", force=True)
    with pytest.raises(BadUsage, match="is not a folder that can be written to"):
        write_file(tmp_path / "nowhere" / "a.zip", b"2", force=True)


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mark").touch()
    (tmp_path / "out").symlink_to(tmp_path / "other")
    with pytest.raises(BadUsage, match="already exists"):
        write_folder(tmp_path / "out", {"mark": b""}, force=True, mark="mark")


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_folder(tmp_path / "out", {"a": b"1", "b": "no bytes"}, force=False, mark="a")  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())


def test_a_broken_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset):
        planned(tmp_path)
