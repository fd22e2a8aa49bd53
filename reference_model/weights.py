"""Loads a file of pre-trained weights into a backbone; a file in which any key does not fit is refused.

Loading only what fits would hide a wrong file, since a network with some random layers still runs. Two differences are
allowed: the file may have the classifier of ImageNet's 1000 classes where the model has none, and old files lack the
batch counters of batch normalisation. Of a checkpoint of this project, only the backbone is loaded. Files come from
strangers, so nothing in them is executed.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from piq_bench.errors import BadUsage, Problem, first_few, printable
from reference_model import hrnet, resnet
from reference_model.hrnet import HRNet
from reference_model.resnet import ResNet50
from reference_model.timm_backbone import TimmBackbone

FORMAT = "piq-bench/checkpoint/1"  # of a checkpoint of this project, see `checkpoint`
MAX_BYTES = 2 << 30  # W32 with the state of its optimiser takes 0.5 GB
WRAPPERS = ("state_dict", "model")  # under which training scripts keep the weights
PREFIX = "module."  # left by training on several devices
BACKBONE, HEADS = "backbone.", "heads."  # prefixes of keys in a checkpoint of this project
NETWORK = "network."  # prefix of a model of timm in a backbone
COUNTER = ".num_batches_tracked"
SAFETENSORS = ".safetensors"
REMEDY = "give a state dict alone, as torch.save or safetensors wrote it; get the file again if it was cut off"
FINEST, COARSEST = (f"stage4.0.branches.{branch}.0.conv1.weight" for branch in (0, 3))  # of an HRNet's branches
WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class WrongCheckpoint(BadUsage):
    """A file that holds no weights, or the weights of another model."""


def load_backbone(model: nn.Module, path: Path) -> None:
    """Load the weights of a file into a backbone.

    Args:
        model: an HRNet, a ResNet50 or a TimmBackbone; unchanged if the file is refused.
        path: a .safetensors file, or one written by torch.save (.pth, .bin): a state dict, or a checkpoint with one.

    Raises:
        WrongCheckpoint: if it cannot be read, or a key is missing, unknown or of another shape.
    """
    state = _state_dict(path)
    heads: tuple[str, ...] = ("classifier",) if isinstance(model, HRNet) else ("fc",)
    if isinstance(model, TimmBackbone):
        heads, model = model.heads, model.network
        state = {key.removeprefix(NETWORK): value for key, value in state.items()}
    own: dict[str, Tensor] = model.state_dict()
    unused = {f"{head}.{part}" for head in heads for part in ("weight", "bias")} - own.keys()
    state = {key: value for key, value in state.items() if key not in unused}
    counters = {key: value for key, value in own.items() if key.endswith(COUNTER)}
    problems = _misfits(own, counters | state)
    if problems:
        if _architecture(state) != _architecture(own):
            found = f"looks like {_architecture(state)}; the model is {_architecture(own)}"
            problems.insert(0, Problem("wrong-architecture", "file", found, f"give {_suitable_weights(model)}"))
        raise WrongCheckpoint(str(path), problems)
    model.load_state_dict(counters | state)


def fitting_backbone(path: Path) -> str:
    """The name of the backbone that a file of weights fits, of W32 and ResNet-50 and their smaller versions.

    Raises:
        WrongCheckpoint: if it fits none; its problems are those with the largest, which is the published one.
    """
    state = _state_dict(path)
    build: type[nn.Module] = HRNet
    shapes: Mapping[str, object] = {"tiny": hrnet.TINY, "small": hrnet.SMALL, "w32": hrnet.W32}
    if "layer4.0.conv1.weight" in state:
        build, shapes = ResNet50, {"tiny-r50": resnet.TINY, "small-r50": resnet.SMALL, "r50": resnet.R50}
    refusal: WrongCheckpoint | None = None
    for name, shape in shapes.items():
        try:
            load_backbone(build(shape), path)
        except WrongCheckpoint as error:
            refusal = error
        else:
            return name
    raise refusal or AssertionError(path)


def _state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict of a file, without the wrappers and key prefixes that training scripts add."""
    content = _opened(path)
    is_own_checkpoint = isinstance(content, Mapping) and content.get("format") == FORMAT
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise _refusal(path, "not-weights", f"holds a {type(content).__name__}", REMEDY)
    strange = [key for key, value in content.items() if not (isinstance(key, str) and _is_plain(value))]
    if strange:
        names = first_few(strange, len(strange))
        found = f"{len(strange)} of {len(content)} entries are no dense tensors with a name: {names}"
        raise _refusal(path, "not-weights", found, REMEDY)
    is_model_file = path.suffix == SAFETENSORS and all(str(key).startswith((BACKBONE, HEADS)) for key in content)
    if is_own_checkpoint or (is_model_file and content):
        return {key.removeprefix(BACKBONE): value for key, value in content.items() if key.startswith(BACKBONE)}
    if all(key.startswith(PREFIX) for key in content):
        return {key.removeprefix(PREFIX): value for key, value in content.items()}
    return dict(content)


def _opened(path: Path) -> object:
    """The content of a file, with tensors on the CPU; anything but plain values and tensors is refused."""
    try:
        n_bytes = _unpacked_bytes(path)
        if n_bytes <= MAX_BYTES:
            return _read(path)
    except OSError as error:
        raise _refusal(path, "unreadable", str(error.strerror or error), REMEDY) from None
    except pickle.UnpicklingError as error:
        culprit = re.search(r"GLOBAL (\S+)", str(error))  # the rest of torch's text says how to execute it
        held = f"holds {printable(culprit[1])} besides tensors" if culprit else "is no pickle of tensors"
        raise _refusal(path, "not-weights", f"{held}; nothing was executed", REMEDY) from None
    except ModuleNotFoundError:
        raise  # nothing is wrong with the file: its library is missing
    except Exception as error:  # a stranger's bytes can fail in any way
        first_line = str(error).partition("\n")[0]
        reason = printable(f"{type(error).__name__} {first_line}", 160)
        found = f"cannot be read, so it is cut off, or holds no weights: {reason}"
        raise _refusal(path, "unreadable", found, REMEDY) from None
    raise _refusal(path, "too-large", f"{n_bytes:,} bytes", f"weights have at most {MAX_BYTES:,} bytes")


def _unpacked_bytes(path: Path) -> int:
    """Size of a file, or of its unpacked records: torch's files are zip archives and may unpack to more."""
    n_bytes = path.stat().st_size
    if path.suffix == SAFETENSORS or not zipfile.is_zipfile(path):
        return n_bytes
    with zipfile.ZipFile(path) as archive:
        return max(n_bytes, sum(record.file_size for record in archive.infolist()))


def _read(path: Path) -> object:
    """Read a file with the library for its suffix."""
    if path.suffix == SAFETENSORS:
        from safetensors.torch import load_file

        return load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickles that are not torch's own, which are then refused
        return torch.load(path, map_location="cpu", weights_only=True)


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"


def _misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[Problem]:
    """Every key that is missing, unknown, or of another shape or type of number."""
    problems = []
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    wrong = [key for key in own if key in state and _described(state[key]) != _described(own[key])]
    if missing:
        problems.append(_listed("missing-key", "missing", missing, "every key of the model must be in the file"))
    if extra:
        problems.append(_listed("unknown-key", "unknown", extra, "no key may be left over"))
    if wrong:
        remedy = f"the first is {_described(state[wrong[0]])}, expected {_described(own[wrong[0]])}"
        problems.append(_listed("wrong-shape", "shape", wrong, remedy))
    return problems


def _described(value: Tensor) -> str:
    """The shape of a tensor, and its type unless that is floating point; both must agree, but not the precision."""
    shape = " x ".join(map(str, value.shape)) or "a single number"
    return shape if value.dtype in WEIGHT_TYPES else f"{shape} of {value.dtype}"


def _architecture(state: Mapping[str, Tensor]) -> str:
    """The network that a state dict belongs to, judged by its keys."""
    shapes = {key.removeprefix("backbone."): tuple(value.shape) for key, value in state.items()}
    if COARSEST in shapes:
        if any(key.startswith("neck.") for key in shapes):
            return "mmpretrain's port of an HRNet, whose head has no biases"
        if not any(key.startswith("incre_modules.") for key in shapes):
            return "an HRNet without the classification head, as for pose estimation or segmentation"
        if "final_layer.0.bias" not in shapes:
            return "an HRNet whose head has no biases, as in the 'ssld' variants"
        return f"an HRNet-W{shapes[FINEST][0] if shapes.get(FINEST) else '?'}"
    blocks = {match[0] for key in shapes if (match := re.match(r"layer[1-4]\.\d+\.", key))}
    if any(block.startswith("layer4.") for block in blocks):
        n_convolutions = 3 if "layer4.0.conv3.weight" in shapes else 2
        return f"a ResNet-{n_convolutions * len(blocks) + 2}"
    return "neither an HRNet nor a ResNet"


def _suitable_weights(model: nn.Module) -> str:
    if isinstance(model, HRNet):
        return "ImageNet classification weights: hrnetv2_w32_imagenet_pretrained.pth or timm's hrnet_w32.ms_in1k"
    if not isinstance(model, ResNet50):
        return "the published weights of this model of timm"
    return "ImageNet classification weights: torchvision's resnet50-0676ba61.pth"


def _listed(code: str, where: str, offenders: Sequence[str], remedy: str) -> Problem:
    n = len(offenders)
    return Problem(code, where, f"{n} key{'s' if n > 1 else ''}: {first_few(offenders, n)}", remedy, n)


def _refusal(path: Path, code: str, found: str, remedy: str) -> WrongCheckpoint:
    return WrongCheckpoint(str(path), [Problem(code, "file", found, remedy)])
