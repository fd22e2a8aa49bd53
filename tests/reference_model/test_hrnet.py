"""HRNet against golden outputs of timm's class, whose keys, order and shapes it shares; and how it trains."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

    from reference_model.hrnet import HRNet

torch = pytest.importorskip("torch")
hrnet = pytest.importorskip("reference_model.hrnet")

KEY_DIGEST = "e5e476330a3495410e7b75455c9043e88949c70cf513ee85a47c0d1f43d4e30a"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def hashed(number: int, shape: tuple[int, ...]) -> Tensor:
    """Numbers in [-1, 1) that any language can draw again: a hash of tensor number and position, in float64."""
    bits, low = np.arange(int(np.prod(shape)), dtype=np.uint64), np.uint64(0xFFFFFFFF)
    bits = (bits * np.uint64(2654435761) + np.uint64((number + 1) * 974711)) & low
    bits = ((bits ^ (bits >> np.uint64(15))) * np.uint64(2246822519)) & low
    bits ^= bits >> np.uint64(13)
    drawn: Tensor = torch.from_numpy(bits / 2**32 * 2 - 1).reshape(shape)
    return drawn


def fill(model: HRNet) -> None:
    """Weights that depend on the order of the state dict and keep every layer's output of a sensible size."""
    state = model.state_dict()
    for number, (key, value) in enumerate(state.items()):
        drawn = hashed(number, tuple(value.shape))
        if key.endswith("num_batches_tracked"):
            value.zero_()
        elif value.ndim > 1:
            value.copy_(drawn / value[0].numel() ** 0.5)
        elif key.endswith("running_var"):
            value.copy_(1 + 0.5 * drawn)
        elif key.endswith(".weight"):
            value.copy_(1 + 0.1 * drawn)
        else:
            value.copy_(0.1 * drawn)


@pytest.fixture(scope="module")
def filled() -> HRNet:
    model: HRNet = hrnet.HRNet(hrnet.W32, n_classes=1000).double().eval()
    fill(model)
    return model


@pytest.fixture(scope="module")
def full_size() -> HRNet:
    with torch.device("meta"):
        model: HRNet = hrnet.HRNet(hrnet.W32, n_classes=1000)
    return model


def test_the_hash_gives_the_numbers_that_the_golden_outputs_were_made_with() -> None:
    assert hashed(0, (3,)).tolist() == pytest.approx([0.840030944, -0.164644211, -0.766661737], abs=1e-9)
    assert hashed(999999, (3,)).tolist() == pytest.approx([-0.100208497, -0.678006575, 0.685770970], abs=1e-9)


@pytest.mark.parametrize(
    ("height", "width", "sums", "first", "logits"),
    [
        (
            64,
            32,
            [338.488522873, 338.357487785],
            [0.117779078, 0, 0, 0.073625532, 0.008458902, 0.037282498],
            [-0.282869196, -0.303656652, -0.182317641, -0.162152538],
        ),
        (
            256,
            128,
            [575.140554350, 575.203252055],
            [0.633673973, 0, 0, 0.189285289, 0.223247077, 0.046576698],
            [-0.318158548, -0.291872472, -0.253812783, -0.289038416],
        ),
    ],
)
def test_w32_gives_what_timms_class_gives(
    filled: HRNet, height: int, width: int, sums: list[float], first: list[float], logits: list[float]
) -> None:
    with torch.inference_mode():
        feature = filled(hashed(999999, (2, 3, height, width)))
        found = filled.classifier(feature)
    assert feature.shape == (2, 2048)
    assert feature.sum(1).tolist() == pytest.approx(sums, abs=1e-8)
    assert feature[0, :6].tolist() == pytest.approx(first, abs=1e-8)
    assert found[0, :4].tolist() == pytest.approx(logits, abs=1e-8)


def test_keys_and_shapes_are_those_of_the_public_weights(full_size: HRNet) -> None:
    lines = sorted(f"{key} {'x'.join(map(str, value.shape))}" for key, value in full_size.state_dict().items())
    assert len(lines) == 1956
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == KEY_DIGEST


def test_w32_has_as_many_parameters_as_published_with_and_without_its_classifier(full_size: HRNet) -> None:
    with torch.device("meta"):
        bare = hrnet.HRNet(hrnet.W32)
    assert sum(value.numel() for value in full_size.parameters()) == 41_232_680
    assert sum(value.numel() for value in bare.parameters()) == 39_183_680
    assert sum(1 for _ in bare.parameters()) == 979
    assert not hasattr(bare, "classifier")


def test_convolutions_start_kaiming_normal_and_batch_normalisation_as_the_identity() -> None:
    torch.manual_seed(0)
    state = hrnet.HRNet(hrnet.TINY).state_dict()
    weight = state["downsamp_modules.2.0.weight"]  # (128, 64, 3, 3): fan out 128 * 9, variance 2 / fan
    assert float(weight.std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert all((state[f"final_layer.1.{name}"] == value).all() for name, value in (("weight", 1), ("bias", 0)))


@pytest.mark.parametrize(("height", "width"), [(64, 33), (48, 32), (256, 120)])
def test_sides_that_are_no_multiple_of_32_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"{height} x {width}: an HRNet needs multiples of 32"):
        hrnet.HRNet(hrnet.TINY)(torch.zeros(1, 3, height, width))


def test_all_parameters_of_w32_get_a_finite_gradient() -> None:
    torch.manual_seed(0)
    model = hrnet.HRNet(hrnet.W32)
    (model(torch.randn(2, 3, 64, 32)) * torch.randn(2, 2048)).sum().backward()
    gradients = [value.grad for value in model.parameters()]
    assert len(gradients) == 979
    assert all(one is not None and bool(one.isfinite().all()) for one in gradients)


def test_running_statistics_after_one_step_are_a_tenth_of_the_batchs() -> None:
    torch.manual_seed(0)
    model = hrnet.HRNet(hrnet.TINY).double()
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


def test_evaluation_uses_the_running_statistics_and_changes_nothing() -> None:
    torch.manual_seed(0)
    model = hrnet.HRNet(hrnet.TINY).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        together, alone = model(images), torch.cat([model(one[None]) for one in images])
    torch.testing.assert_close(together, alone)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_the_feature_is_float32_even_where_autocast_computes_in_16_bits() -> None:
    torch.manual_seed(0)
    model = hrnet.HRNet(hrnet.TINY).eval()
    images = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        exact = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            feature = model(images)
    assert feature.dtype == torch.float32
    assert float(torch.nn.functional.cosine_similarity(feature, exact).min()) > 0.99


def test_memory_format_does_not_change_the_feature() -> None:
    torch.manual_seed(0)
    model = hrnet.HRNet(hrnet.TINY).double().eval()
    images = torch.randn(2, 3, 64, 32, dtype=torch.float64)
    expected = model(images)
    found = model.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("default")  # the compiler's own
def test_the_whole_model_is_one_graph_for_the_compiler() -> None:
    torch.manual_seed(0)
    model = hrnet.HRNet(hrnet.TINY)
    images = torch.randn(2, 3, 64, 32)
    compiled = torch.compile(model, fullgraph=True, dynamic=False, backend="eager")
    assert torch.equal(compiled(images), model(images))
