"""Turns a training run into an entry of the leaderboard: predictions, configuration, logs, metadata and a README."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark
from piq_bench.report.json import score_document
from piq_bench.report.rows import main_rows
from piq_bench.retrieve.engines import choose
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score
from piq_bench.write.files import write_text
from piq_bench.write.submission import write_submission
from reference_model.checkpoint import load
from reference_model.config import to_json
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

Row `{row}` of the paper's Table 4 by the [reference model](../../reference_model/README.md), at a size for a CPU:
{models}, {backbone}, images of {height} x {width}, {n_epochs} epochs in {minutes} min ({device}, torch {torch}),
from a backbone that learned all tasks from 16,000 portraits of other people, drawn by the program that drew these.
These are not the paper's numbers, which take HRNet-W32, ImageNet weights and Portrait250K.

```sh
python submissions/baselines.py out --preset {row}
```

| in per cent | score | 95% interval | chance |
|---|---:|---:|---:|
{table}

`config.json` is the whole configuration; the log holds losses and learning rate of each epoch.
"""


def write_entry(
    benchmark: Benchmark,
    run: Path,
    entry: Path,
    row: str,
    device: torch.device,
    workers: int | None,
    progress: Progress,
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
    write_text(entry / "README.md", _readme(row, result, benchmark, meta))
    return result


def _metadata(row: str, score: Score, meta: Mapping[str, Any]) -> str:
    """The entry's metadata.toml, which `piq grade` reads."""
    digest = score_document(score)["protocol"]["digest"]  # type: ignore[index]
    return METADATA.format(row=row, date=date.today().isoformat(), piq=score.piq, digest=digest, **_run_facts(meta))


def _readme(row: str, score: Score, benchmark: Benchmark, meta: Mapping[str, Any]) -> str:
    table = "\n".join(
        f"| {metric.name} | {metric.value} | {metric.interval} | {metric.chance} |"
        for metric in main_rows(score, benchmark)
    )
    return README.format(row=row, table=table, **_run_facts(meta))


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
