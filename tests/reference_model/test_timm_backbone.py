"""Models of timm as backbones: their published keys load strictly; without timm they are refused."""

import importlib.util
from pathlib import Path

import pytest

from piq_bench.errors import BadUsage

torch = pytest.importorskip("torch")
config = pytest.importorskip("reference_model.config")
heads = pytest.importorskip("reference_model.heads")
weights = pytest.importorskip("reference_model.weights")

SETTINGS = ["backbone=timm:resnet10t", "size=[64, 32]"]


def test_a_name_that_is_no_backbone_is_refused() -> None:
    with pytest.raises(BadUsage, match=r"is 'w33'\n.*expected one of 'w32', .*'tiny-r50', or 'timm:' and"):
        config.changed(config.PRESETS["fss"], ["backbone=w33"])
    assert config.changed(config.PRESETS["fss"], SETTINGS).backbone == "timm:resnet10t"


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_its_models_are_refused() -> None:
    with pytest.raises(BadUsage, match=r"timm is not installed\n.*pip install 'piq-bench\[timm\]'"):
        heads.build_backbone(config.changed(config.PRESETS["fss"], SETTINGS))


def test_weights_of_timm_load_strictly_into_its_model(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    published = timm.create_model("resnet10t", pretrained=False).eval()
    torch.save(published.state_dict(), tmp_path / "published.pth")
    backbone = heads.build_backbone(config.changed(config.PRESETS["fss"], SETTINGS))
    weights.load_backbone(backbone, tmp_path / "published.pth")
    images = torch.rand(2, 3, 64, 32)
    with torch.inference_mode():
        expected = published.forward_head(published.forward_features(images), pre_logits=True)
        assert torch.equal(backbone.eval()(images), expected)
    assert backbone.feature_dim == expected.shape[1]
    torch.save({key: value for key, value in published.state_dict().items() if "bn1" not in key}, tmp_path / "part.pth")
    with pytest.raises(weights.WrongCheckpoint, match="missing"):
        weights.load_backbone(backbone, tmp_path / "part.pth")
    with pytest.raises(BadUsage, match="'none' cannot be built"):
        heads.build_backbone(config.changed(config.PRESETS["fss"], ["backbone=timm:none", "size=[64, 32]"]))
