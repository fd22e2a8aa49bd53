from collections import Counter, defaultdict
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.demo.film import ATTRIBUTES, JITTER, NOT_ANNOTATED, Frame, annotation_row, shoot, track_lengths
from piq_bench.demo.random import Draws
from piq_bench.demo.sizes import MIN_IMAGES, sizes_for
from piq_bench.demo.tables import COLUMNS, MULTI_LABEL, TASKS, annotations_csv

LABELS = {task: set(labels) for task, _, labels in TASKS}
runs = st.tuples(st.integers(0, 2**63 - 1), st.integers(MIN_IMAGES, 500))


@cache
def defaults() -> list[Frame]:
    return shoot(0, sizes_for(3000))


@settings(max_examples=15)
@given(runs)
def test_every_benchmark_obeys_the_rules_of_a_data_set(run: tuple[int, int]) -> None:
    seed, n_images = run
    sizes = sizes_for(n_images)
    frames = shoot(seed, sizes)
    images = [frame.image for frame in frames]
    assert images == sorted(set(images))
    assert Counter(f.split for f in frames) == {"train": sizes.train, "query": sizes.query, "gallery": sizes.gallery}
    people = defaultdict(set)
    films = defaultdict(set)
    for frame in frames:
        people[frame.split].add(frame.track.identity)
        films[frame.split == "train"].add(frame.source)
    assert people["train"] & (people["query"] | people["gallery"]) == {""}
    assert people["query"] <= people["gallery"] - {""}
    assert not films[True] & films[False]
    names = {split: len(identities - {""}) for split, identities in people.items()}
    assert names == {
        "train": sizes.train_identities,
        "query": sizes.query_identities,
        "gallery": sizes.gallery_identities,
    }
    unlabelled = Counter(frame.split for frame in frames if not frame.track.identity)
    assert unlabelled == {"train": sizes.train_unlabelled, "gallery": sizes.gallery_unlabelled}


@settings(max_examples=10)
@given(runs)
def test_every_value_is_one_of_the_vocabulary(run: tuple[int, int]) -> None:
    for frame in shoot(run[0], sizes_for(run[1])):
        values = annotation_row(frame)
        assert tuple(values) == COLUMNS
        for task, labels in LABELS.items():
            if task == MULTI_LABEL and values[task] not in ("", "-"):
                parts = values[task].split("|")
                assert set(parts) <= labels
                assert len(set(parts)) == len(parts)
            elif values[task] not in ("", "-"):
                assert values[task] in labels
            assert values[task] != "-" or task == MULTI_LABEL
        assert values["identity"] or values["split"] != "query"


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    sizes = sizes_for(MIN_IMAGES)
    assert annotations_csv(shoot(5, sizes)) == annotations_csv(shoot(5, sizes))
    assert annotations_csv(shoot(5, sizes)) != annotations_csv(shoot(6, sizes))


def test_by_default_every_label_of_every_task_is_in_train_and_in_test() -> None:
    for training in (True, False):
        rows = [annotation_row(frame) for frame in defaults() if (frame.split == "train") == training]
        for task, labels in LABELS.items():
            seen = Counter(label for values in rows for label in values[task].split("|"))
            assert set(seen) == labels | {""} | ({"-"} if task == MULTI_LABEL else set())
            assert min(seen[label] for label in labels) >= 60  # learnable


def test_most_expressions_are_calm_or_single_and_a_few_are_mixed() -> None:
    n_labels = Counter(len(frame.track.expression) for frame in defaults())
    assert set(n_labels) == {0, 1, 2}
    assert 0.45 < n_labels[0] / 3000 < 0.65
    assert 0.03 < n_labels[2] / 3000 < 0.12


def test_a_few_images_are_not_annotated_task_by_task() -> None:
    for task in set(ATTRIBUTES) - {"body"}:
        assert 0.5 * NOT_ANNOTATED < sum(task in frame.unannotated for frame in defaults()) / 3000 < 2 * NOT_ANNOTATED
    assert 0.03 < sum("body" in frame.unannotated for frame in defaults()) / 3000 < 0.2  # close shots do not show it


def test_the_frames_of_a_track_have_consecutive_numbers_and_one_person() -> None:
    tracks = defaultdict(list)
    for frame in defaults():
        tracks[frame.track.name].append(frame)
    for name, frames in tracks.items():
        numbers = [int(frame.image.removesuffix(".jpg").partition("/")[2]) for frame in frames]
        assert numbers == list(range(numbers[0], numbers[0] + frames[0].track.n_frames))
        assert [frame.place for frame in frames] == list(range(len(frames)))
        assert len({frame.track for frame in frames}) == 1
        assert name.startswith(frames[0].source)
    share = sum(frames[0].track.jitter for frames in tracks.values()) / len(tracks)
    assert JITTER - 0.05 < share < JITTER + 0.05


def test_people_are_seen_in_more_than_one_film() -> None:
    films = defaultdict(set)
    for frame in defaults():
        if frame.track.identity:
            films[frame.track.identity].add(frame.source)
    assert sum(len(seen) > 1 for seen in films.values()) > 0.5 * len(films)


@given(st.integers(0, 2**32), st.integers(0, 400), st.integers(1, 20))
def test_track_lengths_add_up(seed: int, total: int, longest: int) -> None:
    lengths = track_lengths(Draws(seed), total, longest)
    assert sum(lengths) == total
    assert all(1 <= length <= longest for length in lengths)


def test_gender_age_and_build_belong_to_the_person() -> None:
    for task in ("gender", "age", "physique", "height"):
        values = defaultdict(set)
        for frame in defaults():
            values[frame.track.person.number].add(annotation_row(frame)[task])
        assert all(len(seen - {""}) <= 1 for seen in values.values())


@pytest.mark.parametrize("n_images", [MIN_IMAGES, 3000])
def test_csv_has_a_line_per_image_and_no_quoting(n_images: int) -> None:
    lines = annotations_csv(shoot(1, sizes_for(n_images))).splitlines()
    assert len(lines) == n_images + 1
    assert {line.count(",") for line in lines} == {len(COLUMNS) - 1}
    assert not any('"' in line for line in lines)
