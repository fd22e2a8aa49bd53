"""Turns a training run into an entry of the leaderboard: predictions, configuration, logs, metadata and a README.

The README tells the whole recipe, so that nothing but it and the code is needed to make the entry again.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from piq_bench.demo.sizes import sizes_for
from piq_bench.read.submission import read_submission
from piq_bench.records import TRAIN, Benchmark
from piq_bench.report.json import score_document
from piq_bench.report.rows import main_rows
from piq_bench.retrieve.engines import choose
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score
from piq_bench.write.files import write_text
from piq_bench.write.submission import write_submission
from pretraining import BATCH_SIZE, SEED, stages_in_words
from reference_model.checkpoint import load
from reference_model.config import PRESETS, Configuration, from_json, settings, to_json
from reference_model.predict import Progress, checkpoints_in, predict
from reference_model.training_log import CONFIG, LOG

BACKBONES = {"small": "HRNet, small", "small-r50": "ResNet, small", "tiny": "HRNet, tiny", "tiny-r50": "ResNet, tiny"}
METADATA = """\
schema = "piq-bench/entry/1"
name = "reference {row}"
team = "piq-bench"
authors = ["the authors of piq-bench"]
date = {date}
licence = "Apache-2.0"

[method]
summary = "Row {row} of the paper's Table 4 by the reference model, at a size for a CPU: {models}."
backbone = "{backbone}"

[training]
datasets = ["portrait-mini", "portraits of other people from `piq demo --seed 1`"]
external_data = true
used_test_images = false

[claimed]
piq = {piq!r}
digest = "{digest}"
"""
README = """\
# reference {row}

Row `{row}` of the paper's Table 4 by the [reference model](../../reference_model/README.md), at a size for a
CPU: {models}, {backbone}, trained in {minutes} min ({device}, torch {torch}). These are not the
paper's numbers, which take HRNet-W32, ImageNet weights and Portrait250K.

```sh
python submissions/baselines.py out --preset {row}
```

| in per cent | score | 95% interval | chance |
|---|---:|---:|---:|
{table}

## The whole recipe

1. **Start.** A backbone learns all tasks from {n_others:,} portraits of other people, the training images of
   `piq demo --images {n_drawn} --seed {other_seed}`; the same program drew the benchmark. It starts from random
   numbers. Each further stage starts from the backbone of the one before. Batches of {other_batch}.
{stages}
2. **Training.** {n_epochs} epochs on the {n_images:,} training images of the benchmark, with new heads. Adam; rate
   {base_rate:g} from epoch {n_warm_up}, {factor:g} times as high after epoch {milestones}; weight decay
   {weight_decay:g}; seed {seed}.
3. **Loss of a task.** {loss}
4. **All tasks.** {combination}
5. **Batches.** {batches}
6. **Images.** {height} x {width}; flipped with probability {flip:g}; padded by {pad:.1%} of the width and cropped; a
   box erased with probability {erase:g}.
7. **Answers.** The model after its last epoch: the most probable label, or labels of probability 0.5 and more where
   several may apply; for re-identification, the cosine of features {reid_feature} the BNNeck.

The row of the paper differs from this one in these fields of the configuration, besides the data:

| field | the paper's row | here |
|---|---|---|
{changes}

`config.json` is the whole configuration. The log holds, for each epoch, the learning rate, each task's loss (the
classification and the metric loss apart where there are both) and the weights of tasks where they are learned.
"""
METRICS = {
    "none": "{classification}, and no metric loss.",
    "triplet": "{classification}, plus {ratio:g} times the batch-hard triplet loss, margin {margin:g}, on eq. (3).",
    "batch_rank": "{classification}, plus {ratio:g} times Batch Rank, eq. (4): the {positives} of the costs of an "
    "anchor's positives, then the mean over {averaged} of the batch; temperature {temperature:g}.",
}
MULTI_LABEL = {
    "mean": "binary cross-entropy, mean over labels",
    "sum": "binary cross-entropy, sum over labels",
    "balanced": "the mean over labels of binary cross-entropy, images with and without a label counting alike",
}
AVERAGED = {
    "valid": "all annotated images",
    "anchors": "the annotated images that have a positive",
    "batch": "all images, annotated or not,",
}
STARTS = {"zero": "at 1", "first_losses": "at 1 / the task's first loss"}
BATCHES = {
    "random": "{batch_size} images of a random order of all.",
    "pk": "P x K: {people} people, {n_images} images of each; unidentified images are not used.",
    "shuffle": "P x K ({people} people, {n_images} images of each), and batches of {batch_size} unidentified images, "
    "in random order.",
}


def write_entry(
    benchmark: Benchmark,
    run: Path,
    entry: Path,
    row: str,
    device: torch.device,
    workers: int | None,
    progress: Progress,
    n_drawn: int,
) -> Score:
    """Predict with the model or models of a run, score the predictions, and write the entry.

    Args:
        benchmark: the bundled benchmark, with pictures.
        run: folder of a training run.
        entry: folder to write.
        row: name of the preset.
        device: where to compute.
        workers: processes that decode; None for one per free core.
        progress: shows a progress bar for each step.
        n_drawn: number of portraits of other people that were drawn for the pre-training, those for no training too.

    Returns:
        The score.
    """
    checkpoints = checkpoints_in(run)
    predictions, meta = predict(benchmark, checkpoints, name=row, device=device, workers=workers, progress=progress)
    entry.mkdir(parents=True, exist_ok=True)
    submission = entry / "submission.npz"
    images = benchmark.images[benchmark.test_rows]
    write_submission(
        submission, images=images, embedding=predictions.embedding, predictions=predictions.scores, meta=meta
    )
    configuration = replace(load(checkpoints[0]).configuration, task=None)
    write_text(entry / CONFIG, json.dumps(to_json(configuration), indent=2) + "\n")
    for path in checkpoints:
        log = LOG if len(checkpoints) == 1 else f"log-{path.parent.name}.csv"
        shutil.copyfile(path.parent / LOG, entry / log)
    engine, engine_name = choose("cpu", len(images) ** 2)
    result = score(benchmark, read_submission(submission, benchmark), engine=engine, engine_name=engine_name)
    write_text(entry / "metadata.toml", _metadata(row, result, meta))
    write_text(entry / "README.md", _readme(row, result, benchmark, meta, n_drawn))
    return result


def _metadata(row: str, score: Score, meta: Mapping[str, Any]) -> str:
    """The entry's metadata.toml, which `piq grade` reads."""
    digest = score_document(score)["protocol"]["digest"]  # type: ignore[index]
    return METADATA.format(row=row, date=date.today().isoformat(), piq=score.piq, digest=digest, **_run_facts(meta))


def _readme(row: str, score: Score, benchmark: Benchmark, meta: Mapping[str, Any], n_drawn: int) -> str:
    """The entry's README.md, in which every number comes from the run or the code that made it."""
    options = from_json(meta["configuration"])
    schedule, augmentation, people = options.schedule, options.augmentation, options.sampling
    table = "\n".join(
        f"| {metric.name} | {metric.value} | {metric.interval} | {metric.chance} |"
        for metric in main_rows(score, benchmark)
    )
    batches = BATCHES[people.kind].format(
        batch_size=people.batch_size, n_images=people.n_images, people=people.batch_size // people.n_images
    )
    return README.format(
        row=row,
        table=table,
        n_drawn=n_drawn,
        n_others=sizes_for(n_drawn).train,
        other_seed=SEED,
        other_batch=BATCH_SIZE,
        stages="\n".join(f"   {number}. {line}." for number, line in enumerate(stages_in_words(), start=1)),
        n_images=int((benchmark.split == TRAIN).sum()),
        base_rate=schedule.base_rate,
        n_warm_up=schedule.n_warm_up,
        factor=schedule.factor,
        milestones=" and after ".join(map(str, schedule.milestones)),
        weight_decay=options.weight_decay,
        seed=options.seed,
        loss=_loss(options),
        combination=_combination(options),
        batches=batches,
        flip=augmentation.flip,
        pad=augmentation.pad,
        erase=augmentation.erase,
        reid_feature=options.reid_feature,
        changes=_changes(PRESETS[row], options),
        **_run_facts(meta),
    )


def _loss(options: Configuration) -> str:
    """The loss of one task in words."""
    several = f"where several labels may apply, {MULTI_LABEL[options.multi_label]}"
    bias = "with" if options.multi_label_bias else "without"
    classification = f"Cross-entropy, mean over the annotated images; {several} ({bias} a bias in the classifier)"
    return METRICS[options.metric].format(
        classification=classification,
        ratio=options.metric_ratio,
        margin=options.triplet.margin,
        positives=options.batch_rank.positives,
        averaged=AVERAGED[options.batch_rank.divide_by],
        temperature=options.batch_rank.temperature,
    )


def _combination(options: Configuration) -> str:
    """In words, how the losses of the tasks become one."""
    if options.models == "each":
        return "Each is learned by a model of its own."
    if options.combination == "average":
        return "The mean of their losses."
    learned = options.task_weights
    start, rate = STARTS[learned.start], f"{learned.rate:g} times the learning rate and no weight decay"
    return f"Eq. (6), with a learned weight for each task: weights start {start}, and have {rate}."


def _changes(preset: Configuration, options: Configuration) -> str:
    """Rows of a table with every field that is not as in the preset."""
    one, other = (dict(setting.split("=", 1) for setting in settings(each)) for each in (preset, options))
    one["start"] = "ImageNet weights"
    return "\n".join(f"| `{field}` | {one[field]} | {other[field]} |" for field in one if one[field] != other[field])


def _run_facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Facts about the training runs behind a submission, for the templates."""
    options, models = meta["configuration"], meta["models"]
    return {
        "backbone": BACKBONES[options["backbone"]],
        "height": options["size"][0],
        "width": options["size"][1],
        "n_epochs": options["schedule"]["n_epochs"],
        "minutes": round(sum(model["seconds"] for model in models) / 60),
        "device": models[0]["device"],
        "torch": models[0]["torch"],
        "models": "one model" if len(models) == 1 else f"{len(models)} models, one for each task",
    }
