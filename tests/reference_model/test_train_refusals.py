"""What stops a run: files, memory, disks, other runs. Each message says what helps, and no checkpoint is lost."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from piq_bench.errors import BadDataset, BadUsage, LimitExceeded
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import NO_IDENTITY, Benchmark

torch = pytest.importorskip("torch")
config = pytest.importorskip("reference_model.config")
training = pytest.importorskip("reference_model.train")
batch_norm = pytest.importorskip("reference_model.batch_norm")
refusals = pytest.importorskip("reference_model.refusals")
logs = pytest.importorskip("reference_model.training_log")
trainers = pytest.importorskip("reference_model.trainer")
checkpoints = pytest.importorskip("reference_model.checkpoint")
weights = pytest.importorskip("reference_model.weights")

Configuration: TypeAlias = Any  # types are checked without torch
Trainer: TypeAlias = Any
Checkpoint: TypeAlias = Any
QUICK = ["schedule.n_epochs=4", "schedule.n_warm_up=0", "sampling.batch_size=16", "backbone=tiny-r50"]


def small(name: str, *settings: str) -> Configuration:
    return config.changed(config.tiny(config.PRESETS[name]), [*QUICK, *settings])


def run(benchmark: Benchmark, configuration: Configuration, folder: Path, **options: Any) -> Checkpoint:  # noqa: ANN401
    training.train(benchmark, configuration, folder, device=torch.device("cpu"), workers=1, **options)
    return checkpoints.load(folder)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def whole_run(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    configuration = small("fss-br-uncertainty", "schedule.n_epochs=2")
    return run(benchmark, configuration, tmp_path_factory.mktemp("runs") / "whole")


def test_every_picture_that_cannot_be_read_is_named_before_anything_is_trained(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "images" / "m0" / "000.png").unlink()
    (broken / "images" / "m1" / "001.png").write_bytes(b"no picture")
    with pytest.raises(BadDataset) as refusal:
        run(read_benchmark(broken), small("fss"), tmp_path / "run")
    assert "m0/000.png" in str(refusal.value)
    assert "m1/001.png" in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_epoch(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    configuration = small("fss", "schedule.base_rate=10", "schedule.n_warm_up=3")
    good = run(
        benchmark, replace(configuration, schedule=replace(configuration.schedule, n_epochs=1)), tmp_path / "one"
    )
    real = trainers.Trainer.step

    def step(self: Trainer, *batch: object) -> object:
        cost = real(self, *batch)
        return cost._replace(total=cost.total * float("nan")) if self.optimiser.param_groups[0]["lr"] > 4 else cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers.Trainer, "step", step)
        with pytest.raises(BadUsage, match="in epoch 2 the loss of all tasks together is not finite"):
            run(benchmark, configuration, tmp_path / "run")
    assert same(checkpoints.load(tmp_path / "run").model, good.model)


def test_weights_that_are_lost_in_the_last_step_do_not_replace_good_ones(benchmark: Benchmark, tmp_path: Path) -> None:
    configuration = small("fss", "schedule.n_epochs=2")
    real, n_steps = trainers.Trainer.step, 0

    def step(self: Trainer, *batch: object) -> object:
        nonlocal n_steps
        n_steps += 1
        cost = real(self, *batch)
        if n_steps == 8:  # the last of the second epoch, after its cost was found
            self.model.heads[0].classifier.weight.data[0, 0] = float("inf")
        return cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers.Trainer, "step", step)
        with pytest.raises(BadUsage, match=r"after epoch 2 not all weights are finite: 'heads\.0\.classifier\.weight'"):
            run(benchmark, configuration, tmp_path)
    state = checkpoints.load(tmp_path)
    assert state.n_epochs == 1
    assert all(value.isfinite().all() for value in state.model.values())


def test_too_little_memory_is_reported_with_a_remedy(benchmark: Benchmark, tmp_path: Path) -> None:
    def step(self: Trainer, *batch: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 5 GiB")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers.Trainer, "step", step)
        with pytest.raises(LimitExceeded, match=r"such as --set sampling.batch_size=8;"):
            run(benchmark, small("fss"), tmp_path / "run")


def test_a_full_disk_leaves_the_old_checkpoint(whole_run: Checkpoint, tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "checkpoint.pt", whole_run)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(LimitExceeded, match=r"No space left on device\n.*[\d,]+\.\d MiB are free there"):
            checkpoints.save(tmp_path / "checkpoint.pt", whole_run)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_folder_with_a_run_is_not_written_over(benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "checkpoint.pt", whole_run)
    with pytest.raises(BadUsage, match="the folder holds a run"):
        run(benchmark, whole_run.configuration, tmp_path)


def test_only_the_same_run_is_resumed(benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "checkpoint.pt", whole_run)
    other = config.changed(whole_run.configuration, ["schedule.base_rate=1e-4", "seed=3"])
    with pytest.raises(weights.WrongCheckpoint, match=r"the run has another 'schedule\.base_rate', 'seed'"):
        run(benchmark, other, tmp_path, resume=True)
    elsewhere = replace(benchmark, labels={**benchmark.labels, "age": benchmark.labels["body"] % 4})
    with pytest.raises(weights.WrongCheckpoint, match="the run is of other data"):
        run(elsewhere, whole_run.configuration, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("preset", "setting", "message"),
    [
        ("fss", "sampling.batch_size=128", "64 images do not fill one batch of 128"),
        ("sim-mtl-pk", "sampling.batch_size=64", "8 identities, and a batch of 64 takes 16"),
        ("sim-mtl-pk", "sampling.n_images=5", "a batch of 16 and 5 images per identity"),
        ("fss", "held_out=0.01", "0.01 of 64 images leave 64 to train on"),
        ("fss", "features.granularity=16", "D = 64 does not suffice"),
    ],
)
def test_what_does_not_suit_the_data_is_refused(
    preset: str, setting: str, message: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    with pytest.raises(BadUsage, match=message):
        run(benchmark, small(preset, setting), tmp_path / "run")


@pytest.mark.parametrize(("n_processes", "remedy"), [(16, 32), (5, 15), (3, 15)])
def test_every_process_takes_an_equal_part_of_two_images_or_more(
    n_processes: int, remedy: int, benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch normalisation has no spread to divide by in one image."""
    monkeypatch.setattr(refusals, "n_processes", lambda: n_processes)
    message = rf"a batch of 16 and {n_processes} processes: .*\n.*such as --set sampling\.batch_size={remedy}"
    with pytest.raises(BadUsage, match=message):
        run(benchmark, small("fss"), tmp_path / "run")


def test_graphs_of_several_processes_are_refused(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "n_processes", lambda: 4)
    with pytest.raises(BadUsage, match=r"4 processes, for which CUDA graphs were never tested\n.*--set graphs=false"):
        run(benchmark, small("fss", "compiled=true", "graphs=true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_layers_whose_statistics_cannot_be_shared_are_refused() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm1d(3))
    batch_norm.share_statistics(model)
    assert [type(layer) for layer in model] == [batch_norm.BatchNorm2d, torch.nn.Conv2d, batch_norm.BatchNorm1d]
    with pytest.raises(BadUsage, match="has layers BatchNorm3d, whose statistics cannot be those of several processes"):
        batch_norm.share_statistics(torch.nn.Sequential(torch.nn.BatchNorm3d(3)))


def test_a_full_disk_stops_the_run_and_keeps_the_epoch_before(benchmark: Benchmark, tmp_path: Path) -> None:
    real, n_writes = checkpoints.plain, 0

    def full(checkpoint: Checkpoint) -> dict[str, Any]:
        nonlocal n_writes
        n_writes += 1
        if n_writes == 2:
            raise OSError(28, "No space left on device")
        plain: dict[str, Any] = real(checkpoint)
        return plain

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "plain", full)
        with pytest.raises(LimitExceeded, match="No space left on device"):
            run(benchmark, small("fss"), tmp_path)
    assert checkpoints.load(tmp_path).n_epochs == 1
    assert len((tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()) == 2


def test_training_compiles_on_a_gpu_unless_told_otherwise_and_says_so(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for compiled, on_cpu, on_gpu in ((None, False, True), (False, False, False), (True, True, True)):
        configuration = replace(small("fss"), compiled=compiled)
        found = [trainers.on_device(configuration, torch.device(place)).compiled for place in ("cpu", "cuda")]
        assert found == [on_cpu, on_gpu]
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda _, **options: calls.append(options))
    lines: list[str] = []
    configuration = small("fss", "compiled=true", "schedule.n_epochs=1")
    state = run(benchmark, configuration, tmp_path, tell=lines.append)
    assert calls == [{"dynamic": False, "mode": None}]
    assert "--set compiled=false starts at once" in lines[1]
    assert state.facts["compiled"]


@pytest.mark.parametrize(
    ("preset", "known", "message", "remedy"),
    [
        ("sim-mtl-pk", False, "0 identities", "kind=random"),
        ("sim-mtl-shuffle", False, "0 identities", "kind=random"),
        ("sim-mtl-shuffle", True, "0 unidentified images", "kind=pk"),
    ],
)
def test_where_all_or_no_images_have_an_identity_another_sampler_is_the_remedy(
    preset: str, known: bool, message: str, remedy: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    identity = np.where(known, benchmark.identity.clip(min=0), NO_IDENTITY)
    with pytest.raises(BadUsage, match=rf"{message}.*\n.*such as --set sampling\.{remedy}"):
        run(replace(benchmark, identity=identity), small(preset), tmp_path / "run")


def test_what_cannot_be_started_is_refused_before_pictures_are_read(
    benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"no weights")
    (tmp_path / "run").mkdir()
    checkpoints.save(tmp_path / "run" / "checkpoint.pt", whole_run)
    monkeypatch.setattr(training, "prepare", lambda *_, **__: pytest.fail("read pictures"))
    with pytest.raises(weights.WrongCheckpoint, match="is no pickle of tensors; nothing was executed"):
        run(benchmark, small("fss"), tmp_path / "new", weights=tmp_path / "file")
    with pytest.raises(weights.WrongCheckpoint, match="the run has another 'seed'"):
        run(benchmark, replace(whole_run.configuration, seed=1), tmp_path / "run", resume=True)
    with pytest.raises(BadUsage, match="is no folder that can be written to"):
        run(benchmark, small("fss"), tmp_path / "file" / "run")


def test_a_disk_that_fills_before_the_first_epoch_is_reported(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs, "write_text", full)
    with pytest.raises(LimitExceeded, match=r"config\.json: refused, 1 problem\n.*No space left on device"):
        run(benchmark, small("fss"), tmp_path / "run")


def test_re_identification_alone_needs_a_task_of_that_kind(benchmark: Benchmark, tmp_path: Path) -> None:
    without = replace(benchmark, tasks=benchmark.tasks[1:])
    with pytest.raises(BadUsage, match="the benchmark has no re-identification"):
        run(without, small("reid-only"), tmp_path)
    state = run(without, small("fss", "schedule.n_epochs=1"), tmp_path)
    assert list(state.n_classes) == [task.name for task in DEFAULT_TASKS[1:]]


def test_a_run_whose_optimiser_is_damaged_is_not_resumed(
    benchmark: Benchmark, whole_run: Checkpoint, tmp_path: Path
) -> None:
    checkpoints.save(tmp_path / "checkpoint.pt", replace(whole_run, optimiser={"state": {}}))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(weights.WrongCheckpoint, match="is damaged: KeyError 'param_groups'"):
        run(benchmark, whole_run.configuration, tmp_path, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_threads_that_share_busy_cores_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "available_cores", lambda: 4)
    for n_threads, load, is_busy in ((4, 0.3, False), (4, 2.0, True), (2, 2.5, False), (2, 3.5, True), (1, 9.0, False)):
        monkeypatch.setattr(training.torch, "get_num_threads", lambda n_threads=n_threads: n_threads)
        monkeypatch.setattr(training.os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert training.cores_are_busy() == is_busy
