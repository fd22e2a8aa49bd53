"""How good a model is that is still being trained: its answers to images held out, scored as any submission is."""

from collections.abc import Sequence

import numpy as np

from piq_bench.records import RETRIEVAL, Benchmark, BoolArray, IntArray, Pixels, Submission, Task
from piq_bench.retrieve.engines import choose
from piq_bench.scoring.score import score
from reference_model.predict import Predictions, answer
from reference_model.trainer import Trainer

DECISION = 0.5  # a multi-label answer is yes from here, as the scorer has it


def validate(trainer: Trainer, benchmark: Benchmark, pixels: Pixels) -> dict[str, float | None]:
    """Scores as columns of a log: macro mAP or F1 by task, and PIQ where all tasks are answered.

    Args:
        trainer: whose model is tried, as it is.
        benchmark: of training images alone; what is held out is its query and gallery.
        pixels: of the images held out, in the order of `benchmark.test_rows`.
    """
    found = answer(trainer.model, pixels, trainer.tasks, trainer.configuration, trainer.device)
    submission = _submission(found, trainer.tasks, len(pixels))
    engine, name = choose("cpu", len(pixels) ** 2)
    result = score(benchmark, submission, n_resamples=0, engine=engine, engine_name=name)
    reid = None if result.reid is None else result.reid.values["macro_map"]
    values = {task.name: reid if task.kind == RETRIEVAL else result.f1[task.name] for task in trainer.tasks}
    columns = {"score.piq": result.piq} | {f"score.{task}": value for task, value in values.items()}
    return {name: None if value is None else float(value) for name, value in columns.items()}


def _submission(found: Predictions, tasks: Sequence[Task], n_images: int) -> Submission:
    """Predictions as the scorer takes them, decided as it would."""
    predictions: dict[str, IntArray | BoolArray] = {
        task.name: found.scores[task.name] >= DECISION if task.multi_label else found.scores[task.name].argmax(axis=1)
        for task in tasks
        if task.name in found.scores
    }
    return Submission("held out", "cosine", {}, "", found.embedding, np.arange(n_images), predictions, "", 0)
