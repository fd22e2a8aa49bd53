"""`python -m reference_model`: from a data set to a score, and the exit code of every failure."""

import json
import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import training_builders
from click.testing import CliRunner, Result

from piq_bench.cli import load_command
from piq_bench.errors import BadUsage, LimitExceeded

torch = pytest.importorskip("torch")
program = pytest.importorskip("reference_model.__main__")
benches = pytest.importorskip("reference_model.bench")
checkpoints = pytest.importorskip("reference_model.checkpoint")
config = pytest.importorskip("reference_model.config")
trainers = pytest.importorskip("reference_model.trainer")

README = Path(__file__).parents[2] / "reference_model" / "README.md"
QUICK = ["--tiny", "--epochs", "2", "--set", "backbone=tiny-r50", "--set", "sampling.batch_size=16"]
HERE = ["--device", "cpu", "--workers", "1"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(program.main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_from_a_data_set_to_a_score(folder: Path, tmp_path: Path) -> None:
    run, entry = tmp_path / "run", tmp_path / "entry.npz"
    done = call("train", folder, "--out", run, "--preset", "fss-br", *QUICK, *HERE)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"wrote {run}; try: python -m reference_model predict {run} {folder}\n"
    assert "epoch 2/2  rate " in done.stderr
    assert done.stderr.count("the backbone starts from random numbers, the paper's rows from ImageNet") == 1
    done = call("predict", run, folder, "--out", entry, *HERE)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"wrote {entry}; try: piq-score {entry} --dataset {folder}\n"
    found = CliRunner().invoke(load_command("score"), [str(entry), "--dataset", str(folder), "--format", "json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["submission"]["name"] == "fss-br"
    with np.load(entry) as arrays:
        assert json.loads(str(arrays["meta"]))["configuration"]["start"] == "random"


def test_the_documented_commands_for_table_5_work_on_a_folder_like_market1501(tmp_path: Path) -> None:
    folder = training_builders.market(tmp_path / "market")
    places = {"Market-1501": str(folder), "RUN": str(tmp_path / "run"), "people.npz": str(tmp_path / "people.npz")}
    lines = README.read_text(encoding="utf-8").split("### Table 5")[1].split("```")[1].splitlines()[1:]
    train, predict, score = ([places.get(word, word) for word in line.split()] for line in lines)
    assert train[-2:] == ["--weights", "hrnetv2_w32_imagenet_pretrained.pth"]
    done = [call(*train[3:-2], *QUICK, *HERE), call(*predict[3:], *HERE)]
    assert [one.exit_code for one in done] == [0, 0], done
    found = CliRunner().invoke(load_command("score"), [*score[1:], "--format", "json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["reid"]["queries"] == 4
    assert dict(checkpoints.load(tmp_path / "run").n_classes) == {"reid": 8}


def test_linked_images_are_read_on_request(folder: Path, tmp_path: Path) -> None:
    linked, run = tmp_path / "linked", tmp_path / "run"
    shutil.copytree(folder, linked, ignore=shutil.ignore_patterns("images"))
    for path in filter(Path.is_file, (folder / "images").rglob("*")):
        link = linked / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    train = ("train", linked, "--out", run, "--preset", "fss", *QUICK, *HERE)
    refused = call(*train)
    assert refused.exit_code == 4
    assert "--follow-links" in refused.stderr
    assert call(*train, "--follow-links").exit_code == 0
    predict = ("predict", run, linked, "--out", tmp_path / "entry.npz", *HERE)
    assert call(*predict).exit_code == 4
    assert call(*predict, "--follow-links").exit_code == 0


def test_a_run_is_resumed_by_its_folder_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, n_steps = trainers.Trainer.step, 0

    def step(self: object, *batch: object) -> object:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 6:  # of 4 in an epoch
            raise KeyboardInterrupt
        return real(self, *batch)

    monkeypatch.setattr(trainers.Trainer, "step", step)
    stopped = call("train", folder, "--out", tmp_path, "--preset", "fss", *QUICK, *HERE)
    assert stopped.exit_code == 130
    assert f"the last full epoch is in {tmp_path}; continue with --resume" in stopped.stderr
    early = call("predict", tmp_path, folder, "--out", tmp_path / "entry.npz", *HERE)
    assert "the run is not finished: 1 of 2 epochs" in early.stderr
    done = call("train", folder, "--out", tmp_path, "--resume", *HERE)
    assert done.exit_code == 0, done.output
    assert "epoch 1/2" not in done.stderr
    assert "epoch 2/2" in done.stderr


def test_before_the_first_full_epoch_there_is_nothing_to_resume(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: object, *batch: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainers.Trainer, "step", step)
        stopped = call("train", folder, "--out", tmp_path, "--preset", "fss", *QUICK, *HERE)
    assert stopped.exit_code == 130
    assert "no epoch was finished; start again as before" in stopped.stderr
    assert "--resume" not in stopped.stderr
    # Weights that it started from would be left out.
    refused = call("train", folder, "--out", tmp_path, "--resume", *HERE)
    assert refused.exit_code == 2
    assert "no epoch of a run was finished here" in refused.stderr


def test_models_of_single_tasks_are_resumed_by_their_folder_and_their_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*QUICK, "--epochs", "1", "--set", "augmentation.flip=0", *HERE]
    done = call("train", folder, "--out", tmp_path / "start", "--preset", "sim-mtl", *options)
    assert done.exit_code == 0, done.output
    start = tmp_path / "start" / "checkpoint.pt"
    each = ["train", folder, "--preset", "single-task", "--weights", start, *options]
    assert call(*each, "--out", tmp_path / "whole").exit_code == 0
    real, n_steps = trainers.Trainer.step, 0

    def step(self: object, *batch: object) -> object:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 4 * 3 + 2:  # in the fourth model's epoch of 4
            raise KeyboardInterrupt
        return real(self, *batch)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(trainers.Trainer, "step", step)
        stopped = call(*each, "--out", run)
    assert stopped.exit_code == 130
    assert f"continue with --resume --weights {start}" in stopped.stderr
    assert len(list(run.glob("*/checkpoint.pt"))) == 3
    refused = call("train", folder, "--out", run, "--resume", *HERE)
    assert refused.exit_code == 2
    assert "models that are left to train started from 'checkpoint.pt'" in refused.stderr
    done = call("train", folder, "--out", run, "--resume", "--weights", start, *HERE)
    assert done.exit_code == 0, done.output
    assert "random numbers" not in done.stderr
    for path in (tmp_path / "whole").glob("*/checkpoint.pt"):
        one, other = (checkpoints.load(folder / path.parent.name) for folder in (tmp_path / "whole", run))
        assert one.configuration == other.configuration
        assert one.configuration.start == "checkpoint.pt"
        assert all(torch.equal(value, other.model[key]) for key, value in one.model.items())


def test_a_folder_of_runs_is_no_run_to_resume(folder: Path, tmp_path: Path) -> None:
    done = call("train", folder, "--out", tmp_path / "one", "--preset", "fss", *QUICK, *HERE)
    assert done.exit_code == 0, done.output
    refused = call("train", folder, "--out", tmp_path, "--resume", *HERE)
    assert refused.exit_code == 2
    assert "no epoch of a run was finished here" in refused.stderr


def test_a_run_begins_with_all_of_its_configuration(folder: Path, tmp_path: Path) -> None:
    done = call("train", folder, "--out", tmp_path, "--preset", "fss-br", *QUICK, *HERE)
    printed = done.stderr[: done.stderr.index("\n\n")].split()
    assert config.changed(config.Configuration(), printed) == config.read(tmp_path / "config.json")
    assert "batch_rank.temperature=1.0" in printed
    assert all(len(line) <= 120 for line in done.stderr.splitlines()[:20])


def test_re_identification_alone_makes_a_partial_submission(folder: Path, tmp_path: Path) -> None:
    done = call("train", folder, "--out", tmp_path / "run", "--preset", "reid-only", *QUICK, *HERE)
    assert done.exit_code == 0, done.output
    done = call("predict", tmp_path / "run", folder, "--out", tmp_path / "entry.npz", "--name", "people", *HERE)
    assert "not answered, since not learned: 'gender', 'age', 'physique' and 4 more" in done.stderr
    assert " --partial" in done.stdout.splitlines()[-1]


def test_presets_are_listed_and_printed_as_a_file_that_can_be_used(folder: Path, tmp_path: Path) -> None:
    listed = call("presets").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(config.PRESETS)
    printed = call("presets", "fss-triplet", "--tiny").stdout
    assert config.from_json(json.loads(printed)) == config.tiny(config.PRESETS["fss-triplet"])
    (tmp_path / "mine.json").write_text(printed, encoding="utf-8")
    done = call("train", folder, "--out", tmp_path / "run", "--config", tmp_path / "mine.json", *QUICK[1:], *HERE)
    assert done.exit_code == 0, done.output


def test_bench_measures_both_directions() -> None:
    done = call("bench", "--preset", "reid-only", *QUICK, "--steps", "1", "--device", "cpu")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["batch_size"], found["device"], found["precision"]) == (16, "cpu", "float32")
    assert min(found[f"{kind}_images_per_second"] for kind in ("training", "inference")) > 0
    assert found["memory_mib"] > 0
    assert found["inference_batch_size"] == 256
    assert found["expected_on_one_h200"] == {}


@pytest.mark.parametrize(
    ("preset", "settings", "expected"),
    [
        ("fss", [], {"training": [2000, 3000, 3800]}),
        ("fss", ["compiled=true"], {"training": [3500, 4500, 6000], "inference": [12000, 18000, 25000]}),
        ("sim-mtl-r50", ["compiled=true"], {"training": [5000, 7000, 8500]}),
        ("sim-mtl-r50", ["compiled=true", "last_stride=2"], {}),
        ("fss", ["compiled=true", "size=[384, 192]"], {}),
        ("fss", ["compiled=true", "precision=float32"], {}),
    ],
)
def test_bench_gives_the_speed_that_one_h200_should_reach(preset: str, settings: list[str], expected: object) -> None:
    found = benches.expected_speed(config.changed(config.PRESETS[preset], settings))
    assert {kind: list(figures.values()) for kind, figures in found.items()} == expected
    assert all(list(figures) == ["floor", "goal", "stretch"] for figures in found.values())


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "neither a preset nor a file"),
        (["--preset", "fsss"], 2, "there is no 'fsss'"),
        (["--preset", "fss", "--config", "x.json"], 2, "both a preset and a file"),
        (["--preset", "fss", "--set", "sede=1"], 2, "did you mean 'seed'?"),
        (["--preset", "fss", "--device", "tpu"], 2, "'tpu' does not work here"),
        (["--preset", "fss", "--device", "meta"], 2, "'meta' does not work here: this model was never tested on meta"),
        (["--preset", "fss", "--device", "cuda:77"], 2, "'cuda:77' does not work here"),
        (["--resume"], 2, "no epoch of a run was finished here"),
        (["--preset", "fss"], 2, "64 images do not fill one batch of 128"),
        (["--preset", "fss", "--tiny", "--weights", "none.pth"], 2, "No such file or directory"),
        (["--preset", "sim-mtl-r50", "--small", "--weights", "small"], 2, "looks like an HRNet"),
    ],
)
def test_wrong_options_are_refused(options: list[str], code: int, message: str, folder: Path, tmp_path: Path) -> None:
    refused = call("train", folder, "--out", tmp_path / "run", "--workers", "1", *options)
    assert refused.exit_code == code, refused.output
    assert message in refused.stderr
    assert "Traceback" not in refused.output


def find_no_safetensors(name: str, *_: object) -> None:
    """Finds modules as on a machine where safetensors is not installed."""
    if name == "safetensors":
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("options", [["train", "--preset", "fss", "--weights"], ["describe", "--model"]])
def test_a_missing_library_of_weights_is_named(
    options: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("safetensors", "safetensors.torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Mock(find_spec=find_no_safetensors), *sys.meta_path])
    (tmp_path / "sound.safetensors").touch()
    refused = call(*options, tmp_path / "sound.safetensors", folder, "--out", tmp_path / "out", "--device", "cpu")
    assert refused.exit_code == 2, refused.output
    assert "safetensors is not installed: pip install 'piq-bench[reference]'" in refused.stderr


def test_a_gpu_that_is_named_becomes_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[object] = []
    monkeypatch.setattr(torch, "empty", lambda *_, device: None)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert program.device_of("cuda:3") == torch.device("cuda:3")
    assert program.device_of("cuda") == torch.device("cuda")
    assert program.device_of("cpu") == torch.device("cpu")
    assert chosen == [torch.device("cuda:3")]

    def full(*_: object, device: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported elsewhere")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(BadUsage, match="'cuda:3' does not work here: CUDA error: out of memory\n"):
        program.device_of("cuda:3")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 6.00 GiB for an array"),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 5 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_memory_that_does_not_suffice_is_known_in_all_its_forms(error: Exception) -> None:
    message = r"does not suffice for batches of 64: .*\n.*--batch-size=32"
    with pytest.raises(LimitExceeded, match=message), trainers.memory(64, "--batch-size"):
        raise error


def test_a_missing_compiler_is_distinguished_from_other_failures() -> None:
    for message in (
        "InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')",
        "Failed to find C compiler. Please specify via CC environment variable.",
        "Cannot find a working triton installation. Either the package is not installed or it is too old.",
    ):
        with (
            pytest.raises(BadUsage, match=r"torch cannot compile here: .*\n.*--set compiled=false"),
            trainers.compiler(),
        ):
            raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="a mistake of ours"), trainers.compiler():
        raise RuntimeError("a mistake of ours")


def test_failures_have_their_exit_codes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--preset", "fss", *QUICK, *HERE]
    assert call("train", tmp_path / "none", "--out", tmp_path / "run", *options).exit_code == 4
    (tmp_path / "checkpoint.pt").write_bytes(b"none")
    assert call("predict", tmp_path, folder, "--out", tmp_path / "entry.npz", *HERE).exit_code == 2

    def step(self: object, *batch: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainers.Trainer, "step", step)
    full = call("train", folder, "--out", tmp_path / "run", *options)
    assert full.exit_code == 6
    assert "--set sampling.batch_size=8" in full.stderr


def test_a_process_leaves_the_group_only_after_success(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, **options: calls.append(backend))
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: calls.append("destroyed"))
    with program.processes("cpu") as (device, is_first):
        assert (device, is_first) == (torch.device("cpu"), False)
    assert calls == ["gloo", "destroyed"]
    with pytest.raises(BadUsage, match="'cuda:1' for every process of torchrun"), program.processes("cuda:1"):
        pass
    assert calls == ["gloo", "destroyed"]
    # After a failure, leaving NCCL's group would wait for processes that wait for this one, and torchrun would hang.
    with pytest.raises(MemoryError), program.processes("cpu"):
        raise MemoryError
    assert calls == ["gloo", "destroyed", "gloo"]
