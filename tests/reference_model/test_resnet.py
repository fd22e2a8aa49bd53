"""ResNet-50 against golden outputs of torchvision's definition, whose keys, order and shapes it shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch")
resnet = pytest.importorskip("reference_model.resnet")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def hashed(number: int, shape: tuple[int, ...]) -> Tensor:
    """The same numbers as in the tests of HRNet, where their first values are checked."""
    bits, low = np.arange(int(np.prod(shape)), dtype=np.uint64), np.uint64(0xFFFFFFFF)
    bits = (bits * np.uint64(2654435761) + np.uint64((number + 1) * 974711)) & low
    bits = ((bits ^ (bits >> np.uint64(15))) * np.uint64(2246822519)) & low
    bits ^= bits >> np.uint64(13)
    drawn: Tensor = torch.from_numpy(bits / 2**32 * 2 - 1).reshape(shape)
    return drawn


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """In the order of the state dict, which the numbers depend on."""
    found = {}
    with torch.device("meta"):
        shapes = {
            key: tuple(value.shape) for key, value in resnet.ResNet50(resnet.R50, n_classes=1000).state_dict().items()
        }
    for number, (key, shape) in enumerate(shapes.items()):
        drawn = hashed(number, shape)
        if key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(0)
        elif len(shape) > 1:
            found[key] = drawn / drawn[0].numel() ** 0.5
        elif key.endswith("running_var"):
            found[key] = 1 + 0.5 * drawn
        else:
            found[key] = float(key.endswith(".weight")) + 0.1 * drawn
    return found


@pytest.mark.parametrize(
    ("last_stride", "height", "width", "sums", "first", "logits"),
    [
        (
            2,
            64,
            32,
            [242.164434859, 241.826746394],
            [0, 0.128849171, 0, 0.093351100, 0.431155194, 0],
            [0.083365594, -0.147962043, 0.070423816, -0.135187826],
        ),
        (
            2,
            256,
            128,
            [243.822252066, 243.755883826],
            [0, 0.145525615, 0, 0.087896886, 0.417217350, 0],
            [0.095887981, -0.149508118, 0.057560217, -0.131811550],
        ),
        (
            1,
            64,
            32,
            [242.402781203, 242.322901103],
            [0, 0.133791643, 0, 0.089885669, 0.437150492, 0],
            [0.089827720, -0.152020758, 0.066209258, -0.129140599],
        ),
        (
            1,
            256,
            128,
            [243.908808731, 243.879019292],
            [0, 0.150610474, 0, 0.087312238, 0.420000333, 0],
            [0.097034024, -0.150929359, 0.057046542, -0.129163893],
        ),
    ],
)
def test_resnet_50_gives_what_torchvisions_definition_gives(
    weights: dict[str, Tensor],
    last_stride: Literal[1, 2],
    height: int,
    width: int,
    sums: list[float],
    first: list[float],
    logits: list[float],
) -> None:
    with torch.device("meta"):
        model = resnet.ResNet50(resnet.R50, last_stride=last_stride, n_classes=1000)
    model.load_state_dict(weights, assign=True)
    with torch.inference_mode():
        feature = model.eval()(hashed(999999, (2, 3, height, width)))
        found = model.fc(feature)
    assert feature.shape == (2, 2048)
    assert feature.sum(1).tolist() == pytest.approx(sums, abs=1e-8)
    assert feature[0, :6].tolist() == pytest.approx(first, abs=1e-8)
    assert found[0, :4].tolist() == pytest.approx(logits, abs=1e-8)


def public_keys() -> set[str]:
    """Names and shapes of torchvision's ResNet-50, from Table 1 of He et al., CVPR 2016, and torchvision's names."""
    lines = {"fc.weight 1000x2048", "fc.bias 1000"}

    def add(convolution: str, norm: str, n_out: int, n_in: int, side: int) -> None:
        lines.add(f"{convolution}.weight {n_out}x{n_in}x{side}x{side}")
        lines.update(f"{norm}.{name} {n_out}" for name in ("weight", "bias", "running_mean", "running_var"))
        lines.add(f"{norm}.num_batches_tracked ")

    add("conv1", "bn1", 64, 3, 7)
    n_in = 64
    for stage, (n_blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(n_blocks):
            name = f"layer{stage}.{block}"
            add(f"{name}.conv1", f"{name}.bn1", width, n_in, 1)
            add(f"{name}.conv2", f"{name}.bn2", width, width, 3)
            add(f"{name}.conv3", f"{name}.bn3", 4 * width, width, 1)
            if block == 0:
                add(f"{name}.downsample.0", f"{name}.downsample.1", 4 * width, n_in, 1)
            n_in = 4 * width
    return lines


def test_keys_and_shapes_are_those_of_the_public_weights(weights: dict[str, Tensor]) -> None:
    lines = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in weights.items()]
    assert len(lines) == 320
    assert set(lines) == public_keys()


def test_resnet_50_has_as_many_parameters_as_published_with_and_without_its_classifier() -> None:
    with torch.device("meta"):
        full, bare = resnet.ResNet50(n_classes=1000), resnet.ResNet50()
    assert sum(value.numel() for value in full.parameters()) == 25_557_032
    assert sum(value.numel() for value in bare.parameters()) == 23_508_032
    assert not hasattr(bare, "fc")


def test_the_last_stage_keeps_the_resolution_by_default() -> None:
    strides = {
        stride: (model.layer4[0].conv2.stride, model.layer4[0].downsample[0].stride)
        for stride, model in ((1, resnet.ResNet50(resnet.TINY)), (2, resnet.ResNet50(resnet.TINY, last_stride=2)))
    }
    assert strides == {1: ((1, 1), (1, 1)), 2: ((2, 2), (2, 2))}


def test_all_parameters_get_a_finite_gradient() -> None:
    torch.manual_seed(0)
    model = resnet.ResNet50()
    (model(torch.randn(2, 3, 64, 32)) * torch.randn(2, 2048)).sum().backward()
    assert all(value.grad is not None and bool(value.grad.isfinite().all()) for value in model.parameters())


def test_running_statistics_after_one_step_are_a_tenth_of_the_batchs() -> None:
    torch.manual_seed(0)
    model = resnet.ResNet50(resnet.TINY).double()
    seen: dict[str, Tensor] = {}
    layers = {name: one for name, one in model.named_modules() if isinstance(one, torch.nn.BatchNorm2d)}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0].detach()}))
    model(torch.randn(4, 3, 64, 32, dtype=torch.float64))
    assert set(seen) == set(layers)
    for name, layer in layers.items():
        values = seen[name].transpose(0, 1).flatten(1)  # (channels, n)
        mean = values.sum(1) / values.shape[1]
        variance = ((values - mean[:, None]) ** 2).sum(1) / (values.shape[1] - 1)  # unbiased
        torch.testing.assert_close(layer.running_mean, 0.1 * mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * variance, rtol=0, atol=1e-12)
        assert int(layer.num_batches_tracked) == 0


def test_a_tiny_one_gives_its_feature_for_any_size() -> None:
    feature = resnet.ResNet50(resnet.TINY).eval()(torch.zeros(2, 3, 50, 31))
    assert feature.shape == (2, resnet.ResNet50(resnet.TINY).feature_dim) == (2, 64)
