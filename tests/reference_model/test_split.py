"""The feature space split: the paper's constraints on any vocabulary, and the tables of the default one."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from piq_bench.errors import BadUsage
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import RETRIEVAL, Task
from reference_model.split import Slice, Split, given_split, split_features, whole

REID = Task("reid", "reid", kind="retrieval")
ASPECTS = {"appearance": 4, "posture": 3, "emotion": 2, "clothing": 2}  # at most so many tasks


def task(name: str, aspect: str, n_labels: int) -> Task:
    return Task(name, aspect, labels=tuple(f"l{number}" for number in range(n_labels)))


def vocabulary(counts: Sequence[int], aspects: Sequence[str], *, reid: bool = True) -> list[Task]:
    tasks = [task(f"t{number}", aspect, n) for number, (n, aspect) in enumerate(zip(counts, aspects, strict=True))]
    return [REID, *tasks] if reid else tasks


def default(**counts: int) -> list[Task]:
    """The default vocabulary with other numbers of labels."""
    return [task(one.name, one.aspect, counts[one.name]) if one.name in counts else one for one in DEFAULT_TASKS]


@st.composite
def vocabularies(draw: st.DrawFn) -> list[Task]:
    """Any aspects, in any order, with or without re-identification."""
    aspects = [aspect for aspect, most in ASPECTS.items() for _ in range(draw(st.integers(0, most)))]
    counts = [draw(st.integers(1, 9)) for _ in aspects]
    reid = draw(st.booleans())
    tasks = vocabulary(counts, aspects, reid=reid or not counts)
    return draw(st.permutations(tasks))


def dims(split: Split, name: str) -> set[int]:
    return set(range(split.slices[name].start, split.slices[name].stop))


def covered(runs: Sequence[Slice]) -> set[int]:
    return {place for run in runs for place in range(run.start, run.stop)}


@given(tasks=vocabularies(), dimension=st.integers(32, 300), granularity=st.integers(1, 4))
def test_any_vocabulary_is_split_within_the_papers_constraints(
    tasks: list[Task], dimension: int, granularity: int
) -> None:
    try:
        split = split_features(dimension, tasks, granularity=granularity)
    except BadUsage:
        assume(False)
    everything = set(range(dimension))
    attributes = {one.name: dims(split, one.name) for one in tasks if one.kind != RETRIEVAL}
    by_aspect: dict[str, list[str]] = {}
    for one in tasks:
        if one.kind != RETRIEVAL:
            by_aspect.setdefault(one.aspect, []).append(one.name)

    n_labels = {one.name: len(one.labels) for one in tasks}
    assert len({len(read) / n_labels[name] for name, read in attributes.items()}) <= 1  # in proportion

    unions = {aspect: set().union(*(attributes[name] for name in names)) for aspect, names in by_aspect.items()}
    assert sum(map(len, unions.values())) == len(set().union(*unions.values()))  # aspects are disjoint
    for aspect, names in by_aspect.items():
        if aspect != "posture":
            assert sum(len(attributes[name]) for name in names) == len(unions[aspect])

    unassigned = everything - set().union(*unions.values())
    assert covered(split.unassigned) == unassigned
    if REID in tasks:
        reid = dims(split, "reid")
        assert reid == unions.get("appearance", set()) | unassigned
        assert len(unassigned) >= 0.25 * (len(reid) if "appearance" in unions else dimension) > 0

    posture = by_aspect.get("posture", [])
    common = [attributes[one] & attributes[other] for one, other in pairwise(posture)]
    assert all(len(places) % granularity == 0 for places in common)
    assert sum(map(len, common)) == sum(len(attributes[name]) for name in posture) - len(unions.get("posture", ()))
    if len(posture) == 2:
        assert common[0] or min(len(attributes[name]) for name in posture) == granularity
    assert covered(split.shared) == set().union(*common)
    for name, read in attributes.items():
        others = set().union(*(attributes[other] for other in attributes if other != name))
        assert len(read - others) >= granularity


@given(
    counts=st.lists(st.integers(2, 12), min_size=7, max_size=7),
    dimension=st.integers(64, 2048),
    granularity=st.sampled_from([1, 4, 16]),
)
def test_the_most_dimensions_per_label_are_taken_that_leave_re_identification_a_quarter(
    counts: list[int], dimension: int, granularity: int
) -> None:
    tasks = default(**dict(zip([one.name for one in DEFAULT_TASKS[1:]], counts, strict=True)))

    def unassigned(wide: int) -> int:
        smaller = wide * min(counts[4:6])
        shared = max(granularity, min(round(0.5 * smaller / granularity) * granularity, smaller - granularity))
        return dimension - wide * sum(counts) + shared

    fitting = [
        wide
        for wide in range(granularity, dimension, granularity)
        if unassigned(wide) > 0 and unassigned(wide) >= 0.25 * (wide * sum(counts[:4]) + unassigned(wide))
    ]
    if not fitting:
        with pytest.raises(BadUsage, match=f"D = {dimension} does not suffice for {granularity} dimensions per label"):
            split_features(dimension, tasks, granularity=granularity)
        return
    split = split_features(dimension, tasks, granularity=granularity)
    assert split.slices["gender"].width == max(fitting) * counts[0]
    assert sum(run.width for run in split.unassigned) == unassigned(max(fitting))


def test_the_default_vocabulary_cuts_2048_dimensions_at_64_per_label() -> None:
    assert split_features(2048, DEFAULT_TASKS).table() == [
        ("reid", 0, 1120),
        ("gender", 0, 128),
        ("age", 128, 384),
        ("physique", 384, 576),
        ("height", 576, 768),
        ("body", 1120, 1440),
        ("arm", 1280, 1600),
        ("expression", 1600, 2048),
        ("(shared)", 1280, 1440),
        ("(unassigned)", 768, 1120),
    ]


@pytest.mark.parametrize(
    ("counts", "appearance", "unassigned", "posture", "shared", "emotion"),
    [
        ({"body": 6, "arm": 6}, 1024, 256, 576, 192, 448),
        ({"expression": 8}, 1056, 288, 480, 160, 512),
        ({"age": 6, "body": 8, "arm": 8}, 1136, 1136 - 48 * 14, 576, 192, 336),
    ],
)
def test_other_numbers_of_labels_cut_as_worked_out(
    counts: dict[str, int], appearance: int, unassigned: int, posture: int, shared: int, emotion: int
) -> None:
    split = split_features(2048, default(**counts))
    assert split.slices["reid"] == Slice(0, appearance)
    assert split.unassigned == (Slice(appearance - unassigned, appearance),)
    assert split.slices["body"].start == appearance
    assert split.slices["arm"].stop == appearance + posture
    assert [run.width for run in split.shared] == [shared]
    assert split.slices["expression"] == Slice(2048 - emotion, 2048)


def test_six_postures_and_eight_expressions_leave_48_dimensions_per_label() -> None:
    split = split_features(2048, default(body=6, arm=6, expression=8))
    assert split.slices["gender"].width == 2 * 48


def test_64_dimensions_are_cut_at_2_per_label() -> None:
    split = split_features(64, DEFAULT_TASKS, granularity=1)
    widths = {name: part.width for name, part in split.slices.items()}
    assert widths == {
        "reid": 35,  # 4 + 8 + 6 + 6 and 11 of its own
        "gender": 4,
        "age": 8,
        "physique": 6,
        "height": 6,
        "body": 10,
        "arm": 10,
        "expression": 14,
    }
    assert [run.width for run in (*split.shared, *split.unassigned)] == [5, 11]


def test_dimensions_per_label_can_be_given() -> None:
    split = split_features(2048, DEFAULT_TASKS, dims_per_label=32)
    assert split.slices["expression"] == Slice(2048 - 7 * 32, 2048)
    assert split.slices["reid"].width == 2048 - 32 * (5 + 5 + 7) + 80  # 80 of 5 * 32 are shared


@pytest.mark.parametrize("wide", [80, 0, -16])
def test_dimensions_per_label_that_do_not_fit_are_refused(wide: int) -> None:
    with pytest.raises(BadUsage, match=f"D = 2048 does not suffice for {wide} dimensions per label"):
        split_features(2048, DEFAULT_TASKS, dims_per_label=wide)


def test_a_feature_that_is_too_short_is_refused_with_its_length_and_the_counts() -> None:
    with pytest.raises(BadUsage) as refusal:
        split_features(64, DEFAULT_TASKS)
    assert str(refusal.value) == (
        "feature space split: refused, 1 problem\n"
        "  feature  D = 64 does not suffice for 16 dimensions per label; labels: gender 2, age 4, physique 3, "
        "height 3, body 5, arm 5, expression 7\n"
        "           -> a longer feature, fewer dimensions per label or a finer granularity [too-short]"
    )


def test_re_identification_alone_reads_everything() -> None:
    split = split_features(100, [REID])
    assert split.slices == {"reid": Slice(0, 100)}
    assert split.unassigned == (Slice(0, 100),)


def test_without_re_identification_only_rounding_is_left_over() -> None:
    split = split_features(
        50, vocabulary([2, 3, 4], ["appearance", "emotion", "appearance"], reid=False), granularity=1
    )
    # 5 per label; aspects in the order of the file, their tasks together
    assert split.slices == {"t0": Slice(0, 10), "t2": Slice(10, 30), "t1": Slice(30, 45)}
    assert split.unassigned == (Slice(45, 50),)


def test_re_identification_without_attributes_of_appearance_keeps_a_quarter_to_itself() -> None:
    split = split_features(100, vocabulary([3, 4], ["emotion", "clothing"]), granularity=1)
    assert split.slices == {"reid": Slice(0, 30), "t0": Slice(30, 60), "t1": Slice(60, 100)}  # 10 per label; 11: 23


def test_three_tasks_of_posture_share_with_their_neighbours() -> None:
    split = split_features(100, vocabulary([2, 2, 2], ["posture"] * 3, reid=False), granularity=1)
    # 20 per label, 40 each, of which the middle one shares a quarter with each neighbour: 3 * 40 - 2 * 10 = 100
    assert split.slices == {"t0": Slice(0, 40), "t1": Slice(30, 70), "t2": Slice(60, 100)}
    assert split.shared == (Slice(30, 40), Slice(60, 70))


def test_tasks_too_small_to_share_lie_side_by_side() -> None:
    split = split_features(10, vocabulary([1, 1], ["posture"] * 2, reid=False), granularity=5)
    assert split.slices == {"t0": Slice(0, 5), "t1": Slice(5, 10)}


def test_attributes_of_re_identifications_own_aspect_lie_inside_it() -> None:
    tasks = [Task("who", "identity", kind="retrieval"), task("gender", "identity", 2), task("mood", "emotion", 2)]
    split = split_features(80, tasks)
    assert split.slices == {"who": Slice(0, 48), "gender": Slice(0, 32), "mood": Slice(48, 80)}  # 16 of 48 are a third


def test_no_split_gives_every_task_the_whole_feature() -> None:
    split = whole(64, DEFAULT_TASKS)
    assert list(split.slices) == [one.name for one in DEFAULT_TASKS]
    assert set(split.slices.values()) == {Slice(0, 64)}
    assert split.table() == []  # nothing to print
    assert split.unassigned == ()


def test_a_split_that_was_computed_can_be_given() -> None:
    split = split_features(2048, DEFAULT_TASKS)
    assert given_split(2048, DEFAULT_TASKS, json.loads(json.dumps(split.edges()))) == split


def test_equal_thirds_for_the_aspects_can_be_given() -> None:
    starts = {"gender": 0, "age": 100, "physique": 300, "height": 450, "body": 683, "arm": 1000, "expression": 1366}
    stops = {"gender": 100, "age": 300, "physique": 450, "height": 600, "body": 1100, "arm": 1366, "expression": 2048}
    table = {"reid": [0, 683], **{name: [start, stops[name]] for name, start in starts.items()}}
    split = given_split(2048, DEFAULT_TASKS, table)
    assert split.unassigned == (Slice(600, 683),)
    assert split.shared == (Slice(1000, 1100),)


FOUR = [REID, task("gender", "appearance", 2), task("body", "posture", 2), task("arm", "posture", 2)]
GOOD: dict[str, list[int]] = {"reid": [0, 40], "gender": [0, 20], "body": [40, 80], "arm": [60, 100]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gender": [10, 50]}, r"gender, body +10 dimensions in common"),
        ({"gender": [30, 42]}, r"gender +2 dimensions outside of reid"),
        ({"gender": [0, 40]}, r"reid +no dimension of its own"),
        ({"body": [40, 90], "arm": [50, 70]}, r"arm +no dimension of its own"),
        ({"arm": [60, 90]}, r"feature +no task reads 10 of D = 100 dimensions"),
        ({"reid": [0, 41]}, r"reid, body +1 dimensions in common"),
        ({"gender": [20, 20]}, r"gender +start and stop are '\[20, 20\]'"),
        ({"arm": [60, 101]}, r"0 <= start < stop <= D = 100"),
        ({"arm": [60, 100.0]}, r"arm +start and stop are '\[60, 100.0\]'"),
        ({"arm": [False, 100]}, r"arm +start and stop are"),
        ({"arm": 7}, r"arm +start and stop are '7'"),
        ({"age": [0, 10]}, r"no such task: 'age'\n +-> the tasks are reid, gender, body, arm"),
    ],
)
def test_a_given_split_that_breaks_a_constraint_is_refused(change: dict[str, list[int]], message: str) -> None:
    with pytest.raises(BadUsage, match=message):
        given_split(100, FOUR, GOOD | change)


def test_all_tasks_without_a_slice_are_named() -> None:
    with pytest.raises(BadUsage, match="no slice for 'reid', 'arm'"):
        given_split(100, FOUR, {name: GOOD[name] for name in ("gender", "body")})
