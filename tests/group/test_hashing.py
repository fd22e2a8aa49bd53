import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from group_builders import sample_image
from oracles_groups import hash_by_imagehash
from PIL import Image

from piq_bench.group import hashing
from piq_bench.group.cache import Cache, Hashed
from piq_bench.group.hashing import HashedImages, hash_images
from piq_bench.images.folder import ImageBytes, ImageFolder

ONE = Hashed("a/ä.png", 10, 123456789012345678, 2**64 - 1, 0.1, 7)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images of different sizes, two of them broken."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(30):
        sample_image(number, 20 + number, 60).save(folder / f"{number:02d}.png")
    (folder / "07.png").write_bytes(b"not a picture")
    (folder / "11.png").write_bytes((folder / "10.png").read_bytes()[:200])
    return folder


def ids(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def same(one: HashedImages, other: HashedImages) -> bool:
    names = ("phash", "quality", "bytes_hash", "readable")
    equal = all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=n == "quality") for n in names)
    return equal and one.failures == other.failures


def test_hashes_are_in_the_order_of_the_ids_and_failures_are_listed(root: Path) -> None:
    images = ids(root)[::-1]
    steps: list[int] = []
    hashed = hash_images(images, root, workers=1, advance=steps.append)
    assert sum(steps) == len(images)
    assert [(one.image, one.code) for one in hashed.failures] == [
        ("11.png", "damaged-image"),
        ("07.png", "not-an-image"),
    ]
    for row, image in enumerate(images):
        readable = image not in ("07.png", "11.png")
        assert hashed.readable[row] == readable
        assert hashed.phash[row] == (hash_by_imagehash(Image.open(root / image)) if readable else 0)


def test_processes_change_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = hash_images(ids(root), root, workers=1)
    monkeypatch.setattr(hashing, "CHUNK", 4)
    assert same(hash_images(ids(root), root, workers=1), alone)
    assert same(hash_images(ids(root), root, workers=2), alone)


def test_files_read_a_few_at_a_time_change_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = hash_images(ids(root), root, workers=1)
    for n_bytes in (1, 10_000):
        monkeypatch.setattr(hashing, "BATCH_BYTES", n_bytes)
        assert same(hash_images(ids(root), root, workers=1), expected)


def test_large_files_are_not_all_read_before_the_first_is_hashed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [(root / image).stat().st_size for image in ids(root)]
    monkeypatch.setattr(hashing, "BATCH_BYTES", sum(sizes) // 5)
    hash_files, held = hashing.hash_files, list[int]()

    def noted(files: dict[str, ImageBytes], *how: Any) -> None:  # noqa: ANN401
        held.append(sum(len(file.data) for file in files.values()))
        hash_files(files, *how)

    monkeypatch.setattr(hashing, "hash_files", noted)
    hash_images(ids(root), root, workers=1)
    assert len(held) >= 4 and sum(held) == sum(sizes) and max(held) <= hashing.BATCH_BYTES + max(sizes)


def test_no_images_are_no_hashes(tmp_path: Path) -> None:
    assert hash_images([], tmp_path).phash.shape == (0,)


def test_an_interrupted_run_resumes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    images = ids(root)
    monkeypatch.setattr(hashing, "CHUNK", 5)

    def interrupt(steps: int) -> None:
        if len(cache.read_text(encoding="utf-8").splitlines()) > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_images(images, root, workers=1, cache_path=cache, advance=interrupt)
    read: list[str] = []
    plain = ImageFolder.read

    def noted(folder: ImageFolder, image: str) -> ImageBytes:
        read.append(image)
        return plain(folder, image)

    monkeypatch.setattr(ImageFolder, "read", noted)
    resumed = hash_images(images, root, workers=1, cache_path=cache)
    assert resumed.n_resumed >= 10
    assert len(read) == len(images) - resumed.n_resumed
    assert same(resumed, hash_images(images, root, workers=1))


def test_a_changed_file_is_hashed_again_and_a_removed_one_is_missed(tmp_path: Path) -> None:
    folder, cache = tmp_path / "images", tmp_path / "cache"
    folder.mkdir()
    for number in range(3):
        sample_image(number).save(folder / f"{number}.png")
    first = hash_images(ids(folder), folder, workers=1, cache_path=cache)
    sample_image(9).save(folder / "1.png")
    (folder / "2.png").unlink()
    second = hash_images(["0.png", "1.png", "2.png"], folder, workers=1, cache_path=cache)
    assert second.n_resumed == 1
    assert second.phash[0] == first.phash[0]
    assert second.phash[1] == hash_by_imagehash(sample_image(9))
    assert [one.code for one in second.failures] == ["missing-file"]


def test_other_parameters_start_over(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    hash_images(["00.png"], root, workers=1, cache_path=cache)
    assert hash_images(["00.png"], root, workers=1, cache_path=cache).n_resumed == 1
    assert hash_images(["00.png"], root, workers=1, cache_path=cache, limit_pixels=10**6).n_resumed == 0


def test_the_cache_gives_back_what_was_put_in(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    with Cache(path, {"limit": 1}) as cache:
        cache.add([ONE])
    with Cache(path, {"limit": 1}) as cache:
        assert cache.known == {ONE.image: ONE}
    with Cache(None, {}) as cache:
        cache.add([ONE])
        assert cache.known == {}


LINES = [
    "",
    "[",
    "{}",
    '["a", 1, 2]',
    '["a", 1, 2, "00", 0.5, "00"]\n',
    "0" * 32 + ' ["a", 1, 2, "00", 1e999, "00"]\n',
    "[",
]


@pytest.mark.parametrize("line", [*LINES, "[" * 100_000 + "\n", "é" * 40 + "\n"])
def test_a_line_that_is_not_whole_or_not_of_this_user_is_skipped(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cache"
    with Cache(path, {}) as cache:
        cache.add([ONE])
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    with Cache(path, {}) as cache:
        assert list(cache.known) == [ONE.image]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2  # what was broken is gone


def test_a_cache_of_another_user_or_with_changed_hashes_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache"
    with Cache(path, {}) as cache:
        cache.add([ONE])
    mine = path.read_text(encoding="utf-8")
    path.write_text(mine.replace(f"{ONE.phash:016x}", f"{ONE.phash ^ 1:016x}"), encoding="utf-8")
    with Cache(path, {}) as cache:
        assert cache.known == {}
    path.write_text(mine, encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    with Cache(path, {}) as cache:
        assert cache.known == {}


def test_without_a_home_hashes_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("~nobody", str(tmp_path / "file" / "below")):
        monkeypatch.setenv("XDG_CONFIG_HOME", place)
        for _ in range(2):
            assert hash_images(["00.png"], root, workers=1, cache_path=tmp_path / "cache").n_resumed == 0
    assert not Path("~nobody").exists()


def test_a_cache_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (tmp_path / "cache").symlink_to(tmp_path / "mine")
    with Cache(tmp_path / "cache", {}) as cache:
        cache.add([ONE])
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


def test_a_file_that_is_no_cache_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"\xff\xfe")
    with Cache(path, {}) as cache:
        assert cache.known == {}
    assert json.loads(path.read_text(encoding="utf-8")) == {}
