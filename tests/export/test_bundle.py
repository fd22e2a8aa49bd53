"""Data sets that form a challenge or do not, and bundles that are written whole or not at all."""

import csv
from datetime import datetime
from pathlib import Path

import pytest
from export_builders import DATES, TOML, WITHOUT_REID, dataset

from piq_bench.errors import BadDataset, BadInput, BadUsage
from piq_bench.export import bundle
from piq_bench.export.bundle import Plan, kit_files, make_plan, requirements, write_file, write_folder, zipped
from piq_bench.read.dataset import read_benchmark


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


def test_the_order_of_files_does_not_matter() -> None:
    assert zipped({"a": b"1", "b": b"2"}) == zipped({"b": b"2", "a": b"1"})


def test_requirements_are_exact() -> None:
    lines = requirements().splitlines()
    assert all(line.count("==") == 1 for line in lines)
    assert {"numpy", "numba", "jinja2"} <= {line.split("==")[0] for line in lines}


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


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PAGE_LIBRARY", "no-such-distribution")
    with pytest.raises(BadUsage, match="no-such-distribution"):
        requirements()


def test_a_broken_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset):
        planned(tmp_path)
