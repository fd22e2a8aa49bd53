"""On a GPU: eager, compiled, captured in CUDA graphs and in 16 bits, all learn and answer as the CPU does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import training_builders

from piq_bench.errors import LimitExceeded
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.vocabulary import DEFAULT_TASKS

torch = pytest.importorskip("torch")
augment = pytest.importorskip("reference_model.augment")
benches = pytest.importorskip("reference_model.bench")
checkpoints = pytest.importorskip("reference_model.checkpoint")
config = pytest.importorskip("reference_model.config")
feeds = pytest.importorskip("reference_model.feed")
heads = pytest.importorskip("reference_model.heads")
prediction = pytest.importorskip("reference_model.predict")
training = pytest.importorskip("reference_model.train")
trainers = pytest.importorskip("reference_model.trainer")

NAME = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("default"),  # torch's compiler recommends less precise products, among other things
]

Configuration: TypeAlias = Any  # types are checked without torch
Tensor: TypeAlias = Any
Trainer: TypeAlias = Any
N_IMAGES = 16
N_CLASSES = {task.name: len(task.labels) or 4 for task in DEFAULT_TASKS}
FULL = "precision=float32"
QUICK = "backbone=tiny-r50"  # compiled in a fraction of an HRNet's time; where the network does not matter


@pytest.fixture(autouse=True)
def whole_products() -> Iterator[None]:
    """Turn TF32 off: products of 32-bit numbers keep all their bits."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


def tiny(*settings: str) -> Configuration:
    return config.changed(config.tiny(config.PRESETS["fss-br-uncertainty"]), ["compiled=false", *settings])


def images_of(configuration: Configuration) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (N_IMAGES, *configuration.size, 3)).astype(np.uint8))


def made(configuration: Configuration, place: str) -> tuple[Trainer, tuple[Any, ...]]:
    """A trainer, and a batch for it."""
    device, rng = torch.device(place), np.random.default_rng(1)
    trainer = trainers.Trainer(configuration, DEFAULT_TASKS, N_CLASSES, device)
    trainer.set_rate(1e-3)
    targets = [
        torch.from_numpy(rng.integers(0, 2, (N_IMAGES, 7)) if task.multi_label else rng.integers(0, 2, N_IMAGES))
        for task in DEFAULT_TASKS
    ]
    drawn = augment.draw(N_IMAGES, configuration.size, rng, configuration.augmentation).to(device)
    return trainer, (images_of(configuration).to(device), [target.to(device) for target in targets], drawn)


def steps(trainer: Trainer, batch: tuple[Any, ...], n: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    """Costs and weights after some steps."""
    costs = [trainer.step(*batch).total.item() for _ in range(n)]
    return costs, {key: value.cpu() for key, value in trainer.model.state_dict().items()}


def learned(configuration: Configuration, place: str, n_steps: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    return steps(*made(configuration, place), n_steps)


def learned_in_64_bits(
    configuration: Configuration, place: str, monkeypatch: pytest.MonkeyPatch, *, parallel: bool = False
) -> tuple[list[float], dict[str, Tensor]]:
    """In five steps, a difference in the last bit grows a hundred thousandfold, which is still small here."""
    real = augment.augmented
    with monkeypatch.context() as patch:
        patch.setattr(trainers, "augmented", lambda *given: real(*given).double())
        trainer, batch = made(configuration, place)
        trainer.model.double()
        trainer.objective.double()
        if parallel:
            trainer.costing = trainers.parallel(trainer.costing, channels_last=configuration.channels_last)
        return steps(trainer, batch)


def assert_same_weights(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


def test_a_gpu_answers_as_the_cpu_does() -> None:
    configuration = tiny(FULL)
    model = heads.build_model(configuration, DEFAULT_TASKS, N_CLASSES).eval()
    pixels = images_of(configuration)
    here = model.backbone(augment.normalised(pixels))
    there = model.to("cuda").backbone(augment.normalised(pixels.to("cuda"))).cpu()
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)


WAYS = [(), ("channels_last=false",), ("compiled=true",), ("compiled=true", "graphs=true")]
each_way = pytest.mark.parametrize("settings", WAYS, ids=lambda settings: " ".join(settings) or "eager")


@each_way
def test_every_way_of_running_takes_the_same_five_steps(
    settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs, expected = learned_in_64_bits(tiny(FULL), "cpu", monkeypatch)
    skipped = torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]
    found, weights = learned_in_64_bits(tiny(FULL, *settings), "cuda", monkeypatch)
    assert found == pytest.approx(costs, rel=1e-6)
    assert_same_weights(weights, expected)
    assert torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] == skipped  # a graph that is left out only warns


@each_way
def test_every_way_of_running_learns_in_32_bits(settings: tuple[str, ...]) -> None:
    on_cpu, _ = learned(tiny(FULL), "cpu")
    found, _ = learned(tiny(FULL, *settings), "cuda")
    assert found[0] == pytest.approx(on_cpu[0], rel=1e-4)
    assert found == pytest.approx(on_cpu, rel=5e-3)  # on a CPU, another memory format alone makes 2e-3 in five steps


@each_way
def test_every_way_of_running_learns_in_16_bits(settings: tuple[str, ...]) -> None:
    costs, weights = learned(tiny(QUICK, *settings), "cuda", n_steps=20)
    assert np.isfinite(costs).all()
    assert costs[-1] < 0.95 * costs[0]  # 0.92 on a CPU
    assert all(value.isfinite().all() for value in weights.values())


@each_way
def test_a_process_that_could_be_one_of_several_learns_the_same(
    settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs, expected = learned_in_64_bits(tiny(FULL, QUICK), "cuda", monkeypatch)
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("nccl", init_method=store, rank=0, world_size=1)
    try:
        found, weights = learned_in_64_bits(tiny(FULL, QUICK, *settings), "cuda", monkeypatch, parallel=True)
        gathered: list[object] = [None]
        torch.distributed.all_gather_object(gathered, "refusal")  # as `shared_pixels` does
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
    assert found == pytest.approx(costs, rel=1e-6)
    assert_same_weights(weights, expected)
    assert gathered == ["refusal"]


@each_way
def test_a_run_is_validated_resumed_and_predicts_as_on_a_cpu(settings: tuple[str, ...], tmp_path: Path) -> None:
    benchmark = read_benchmark(training_builders.portraits(tmp_path / "data"))
    short = ["schedule.n_epochs=3", "sampling.batch_size=16", "held_out=0.25", "evaluate_every=1", FULL, QUICK]
    configuration = tiny(*short, *settings)

    def stop(line: str) -> None:
        if line.startswith("epoch 2/3"):
            raise KeyboardInterrupt

    options: dict[str, Any] = {"device": torch.device("cuda"), "workers": 1}
    with pytest.raises(KeyboardInterrupt):
        training.train(benchmark, configuration, tmp_path / "run", tell=stop, **options)
    training.train(benchmark, configuration, tmp_path / "run", resume=True, **options)
    state = checkpoints.load(tmp_path / "run")
    assert [row["epoch"] for row in state.log if 0 < row["score.piq"] < 1] == [1, 2, 3]
    assert state.facts["device"] == torch.cuda.get_device_name()
    path = [tmp_path / "run" / checkpoints.FILE]
    here, there = (
        prediction.predict(benchmark, path, name="x", device=torch.device(place), batch_size=10, workers=1)[0]
        for place in ("cpu", "cuda")
    )
    assert np.abs(here.embedding.astype(float) - there.embedding).max() < 2e-3
    assert all(np.abs(here.scores[task] - there.scores[task]).max() < 1e-3 for task in here.scores)


def test_the_full_model_in_16_bits_points_where_it_does_in_32() -> None:
    configuration = config.changed(config.PRESETS["fss"], ["size=[64, 32]"])
    model = heads.build_model(configuration, DEFAULT_TASKS, N_CLASSES).eval().to("cuda")
    pixels = images_of(configuration).to("cuda")
    with torch.inference_mode():
        exact = model.backbone(augment.normalised(pixels))
        with prediction.autocast(torch.device("cuda"), configuration):
            half = model.backbone(augment.normalised(pixels))
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(half, exact).min().item() > 0.99


def test_nothing_is_compiled_again_after_the_third_step() -> None:
    configuration = tiny("compiled=true")
    trainer = trainers.Trainer(configuration, DEFAULT_TASKS, {"gender": 2}, torch.device("cuda"))
    pixels = images_of(configuration).to("cuda")
    target = torch.arange(N_IMAGES, device="cuda") % 2
    rng = np.random.default_rng(0)

    def step() -> None:
        drawn = augment.draw(N_IMAGES, configuration.size, rng, configuration.augmentation).to("cuda")
        trainer.step(pixels, [target], drawn)

    for _ in range(3):
        step()
    counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for _ in range(3):
        step()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == counted


@each_way
def test_no_step_waits_for_the_device(settings: tuple[str, ...]) -> None:
    trainer, batch = made(tiny(QUICK, *settings), "cuda")
    steps(trainer, batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step(*batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_images_are_the_same_from_the_gpu_and_prefetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, device = np.random.default_rng(0), torch.device("cuda")
    pixels = rng.integers(0, 256, (500, 64, 32, 3)).astype(np.uint8)
    stored = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=pixels.shape)
    stored[:] = pixels
    rows = rng.integers(0, 500, (40, 128))
    busy = torch.rand(4096, 4096, device=device)
    for share, is_resident in ((0.5, True), (0.0, False)):
        monkeypatch.setattr(feeds, "GPU_SHARE", share)
        for one in (pixels, stored):
            feed = feeds.Feed(one, device)
            assert (feed.resident is not None) is is_resident
            found = []
            for images in feed.batches(rows):
                busy = busy @ busy / 2048  # the device falls behind, and buffers must not be filled again too early
                found.append(images.clone())
            assert (torch.stack(found).cpu().numpy() == pixels[rows]).all()


def test_a_batch_that_is_too_large_is_refused_and_a_smaller_one_then_runs() -> None:
    free = torch.cuda.mem_get_info()[0]
    n = min(65536, free // (256 * 128 * 3))  # so many that the device would just hold their pixels
    configuration = config.changed(config.PRESETS["fss"], [f"sampling.batch_size={n}"])
    with pytest.raises(LimitExceeded), trainers.memory(n, "--set sampling.batch_size"):
        benches.bench(configuration, torch.device("cuda"), n_steps=1)
    assert np.isfinite(learned(tiny(), "cuda")[0]).all()


def test_bench_reports_the_gpu() -> None:
    found = benches.bench(tiny("sampling.batch_size=16"), torch.device("cuda"), n_steps=2)
    assert found["device"] == torch.cuda.get_device_name()
    assert found["precision"] == "bfloat16"
    assert min(found["training_images_per_second"], found["inference_images_per_second"], found["memory_mib"]) > 0


@pytest.mark.skipif("H200" not in NAME, reason="figures are worked out for an H200")
@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("fss-br-uncertainty", ["compiled=false"]),
        ("fss-br-uncertainty", ["compiled=true", "graphs=true"]),
        ("sim-mtl-r50", ["compiled=true", "graphs=true"]),
    ],
    ids=["eager", "graphs", "r50"],
)
def test_an_h200_is_as_fast_as_it_should_be(preset: str, settings: list[str]) -> None:
    configuration = config.changed(config.PRESETS[preset], settings)
    found = benches.bench(configuration, torch.device("cuda"), n_steps=20)
    assert found["expected_on_one_h200"]
    for kind, figures in found["expected_on_one_h200"].items():
        assert found[f"{kind}_images_per_second"] >= figures["floor"], found
