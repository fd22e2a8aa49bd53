"""On a GPU: eager, compiled, captured in CUDA graphs and in 16 bits, all learn and answer as the CPU does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from piq_bench.errors import LimitExceeded
from piq_bench.read.vocabulary import DEFAULT_TASKS

torch = pytest.importorskip("torch")
augment = pytest.importorskip("reference_model.augment")
benches = pytest.importorskip("reference_model.bench")
config = pytest.importorskip("reference_model.config")
feeds = pytest.importorskip("reference_model.feed")
heads = pytest.importorskip("reference_model.heads")
prediction = pytest.importorskip("reference_model.predict")
trainers = pytest.importorskip("reference_model.trainer")

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("default"),  # torch's compiler recommends less precise products, among other things
]

Configuration: TypeAlias = Any  # types are checked without torch
Tensor: TypeAlias = Any
N_IMAGES = 16
N_CLASSES = {task.name: len(task.labels) or 4 for task in DEFAULT_TASKS}
FULL = "precision=float32"


@pytest.fixture(autouse=True)
def whole_products() -> Iterator[None]:
    """Products of 32 bits with all their bits."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


def tiny(*settings: str) -> Configuration:
    return config.changed(config.tiny(config.PRESETS["fss-br-uncertainty"]), list(settings))


def images_of(configuration: Configuration) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (N_IMAGES, *configuration.size, 3)).astype(np.uint8))


def learned(configuration: Configuration, place: str, n_steps: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    """Costs and weights after some steps."""
    device, rng = torch.device(place), np.random.default_rng(1)
    trainer = trainers.Trainer(configuration, DEFAULT_TASKS, N_CLASSES, device)
    trainer.set_rate(1e-3)
    pixels = images_of(configuration).to(device)
    targets = [
        torch.from_numpy(rng.integers(0, 2, (N_IMAGES, 7)) if task.multi_label else rng.integers(0, 2, N_IMAGES))
        for task in DEFAULT_TASKS
    ]
    targets = [target.to(device) for target in targets]
    drawn = augment.draw(N_IMAGES, configuration.size, rng, configuration.augmentation).to(device)
    costs = [trainer.step(pixels, targets, drawn).total.item() for _ in range(n_steps)]
    return costs, {key: value.cpu() for key, value in trainer.model.state_dict().items()}


def test_a_gpu_answers_as_the_cpu_does() -> None:
    configuration = tiny(FULL)
    model = heads.build_model(configuration, DEFAULT_TASKS, N_CLASSES).eval()
    pixels = images_of(configuration)
    here = model.backbone(augment.normalised(pixels))
    there = model.to("cuda").backbone(augment.normalised(pixels.to("cuda"))).cpu()
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", [(), ("compiled=true",), ("compiled=true", "graphs=true")], ids=len)
def test_every_way_of_running_learns_the_same(settings: tuple[str, ...]) -> None:
    on_cpu, _ = learned(tiny(FULL), "cpu")
    eager, _ = learned(tiny(FULL), "cuda")
    found, _ = learned(tiny(FULL, *settings), "cuda")
    assert eager[0] == pytest.approx(on_cpu[0], rel=1e-4)
    assert found == pytest.approx(eager, rel=5e-3)  # on a CPU, another memory format alone makes 7e-4 in five steps
    # Adam's first step is of one size whatever the gradient, so that a few weights differ, whose gradient is nearly 0.
    _, weights = learned(tiny(FULL), "cuda", n_steps=1)
    _, others = learned(tiny(FULL, *settings), "cuda", n_steps=1)
    far = torch.cat([(others[key].float() - value.float()).abs().flatten() for key, value in weights.items()])
    assert (far > 1e-4).float().mean().item() < 0.01


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


def test_images_are_the_same_from_the_gpu_and_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_memory_that_does_not_suffice_is_told_from_other_failures() -> None:
    with pytest.raises(LimitExceeded), trainers.memory(128, "--set sampling.batch_size"):
        torch.empty(1 << 48, device="cuda")


def test_bench_reports_the_gpu() -> None:
    found = benches.bench(tiny("sampling.batch_size=16"), torch.device("cuda"), n_steps=2)
    assert found["device"] == torch.cuda.get_device_name()
    assert found["precision"] == "bfloat16"
    assert min(found["training_images_per_second"], found["inference_images_per_second"], found["memory_mib"]) > 0
