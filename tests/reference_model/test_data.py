"""Training data: it holds nothing of query and gallery, identities are renumbered, pictures have one size."""

import shutil
from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest
import training_builders
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from piq_bench.errors import BadDataset
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.rules import parse_rules, with_rules
from piq_bench.records import (
    GALLERY,
    NO_GROUP,
    NO_IDENTITY,
    NOT_ANNOTATED,
    QUERY,
    TRAIN,
    Benchmark,
    Grouping,
    Groups,
    Rule,
)
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.ragged import owners
from reference_model import data


def drawn(seed: int, n_train: int = 60) -> Benchmark:
    """A benchmark whose training images show several people, and some have no identity."""
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, builders.Size(n_train=n_train))
    identity = benchmark.identity.copy()
    train = benchmark.split == TRAIN
    names = (*benchmark.identities, *(f"t{number}" for number in range(9)))
    identity[train] = rng.integers(len(benchmark.identities) - 1, len(names), int(train.sum()))
    identity[train & (rng.random(identity.size) < 0.4)] = NO_IDENTITY
    return replace(benchmark, identity=identity, identities=names)


@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.6))
def test_no_query_or_gallery_image_is_trained_or_validated_on(seed: int, share: float) -> None:
    benchmark = drawn(seed)
    train = set(benchmark.images[benchmark.split == TRAIN])
    tried = data.held_out(benchmark, share, seed)
    assert set(tried.images) == train
    assert set(data.training_part(benchmark).images) == train


@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.6))
def test_people_and_scenes_held_out_are_not_trained_on(seed: int, share: float) -> None:
    tried = data.held_out(drawn(seed), share, seed)
    known = tried.identity != NO_IDENTITY
    fit = tried.split == TRAIN
    assert not set(tried.identity[fit & known]) & set(tried.identity[~fit & known])
    assert tried.sequence is not None
    scenes = [set(tried.sequence[rows & ~known]) - {""} for rows in (fit, ~fit)]
    assert not scenes[0] & scenes[1]
    for person in np.unique(tried.identity[~fit & known]):
        splits = tried.split[tried.identity == person].tolist()
        assert splits.count(QUERY) == (-(-len(splits) // data.QUERY_EVERY) if len(splits) > 1 else 0)
        assert splits.count(GALLERY) == len(splits) - splits.count(QUERY)


def test_held_out_images_are_compared_by_the_rules_of_the_benchmark() -> None:
    benchmark = drawn(3)
    clothes = np.array([f"c{row % 4}" for row in range(benchmark.images.size)], dtype=object)
    groups = Groups(Grouping(), np.zeros(clothes.size, dtype=np.uint64), np.full(clothes.size, NO_GROUP))
    benchmark = replace(benchmark, columns={"clothes": clothes}, groups=groups, exclude=())
    ruled = with_rules(benchmark, parse_rules(["group", "group+camera", "identity+clothes"]))
    tried = data.held_out(ruled, 0.5, 0)
    assert list(map(str, tried.exclude)) == ["identity+clothes"]
    worn = dict(zip(benchmark.images, clothes, strict=True))
    assert tried.columns["clothes"].tolist() == [worn[image] for image in tried.images]
    candidates = find_candidates(tried)
    owner = owners(candidates.ignored)
    assert owner.size
    for place, row in zip(owner, candidates.ignored.values, strict=True):
        query, gallery = candidates.query[place], candidates.gallery[row]
        assert tried.identity[query] == tried.identity[gallery]
        assert worn[tried.images[query]] == worn[tried.images[gallery]]


def test_near_copies_of_a_held_out_query_are_no_candidates(tmp_path: Path) -> None:
    folder = training_builders.portraits(tmp_path / "films")
    benchmark = read_benchmark(folder)
    part = data.held_out(benchmark, 0.5, 0)
    query = next(row for row in np.flatnonzero(part.split == QUERY) if (part.identity == part.identity[row]).sum() > 2)
    person = np.flatnonzero((part.identity == part.identity[query]) & (part.split == GALLERY))
    shutil.copyfile(folder / "images" / part.images[query], folder / "images" / part.images[person[0]])

    def left_out(part: Benchmark) -> set[int]:
        found = find_candidates(part)
        return set(found.gallery[found.duplicates[found.query.tolist().index(query)]].tolist())

    found = data.grouped(part, benchmark, workers=1)
    assert person[0] in left_out(found)
    assert not set(person) <= left_out(found)
    assert not left_out(part)
    assert found.groups is not None
    groups = Groups(Grouping("given", None, "given"), np.zeros(part.images.size, dtype=np.uint64), found.groups.group)
    stored = replace(benchmark, groups=groups, grouping=groups.grouping)
    assert data.grouped(part, stored, workers=1) is part  # its own rules leave near-duplicates in
    ruled = replace(stored, exclude=(Rule(("group", "source")),))
    assert data.grouped(part, ruled, workers=1).exclude == (Rule(("group", "source")),)


def test_the_same_seed_holds_out_the_same_images() -> None:
    splits = [data.held_out(drawn(1), 0.3, seed).split.tolist() for seed in (5, 5, 6)]
    assert splits[0] == splits[1] != splits[2]


def test_images_without_a_scene_are_held_out_one_by_one() -> None:
    benchmark = drawn(2)
    alone = replace(benchmark, source=None, sequence=None)
    unidentified = data.training_part(alone).identity == NO_IDENTITY
    n_held = int((data.held_out(alone, 0.5, 0).split[unidentified] == GALLERY).sum())
    assert n_held == round(0.5 * int(unidentified.sum()))


def test_a_benchmark_without_training_images_is_refused() -> None:
    with pytest.raises(BadDataset, match="no image is for training"):
        data.training_part(builders.benchmark(np.random.default_rng(0), builders.Size(n_train=0)))


def test_identities_are_numbered_by_name_among_those_present() -> None:
    benchmark = drawn(3)
    rows = np.flatnonzero(benchmark.split == TRAIN)
    targets, n_classes = data.targets_of(benchmark, rows)
    names = [benchmark.identities[one] if one != NO_IDENTITY else None for one in benchmark.identity[rows]]
    present = sorted({name for name in names if name is not None})
    assert targets["reid"].tolist() == [NOT_ANNOTATED if name is None else present.index(name) for name in names]
    assert n_classes == {"reid": len(present), "gender": 2, "age": 3, "mood": 3}
    assert (targets["mood"] == benchmark.labels["mood"][rows]).all()


def with_pictures(folder: Path, sizes: list[tuple[int, int]]) -> Benchmark:
    """A benchmark whose images are drawn, the first in grey."""
    benchmark = drawn(4)
    rng = np.random.default_rng(4)
    for number, image in enumerate(benchmark.images):
        path = folder / "images" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        size = sizes[number % len(sizes)]
        shape = size if number == 0 else (*size, 3)
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(path, format="PNG")
    return replace(benchmark, root=folder)


def test_pictures_of_the_right_size_are_unchanged_and_others_resized(tmp_path: Path) -> None:
    benchmark = with_pictures(tmp_path, [(16, 8), (9, 5)])
    rows = np.array([0, 1, 2])
    done: list[int] = []
    found = data.read_pixels(benchmark, rows, (16, 8), workers=1, advance=done.append)
    opened = [Image.open(tmp_path / "images" / image) for image in benchmark.images[rows]]
    expected = [np.asarray(picture.convert("RGB").resize((8, 16), Image.Resampling.BILINEAR)) for picture in opened]
    assert (found == np.stack(expected)).all()
    assert (found[2] == np.asarray(opened[2])).all()
    assert found.dtype == np.uint8
    assert sum(done) == 3


def test_pixels_that_are_too_many_for_memory_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = with_pictures(tmp_path, [(6, 4)])
    rows = np.arange(5)
    in_memory = data.read_pixels(benchmark, rows, (6, 4), folder=tmp_path, workers=1)
    assert not isinstance(in_memory, np.memmap)
    monkeypatch.setattr("piq_bench.images.buffer.available_memory", lambda: 100.0)
    stored = data.read_pixels(benchmark, rows, (6, 4), folder=tmp_path, workers=1)
    assert isinstance(stored, np.memmap)
    assert (stored == in_memory).all()


def test_every_unreadable_picture_is_named_at_once(tmp_path: Path) -> None:
    benchmark = with_pictures(tmp_path, [(6, 4)])
    (tmp_path / "images" / benchmark.images[1]).unlink()
    (tmp_path / "images" / benchmark.images[3]).write_bytes(b"no picture")
    with pytest.raises(BadDataset) as refusal:
        data.read_pixels(benchmark, np.arange(5), (6, 4), workers=1)
    text = str(refusal.value)
    assert benchmark.images[1] in text
    assert benchmark.images[3] in text
