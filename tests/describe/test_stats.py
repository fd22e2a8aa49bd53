"""A data set's figures, counted again image by image."""

import dataclasses
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders import Size, benchmark
from folders import shared_data
from group_builders import Row, benchmark_of

from piq_bench.describe.stats import Stats, describe, images_by_source
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.metrics.longtail import gini, lts
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import SPLITS, Benchmark

KS = (Fraction("0.2"), Fraction("0.5"))


def images_of(data: Benchmark, split: str) -> list[int]:
    return [row for row in range(data.images.size) if SPLITS[data.split[row]] == split]


def random_benchmark(seed: int) -> Benchmark:
    data = benchmark(np.random.default_rng(seed), Size(n_train=20, n_query=15, n_gallery=60, n_identities=7))
    distractor = (data.identity < 0) & ~data.junk & (np.arange(data.images.size) % 5 == 0)
    return dataclasses.replace(data, distractor=distractor)


@pytest.mark.parametrize("seed", range(5))
def test_images_and_identities_are_counted_as_by_hand(seed: int) -> None:
    data = random_benchmark(seed)
    stats = describe(data, ks=KS)
    assert stats.fingerprint == fingerprint(data)
    for split in SPLITS:
        rows = images_of(data, split)
        sizes = Counter(data.identities[data.identity[row]] for row in rows if data.identity[row] >= 0)
        found = stats.splits[split]
        assert found.images == len(rows)
        assert found.identities == len(sizes)
        assert found.labelled == sum(sizes.values())
        assert found.junk == sum(bool(data.junk[row]) for row in rows)
        assert found.distractor == sum(bool(data.distractor[row]) for row in rows)
        assert found.images == found.labelled + found.unlabelled + found.junk + found.distractor
        assert list(found.sizes) == sorted(sizes.values(), reverse=True)
        assert (found.largest, found.smallest) == (max(sizes.values()), min(sizes.values()))
        assert found.lts == {k: lts(sizes.values(), k) for k in KS}
        assert found.gini == gini(sizes.values())


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_counted_as_by_hand(seed: int) -> None:
    data = random_benchmark(seed)
    stats = describe(data, ks=KS)
    assert list(stats.labels) == ["gender", "age", "mood"]
    for task in data.classification_tasks:
        for split in SPLITS:
            counts = dict.fromkeys(task.labels, 0)
            not_annotated = empty = 0
            rows = [row for row in images_of(data, split) if not data.junk[row]]
            for row in rows:
                value = data.labels[task.name][row]
                carried = [i for i, one in enumerate(value) if one == 1] if task.multi_label else [int(value)]
                if value == -1 if not task.multi_label else (value == -1).all():
                    not_annotated += 1
                    continue
                empty += not carried
                for index in carried:
                    counts[task.labels[index]] += 1
            found = stats.labels[task.name][split]
            assert found.labels == counts
            assert found.not_annotated == not_annotated
            assert found.annotated == len(rows) - not_annotated
            assert found.empty == (empty if task.multi_label else None)
            assert found.lts == {k: lts(counts.values(), k) for k in KS}


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_counted_as_by_hand(seed: int) -> None:
    data = random_benchmark(seed)
    assert data.groups is not None
    assert data.source is not None
    members: dict[int, list[int]] = {}
    for row, group in enumerate(data.groups.group.tolist()):
        if group >= 0:
            members.setdefault(group, []).append(row)

    def mixed(values: list[object], unknown: object) -> int:
        return sum(len({values[row] for row in rows} - {unknown}) > 1 for rows in members.values())

    found = describe(data).groups
    assert found is not None
    assert found.groups == len(members)
    assert found.grouped_images == sum(map(len, members.values()))
    assert found.largest == max(map(len, members.values()))
    assert found.images == len(images_of(data, "query")) + len(images_of(data, "gallery"))
    assert found.crossing == mixed(data.split.tolist(), None)
    assert found.several_identities == mixed(data.identity.tolist(), -1)
    assert found.several_sources == mixed(data.source.tolist(), "")


def test_a_split_without_images_has_no_figures() -> None:
    data = benchmark(np.random.default_rng(0), Size(n_train=0), mode=None)
    train = describe(data).splits["train"]
    assert (train.images, train.identities, train.sizes) == (0, 0, ())
    assert (train.gini, train.largest, train.smallest) == (None, None, None)
    assert train.lts == {Fraction("0.2"): None}
    assert describe(data).groups is None


def lts_of_lines(lines: list[list[str]], split: str, column: int) -> Fraction | None:
    counts = Counter(label for row in lines if row[1] == split for label in row[column].split("|"))
    return lts([count for label, count in counts.items() if label not in ("", "-")], Fraction("0.2"))


@pytest.mark.parametrize("name", ["cmu_faces", "pets09_s2l1"])
def test_real_data_counted_from_its_lines(name: str) -> None:
    folder = shared_data(name)
    header, *lines = [line.split(",") for line in (folder / "annotations.csv").read_text("utf-8").splitlines()]
    stats = described(folder)
    for split in SPLITS:
        assert stats.splits[split].lts == {Fraction("0.2"): lts_of_lines(lines, split, header.index("identity"))}
        for task, by_split in stats.labels.items():
            assert by_split[split].lts == {Fraction("0.2"): lts_of_lines(lines, split, header.index(task))}


def described(folder: Path) -> Stats:
    return describe(read_benchmark(folder))


def test_market_1501_has_the_long_tail_scores_that_were_published() -> None:
    """From its counts: how many identities of a split have how many images, as the names of its files say."""
    table = Path(__file__).parents[1] / "data" / "market1501_counts.csv"
    sizes: dict[str, list[int]] = {split: [] for split in SPLITS}
    for line in table.read_text(encoding="utf-8").splitlines()[1:]:
        split, n_images, n_identities = line.split(",")
        sizes[split] += [int(n_images)] * int(n_identities)
    assert {split: (len(own), sum(own)) for split, own in sizes.items()} == {
        "train": (751, 12_936),
        "query": (750, 3_368),
        "gallery": (750, 13_115),  # without junk and distractors
    }
    rows = [
        Row(f"{split}/{person}/{i}.jpg", split, f"{split == 'train'}{person}")
        for split in SPLITS
        for person, size in enumerate(sizes[split])
        for i in range(size)
    ]
    stats = describe(benchmark_of(rows), ks=[Fraction("0.2")])
    found = {split: stats.splits[split].lts[Fraction("0.2")] for split in SPLITS}
    assert found == {"train": Fraction(300, 751), "query": Fraction(23, 30), "gallery": Fraction(67, 150)}
    published = {"train": 0.400, "query": 0.766, "gallery": 0.446}  # Table 3 of Portrait Interpretation and a Benchmark
    for split, printed in published.items():  # rounded or cut to three places
        assert abs(float(found[split] or 0) - printed) < 0.001


@pytest.mark.parametrize("split", SPLITS)
def test_images_of_people_are_counted_by_source(split: str) -> None:
    data = random_benchmark(1)
    assert data.source is not None
    rows = [row for row in images_of(data, split) if data.identity[row] >= 0]
    images = Counter(data.identities[data.identity[row]] for row in rows)
    people = sorted(images, key=lambda name: (-images[name], data.identities.index(name)))
    found = images_by_source(data, split)
    assert found.sizes == tuple(images[name] for name in people)
    sources = Counter(str(data.source[row]) for row in rows)
    assert found.sources == tuple(sorted(sources, key=lambda name: (-sources[name], name)))
    for name, counts in zip(found.sources, found.counts, strict=True):
        own = Counter(data.identities[data.identity[row]] for row in rows if data.source[row] == name)
        assert counts == tuple((place, own[person]) for place, person in enumerate(people) if own[person])
    alone = images_by_source(dataclasses.replace(data, source=None), split)
    assert (alone.sizes, alone.sources) == (found.sizes, ("",))
    assert alone.counts == (tuple(enumerate(found.sizes)),)
