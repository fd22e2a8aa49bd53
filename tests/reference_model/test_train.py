"""The training loop: it learns, it resumes to the same bits, and it never reads query or gallery."""

import csv
import io
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import training_builders
from ranks import run_ranks

from piq_bench.errors import BadDataset, LimitExceeded
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import GALLERY, NO_IDENTITY, QUERY, TRAIN, Benchmark

torch = pytest.importorskip("torch")
config = pytest.importorskip("reference_model.config")
training = pytest.importorskip("reference_model.train")
materials = pytest.importorskip("reference_model.material")
trainers = pytest.importorskip("reference_model.trainer")
checkpoints = pytest.importorskip("reference_model.checkpoint")
augment = pytest.importorskip("reference_model.augment")
prediction = pytest.importorskip("reference_model.predict")
weights = pytest.importorskip("reference_model.weights")

Configuration: TypeAlias = Any  # types are checked without torch
Trainer: TypeAlias = Any
Checkpoint: TypeAlias = Any
CPU = torch.device("cpu")
STILL = ["augmentation.flip=0", "augmentation.pad=0", "augmentation.erase=0"]
SHORT = ["schedule.n_epochs=4", "schedule.n_warm_up=0", "sampling.batch_size=16"]
TIMED = {"seconds", "images_per_second"}  # columns of the log
QUICK = "backbone=tiny-r50"  # where the backbone does not matter


def small(name: str, *settings: str) -> Configuration:
    return config.changed(config.tiny(config.PRESETS[name]), [*SHORT, QUICK, *settings])


def run(benchmark: Benchmark, configuration: Configuration, folder: Path, **options: Any) -> Checkpoint:  # noqa: ANN401
    training.train(benchmark, configuration, folder, device=CPU, workers=1, **options)
    return checkpoints.load(folder) if (folder / checkpoints.FILE).exists() else None


def same(one: object, other: object) -> bool:
    """To the last bit, through all that is nested."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and bool(torch.equal(one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and all(map(same, one, other)) and len(one) == len(other)
    return one == other


def same_run(one: Checkpoint, other: Checkpoint) -> bool:
    """Weights, optimiser and log; but for the clock."""
    logs = [[{key: row[key] for key in row if key not in TIMED} for row in state.log] for state in (one, other)]
    states = [
        (state.model, state.objective, state.optimiser, log) for state, log in zip((one, other), logs, strict=True)
    ]
    return same(*states)


@pytest.fixture(scope="module")
def whole_run(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Four epochs without a break, with people held out."""
    configuration = small("fss-br-uncertainty", "held_out=0.25", "evaluate_every=3")
    return run(benchmark, configuration, tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize("name", config.PRESETS)
def test_every_row_learns_within_three_steps(name: str, benchmark: Benchmark) -> None:
    configuration = config.changed(config.tiny(config.PRESETS[name]), [*STILL, "sampling.batch_size=16"])
    if configuration.models == "each":
        configuration = replace(configuration, task="gender")
    material = materials.prepare(benchmark, configuration, workers=1)
    tasks = materials.tasks_to_learn(benchmark, configuration)
    n_classes = {task.name: material.fitted.n_classes[task.name] for task in tasks}
    trainer = trainers.Trainer(configuration, benchmark.tasks, n_classes, CPU)
    trainer.set_rate(configuration.schedule.base_rate)
    rows = training._batches(configuration, material.identity, 1)[0]
    pixels = torch.from_numpy(material.fitted.pixels[rows])
    targets = [torch.from_numpy(material.fitted.targets[task.name][rows]) for task in tasks]
    drawn = augment.draw(rows.size, configuration.size, np.random.default_rng(0), configuration.augmentation)
    costs = [trainer.step(pixels, targets, drawn).total.item() for _ in range(4)]
    assert np.isfinite(costs).all()
    assert costs[3] < costs[0]


def test_a_tiny_model_overfits_64_images_in_all_eight_tasks(benchmark: Benchmark, tmp_path: Path) -> None:
    settings = ["schedule.n_epochs=30", "schedule.n_warm_up=0", "schedule.milestones=[25]", "schedule.base_rate=1e-2"]
    settings += [QUICK, "multi_label=sum"]
    configuration = config.changed(config.tiny(config.PRESETS["fss"]), [*STILL, *settings])
    state = run(benchmark, configuration, tmp_path / "run")
    material = materials.prepare(benchmark, configuration, workers=1)
    model = checkpoints.restored(state, tmp_path).eval()
    answers = prediction.infer_batch(model, torch.from_numpy(material.fitted.pixels), configuration)
    assert len(DEFAULT_TASKS) == 8
    for task, logits in zip(DEFAULT_TASKS, answers.logits, strict=True):
        target = torch.from_numpy(material.fitted.targets[task.name])
        known = target[:, 0] >= 0 if task.multi_label else target >= 0
        found = logits > 0 if task.multi_label else logits.argmax(dim=1)
        assert (found[known] == target[known]).float().mean().item() > 0.97, task.name


@pytest.mark.parametrize("moment", ["between epochs", "within an epoch"])
def test_an_interrupted_run_resumes_to_the_same_bits(
    moment: str, benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path
) -> None:
    def tell(line: str) -> None:
        if line.startswith("epoch 2/") and moment == "between epochs":
            raise KeyboardInterrupt

    @contextmanager
    def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
        def advance(steps: int) -> None:
            if description.startswith("epoch 3 ") and moment == "within an epoch":
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        run(benchmark, whole_run.configuration, tmp_path, tell=tell, progress=progress)
    assert checkpoints.load(tmp_path).n_epochs == 2
    assert same_run(run(benchmark, whole_run.configuration, tmp_path, resume=True), whole_run)
    before = (tmp_path / checkpoints.FILE).read_bytes()
    log = (tmp_path / "log.csv").read_bytes()
    (tmp_path / "log.csv").unlink()  # as if killed after the last checkpoint was written, and before its log was
    run(benchmark, whole_run.configuration, tmp_path, resume=True)  # there is no epoch left to do
    assert (tmp_path / "log.csv").read_bytes() == log
    assert (tmp_path / checkpoints.FILE).read_bytes() == before


def test_images_in_a_file_train_to_the_same_bits(
    benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.images.buffer.available_memory", lambda: 0.0)
    lines: list[str] = []
    stored = run(benchmark, whole_run.configuration, tmp_path / "a" / "run", tell=lines.append)
    assert lines[1].startswith("the images are too many for memory")
    assert same_run(stored, whole_run)
    assert {path.name for path in (tmp_path / "a" / "run").iterdir()} == {"checkpoint.pt", "config.json", "log.csv"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


def test_a_disk_without_room_for_the_images_is_reported_before_the_run_begins(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("piq_bench.images.buffer.available_memory", lambda: 0.0)
    monkeypatch.setattr("piq_bench.images.buffer._reserve", full)
    with pytest.raises(LimitExceeded, match="fit neither in memory nor on this disk: No space left on device"):
        run(benchmark, small("fss"), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_the_seed_makes_the_run(benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path) -> None:
    one_epoch = replace(whole_run.configuration.schedule, n_epochs=1)
    other = run(benchmark, replace(whole_run.configuration, seed=1, schedule=one_epoch), tmp_path)
    assert other.log[0]["rate"] == whole_run.log[0]["rate"]
    assert other.log[0]["loss"] != whole_run.log[0]["loss"]  # the same seed gives the same bits in the tests around


def test_neither_images_nor_labels_of_query_and_gallery_change_a_bit(
    folder: Path, benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    is_test = benchmark.split != TRAIN
    for image in benchmark.images[is_test]:
        (changed / "images" / image).unlink()

    def other_answers(text: str) -> str:
        header, *rows = [line.split(",") for line in text.splitlines()]
        places = [place for place, row in enumerate(rows) if row[1] != "train"]
        answers = [rows[place][4:] for place in reversed(places)]
        for place, answer in zip(places, answers, strict=True):
            rows[place] = [*rows[place][:2], f"a{rows[place][2]}", rows[place][3], *answer]
        return "".join(",".join(row) + "\n" for row in [header, *rows])

    training_builders.rewritten(changed / "annotations.csv", other_answers)
    other = read_benchmark(changed)
    assert all((other.labels[task] != label)[is_test].any() for task, label in benchmark.labels.items())
    assert other.identities != benchmark.identities
    assert same_run(run(other, whole_run.configuration, tmp_path / "run"), whole_run)


def test_a_data_set_needs_no_test_images(folder: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    training_builders.rewritten(
        alone / "annotations.csv",
        lambda text: "".join(
            line for line in text.splitlines(keepends=True) if ",query," not in line and ",gallery," not in line
        ),
    )
    state = run(inspect_dataset(alone).benchmark, small("fss", "schedule.n_epochs=1"), tmp_path / "run")
    assert state.facts["n_images"] == training_builders.N_TRAIN


def test_people_held_out_are_validated_on_and_not_trained_on(benchmark: Benchmark, whole_run: Checkpoint) -> None:
    material = materials.prepare(benchmark, whole_run.configuration, workers=1)
    part = material.benchmark
    assert set(part.images) == set(benchmark.images[benchmark.split == TRAIN])
    assert material.fitted.n_classes["reid"] == whole_run.n_classes["reid"] == 6  # of 8 people
    assert len(material.fitted.pixels) + len(material.validation_pixels) == training_builders.N_TRAIN
    assert not set(part.identity[part.split == TRAIN]) & set(part.identity[part.split == QUERY])
    assert set(part.identity[part.split == QUERY]) <= set(part.identity[part.split == GALLERY])
    assert NO_IDENTITY in part.identity[part.split == TRAIN]
    assert part.groups is not None
    tried = [row["epoch"] for row in whole_run.log if "score.piq" in row]
    assert tried == [3, 4]
    assert all(0 <= whole_run.log[3][f"score.{task.name}"] <= 1 for task in DEFAULT_TASKS)


def test_the_log_has_the_mean_over_the_batches_in_which_a_task_is_annotated(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, costs = trainers.Trainer.step, []

    def step(self: Trainer, *batch: object) -> object:
        costs.append(real(self, *batch))
        return costs[-1]

    monkeypatch.setattr(trainers.Trainer, "step", step)
    state = run(benchmark, small("sim-mtl-shuffle", "schedule.n_epochs=1"), tmp_path)
    reid = [cost.by_task[0].item() for cost in costs if cost.n_valid[0] > 0]
    assert (len(costs), len(reid)) == (3, 2)  # one of them without an identity
    assert state.log[0]["loss.reid"] == pytest.approx(sum(reid) / 2, rel=1e-6)
    assert state.log[0]["loss"] == pytest.approx(sum(cost.total.item() for cost in costs) / 3, rel=1e-6)


def test_validation_does_not_change_what_is_learned(
    benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path
) -> None:
    often = run(benchmark, replace(whole_run.configuration, evaluate_every=1), tmp_path)
    assert [row["epoch"] for row in often.log if "score.piq" in row] == [1, 2, 3, 4]
    for part in ("model", "objective", "optimiser"):
        assert same(getattr(often, part), getattr(whole_run, part))


def test_the_folder_of_a_run_says_what_it_is_and_how_it_went(benchmark: Benchmark, tmp_path: Path) -> None:
    configuration = small("fss-br-uncertainty", "schedule.n_epochs=2", "held_out=0.25")
    lines: list[str] = []
    state = run(benchmark, configuration, tmp_path / "a" / "run", tell=lines.append)
    assert {path.name for path in (tmp_path / "a" / "run").iterdir()} == {"checkpoint.pt", "config.json", "log.csv"}
    assert (
        config.read(tmp_path / "a" / "run" / "config.json")
        == replace(configuration, start="random")
        == state.configuration
    )
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a" / "run" / "log.csv").read_text(encoding="utf-8"))))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {f"{kind}.{task.name}" for kind in ("loss", "weight", "score") for task in DEFAULT_TASKS} < set(rows[0])
    assert rows[0]["score.piq"] == ""
    assert float(rows[1]["score.piq"]) > 0
    assert rows[1]["images_seen"] == str(
        len(materials.prepare(benchmark, configuration, workers=1).fitted.pixels) // 16 * 16
    )
    assert float(rows[0]["weight.age"]) < 1  # its loss is above 1
    assert state.objective["uncertainty.has_begun"].all()
    assert [group["lr"] for group in state.optimiser["param_groups"]] == [3e-3, 3e-2]
    for task in DEFAULT_TASKS:
        loss, classification, metric = (
            float(rows[1][f"{kind}.{task.name}"]) for kind in ("loss", "classification", "metric")
        )
        assert loss == pytest.approx(classification + 0.5 * metric, rel=1e-5)
    assert [line.split()[0] for line in lines[1:10]] == [*(task.name for task in DEFAULT_TASKS), "(shared)"]
    assert lines[-1].startswith(f"epoch 2/2  rate {configuration.schedule.base_rate:.2g}  ")


def test_the_weights_of_tasks_do_not_decay_and_frozen_biases_stay(benchmark: Benchmark, tmp_path: Path) -> None:
    configuration = small("fss-br-uncertainty", "schedule.n_epochs=2", "weight_decay=0.5")
    state = run(benchmark, configuration, tmp_path)
    assert [group["weight_decay"] for group in state.optimiser["param_groups"]] == [0.5, 0]
    biases = [value for key, value in state.model.items() if key.endswith("neck.bias")]
    assert len(biases) == 8
    assert not any(bias.any() for bias in biases)


def test_a_model_for_each_task(benchmark: Benchmark, tmp_path: Path) -> None:
    configuration = small("single-task", "schedule.n_epochs=1", "sampling.batch_size=32")
    run(benchmark, configuration, tmp_path)
    names = [task.name for task in benchmark.tasks]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in names:
        state = checkpoints.load(tmp_path / name)
        assert list(state.n_classes) == [name]
        assert state.configuration == replace(configuration, task=name, start="random")
    (tmp_path / "age" / checkpoints.FILE).unlink()  # as if interrupted before
    before = (tmp_path / "body" / checkpoints.FILE).read_bytes()
    run(benchmark, configuration, tmp_path, resume=True)
    assert (tmp_path / "age" / checkpoints.FILE).exists()
    assert (tmp_path / "body" / checkpoints.FILE).read_bytes() == before


def test_another_vocabulary_is_learned_and_left_becomes_right_in_a_mirror(tmp_path: Path) -> None:
    benchmark = read_benchmark(
        training_builders.portraits(tmp_path / "other", tasks=training_builders.OTHER_TASKS, name="other")
    )
    state = run(benchmark, small("fss-br-uncertainty", "schedule.n_epochs=1"), tmp_path / "run")
    assert dict(state.n_classes) == {"who": 8, "eyes": 2, "pose": 4}

    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 16, 3))
    symmetric = torch.from_numpy(np.concatenate([pixels, pixels[:, :, ::-1]], axis=2).astype(np.uint8))
    pose, mirrored = torch.tensor([0, 1, 2, 3, 1, 1, -1, 2]), torch.tensor([0, 2, 1, 3, 2, 2, -1, 1])
    costs = []
    for flip, target in ((1, pose), (0, mirrored), (0, pose)):
        configuration = small("fss", *STILL, f"augmentation.flip={flip}")
        trainer = trainers.Trainer(configuration, benchmark.tasks, {"pose": 4}, CPU)
        trainer.set_rate(0)
        torch.nn.init.normal_(trainer.model.heads[0].classifier.weight, generator=torch.Generator().manual_seed(0))
        drawn = augment.draw(8, configuration.size, np.random.default_rng(0), configuration.augmentation)
        costs.append(trainer.step(symmetric, [target], drawn).total.item())
    assert costs[0] == costs[1] != costs[2]


def test_a_task_without_annotations_is_left_out(folder: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    training_builders.without(changed, "age")
    lines: list[str] = []
    benchmark = inspect_dataset(changed).benchmark
    state = run(benchmark, small("fss", "schedule.n_epochs=1"), tmp_path / "run", tell=lines.append)
    assert "age" not in state.n_classes
    assert len(state.n_classes) == 7
    assert lines[0].startswith("the backbone starts from random numbers")
    assert lines[1] == "left out, since no training image is annotated for them: 'age'"
    alone = replace(small("single-task"), task="age")
    with pytest.raises(BadDataset, match="no training image is annotated for 'age'"):
        run(benchmark, alone, tmp_path / "other")


def test_pretrained_weights_are_loaded_and_named(benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path) -> None:
    state = {key[9:]: value for key, value in whole_run.model.items() if key.startswith("backbone.")}
    torch.save(state, tmp_path / "backbone.pth")
    configuration = small("fss", "schedule.n_epochs=1", "schedule.base_rate=0")
    found = run(benchmark, configuration, tmp_path / "run", weights=tmp_path / "backbone.pth")
    assert found.facts["weights"] == "backbone.pth"
    assert len(found.facts["weights_sha256"]) == 64
    assert torch.equal(found.model["backbone.conv1.weight"], state["conv1.weight"])
    checkpoints.save(tmp_path / "checkpoint.pt", whole_run)
    other = run(benchmark, configuration, tmp_path / "again", weights=tmp_path / "checkpoint.pt")
    assert torch.equal(other.model["backbone.conv1.weight"], state["conv1.weight"])


PROGRAM = """
import contextlib, os, runpy, shutil, sys
from pathlib import Path

rank, port, data, runs, tests = sys.argv[1:]
os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank}
os.environ["LOCAL_WORLD_SIZE"] = "2"  # so that one decodes for both
sys.path.insert(0, tests)
import test_train

with test_train.in_64_bits():
    sys.argv[1:] = test_train.command(data, f"{runs}/whole")
    with contextlib.suppress(SystemExit):
        runpy.run_module("reference_model", run_name="__main__")
    meeting = f"file://{runs}/store"
    test_train.torch.distributed.init_process_group("gloo", init_method=meeting, rank=int(rank), world_size=2)
    test_train.resumed_twice(Path(data), Path(runs))
"""
TOGETHER = ["schedule.n_epochs=2", "schedule.n_warm_up=0", "sampling.batch_size=16", "held_out=0.25", QUICK]


def command(data: str, out: str) -> list[str]:
    settings = [part for setting in TOGETHER for part in ("--set", setting)]
    return ["train", data, "--out", out, "--preset", "fss-br-uncertainty", "--tiny", "--device", "cpu", *settings]


@contextmanager
def in_64_bits() -> Iterator[None]:
    """Train in numbers so long that rounding, which differs from one process to two, stays out of sight."""
    real = augment.augmented
    torch.set_default_dtype(torch.float64)
    trainers.augmented = lambda *given: real(*given).double()
    prediction.normalised = lambda pixels: augment.normalised(pixels).double()
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        trainers.augmented, prediction.normalised = real, augment.normalised


def interrupted(benchmark: Benchmark, folder: Path) -> None:
    """Train until the second epoch begins."""

    @contextmanager
    def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
        if description.startswith("epoch 2 "):
            raise KeyboardInterrupt
        yield lambda steps: None

    with pytest.raises(KeyboardInterrupt):
        run(benchmark, together(), folder, progress=progress)


def together() -> Configuration:
    return config.changed(config.tiny(config.PRESETS["fss-br-uncertainty"]), TOGETHER)


def resumed_twice(data: Path, runs: Path) -> None:
    """A run of two processes goes on after an interrupt, and one that a single process began goes on in two."""
    benchmark = read_benchmark(data)
    interrupted(benchmark, runs / "part")
    torch.distributed.barrier()
    for folder in (runs / "part", runs / "begun-by-one"):
        run(benchmark, together(), folder, resume=True)


def test_two_processes_train_the_model_of_one_and_resume_each_others_runs(
    folder: Path, benchmark: Benchmark, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    printed = tmp_path_factory.mktemp("printed")
    with in_64_bits():
        one = run(benchmark, together(), tmp_path / "one")
        interrupted(benchmark, tmp_path / "begun-by-one")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free a moment later
    arguments = (str(port), str(folder), str(tmp_path), str(Path(__file__).parent))
    modules = ["pytest", "torch._dynamo", "torch.utils.data", "reference_model.train", "reference_model.predict"]
    ended = run_ranks(printed, 2, PROGRAM, *arguments, modules=modules)
    assert [process.code for process in ended] == [0, 0], ended
    assert ended[0].stdout.startswith("wrote ")
    assert ended[1].stdout == ""
    assert not any("Warning" in process.stderr for process in ended), ended
    whole, part, begun = (checkpoints.load(tmp_path / name) for name in ("whole", "part", "begun-by-one"))
    assert whole.facts["n_processes"] == 2
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"checkpoint.pt", "config.json", "log.csv"}
    assert same_run(part, whole)
    for two in (whole, begun):
        for name in ("model", "objective"):
            torch.testing.assert_close(getattr(two, name), getattr(one, name), rtol=1e-9, atol=1e-9)
        for row, expected in zip(two.log, one.log, strict=True):
            numbers = {key: value for key, value in expected.items() if key not in TIMED and value is not None}
            assert {key: row[key] for key in numbers} == pytest.approx(numbers, rel=1e-9, abs=1e-9)
