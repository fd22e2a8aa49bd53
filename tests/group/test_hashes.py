"""Hashes of imagehash: their bits, and groups at odd distances against a count in plain Python."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import PIL
import pytest
from group_builders import Row, benchmark_of, hashed_of, sample_image
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_groups import Image64, Rules, diagnostics, groups, near
from PIL import Image

from piq_bench.cli import groups as command
from piq_bench.errors import BadUsage
from piq_bench.group.build import GroupReport, build_groups, group_hashed, write_groups
from piq_bench.group.hashes import HASHES, degenerate
from piq_bench.group.hashing import hash_images
from piq_bench.read.groups import read_groups
from piq_bench.records import Benchmark, Grouping
from piq_bench.report.groups_table import groups_table

ORACLES: dict[str, Callable[[Image.Image], imagehash.ImageHash]] = {
    "ahash": imagehash.average_hash,
    "dhash": imagehash.dhash,
    "whash": imagehash.whash,
}
SIZES = [(128, 256), (64, 128), (300, 17), (9, 40), (3, 5), (1, 1), (33, 32)]
ALL_SET = 2**64 - 1


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated images of many sizes in colour, one in grey, one flat, one a ramp, one twice and one no image."""
    folder = tmp_path_factory.mktemp("images")
    for number, size in enumerate(SIZES * 3):
        sample_image(number, *size).save(folder / f"{number:02d}.png")
    sample_image(90).convert("L").save(folder / "grey.png")
    Image.new("RGB", (64, 128), (200, 10, 30)).save(folder / "flat.png")
    Image.fromarray(np.tile(np.arange(128, dtype=np.uint8), (64, 1))).save(folder / "ramp.png")
    (folder / "twice.png").write_bytes((folder / "01.png").read_bytes())
    (folder / "none.png").write_bytes(b"no picture")
    return folder


def names(images: Path) -> list[str]:
    return sorted(path.name for path in images.iterdir())


def benchmark(images: Path, grouping: Grouping) -> Benchmark:
    rows = [Row(name, "query" if i % 3 == 0 else "gallery", f"p{i % 2}") for i, name in enumerate(names(images))]
    return benchmark_of(rows, grouping=grouping)


@pytest.mark.parametrize("name", ORACLES)
def test_bits_are_those_of_imagehash(images: Path, name: str) -> None:
    hashed = hash_images(names(images), images, hash_name=name, workers=1)
    assert [failure.image for failure in hashed.failures] == ["none.png"]
    for row, image in enumerate(names(images)):
        expected = 0 if image == "none.png" else int(str(ORACLES[name](Image.open(images / image))), 16)
        assert int(hashed.phash[row]) == expected, image
    assert len(set(hashed.phash.tolist())) > 15


def test_quality_and_bytes_do_not_depend_on_the_hash(images: Path) -> None:
    own, other = (hash_images(names(images), images, hash_name=name, workers=1) for name in ("phash", "dhash"))
    np.testing.assert_array_equal(own.quality, other.quality)
    np.testing.assert_array_equal(own.bytes_hash, other.bytes_hash)


def test_an_interrupted_run_of_another_hash_is_not_resumed(images: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, resumed in (("dhash", 0), ("dhash", 1), ("ahash", 0), ("phash", 0), ("phash", 1)):
        found = hash_images(["00.png"], images, hash_name=name, workers=1, cache_path=cache)
        assert found.n_resumed == resumed


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("mode", ["components", "neighbours"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_was_written_is_read_back(images: Path, tmp_path: Path, name: str, mode: str, suffix: str) -> None:
    grouping = Grouping(name, 11, "neighbours" if mode == "neighbours" else "components")
    made_for = benchmark(images, grouping)
    report = build_groups(made_for, images, workers=1, keep_going=True)
    path = tmp_path / f"groups.{suffix}"
    write_groups(path, report)
    found, notes = read_groups(path, made_for.images, made_for.split, grouping)
    assert notes == []
    assert found.grouping == grouping
    assert found.parameters == report.groups.parameters
    assert found.group.tolist() == report.groups.group.tolist()
    assert found.phash.tolist() == report.groups.phash.tolist()
    if mode == "neighbours":
        assert found.pairs is not None
        assert report.groups.pairs is not None
        assert found.pairs.tolist() == report.groups.pairs.tolist() != []


def test_the_header_and_the_screen_name_what_the_bits_depend_on(images: Path) -> None:
    report = build_groups(benchmark(images, Grouping("whash")), images, workers=1, keep_going=True)
    parameters = report.groups.parameters
    assert (parameters["hash"], parameters["definition"]) == ("whash", "imagehash.whash")
    assert parameters["note"] == "the bits of whash depend on the versions of imagehash, Pillow and PyWavelets"
    software = parameters["software"]
    assert isinstance(software, dict)
    assert software["imagehash"] == imagehash.__version__
    assert software["pillow"] == PIL.__version__
    assert set(software) == {"piq_bench", "pillow", "libjpeg_turbo", "numpy", "imagehash", "pywavelets"}
    assert "whash_sha256" in parameters
    text = " ".join(groups_table(report).split())
    assert "the bits of whash depend on the versions of imagehash, Pillow and PyWavelets; the file names them" in text
    own = build_groups(benchmark(images, Grouping()), images, workers=1, keep_going=True)
    assert "note" not in own.groups.parameters
    assert "imagehash" not in groups_table(own)


def test_without_imagehash_only_phash_works(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(BadUsage, match=r"pip install 'piq-bench\[hashes\]'"):
        build_groups(benchmark(images, Grouping("dhash")), images, workers=1, keep_going=True)
    assert build_groups(benchmark(images, Grouping()), images, workers=1, keep_going=True).hashed.readable.any()


def test_degenerate_are_hashes_of_equal_bits_or_a_phash_without_32() -> None:
    hashes = np.array([0, ALL_SET, 1, 0xAAAAAAAAAAAAAAAA], dtype=np.uint64)
    assert degenerate(hashes, "dhash").tolist() == [True, True, False, False]
    for name in ("phash", "".join("phash")):  # a name read from a file is equal, not the same object
        assert degenerate(hashes, name).tolist() == [True, True, True, False]


def test_the_command_offers_every_hash() -> None:
    assert command.HASHES == HASHES


def any_images(seed: int, n: int = 30) -> list[Image64]:
    """Tracks whose hashes differ by single bits, so that distances are odd as often as even."""
    rng = np.random.Generator(np.random.PCG64(seed))
    images: list[Image64] = []
    value = 0
    for number in range(n):
        value = int(rng.integers(0, 2**63)) if number % 6 == 0 else value
        for bit in rng.integers(0, 64, int(rng.integers(0, 5))).tolist():
            value ^= 1 << bit
        kind = rng.random()
        phash = 0 if kind < 0.08 else ALL_SET if kind < 0.12 else 0 if kind > 0.95 else value
        images.append(
            Image64(
                phash=phash,
                bytes_hash=phash % (2**60 - 93) * 4 + int(rng.integers(1, 3)),
                quality=float(phash % 40),
                readable=kind <= 0.95,
                is_query=bool(rng.random() < 0.4),
                identity=str(rng.choice(["", "p", "q"])),
                source=str(rng.choice(["", "film", "other"])),
                camera=str(rng.choice(["", "c1", "c2"])),
            )
        )
    return images


def grouped(images: list[Image64], rules: Rules, mode: str = "components") -> GroupReport:
    rows = [
        Row(f"{i:04d}.jpg", "query" if one.is_query else "gallery", one.identity, one.source, one.camera)
        for i, one in enumerate(images)
    ]
    hashed = hashed_of(
        [one.phash for one in images],
        quality=[one.quality for one in images],
        bytes_hash=[one.bytes_hash for one in images],
        readable=[one.readable for one in images],
    )
    grouping = Grouping("dhash", rules.threshold, "neighbours" if mode == "neighbours" else "components")
    return group_hashed(benchmark_of(rows), hashed, grouping=grouping, within_source=rules.within)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 12))
def test_every_figure_at_every_threshold_is_the_plain_count(seed: int, within: bool, threshold: int) -> None:
    images = any_images(seed)
    rules = Rules(threshold, within, any_bits=True)
    report = grouped(images, rules)
    assert report.group.tolist() == groups(images, rules)
    assert [level.threshold for level in report.sweep.levels] == list(range(max(13, threshold + 3)))
    for level in report.sweep.levels:
        expected = diagnostics(images, replace(rules, threshold=level.threshold))
        assert {name: getattr(level, name) for name in expected} == expected
    chosen = report.sweep.level_at(threshold)
    assert chosen is not None
    assert chosen.threshold == threshold


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_neighbours_are_all_pairs_and_nothing_else(seed: int, threshold: int) -> None:
    images = any_images(seed)
    rules = Rules(threshold, any_bits=True)
    pairs = grouped(images, rules, mode="neighbours").groups.pairs
    assert pairs is not None
    n = len(images)
    assert pairs.tolist() == [[i, j] for i in range(n) for j in range(i + 1, n) if near(images[i], images[j], rules)]


@pytest.mark.parametrize(("threshold", "shown"), [(6, [0, 2, 4, 6, 8, 10, 12]), (5, [1, 3, 5, 7, 9, 11])])
def test_the_table_shows_every_second_threshold_with_the_chosen_one(threshold: int, shown: list[int]) -> None:
    text = groups_table(grouped(any_images(1), Rules(threshold, any_bits=True)))
    titles = next(line for line in text.splitlines() if "t, bits" in line)
    assert titles.split()[2:] == [f">{t}" if t == threshold else str(t) for t in shown]
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "equivalent to" not in text


def test_an_odd_threshold_adds_pairs() -> None:
    images = [Image64(0b1111, 1), Image64(0b111, 2), Image64(1 << 40, 3)]
    assert grouped(images, Rules(0, any_bits=True)).group.tolist() == [0, 1, 2]
    assert grouped(images, Rules(1, any_bits=True)).group.tolist() == [0, 0, 2]
