"""Exports of CVAT and Label Studio, as these programs write them, and files that are none."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from piq_bench.build.annotate.imports import take_up
from piq_bench.build.annotate.project import Project
from piq_bench.errors import BadDataset


def labels(project: Project, task: str) -> list[str]:
    return [project.ballots.shown(task, int(code)) for code in project.ballots.labels(task)]


def test_cvat_names_with_and_without_the_name_of_the_image_are_found(
    project: Project, dataset: Path, tmp_path: Path
) -> None:
    images = dataset / "images"
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        # Newer versions keep only the folder of the image: it is found by its bytes.
        archive.write(images / "f1/3.png", "bounding_box_default/f1/0007_c1s1_000000_00.png")
        archive.write(images / "f1/4.png", "query/f1/7_c2s1_000001_00.png")
        archive.write(images / "f1/5.png", "query/f1/-1_c2s1_000002_00.png")  # not known
        # Older ones add its name, and a list that may come without the images.
        archive.writestr(
            "images_default.txt", "bounding_box_default/f2/0008_c1s1_000000_000.png\nquery/x/1_c1s1_1_00.png\n"
        )
    said = take_up(project, tmp_path / "task.zip")
    assert labels(project, "reid")[3:7] == ["0007", "7", "", "0008"]
    assert said.startswith("took up 3 labels of 3 images") and "1 labels of unknown images" in said
    with zipfile.ZipFile(tmp_path / "task.zip") as archive:
        archive.extractall(tmp_path / "folder")
    assert take_up(project, tmp_path / "folder").startswith("took up 3 labels")
    assert len([action for action in project.store.history(9) if action.kind == "import"]) == 1  # nothing new


def task(image: str, *annotations: tuple[Any, dict[str, list[str]]], **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A task as Label Studio exports it; each annotation is an annotator and the choices of each control."""
    return {
        "id": 1,
        "data": {"image": image},
        "predictions": [],
        "annotations": [
            {"completed_by": who, "was_cancelled": False, **more, "result": [
                {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": values}}
                for name, values in given.items()
            ]}
            for who, given in annotations
        ],
    }  # fmt: skip


def test_label_studio_choices_of_several_annotators_are_taken_up(project: Project, tmp_path: Path) -> None:
    mail = {"id": 1, "email": "a@b.c"}
    both = task(
        "/data/local-files/?d=portraits/f1/4.png",
        (mail, {"gender": ["male"], "mood": ["sad", "happy"]}),
        (2, {"gender": ["female"], "identity": ["zoe"], "comment": ["blurred"]}),
    )
    content = [
        task("/data/upload/3/0a1b2c3d-f1/3.png", (1, {"gender": ["male"]})),
        both,
        task("s3://bucket/f1/5.png", (1, {"gender": ["male"]}), was_cancelled=True),
        task("https://host/other/9.png", (1, {"gender": ["male"]})),
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(content))
    said = take_up(project, path)
    assert said.startswith("took up 5 labels of 2 images") and "1 labels of unknown images" in said
    assert labels(project, "gender")[3:6] == ["male", "in conflict", ""]
    assert (labels(project, "mood")[4], labels(project, "reid")[4]) == ("happy|sad", "zoe")
    assert set(project.store.annotators().values()) == {"Label Studio 1", "Label Studio 2", "Label Studio a@b.c"}


def test_an_upload_is_found_without_its_prefix(project: Project, tmp_path: Path) -> None:
    shutil.copy(project.files.root + "/f1/3.png", tmp_path)
    (tmp_path / "e.json").write_text(json.dumps([task("/data/upload/3/0a1b2c3d-4.png", (1, {"gender": ["male"]}))]))
    take_up(project, tmp_path / "e.json")
    assert labels(project, "gender")[4] == "male"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("e.json", json.dumps([task("f1/3.png", (1, {"gender": ["mael"]}))]), "'mael' is unknown.*did you mean 'male'"),
        ("e.json", json.dumps([task("f1/3.png", (1, {"gender": ["male", "female"]}))]), "2 labels; the task takes one"),
        ("e.json", json.dumps([task("f1/3.png", (1, {"identity": ["a", "b"]}))]), "no name of one person"),
        ("e.json", json.dumps([task("f9/9.jpg", (1, {"gender": ["male"]}))]), "no label is of an image"),
        ("e.json", json.dumps([{"id": 1, "gender": "male"}]), "no list of tasks"),
        ("e.json", "[" * 100_000, "nested"),
        ("e.json", '[{"data": {"image": "f1/3.png"}, "annotations": [7, {"result": [1, {"value": []}]}]}]', "no label"),
        ("e.zip", "no archive", "zip"),
        ("e.txt", "text", "neither"),
    ],
)
def test_what_is_no_export_or_holds_no_label_of_ours_is_refused(
    project: Project, tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadDataset, match=reason):
        take_up(project, tmp_path / name)
    assert len(project.store.history(9)) == 1


def test_a_bomb_in_an_archive_is_not_unpacked(project: Project, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("query/0007_c1s1_000000_00.png", bytes(64 << 20))
        archive.writestr("images_x.txt", "query/f1/0007_c1s1_000000_003.png\n")
    assert take_up(project, tmp_path / "bomb.zip").startswith("took up 1 labels")
