"""Weights: a file that fits is loaded whole; any other is refused with a reason and never executed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor, nn


torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
hrnet = pytest.importorskip("reference_model.hrnet")
resnet = pytest.importorskip("reference_model.resnet")
weights = pytest.importorskip("reference_model.weights")

BUILD = {
    "hrnet": lambda n_classes=None: hrnet.HRNet(hrnet.TINY, n_classes=n_classes),
    "resnet": lambda n_classes=None: resnet.ResNet50(resnet.TINY, n_classes=n_classes),
}


def public(name: str) -> dict[str, Tensor]:
    """A state dict with ImageNet's classifier, whose values differ from those of a fresh model."""
    torch.manual_seed(1)
    model = BUILD[name](1000)
    return {key: torch.rand_like(value) if value.ndim else value for key, value in model.state_dict().items()}


def saved(folder: Path, content: object, name: str = "weights.pth") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


def refusal(model: nn.Module, path: Path) -> str:
    """The message of a refusal, which must leave the model unchanged."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(weights.WrongCheckpoint) as refused:
        weights.load_backbone(model, path)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert refused.value.exit_code == 2
    return str(refused.value)


def loads(name: str, path: Path, state: dict[str, Tensor]) -> bool:
    """Whether the file's weights are loaded into a model without classifier and into one with it."""
    for n_classes in (None, 1000):
        model = BUILD[name](n_classes)
        weights.load_backbone(model, path)
        if not all(torch.equal(state.get(key, value), value) for key, value in model.state_dict().items()):
            return False
    return True


@pytest.mark.parametrize("name", BUILD)
def test_a_file_of_torch_old_or_new_or_of_safetensors_is_loaded(tmp_path: Path, name: str) -> None:
    state = public(name)
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    safetensors.save_file(state, tmp_path / "model.safetensors")
    for path in (saved(tmp_path, state, "new.bin"), tmp_path / "old.pth", tmp_path / "model.safetensors"):
        assert loads(name, path, state)


@pytest.mark.parametrize("name", BUILD)
def test_what_training_scripts_put_around_weights_is_taken_off(tmp_path: Path, name: str) -> None:
    state = public(name)
    parallel = {f"module.{key}": value for key, value in state.items()}
    for content in ({"state_dict": state, "epoch": 3}, {"model": parallel}, parallel):
        assert loads(name, saved(tmp_path, content), state)


@pytest.mark.parametrize("name", BUILD)
def test_an_old_file_without_counters_of_batches_is_loaded(tmp_path: Path, name: str) -> None:
    state = {key: value for key, value in public(name).items() if not key.endswith("num_batches_tracked")}
    assert loads(name, saved(tmp_path, state), state)


def test_a_file_without_classifier_is_loaded_only_into_a_model_without_one(tmp_path: Path) -> None:
    state = {key: value for key, value in public("hrnet").items() if not key.startswith("classifier")}
    path = saved(tmp_path, state)
    weights.load_backbone(BUILD["hrnet"](), path)
    assert "missing  2 keys: 'classifier.weight', 'classifier.bias'" in refusal(BUILD["hrnet"](1000), path)


def test_16_and_64_bits_are_welcome_and_whole_numbers_are_not(tmp_path: Path) -> None:
    state = public("resnet")
    for dtype in (torch.float16, torch.float64):
        assert loads("resnet", saved(tmp_path, state | {"bn1.weight": torch.ones(8, dtype=dtype)}), {})
    message = refusal(BUILD["resnet"](), saved(tmp_path, state | {"bn1.weight": torch.ones(8, dtype=torch.int64)}))
    assert "the first is 8 of torch.int64, expected 8" in message


def test_every_missing_unknown_and_misshapen_key_is_counted_and_the_first_are_named(tmp_path: Path) -> None:
    state = public("hrnet")
    del state["bn1.weight"]
    state |= {"fc.weight": torch.zeros(2), "bn2.bias": torch.zeros(3), "conv1.weight": torch.zeros(16, 3, 3)}
    for number in range(4):
        del state[f"stage4.0.fuse_layers.3.{number}.0.0.weight" if number < 3 else "conv2.weight"]
    path = saved(tmp_path, state)
    assert refusal(BUILD["hrnet"](), path) == (
        f"{path}: refused, 3 problems\n"
        "  missing  5 keys: 'bn1.weight', 'conv2.weight', 'stage4.0.fuse_layers.3.0.0.0.weight' and 2 more\n"
        "           -> every key of the model must be in the file [missing-key]\n"
        "  unknown  1 key: 'fc.weight'\n"
        "           -> no key may be left over [unknown-key]\n"
        "  shape    2 keys: 'conv1.weight', 'bn2.bias'\n"
        "           -> the first is 16 x 3 x 3, expected 16 x 3 x 3 x 3 [wrong-shape]"
    )


def without_head_biases(state: dict[str, Tensor]) -> dict[str, Tensor]:
    biases = {f"downsamp_modules.{number}.0.bias" for number in range(3)} | {"final_layer.0.bias"}
    return {key: value for key, value in state.items() if key not in biases}


def of_mmpretrain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames keys as mmpretrain does: backbone and neck are separate, and the neck has no biases."""
    neck = {"incre_modules": "increase_layers", "downsamp_modules": "downsample_layers", "final_layer": "final_layer"}
    renamed = {}
    for key, value in without_head_biases(state).items():
        part, _, rest = key.partition(".")
        renamed[f"neck.{neck[part]}.{rest}" if part in neck else f"backbone.{key}"] = value
    return renamed


def of_pose_estimation(state: dict[str, Tensor]) -> dict[str, Tensor]:
    head = ("incre_modules", "downsamp_modules", "final_layer", "classifier")
    body = {key: value for key, value in state.items() if not key.startswith(head)}
    return body | {"final_layer.weight": torch.zeros(17, 8, 1, 1), "final_layer.bias": torch.zeros(17)}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (without_head_biases, "an HRNet whose head has no biases, as in the 'ssld' variants"),
        (of_mmpretrain, "mmpretrain's port of an HRNet, whose head has no biases"),
        (of_pose_estimation, "an HRNet without the classification head, as for pose estimation or segmentation"),
        (lambda state: public("resnet"), "a ResNet-17"),  # 5 bottlenecks of 3, first convolution and classifier
        (lambda state: {}, "neither an HRNet nor a ResNet"),
    ],
)
def test_another_network_is_refused_with_what_it_seems_to_be(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], kind: str
) -> None:
    message = refusal(BUILD["hrnet"](), saved(tmp_path, change(public("hrnet"))))
    assert f"file     looks like {kind}; the model is an HRNet-W8\n" in message
    assert "give ImageNet classification weights: hrnetv2_w32_imagenet_pretrained.pth or timm's" in message


def test_an_hrnet_is_refused_where_a_resnet_is_wanted(tmp_path: Path) -> None:
    message = refusal(BUILD["resnet"](), saved(tmp_path, public("hrnet")))
    assert "looks like an HRNet-W8; the model is a ResNet-17" in message
    assert "give ImageNet classification weights: torchvision's resnet50-0676ba61.pth" in message


def test_an_hrnet_of_another_width_is_refused_by_its_width(tmp_path: Path) -> None:
    wider = hrnet.HRNet(replace(hrnet.TINY, channels=(18, 36, 72, 144)))
    message = refusal(BUILD["hrnet"](), saved(tmp_path, wider.state_dict()))
    assert "looks like an HRNet-W18; the model is an HRNet-W8" in message
    assert "the first is 18 x 32 x 3 x 3, expected 8 x 32 x 3 x 3" in message


class Code:
    """An object whose unpickling would create a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("way", ["new", "old", "pickle", "beside"])
def test_code_in_a_file_is_refused_and_not_executed(tmp_path: Path, way: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "weights.pth"
    content = {"conv1.weight": Code(trace)} if way != "beside" else public("hrnet") | {"extra": Code(trace)}
    if way == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way != "old")
    message = refusal(BUILD["hrnet"](), path)
    assert "refused, 1 problem" in message
    if way != "pickle":
        assert "holds posix.mkdir besides tensors; nothing was executed" in message
    assert not trace.exists()


def test_a_whole_pickled_model_is_refused_with_its_class(tmp_path: Path) -> None:
    message = refusal(BUILD["hrnet"](), saved(tmp_path, BUILD["hrnet"]()))
    assert "holds reference_model.hrnet.HRNet besides tensors; nothing was executed" in message
    assert "give a state dict alone" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        (3.5, "holds a float"),
        ({"conv1.weight": "wrong", "n": 3}, "2 of 2 entries are no dense tensors with a name: 'conv1.weight', 'n'"),
        ({7: torch.zeros(1)}, "1 of 1 entries are no dense tensors with a name: '7'"),
        ({"a": torch.zeros(3).to_sparse()}, "1 of 1 entries are no dense tensors with a name: 'a'"),
        ({"a\x1b[31m\n": torch.zeros(1)}, r"unknown  1 key: 'a\x1b[31m\n'"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object, message: str) -> None:
    assert message in refusal(BUILD["hrnet"](), saved(tmp_path, content))


@pytest.mark.parametrize("name", ["new.pth", "old.pth", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        safetensors.save_file(public("resnet"), path)
    else:
        torch.save(public("resnet"), path, _use_new_zipfile_serialization=name == "new.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "get the file again if it was cut off" in refusal(BUILD["resnet"](), path)


@pytest.mark.parametrize("name", ["noise.pth", "noise.bin", "noise.safetensors"])
@pytest.mark.parametrize(
    "content", [b"hello world" * 20, b"\xff" * 100, b"PK\x03\x04" + bytes(60)], ids=["text", "ff", "zip"]
)
def test_bytes_that_are_no_weights_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert "get the file again if it was cut off" in refusal(BUILD["hrnet"](), path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(BUILD["hrnet"](), tmp_path / "none.pth")
    assert "No such file or directory" in refusal(BUILD["hrnet"](), tmp_path / "none.safetensors")
    assert "Is a directory" in refusal(BUILD["hrnet"](), tmp_path)


def test_a_file_too_large_is_not_opened_nor_one_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 5000)
    large, packed = tmp_path / "large.safetensors", tmp_path / "packed.pth"
    large.write_bytes(bytes(5001))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(6000))
    assert packed.stat().st_size < 1000
    assert "5,001 bytes\n" in refusal(BUILD["hrnet"](), large)
    assert "6,000 bytes\n" in refusal(BUILD["hrnet"](), packed)
