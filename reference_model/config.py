"""Every number of a run in one frozen record, the paper's rows as named presets, and both to JSON and back.

What the paper leaves open is a field like any other, so that a result file shows what was chosen. pydantic reads the
JSON strictly: a misspelt field, a value of another type and a number out of its bounds are all reported at once, before
anything is trained.

Fan, Dou, Li, Wang, Portrait Interpretation and a Benchmark, 2022: the presets are the rows of its Tables 4 and 5.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from piq_bench.errors import BadUsage, Problem, first_few, printable, quoted
from piq_bench.read.validate import closest
from reference_model.augment import Augmentation
from reference_model.hrnet import MULTIPLE
from reference_model.losses import BatchRank, Triplet
from reference_model.samplers import BATCH_SIZE, N_IMAGES, Kind, Mix
from reference_model.schedule import Schedule
from reference_model.split import GRANULARITY, LEAST_UNASSIGNED, OVERLAP

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SOURCE = "configuration"  # what a refusal is about
BACKBONES = ("w32", "r50", "small", "small-r50", "tiny", "tiny-r50")
TIMM = re.compile(r"timm:[A-Za-z0-9_.]{1,100}")
MAX_SEED = 2**63 - 1
RANDOM = "random"  # what a backbone without --weights starts from
RECORDED = ("start",)  # fields that a run writes and nobody chooses

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=65536)]
Side = Annotated[int, Field(ge=8, le=4096)]  # of an image


@dataclass(frozen=True)
class Features:
    """What each task reads of the backbone's feature; see `split.split_features` for the fields not named here.

    Attributes:
        kind: the "whole" feature for every task, or the feature space split, "fss".
        slices: task, start and stop of each slice, instead of the computed split; the other fields are then ignored.
    """

    kind: Literal["whole", "fss"] = "fss"
    dims_per_label: Count | None = None
    granularity: Count = GRANULARITY
    overlap: Share = OVERLAP
    least_unassigned: Share = LEAST_UNASSIGNED
    slices: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How batches are formed; see `samplers.batches`.

    Attributes:
        batch_size: number of images in a batch, of all processes together.
    """

    kind: Kind = "random"
    batch_size: Annotated[int, Field(ge=2, le=65536)] = BATCH_SIZE
    n_images: Count = N_IMAGES
    mix: Mix = "batches"


@dataclass(frozen=True)
class TaskWeights:
    """How the tasks' weights are learned if the combination is "uncertainty"; see `losses.Uncertainty`.

    The defaults are those of runs that do not say. With them and the rate of a run of few steps, weights hardly move.

    Attributes:
        start: "first_losses" to start each weight at 1 / the first loss of its task, or "zero" to start all logarithms
            at 0 and all weights at 1.
        rate: their learning rate as a multiple of the schedule's.
    """

    start: Literal["zero", "first_losses"] = "zero"
    rate: Annotated[float, Field(ge=0, le=1000)] = 1.0


@dataclass(frozen=True)
class Configuration:
    """Configuration of a run.

    Attributes:
        preset: name of the preset that it was made from.
        backbone: one of BACKBONES: HRNet-W32, ResNet-50, or a small or tiny version of either for a CPU; or a model of
            the timm library, such as "timm:resnet18".
        last_stride: stride of a ResNet's last stage; the paper does not say.
        size: height and width of the network's input.
        models: one model for "all" tasks, one for "each", or one for the "retrieval" task alone.
        task: the only task of this model, in a run that trains one model for each.
        features: which part of the feature each task reads.
        metric: the metric learning loss that is added to the classification loss.
        metric_ratio: weight of the metric learning loss; the classification loss has weight 1.
        triplet, batch_rank: options of those losses.
        combination: how the tasks' losses are combined: their "average", or with weights that are learned by the
            "uncertainty" of the tasks.
        task_weights: how these weights are learned.
        multi_label: form of the loss of multi-label tasks; see `losses.multilabel_loss`.
        multi_label_bias: whether classifiers of multi-label tasks have a bias. Without it, the mean logit over a batch
            is 0, and a rare label's should be far below.
        reid_feature: which feature is compared at test time, the one "after" the BNNeck or the one "before" it.
        sampling: which images form a batch.
        augmentation: how training images are changed at random.
        schedule: number of epochs and learning rates.
        weight_decay: weight decay of Adam on all parameters but the tasks' learned weights.
        start: what the backbone starts from: "random" numbers, or the name of the file of weights, as the paper's rows
            do; None where an earlier version did not say. Training writes it; setting it changes nothing.
        seed: seed of initial weights, batches and augmentation.
        precision: precision of the backbone on a GPU; a CPU always computes in float32.
        channels_last: whether images and weights are in channels_last memory, which changes only the speed.
        compiled: whether the backbone is compiled, which takes minutes before the first step; None for training on a
            GPU alone.
        graphs: whether the compiled backbone's kernels are launched as CUDA graphs, one call for all of them: at small
            batches the host is slower than the GPU.
        held_out: share of the training people and scenes that are held out for validation during training.
        evaluate_every: number of epochs between validations; the last epoch always has one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    preset: str = ""
    backbone: str = "w32"
    last_stride: Annotated[int, Field(ge=1, le=2)] = 1
    size: tuple[Side, Side] = (256, 128)
    models: Literal["all", "each", "retrieval"] = "all"
    task: str | None = None
    features: Features = field(default_factory=Features)
    metric: Literal["none", "triplet", "batch_rank"] = "none"
    metric_ratio: Annotated[float, Field(ge=0)] = 0.5
    triplet: Triplet = field(default_factory=Triplet)
    batch_rank: BatchRank = field(default_factory=BatchRank)
    combination: Literal["average", "uncertainty"] = "average"
    task_weights: TaskWeights = field(default_factory=TaskWeights)
    multi_label: Literal["mean", "sum", "balanced"] = "mean"
    multi_label_bias: bool = True
    reid_feature: Literal["after", "before"] = "after"
    sampling: Sampling = field(default_factory=Sampling)
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: Schedule = field(default_factory=Schedule)
    weight_decay: Share = 5e-4
    start: Annotated[str, Field(max_length=1024)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    channels_last: bool = True
    compiled: bool | None = None
    graphs: bool = False
    held_out: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    evaluate_every: Annotated[int, Field(ge=1, le=1_000_000)] = 10


READER = TypeAdapter(Configuration)
EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "dataclass_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "a whole number",
    "json_invalid": "text of whole Unicode characters",
    "less_than_equal": "at most {le:g}",
    "literal_error": "one of {expected}",
    "missing": "a longer list",
    "string_type": "a text",
    "too_long": "a list of {max_length}",
    "tuple_type": "a list",
}
"""What would be right, by the type of pydantic's complaint."""

RETIRED: Mapping[str, object] = {
    "features.reid_aspect": "appearance",
    "features.shared_aspect": "posture",
    "triplet.squared": False,
    "triplet.alike": "equal",
    "triplet.empty_sets": True,
    "batch_rank.alike": "equal",
    "batch_rank.empty_sets": True,
    "guard": 10.0,
    "label_smoothing": 0.0,
    "betas": [0.9, 0.999],
    "epsilon": 1e-8,
}
"""Fields of earlier versions, with the only value that this version computes with; files may still hold that value."""


WHOLE = Features(kind="whole")
P_K = Sampling(kind="pk")
FIRST_LOSSES = TaskWeights(start="first_losses")  # the paper does not say where they start
FSS = Configuration()
SIM_MTL = Configuration(features=WHOLE)
REID_ONLY = Configuration(features=WHOLE, models="retrieval", sampling=P_K)  # the paper names no sampler

PRESETS: Mapping[str, Configuration] = {
    name: replace(configuration, preset=name)
    for name, configuration in {
        "single-task": replace(SIM_MTL, models="each"),
        "sim-mtl": SIM_MTL,
        "fss": FSS,
        "fss-triplet": replace(FSS, metric="triplet"),
        "fss-br": replace(FSS, metric="batch_rank"),
        "fss-br-uncertainty": replace(FSS, metric="batch_rank", combination="uncertainty", task_weights=FIRST_LOSSES),
        "sim-mtl-pk": replace(SIM_MTL, sampling=P_K),
        "sim-mtl-shuffle": replace(SIM_MTL, sampling=Sampling(kind="shuffle")),
        "sim-mtl-r50": replace(SIM_MTL, backbone="r50"),
        "reid-only": REID_ONLY,
        "reid-only-triplet": replace(REID_ONLY, metric="triplet"),
        "reid-only-br": replace(REID_ONLY, metric="batch_rank"),
    }.items()
}
"""The nine rows of Table 4 in their order, then the three of Table 5."""

# The paper's schedule is made for pre-trained weights; random ones need a high rate for longer.
CPU_SCHEDULE = Schedule(n_epochs=30, base_rate=3e-3, n_warm_up=2, milestones=(20, 27))
CPU_BATCH = 32
CPU_WEIGHTS_RATE = 10.0  # of learned task weights: in a hundredth of the paper's steps they would hardly move
SIZES = {"small": (128, 64), "tiny": (64, 32)}


def small(configuration: Configuration) -> Configuration:
    """The same row in minutes on a CPU: a small backbone, small images, small batches, few epochs.

    What makes the row is kept: metric loss, sampler and split, and whether weights of tasks are learned. Besides sizes
    and epochs, five things change. The schedule rises and falls at other shares of the epochs, and its rate is higher,
    because it starts from random numbers. Weight decay is off, because it would shrink the weights of a small network
    to 0 before it has learned anything from few images. The loss of multi-label tasks is balanced, because such a
    network never answers yes otherwise. The split may cut at any dimension instead of multiples of 16, because its
    feature is short. Learned weights of tasks have ten times the learning rate, because there are few steps.

    Args:
        configuration: the configuration to shrink.
    """
    return _shrunk(configuration, "small", "small-r50")


def tiny(configuration: Configuration) -> Configuration:
    """The same as `small`, and smaller still: for tests.

    Args:
        configuration: the configuration to shrink.
    """
    return _shrunk(configuration, "tiny", "tiny-r50")


SCALES: Mapping[str, Callable[[Configuration], Configuration]] = {"small": small, "tiny": tiny}


def to_json(configuration: Configuration) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(configuration))))


def from_json(value: object) -> Configuration:
    """Read what `to_json` gave; fields that are missing have their default.

    Raises:
        BadUsage: listing every unknown field, and every value that a field cannot have.
    """
    plain = json.loads(json.dumps(value))
    problems = list(_take_retired(plain))
    try:
        found = READER.validate_json(json.dumps(plain))  # as JSON, whose lists may become tuples
    except ValidationError as error:
        problems += dict.fromkeys(_problem(one) for one in error.errors(include_url=False))
    else:
        problems += _conflicts(found)
    if problems:
        raise BadUsage(SOURCE, problems)
    return found


def read(path: Path) -> Configuration:
    """Read a configuration from a JSON file.

    Raises:
        BadUsage: as `from_json`, or if the file cannot be read.
    """
    try:
        return from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        remedy = "a file of JSON, as `presets` prints it and every run has it"
        raise BadUsage(str(path), [Problem("unreadable", "file", printable(error), remedy)]) from None


def changed(configuration: Configuration, settings: Sequence[str]) -> Configuration:
    """Set some fields of a configuration to other values, and check the result.

    Args:
        configuration: the configuration to start from.
        settings: such as "schedule.n_epochs=20" or "metric=triplet"; values are JSON, or texts without quotes.

    Raises:
        BadUsage: as `from_json`, or if there is no "=".

    >>> changed(PRESETS["fss"], ["sampling.kind=pk", "size=[128, 64]"]).size
    (128, 64)
    """
    plain = to_json(configuration)
    problems = []
    for setting in settings:
        path, equals, text = setting.partition("=")
        *parents, last = path.strip().split(".")
        place = plain
        for name in parents:
            place = place.setdefault(name, {}) if isinstance(place, dict) else {}
        if not equals or not isinstance(place, dict):
            problems.append(Problem("bad-setting", printable(setting), "sets nothing", "such as schedule.n_epochs=20"))
        else:
            place[last] = _value(text.strip())
    if problems:
        raise BadUsage(SOURCE, problems)
    return from_json(plain)


def settings(configuration: Configuration) -> list[str]:
    """Every field and its value, as `changed` takes them.

    >>> settings(PRESETS["fss-br"])[:4]
    ['preset=fss-br', 'backbone=w32', 'last_stride=1', 'size=[256,128]']
    """
    return [f"{path}={_text(value)}" for path, value in _leaves(configuration)]


def differences(one: Configuration, other: Configuration) -> list[str]:
    """Paths of the chosen fields in which two runs differ."""
    first, second = dict(_leaves(one)), dict(_leaves(other))
    return [path for path in first if first[path] != second[path] and path not in RECORDED]


def _shrunk(
    configuration: Configuration, scale: Literal["small", "tiny"], kin: Literal["small-r50", "tiny-r50"]
) -> Configuration:
    return replace(
        configuration,
        backbone=kin if "r50" in configuration.backbone else scale,
        size=SIZES[scale],
        features=replace(configuration.features, granularity=1),
        sampling=replace(configuration.sampling, batch_size=CPU_BATCH),
        schedule=CPU_SCHEDULE,
        task_weights=_quicker(configuration),
        weight_decay=0.0,
        multi_label="balanced",
    )


def _quicker(configuration: Configuration) -> TaskWeights:
    if configuration.combination != "uncertainty":
        return configuration.task_weights
    return replace(configuration.task_weights, rate=CPU_WEIGHTS_RATE)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: object) -> str:
    """Write a value so that `_value` reads it back; a text needs no quotes unless it looks like another value."""
    if isinstance(value, str) and _value(value) == value:
        return value
    return json.dumps(value, separators=(",", ":"))


def _leaves(record: "DataclassInstance", path: str = "") -> Iterator[tuple[str, object]]:
    """Every field that is no record itself, with its dotted path."""
    for part in fields(record):
        value = getattr(record, part.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from _leaves(value, f"{path}{part.name}.")
        else:
            yield f"{path}{part.name}", value


def _take_retired(plain: object) -> Iterator[Problem]:
    """Remove the fields of earlier versions, and yield a problem for each with a value that is no longer possible."""
    for path, only in RETIRED.items():
        *parents, name = path.split(".")
        record = plain
        for parent in parents:
            record = record.get(parent) if isinstance(record, dict) else None
        if isinstance(record, dict) and name in record:
            value = record.pop(name)
            if value != only:
                remedy = f"this version computes with {quoted(only)} alone; leave the field out"
                yield Problem("retired-field", path, f"is {quoted(value)}", remedy)


def _problem(error: Any) -> Problem:  # noqa: ANN401
    """One complaint of pydantic in our words."""
    names = [printable(part) for part in error["loc"] if isinstance(part, str)]  # the others are places in a list
    path = ".".join(names) or SOURCE
    if error["type"] == "unexpected_keyword_argument":
        record: Any = Configuration()
        for name in names[:-1]:
            record = getattr(record, name)
        known = [part.name for part in fields(record)]
        near = closest(names[-1], known)
        hint = f"did you mean {quoted(near)}? " if near else ""
        remedy = f"{hint}known are {first_few(known, len(known), shown=len(known))}"
        return Problem("unknown-field", path, "there is no such field", remedy)
    code = "out-of-bounds" if error["type"] in ("greater_than_equal", "less_than_equal") else "bad-value"
    expected = EXPECTED.get(error["type"], "another value").format(**error.get("ctx", {}))
    return Problem(code, path, f"is {quoted(error['input'])}", f"expected {expected}")


def _conflicts(configuration: Configuration) -> Iterator[Problem]:
    """Values that do not go together."""
    if configuration.backbone not in BACKBONES and not TIMM.fullmatch(configuration.backbone):
        known = ", ".join(map(quoted, BACKBONES))
        remedy = f"expected one of {known}, or 'timm:' and the name of a model of timm"
        yield Problem("bad-value", "backbone", f"is {quoted(configuration.backbone)}", remedy)
    if configuration.backbone in ("w32", "small", "tiny") and any(side % MULTIPLE for side in configuration.size):
        found = "{} x {}".format(*configuration.size)
        yield Problem("bad-size", "size", f"is {found}", f"an HRNet needs multiples of {MULTIPLE}")
    if configuration.graphs and not configuration.compiled:
        yield Problem("not-compiled", "graphs", "needs a compiled backbone", "set compiled=true as well")
    augmentation = configuration.augmentation
    for path, (least, most) in (("augmentation.area", augmentation.area), ("augmentation.ratio", augmentation.ratio)):
        if least > most:
            yield Problem("out-of-order", path, f"is from {least:g} to {most:g}", "the smaller number first")
