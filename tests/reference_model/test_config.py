"""Configurations: the paper's rows, JSON and back, and all mistakes of a configuration reported at once."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from piq_bench.errors import BadUsage

pytest.importorskip("torch")
config = pytest.importorskip("reference_model.config")

SUBMISSIONS = Path(__file__).parents[2] / "submissions"

# Row by row as in Tables 4 and 5 of the paper: features, metric loss, combination, sampler, backbone, models.
ROWS = {
    "single-task": ("whole", "none", "average", "random", "w32", "each"),
    "sim-mtl": ("whole", "none", "average", "random", "w32", "all"),
    "fss": ("fss", "none", "average", "random", "w32", "all"),
    "fss-triplet": ("fss", "triplet", "average", "random", "w32", "all"),
    "fss-br": ("fss", "batch_rank", "average", "random", "w32", "all"),
    "fss-br-uncertainty": ("fss", "batch_rank", "uncertainty", "random", "w32", "all"),
    "sim-mtl-pk": ("whole", "none", "average", "pk", "w32", "all"),
    "sim-mtl-shuffle": ("whole", "none", "average", "shuffle", "w32", "all"),
    "sim-mtl-r50": ("whole", "none", "average", "random", "r50", "all"),
    "reid-only": ("whole", "none", "average", "pk", "w32", "retrieval"),
    "reid-only-triplet": ("whole", "triplet", "average", "pk", "w32", "retrieval"),
    "reid-only-br": ("whole", "batch_rank", "average", "pk", "w32", "retrieval"),
}


def test_presets_are_the_rows_of_the_paper() -> None:
    found = {
        name: (one.features.kind, one.metric, one.combination, one.sampling.kind, one.backbone, one.models)
        for name, one in config.PRESETS.items()
    }
    assert list(found.items()) == list(ROWS.items())
    for name, one in config.PRESETS.items():
        assert one.preset == name
        assert (one.size, one.sampling.batch_size, one.metric_ratio) == ((256, 128), 128, 0.5)
        assert (one.schedule.n_epochs, one.schedule.base_rate, one.weight_decay) == (100, 3.5e-4, 5e-4)
        assert one.held_out == 0  # the paper trains on all of its training images
        assert (one.task_weights.start == "first_losses") == (one.combination == "uncertainty")


@pytest.mark.parametrize("name", ROWS)
def test_a_configuration_survives_json(name: str) -> None:
    for one in (config.PRESETS[name], config.tiny(config.PRESETS[name])):
        assert config.from_json(json.loads(json.dumps(config.to_json(one)))) == one


def test_fields_that_a_file_does_not_name_have_their_defaults(tmp_path: Path) -> None:
    assert config.from_json({"schedule": {"n_epochs": 7}}) == replace(
        config.Configuration(), schedule=config.Schedule(n_epochs=7)
    )
    (tmp_path / "config.json").write_text('{"seed": 3}', encoding="utf-8")
    assert config.read(tmp_path / "config.json").seed == 3


@pytest.mark.parametrize(("scale", "size"), [("small", (128, 64)), ("tiny", (64, 32))])
@pytest.mark.parametrize("name", ROWS)
def test_smaller_scales_keep_what_makes_the_row(name: str, scale: str, size: tuple[int, int]) -> None:
    row, found = config.PRESETS[name], config.SCALES[scale](config.PRESETS[name])
    shrunk = {"backbone", "size", "features", "sampling", "schedule", "weight_decay", "multi_label"}
    shrunk |= {"task_weights"} if row.combination == "uncertainty" else set()
    assert {part.name for part in fields(row) if getattr(row, part.name) != getattr(found, part.name)} == shrunk
    assert found.features.kind == row.features.kind
    assert found.sampling.kind == row.sampling.kind
    assert found.backbone == scale + "-r50" * (row.backbone == "r50")
    assert found.size == size
    assert found == config.SCALES[scale](found)


def test_settings_change_one_field_each() -> None:
    settings = [
        "schedule.n_epochs=3",
        "metric=triplet",
        "size=[64, 32]",
        'features.slices=[["gender", 0, 4]]',
        "features.dims_per_label=null",
        "batch_rank.positives=mean",
    ]
    found = config.changed(config.PRESETS["fss"], settings)
    assert config.differences(config.PRESETS["fss"], found) == [
        "size",
        "features.slices",
        "metric",
        "batch_rank.positives",
        "schedule.n_epochs",
    ]
    assert found.features.slices == (("gender", 0, 4),)


@pytest.mark.parametrize("name", ROWS)
def test_all_settings_of_a_configuration_make_it_again(name: str) -> None:
    odd = replace(config.PRESETS[name], task="null", preset="1.5", features=config.Features(slices=(("a", 0, 4),)))
    for one in (config.PRESETS[name], config.small(config.PRESETS[name]), odd):
        assert config.changed(config.Configuration(seed=9), config.settings(one)) == one
    assert len(config.settings(odd)) == len(set(dict(config._leaves(odd))))


def test_every_mistake_is_named_at_once_with_what_would_be_right() -> None:
    settings = [
        "schedule.n_epoch=3",
        "size=[64]",
        "metric=tripet",
        "seed=1.5",
        "batch_rank=4",
        "compiled=1",
        "multi_label=softmax",
    ]
    with pytest.raises(BadUsage) as refusal:
        config.changed(config.PRESETS["fss"], settings)
    found = {problem.where: (problem.found, problem.remedy) for problem in refusal.value.problems}
    assert set(found) == {"schedule.n_epoch", "size", "metric", "seed", "batch_rank", "compiled", "multi_label"}
    assert found["schedule.n_epoch"][1].startswith("did you mean 'n_epochs'? known are 'n_epochs', ")
    assert found["multi_label"] == ("is 'softmax'", "expected one of 'mean', 'sum' or 'balanced'")
    assert found["metric"] == ("is 'tripet'", "expected one of 'none', 'triplet' or 'batch_rank'")
    assert found["size"] == ("is '[64]'", "expected a longer list")
    assert found["seed"][1] == "expected a whole number"
    assert found["compiled"][1] == "expected true or false"


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("held_out=1", "held_out"),
        ("sampling.batch_size=0", "sampling.batch_size"),
        ("size=[60, 32]", "size"),
        ("augmentation.area=[0.4, 0.02]", "augmentation.area"),
        ("schedule.base_rate=NaN", "schedule.base_rate"),
        ("metric_ratio=Infinity", "metric_ratio"),
        ("metric_ratio=true", "metric_ratio"),
        pytest.param("metric_ratio=1" + 400 * "0", "metric_ratio", id="too large for a float"),
        ("last_stride=true", "last_stride"),
        ("last_stride=1.0", "last_stride"),
        ("size=[64, 64, 64]", "size"),
        ("size=[]", "size"),
        ("schedule.milestones=[3, -1]", "schedule.milestones"),
        ("seed=-1", "seed"),
        ("graphs=true", "graphs"),
        ("seed", "seed"),
        ("seed.left=3", "seed.left=3"),
        ("nothing.at.all=3", "nothing"),
    ],
)
def test_values_that_cannot_be_are_refused(setting: str, where: str) -> None:
    with pytest.raises(BadUsage) as refusal:
        config.changed(config.PRESETS["fss"], [setting])
    assert [problem.where for problem in refusal.value.problems] == [where]


def test_a_resnet_takes_any_size() -> None:
    assert config.changed(config.PRESETS["sim-mtl-r50"], ["size=[60, 30]"]).size == (60, 30)


@pytest.mark.parametrize("content", ["[]", "{", '{"sede": 1}'])
def test_a_file_that_is_no_configuration_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadUsage):
        config.read(tmp_path / "config.json")
    with pytest.raises(BadUsage, match="No such file"):
        config.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "found", "remedy"),
    [
        ([], "is '[]'", "expected an object"),
        ({"task": 3}, "is '3'", "expected a text"),
        ({"seed": -1}, "is '-1'", "expected at least 0"),
        ({"held_out": 1}, "is '1'", "expected at most 0.9"),
        ({"size": 64}, "is '64'", "expected a list"),
        ({"size": [64, 64, 64]}, "is '[64, 64, 64]'", "expected a list of 2"),
        ({"weight_decay": float("nan")}, "is 'nan'", "expected a finite number"),
        ({"weight_decay": "much"}, "is 'much'", "expected a number"),
        ({"guard": 3}, "is '3'", "this version computes with '10.0' alone; leave the field out"),
    ],
)
def test_a_refusal_is_in_our_words(content: object, found: str, remedy: str) -> None:
    with pytest.raises(BadUsage) as refusal:
        config.from_json(content)
    assert [(problem.found, problem.remedy) for problem in refusal.value.problems] == [(found, remedy)]


def test_whole_numbers_are_read_where_any_number_may_be() -> None:
    found = config.from_json({"weight_decay": 1, "augmentation": {"area": [1, 1]}})
    assert (found.weight_decay, found.augmentation.area) == (1.0, (1.0, 1.0))
    assert type(found.weight_decay) is type(found.augmentation.area[0]) is float


def numbers(record: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Every field that holds numbers, with its dotted path."""
    for part in fields(record):
        value = getattr(record, part.name)
        if is_dataclass(value):
            yield from numbers(value, f"{path}{part.name}.")
        elif type(value if not isinstance(value, tuple) or not value else value[0]) in (int, float):
            yield f"{path}{part.name}", value


@pytest.mark.parametrize(("path", "value"), list(numbers(config.Configuration())))
def test_every_number_has_a_least_value(path: str, value: object) -> None:
    wrong = [-1e9 if type(one) is float else -1 for one in (value if isinstance(value, tuple) else (value,))]
    with pytest.raises(BadUsage, match="expected at least"):
        config.changed(config.PRESETS["fss"], [f"{path}={wrong if isinstance(value, tuple) else wrong[0]}"])


@pytest.mark.parametrize("path", sorted(SUBMISSIONS.glob("reference-*/config.json")), ids=lambda path: path.parent.name)
def test_the_configurations_of_graded_entries_are_read(path: Path) -> None:
    found = config.read(path)
    assert found.preset == path.parent.name.removeprefix("reference-")
    kept = flat(config.to_json(found))
    stored = flat(json.loads(path.read_text(encoding="utf-8")))
    retired = {field: json.dumps(value) for field, value in config.RETIRED.items()}
    assert stored.items() <= (kept | retired).items()
    newer = {field: value for field, value in kept.items() if field not in stored}
    assert newer.items() <= {"start": "null", "task_weights.start": '"zero"', "task_weights.rate": "1.0"}.items()


def flat(value: dict[str, Any], path: str = "") -> dict[str, str]:
    """Every value as JSON, by its dotted path."""
    found: dict[str, str] = {}
    for name, part in value.items():
        found |= flat(part, f"{path}{name}.") if isinstance(part, dict) else {f"{path}{name}": json.dumps(part)}
    return found


@pytest.mark.parametrize("field", config.RETIRED)
def test_a_retired_field_may_hold_its_last_value_alone(field: str) -> None:
    assert (
        config.changed(config.PRESETS["fss"], [f"{field}={json.dumps(config.RETIRED[field])}"]) == config.PRESETS["fss"]
    )
    with pytest.raises(BadUsage, match="leave the field out") as refusal:
        config.changed(config.PRESETS["fss"], [f"{field}=7", "seed=-1"])
    assert [(problem.code, problem.where) for problem in refusal.value.problems] == [
        ("retired-field", field),
        ("out-of-bounds", "seed"),
    ]


def test_a_byte_order_mark_is_no_part_of_a_configuration(tmp_path: Path) -> None:
    text = json.dumps(config.to_json(config.PRESETS["fss"]))
    (tmp_path / "own.json").write_text(text, encoding="utf-8-sig")
    assert config.read(tmp_path / "own.json") == config.PRESETS["fss"]
