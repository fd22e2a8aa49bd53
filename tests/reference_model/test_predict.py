"""Prediction: a valid submission from one checkpoint or one per task; and which files are refused."""

import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import training_builders

from piq_bench.errors import BadDataset, BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import Benchmark
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score
from piq_bench.write.submission import write_submission

torch = pytest.importorskip("torch")
config = pytest.importorskip("reference_model.config")
training = pytest.importorskip("reference_model.train")
checkpoints = pytest.importorskip("reference_model.checkpoint")
prediction = pytest.importorskip("reference_model.predict")
weights = pytest.importorskip("reference_model.weights")
validation = pytest.importorskip("reference_model.validation")

from torch._dynamo.testing import CompileCounter  # noqa: E402

Configuration: TypeAlias = Any  # types are checked without torch
Predictions: TypeAlias = Any
Model: TypeAlias = Any
CPU = torch.device("cpu")
QUICK = ["backbone=tiny-r50", "sampling.batch_size=16", "schedule.n_warm_up=0", "schedule.base_rate=5e-3"]
STILL = ["augmentation.flip=0", "augmentation.pad=0", "augmentation.erase=0"]


def trained(benchmark: Benchmark, folder: Path, preset: str, *settings: str) -> Path:
    configuration = config.changed(config.tiny(config.PRESETS[preset]), [*QUICK, *settings])
    training.train(benchmark, configuration, folder, device=CPU, workers=1)
    return folder


def predicted(benchmark: Benchmark, paths: Sequence[Path], **options: Any) -> tuple[Predictions, dict[str, Any]]:  # noqa: ANN401
    found, meta = prediction.predict(benchmark, paths, name="model", device=CPU, workers=1, **options)
    return found, meta


def written(benchmark: Benchmark, paths: Sequence[Path], out: Path) -> Path:
    found, meta = predicted(benchmark, paths)
    images = benchmark.images[benchmark.test_rows]
    write_submission(out, images=images, embedding=found.embedding, predictions=found.scores, meta=meta)
    return out


def scored(benchmark: Benchmark, path: Path) -> Score:
    return score(benchmark, read_submission(path, benchmark), n_resamples=0)


@pytest.fixture(scope="module")
def run(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    epochs = ["schedule.n_epochs=40", "schedule.milestones=[30]"]
    return trained(benchmark, tmp_path_factory.mktemp("runs") / "run", "fss-br-uncertainty", *STILL, *epochs)


def test_a_trained_model_scores_above_chance_on_people_it_never_saw(
    benchmark: Benchmark, run: Path, tmp_path: Path
) -> None:
    result = scored(benchmark, written(benchmark, [run / "checkpoint.pt"], tmp_path / "entry.npz"))
    assert result.piq is not None
    assert result.reid is not None
    reid, chance = (values["macro_map"] for values in (result.reid.values, result.reid.chance))
    assert reid is not None
    assert chance is not None
    assert reid > chance + 0.2
    singles = [task.name for task in DEFAULT_TASKS if task.labels and not task.multi_label]
    above = [(result.f1[task] or 0) - (result.chance_f1[task] or 0) for task in singles]
    assert sum(above) / len(above) > 0.2


def test_a_prediction_is_unit_vectors_in_16_bits_and_probabilities(benchmark: Benchmark, run: Path) -> None:
    found, _ = predicted(benchmark, [run / "checkpoint.pt"])
    n = benchmark.test_rows.size
    assert found.embedding.dtype == np.float16
    assert found.embedding.shape == (n, 35)
    assert np.linalg.norm(found.embedding.astype(np.float64), axis=1) == pytest.approx(np.ones(n), abs=2e-3)
    assert list(found.scores) == [task.name for task in benchmark.classification_tasks]
    for task in benchmark.classification_tasks:
        scores = found.scores[task.name]
        assert scores.shape == (n, len(task.labels))
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        if not task.multi_label:
            assert scores.sum(axis=1) == pytest.approx(np.ones(n), abs=1e-5)


def test_how_many_images_are_answered_at_a_time_changes_nothing_but_rounding(benchmark: Benchmark, run: Path) -> None:
    one, other = (predicted(benchmark, [run / "checkpoint.pt"], batch_size=size)[0] for size in (7, 64))
    assert np.abs(one.embedding.astype(float) - other.embedding).max() < 2e-3
    assert np.abs(one.scores["age"] - other.scores["age"]).max() < 1e-5


def test_the_same_checkpoint_writes_the_same_bytes(benchmark: Benchmark, run: Path, tmp_path: Path) -> None:
    first, second = (written(benchmark, [run / "checkpoint.pt"], tmp_path / name) for name in ("a.npz", "b.npz"))
    assert first.read_bytes() == second.read_bytes()


def test_a_submission_says_what_was_chosen_and_how_it_was_trained(benchmark: Benchmark, run: Path) -> None:
    _, meta = predicted(benchmark, [run / "checkpoint.pt"])
    state = checkpoints.load(run)
    assert config.from_json(meta["configuration"]) == state.configuration
    assert (meta["name"], meta["benchmark"], meta["distance"]) == ("model", "small", "cosine")
    assert meta["method"] == "reference model, preset fss-br-uncertainty"
    (model,) = meta["models"]
    assert model["tasks"] == [task.name for task in DEFAULT_TASKS]
    assert (model["epochs"], model["n_images"], model["device"]) == (40, training_builders.N_TRAIN, "cpu")
    assert model["slices"]["arm"] == [40, 50]
    assert str(run) not in json.dumps(meta)


def test_the_feature_before_its_neck_can_be_compared_instead(benchmark: Benchmark, run: Path, tmp_path: Path) -> None:
    state = checkpoints.load(run)
    before = replace(state, configuration=config.changed(state.configuration, ["reid_feature=before"]))
    checkpoints.save(tmp_path / "checkpoint.pt", before)
    found, _ = predicted(benchmark, [tmp_path / "checkpoint.pt"])
    assert found.embedding.min() >= 0  # after a ReLU
    assert predicted(benchmark, [run / "checkpoint.pt"])[0].embedding.min() < 0


def test_a_feature_without_direction_still_makes_a_valid_submission(
    benchmark: Benchmark, run: Path, tmp_path: Path
) -> None:
    state = checkpoints.load(run)
    silent = {
        key: torch.zeros_like(value) if key == "heads.0.neck.weight" else value for key, value in state.model.items()
    }
    checkpoints.save(tmp_path / "checkpoint.pt", replace(state, model=silent))
    result = scored(benchmark, written(benchmark, [tmp_path / "checkpoint.pt"], tmp_path / "entry.npz"))
    assert result.reid is not None
    assert result.reid.values["macro_map"] == pytest.approx(result.reid.chance["macro_map"])


def test_one_model_for_each_task_makes_one_submission(benchmark: Benchmark, tmp_path: Path) -> None:
    runs = trained(benchmark, tmp_path / "runs", "single-task", "schedule.n_epochs=1")
    paths = prediction.checkpoints_in(runs)
    assert [path.parent.name for path in paths] == sorted(task.name for task in DEFAULT_TASKS)
    result = scored(benchmark, written(benchmark, paths, tmp_path / "entry.npz"))
    assert result.piq is not None
    found, meta = predicted(benchmark, paths[:2])
    assert found.embedding is None
    assert [model["tasks"] for model in meta["models"]] == [["age"], ["arm"]]
    with pytest.raises(BadUsage, match=r"is answered by .* and by"):
        predicted(benchmark, [paths[0], runs / "age" / ".." / "age" / "checkpoint.pt"])


def test_another_vocabulary_is_answered_and_a_wrong_one_refused_task_by_task(
    benchmark: Benchmark, run: Path, tmp_path: Path
) -> None:
    tasks = (*training_builders.OTHER_TASKS, replace(DEFAULT_TASKS[1], labels=("male", "female")))
    other = read_benchmark(training_builders.portraits(tmp_path / "other", tasks=tasks, name="other"))
    with pytest.raises(BadUsage) as refusal:
        predicted(other, [run / "checkpoint.pt"])
    found = {problem.where: (problem.found, problem.remedy) for problem in refusal.value.problems}
    assert set(found) == {task.name for task in DEFAULT_TASKS}
    assert found["gender"] == ("learned one of 'female', 'male'", "the benchmark asks for one of 'male', 'female'")
    assert found["age"][0] == "the benchmark has no such task"
    runs = trained(other, tmp_path / "run", "fss", "schedule.n_epochs=1")
    result = scored(other, written(other, [runs / "checkpoint.pt"], tmp_path / "entry.npz"))
    assert list(result.f1) == ["eyes", "pose", "gender"]


def test_pictures_in_a_file_are_answered_the_same(
    benchmark: Benchmark, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, _ = predicted(benchmark, [run / "checkpoint.pt"], batch_size=5)
    monkeypatch.setattr("piq_bench.images.buffer.available_memory", lambda: 0.0)
    found, _ = predicted(benchmark, [run / "checkpoint.pt"], batch_size=5, folder=tmp_path)
    assert (found.embedding == true.embedding).all()
    assert all((found.scores[task] == true.scores[task]).all() for task in true.scores)
    assert not list(tmp_path.iterdir())


def test_a_model_compiled_for_a_gpu_answers_on_a_cpu_without_a_compiler(
    benchmark: Benchmark, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = checkpoints.load(run)
    compiled = config.changed(state.configuration, ["compiled=true", "graphs=true"])
    checkpoints.save(tmp_path / "checkpoint.pt", replace(state, configuration=compiled))
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: pytest.fail("compiled"))
    found, meta = predicted(benchmark, [tmp_path / "checkpoint.pt"])
    assert (found.embedding == predicted(benchmark, [run / "checkpoint.pt"])[0].embedding).all()
    assert meta["configuration"]["compiled"]


def test_batches_of_any_number_of_pictures_are_compiled_once(
    benchmark: Benchmark, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = CompileCounter()
    monkeypatch.setattr(prediction, "runnable", lambda checkpoint, device: checkpoint)

    def restored(*given: object) -> Model:
        model = checkpoints.restored(*given)
        model.backbone.compile(backend=counter, dynamic=False)
        return model

    monkeypatch.setattr(prediction, "restored", restored)
    predicted(benchmark, [run / "checkpoint.pt"], batch_size=10, flip=True)  # 24 images: 10, 10 and 4
    assert counter.frame_count == 1
    model = restored(checkpoints.load(run), run)
    compiled = model.backbone._compiled_call_impl
    with validation.uncompiled(model.backbone):  # during training, where compiling would take minutes
        model(torch.zeros((3, 3, 64, 32)))
    assert counter.frame_count == 1
    assert model.backbone._compiled_call_impl is compiled is not None


def test_labels_of_the_test_images_are_not_needed(benchmark: Benchmark, run: Path) -> None:
    blind = replace(benchmark, labels={}, identity=np.full_like(benchmark.identity, -1))
    one, other = (predicted(seen, [run / "checkpoint.pt"])[0] for seen in (benchmark, blind))
    assert (one.embedding == other.embedding).all()


def test_every_test_picture_that_cannot_be_read_is_named(run: Path, tmp_path: Path) -> None:
    benchmark = read_benchmark(training_builders.portraits(tmp_path / "broken"))
    for image in benchmark.images[benchmark.test_rows[:2]]:
        (tmp_path / "broken" / "images" / image).write_bytes(b"")
    with pytest.raises(BadDataset) as refusal:
        predicted(benchmark, [run / "checkpoint.pt"])
    assert all(image in str(refusal.value) for image in benchmark.images[benchmark.test_rows[:2]])


class Malice:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_files_that_are_no_checkpoints_are_refused_and_never_executed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = checkpoints.load(run)
    content = (run / "checkpoint.pt").read_bytes()
    torch.save(dict(state.model), tmp_path / "weights.pth")
    torch.save({"format": checkpoints.FORMAT, "configuration": {}, "vocabulary": []}, tmp_path / "part.pt")
    torch.save({"format": checkpoints.FORMAT, "configuration": {"sede": 1}}, tmp_path / "other.pt")
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.pt").write_text("no checkpoint", encoding="utf-8")
    (tmp_path / "malice.pt").write_bytes(pickle.dumps(Malice()))
    for name, message in {
        "weights.pth": "is no checkpoint of format piq-bench/checkpoint/1",
        "part.pt": "is damaged: TypeError",
        "other.pt": "did you mean 'seed'",
        "cut.pt": "cannot be read",
        "text.pt": r"cannot be read|nothing was executed",
        "malice.pt": "nothing was executed",
        "none.pt": "No such file or directory",
    }.items():
        with pytest.raises(weights.WrongCheckpoint, match=message):
            checkpoints.load(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_epochs": "many"}, "is damaged: TypeError n_epochs is no int"),
        ({"model": [1]}, "is damaged: TypeError model is no Mapping"),
        ({"facts": [1]}, "is damaged: TypeError facts is no Mapping"),
        ({"log": [3]}, "is damaged: TypeError log is no list of rows"),
        ({"n_classes": {"gender": 3}}, "is damaged: ValueError gender with 3 classes"),
        ({"n_classes": {"reid": 10**12}}, "is damaged: ValueError reid with 1000000000000 classes"),
        ({"n_classes": {"reid": "8"}}, "is damaged: ValueError reid with 8 classes"),
        ({"n_classes": {"hat": 2}}, "is damaged: KeyError 'hat'"),
    ],
)
def test_a_checkpoint_with_a_wrong_part_is_refused(
    change: dict[str, object], message: str, run: Path, tmp_path: Path
) -> None:
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save(content | change, tmp_path / "checkpoint.pt")
    with pytest.raises(weights.WrongCheckpoint, match=message):
        checkpoints.load(tmp_path)


def test_a_checkpoint_cut_off_at_any_place_is_said_to_be(run: Path, tmp_path: Path) -> None:
    content = (run / "checkpoint.pt").read_bytes()
    for n_bytes in (0, 1, 100, 30_000, len(content) // 2, len(content) - 1):
        (tmp_path / "checkpoint.pt").write_bytes(content[:n_bytes])
        with pytest.raises(weights.WrongCheckpoint, match=r"so it is cut off|nothing was executed"):
            checkpoints.load(tmp_path)


def test_weights_of_another_model_are_refused(benchmark: Benchmark, run: Path, tmp_path: Path) -> None:
    state = checkpoints.load(run)
    other = config.changed(state.configuration, ["backbone=tiny"])
    checkpoints.save(tmp_path / "checkpoint.pt", replace(state, configuration=other))
    with pytest.raises(weights.WrongCheckpoint, match="Missing key"):
        predicted(benchmark, [tmp_path / "checkpoint.pt"])


def test_a_feature_that_another_version_cut_is_refused(benchmark: Benchmark, run: Path, tmp_path: Path) -> None:
    state = checkpoints.load(run)
    slices = dict(state.facts["slices"])
    assert slices == {
        "reid": [0, 35], "gender": [0, 4], "age": [4, 12], "physique": [12, 18], "height": [18, 24],
        "body": [35, 45], "arm": [40, 50], "expression": [50, 64],
    }  # fmt: skip
    slices["physique"], slices["height"] = slices["height"], slices["physique"]  # the weights would fit
    checkpoints.save(tmp_path / "checkpoint.pt", replace(state, facts={**state.facts, "slices": slices}))
    with pytest.raises(weights.WrongCheckpoint, match=r"the feature is cut as .*\n.*this version cuts it as"):
        predicted(benchmark, [tmp_path / "checkpoint.pt"])
    with pytest.raises(weights.WrongCheckpoint, match=r"the feature is cut as"):
        training.train(benchmark, state.configuration, tmp_path, device=CPU, workers=1, resume=True)


def test_answers_that_are_not_finite_are_refused(benchmark: Benchmark, run: Path, tmp_path: Path) -> None:
    state = checkpoints.load(run)
    lost = {key: value * float("nan") if key.startswith("heads.3.") else value for key, value in state.model.items()}
    checkpoints.save(tmp_path / "checkpoint.pt", replace(state, model=lost))
    with pytest.raises(weights.WrongCheckpoint, match="answers are not finite"):
        predicted(benchmark, [tmp_path / "checkpoint.pt"])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"holds no checkpoint\.pt"):
        prediction.checkpoints_in(tmp_path)
    with pytest.raises(BadUsage, match="there is no such file or folder"):
        prediction.checkpoints_in(tmp_path / "none")
