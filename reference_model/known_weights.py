"""Published weights of backbones, how to get them, and a check of a file against them.

ImageNet weights cannot be passed on with this package; the paper's rows start from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from piq_bench.write.files import sha256_of


@dataclass(frozen=True)
class KnownFile:
    """A published file.

    Attributes:
        backbone: the backbone that it fits.
        source: who published it, and where.
        n_bytes: its size; None where we do not know it.
        sha256: its SHA-256, or the part of it that publishers put into the file's name; empty where we do not know it.
        note: what else a user should know.
    """

    backbone: str
    source: str
    n_bytes: int | None = None
    sha256: str = ""
    note: str = ""


KNOWN: Mapping[str, KnownFile] = {
    "hrnetv2_w32_imagenet_pretrained.pth": KnownFile(
        "w32",
        "the authors of HRNet: https://github.com/HRNet/HRNet-Image-Classification, also"
        " https://zenodo.org/records/10604211",
        165_587_602,
        note="the backbone of the paper's rows but one",
    ),
    "hrnetv2_w32-90d8c5fb.pth": KnownFile(
        "w32",
        "timm: https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-hrnet/"
        "hrnetv2_w32-90d8c5fb.pth",
        sha256="90d8c5fb",
        note="the same weights, also as model.safetensors of timm/hrnet_w32.ms_in1k at Hugging Face",
    ),
    "resnet50-0676ba61.pth": KnownFile(
        "r50",
        "torchvision: https://download.pytorch.org/models/resnet50-0676ba61.pth",
        102_530_333,
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        "IMAGENET1K_V1, as in Bag of Tricks; for the row sim-mtl-r50",
    ),
    "resnet50-11ad3fa6.pth": KnownFile(
        "r50",
        "torchvision: https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        sha256="11ad3fa6",
        note="IMAGENET1K_V2, trained longer: not what papers of that time started from",
    ),
}


def listing() -> list[str]:
    """The known files as lines to print."""
    lines = []
    for name, known in KNOWN.items():
        size = f"{known.n_bytes:,} bytes" if known.n_bytes else "size not known"
        begins = " begins with" if 0 < len(known.sha256) < 64 else ""
        digest = f"SHA-256{begins} {known.sha256}" if known.sha256 else "SHA-256 not known"
        lines += [name, f"  for backbone {known.backbone}; {known.note}", f"  {known.source}", f"  {size}; {digest}"]
    return lines


def identity_of(path: Path) -> tuple[str, str]:
    """The SHA-256 of a file, and what that and its size say in comparison with the published files."""
    digest, n_bytes = sha256_of(path), path.stat().st_size
    for name, known in KNOWN.items():
        if known.sha256 and digest.startswith(known.sha256):
            return digest, f"is the published {name}"
    named = KNOWN.get(path.name)
    if named is None:
        return digest, "is none of the published files by its SHA-256"
    if named.sha256:
        return digest, f"is not the published file of this name, whose SHA-256 begins with {named.sha256[:8]}"
    if named.n_bytes is not None and named.n_bytes != n_bytes:
        return digest, f"has {n_bytes:,} bytes; the published file of this name has {named.n_bytes:,}"
    return digest, "has the size of the published file of this name, whose SHA-256 we do not know"
