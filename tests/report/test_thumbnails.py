"""Thumbnails are encoded anew from readable files inside the image folder."""

import io
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest
from PIL import Image

from piq_bench.records import Benchmark
from piq_bench.report import thumbnails as page
from piq_bench.report.thumbnails import SIZE, thumbnails, why_missing


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    target = replace(builders.benchmark(np.random.default_rng(0)), root=tmp_path)
    for image in target.images[:4]:
        path = tmp_path / "images" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(1).integers(0, 256, (256, 128, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x010E] = "secret note"
        Image.fromarray(pixels).save(path, "JPEG", exif=exif)
    return target


def opened(address: str) -> Image.Image:
    head, _, content = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(b64decode(content, validate=True)))


def test_thumbnails_are_small_and_carry_no_metadata(benchmark: Benchmark) -> None:
    found = thumbnails(benchmark, [2, 0, 2])
    assert list(found) == [2, 0]
    picture = opened(found[0])
    assert picture.size == (SIZE[1] // 2, SIZE[1])
    assert not picture.getexif()
    assert len(found[0]) < 16_000  # noise is the worst case


def test_what_cannot_be_read_is_left_out(benchmark: Benchmark, tmp_path: Path) -> None:
    (tmp_path / "images" / benchmark.images[1]).write_bytes(b"no picture")
    (tmp_path / "images" / benchmark.images[2]).unlink()
    assert list(thumbnails(benchmark, range(4))) == [0, 3]


def test_links_out_of_the_folder_are_not_followed(benchmark: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "images" / benchmark.images[0]
    path.rename(tmp_path / "outside.jpg")
    path.symlink_to(tmp_path / "outside.jpg")
    images = benchmark.images.copy()
    images[1] = "../outside.jpg"
    assert list(thumbnails(replace(benchmark, images=images), range(4))) == [2, 3]


def test_links_out_of_the_folder_are_followed_on_request(benchmark: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "images" / benchmark.images[0]
    path.rename(tmp_path / "outside.jpg")
    path.symlink_to(tmp_path / "outside.jpg")
    assert list(thumbnails(replace(benchmark, follow_links=True), range(4))) == [0, 1, 2, 3]


def test_grey_pictures_and_data_sets_without_pictures(benchmark: Benchmark, tmp_path: Path) -> None:
    Image.new("L", (10, 400), 99).save(tmp_path / "images" / benchmark.images[0])
    assert opened(thumbnails(benchmark, [0])[0]).size[1] == SIZE[1]
    assert thumbnails(replace(benchmark, root=None), [0]) == {}


def test_a_page_has_a_size_and_says_what_is_missing(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = range(4)
    whole = thumbnails(benchmark, rows)
    first, second = list(whole)[:2]
    monkeypatch.setattr(page, "BUDGET", len(whole[first]) + len(whole[second]) - 1)
    cut = thumbnails(benchmark, [first, second])
    assert cut == {first: whole[first]}
    assert why_missing(benchmark, [first, second, second], cut).startswith("1 of 2 images have no picture")
    assert "none of the image files" in why_missing(benchmark, [first], {})
    assert why_missing(benchmark, [first], cut) == ""
