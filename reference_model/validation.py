"""Scores a model during training on the held-out images, exactly as a submission is scored.

So near-duplicates of a query are no candidates, nor what else the rules of the benchmark exclude.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from torch import nn

from piq_bench.records import RETRIEVAL, Benchmark, BoolArray, IntArray, Pixels, Submission, Task
from piq_bench.retrieve.engines import choose
from piq_bench.scoring.score import score
from reference_model.predict import Predictions, predict_pixels
from reference_model.trainer import Trainer

DECISION_THRESHOLD = 0.5  # a label of a multi-label task is present from this probability, as in the scorer


def validate(trainer: Trainer, benchmark: Benchmark, pixels: Pixels) -> dict[str, float | None]:
    """Predict and score the held-out images.

    Args:
        trainer: holds the model.
        benchmark: made of training images alone; the held-out ones are its query and gallery.
        pixels: pixels of the held-out images, in the order of `benchmark.test_rows`.

    Returns:
        Columns of the log: macro mAP or F1 of each task, and PIQ, which is None unless the model answers all tasks.
    """
    with uncompiled(trainer.model.backbone):
        predictions = predict_pixels(trainer.model, pixels, trainer.tasks, trainer.configuration, trainer.device)
    submission = _submission(predictions, trainer.tasks, len(pixels))
    engine, name = choose("cpu", len(pixels) ** 2)
    result = score(benchmark, submission, n_resamples=0, engine=engine, engine_name=name)
    reid = None if result.reid is None else result.reid.values["macro_map"]
    values = {task.name: reid if task.kind == RETRIEVAL else result.f1[task.name] for task in trainer.tasks}
    columns = {"score.piq": result.piq} | {f"score.{task}": value for task, value in values.items()}
    return {name: None if value is None else float(value) for name, value in columns.items()}


@contextmanager
def uncompiled(module: nn.Module) -> Iterator[None]:
    """Run a module as it was before it was compiled: compiling it for evaluation takes longer than evaluating it."""
    compiled, module._compiled_call_impl = module._compiled_call_impl, None
    try:
        yield
    finally:
        module._compiled_call_impl = compiled


def _submission(predictions: Predictions, tasks: Sequence[Task], n_images: int) -> Submission:
    """Turn probabilities into decisions, as the scorer would, and wrap them as a submission."""
    decisions: dict[str, IntArray | BoolArray] = {
        task.name: scores >= DECISION_THRESHOLD if task.multi_label else scores.argmax(axis=1)
        for task in tasks
        if (scores := predictions.scores.get(task.name)) is not None
    }
    return Submission("held out", "cosine", {}, "", predictions.embedding, np.arange(n_images), decisions, "", 0)
