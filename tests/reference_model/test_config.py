"""Configurations: the paper's rows, to JSON and back, and every mistake in one reported at once."""

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from piq_bench.errors import BadUsage

pytest.importorskip("torch")
config = pytest.importorskip("reference_model.config")


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
        "batch_rank.empty_sets=false",
    ]
    found = config.changed(config.PRESETS["fss"], settings)
    assert config.differences(config.PRESETS["fss"], found) == [
        "size",
        "features.slices",
        "metric",
        "batch_rank.empty_sets",
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
    settings = ["schedule.n_epoch=3", "size=[64]", "metric=tripet", "seed=1.5", "batch_rank=4", "compiled=1"]
    with pytest.raises(BadUsage) as refusal:
        config.changed(config.PRESETS["fss"], settings)
    found = {problem.where: (problem.found, problem.remedy) for problem in refusal.value.problems}
    assert set(found) == {"schedule.n_epoch", "size", "metric", "seed", "batch_rank", "compiled"}
    assert found["schedule.n_epoch"][1].startswith("did you mean 'n_epochs'? known are 'n_epochs', ")
    assert found["metric"] == ("is 'tripet'", "expected one of none, triplet, batch_rank")
    assert found["size"][1] == "expected a list of 2"
    assert found["seed"][1] == "expected a whole number"
    assert found["compiled"][1] == "expected true or false"


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("held_out=1", "held_out"),
        ("sampling.batch_size=0", "sampling.batch_size"),
        ("betas=[0.9, 1]", "betas"),
        ("size=[60, 32]", "size"),
        ("augmentation.area=[0.4, 0.02]", "augmentation.area"),
        ("schedule.base_rate=NaN", "schedule.base_rate"),
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


def test_every_number_with_bounds_is_a_field() -> None:
    paths = set()
    for part in fields(config.Configuration):
        value = getattr(config.Configuration(), part.name)
        paths |= {f"{part.name}.{inner.name}" for inner in fields(value)} if is_dataclass(value) else {part.name}
    assert set(config.BOUNDS) <= paths
