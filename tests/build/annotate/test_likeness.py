"""Who is alike, by colours or by a file, and when colours are computed again."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from piq_bench.baseline.features import N_COLOURS, features
from piq_bench.build.annotate import likeness, views
from piq_bench.build.annotate.project import Project
from piq_bench.errors import BadSubmission
from piq_bench.records import Float32Array, IntArray


def test_colours_are_kept_until_an_image_changes(
    project: Project, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = likeness.colour_features(project, workers=1, advance=lambda steps: None)
    with Image.open(dataset / "images" / "f1" / "2.png") as image:
        row = features(np.asarray(image))[:N_COLOURS].astype(float)
    assert np.allclose(first[2], row / np.linalg.norm(row))
    calls: list[int] = []

    def map_images(*given: object, **more: object) -> Iterator[IntArray]:
        calls.append(1)
        return iter(np.zeros((8, N_COLOURS), np.int64))

    monkeypatch.setattr(likeness, "map_images", map_images)
    assert np.array_equal(likeness.colour_features(project, workers=1, advance=lambda steps: None), first)
    assert not calls
    os.utime(dataset / "images" / "f1" / "2.png", ns=(1, 1))
    likeness.colour_features(project, workers=1, advance=lambda steps: None)
    assert calls


def candidates(project: Project, values: Float32Array) -> list[str]:
    """The people that image 3 may show, the most alike first."""
    return [one["name"] for one in views.candidates(project, likeness.Likeness(values, project.film), 9, 3)]


def test_features_of_a_file_order_people_and_every_image_needs_a_row(project: Project, tmp_path: Path) -> None:
    images = project.benchmark.images.astype(str)
    values = np.eye(8, 4, dtype=np.float32)
    values[3] = values[0]  # as anna, although the colours are bob's
    np.savez(tmp_path / "f.npz", image=images[::-1], embedding=values[::-1])
    found = likeness.file_features(tmp_path / "f.npz", project.benchmark)
    assert np.array_equal(found, values)
    assert candidates(project, found) == [
        "anna",
        "bob",
    ]
    colours = likeness.colour_features(project, workers=1, advance=lambda steps: None)
    assert candidates(project, colours) == [
        "bob",
        "anna",
    ]
    np.savez(tmp_path / "short.npz", image=images[1:], embedding=values[1:])
    with pytest.raises(BadSubmission, match=r"f1/0\.png"):
        likeness.file_features(tmp_path / "short.npz", project.benchmark)
    values[1, 1] = np.nan
    np.savez(tmp_path / "nan.npz", image=images, embedding=values)
    with pytest.raises(BadSubmission, match="not finite"):
        likeness.file_features(tmp_path / "nan.npz", project.benchmark)


def test_each_person_is_shown_once_by_the_most_alike_image_as_a_slow_search_finds_it(project: Project) -> None:
    rng = np.random.default_rng(0)
    for trial in range(20):
        table = likeness.unit(rng.standard_normal((8, 3)))
        for row in range(6):
            project.ballots.set("reid", 7, str(project.benchmark.images[row]), f"p{rng.integers(1, 3)}")
        own = project.ballots.given["reid"][7]
        best: dict[int, tuple[float, int]] = {}
        for other in range(6):
            if other != trial % 6:
                alike = (float(table[other] @ table[trial % 6]), -other)
                best[int(own[other])] = max(best.get(int(own[other]), alike), alike)
        expected = sorted(((-value, -row, person) for person, (value, row) in best.items()))
        found = views.candidates(project, likeness.Likeness(table, project.film), 7, trial % 6)
        assert [(one["row"], one["person"]) for one in found] == [(row, person) for _, row, person in expected]
