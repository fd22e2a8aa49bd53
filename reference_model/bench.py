"""Measures how fast a configuration trains and predicts here, and how much memory it takes.

Pixels and targets are random; decoding and sampling are not measured. Prediction uses the batch size of `predict`.
Every measurement starts and ends with an idle device, and follows as many unmeasured steps, in which kernels are chosen
and compiled.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import RETRIEVAL
from reference_model.augment import draw
from reference_model.config import Configuration
from reference_model.predict import BATCH_SIZE, infer_batch
from reference_model.trainer import Trainer

N_IDENTITIES = 640  # in the paper's training images
KIB = 1024

KINDS = ("training", "inference")
LEVELS = ("floor", "goal", "stretch")
EXPECTED: Mapping[tuple[str, str, bool], tuple[int, int, int]] = {
    ("w32", "training", False): (2_000, 3_000, 3_800),
    ("w32", "training", True): (3_500, 4_500, 6_000),
    ("w32", "inference", True): (12_000, 18_000, 25_000),
    ("r50", "training", True): (5_000, 7_000, 8_500),
}
"""Images per second that one H200 should reach at 256 x 128 in 16 bits: floor, goal and stretch.

Keys are backbone, kind and whether the backbone is compiled. The numbers are worked out from the network's arithmetic
and memory traffic and from public timings on other GPUs; they were never measured. A speed below the floor means that
something is wrong.
"""


def bench(
    configuration: Configuration, device: torch.device, *, n_steps: int, inference_batch: int = BATCH_SIZE
) -> dict[str, Any]:
    """Train and predict with random images, and measure speed and memory.

    Args:
        configuration: configuration to measure.
        device: where to compute.
        n_steps: number of steps to time, of training and of prediction each.
        inference_batch: number of images that are predicted at once.

    Returns:
        Images per second of both kinds, and peak memory in MiB: of the device, or of the process on a CPU.
    """
    counts = {task.name: len(task.labels) or N_IDENTITIES for task in DEFAULT_TASKS}
    if configuration.models != "all":
        counts = {task.name: counts[task.name] for task in DEFAULT_TASKS if task.kind == RETRIEVAL}
    trainer = Trainer(configuration, DEFAULT_TASKS, counts, device)
    trainer.set_rate(configuration.schedule.base_rate)
    rng = np.random.Generator(np.random.PCG64(configuration.seed))
    n = configuration.sampling.batch_size
    pixels = torch.from_numpy(rng.integers(0, 256, (n, *configuration.size, 3), np.uint8)).to(device)
    shapes = [((n, counts[task.name]), 2) if task.multi_label else ((n,), counts[task.name]) for task in trainer.tasks]
    targets = [torch.from_numpy(rng.integers(0, most, shape)).to(device) for shape, most in shapes]
    drawn = draw(n, configuration.size, rng, configuration.augmentation).to(device)

    training_seconds = _seconds(lambda: trainer.step(pixels, targets, drawn), n_steps, device)
    trainer.model.eval()
    images = pixels[torch.arange(inference_batch, device=device) % n]
    inference_seconds = _seconds(lambda: infer_batch(trainer.model, images, configuration), n_steps, device)
    return {
        "preset": configuration.preset,
        "backbone": configuration.backbone,
        "size": list(configuration.size),
        "batch_size": n,
        "precision": configuration.precision if device.type == "cuda" else "float32",
        "compiled": trainer.configuration.compiled,
        "graphs": configuration.graphs,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "training_images_per_second": round(n / training_seconds, 1),
        "inference_batch_size": inference_batch,
        "inference_images_per_second": round(inference_batch / inference_seconds, 1),
        "memory_mib": round(_peak_bytes(device) / KIB**2),
        "expected_on_one_h200": expected_speed(trainer.configuration),
    }


def expected_speed(configuration: Configuration) -> dict[str, dict[str, int]]:
    """Images per second that one H200 should reach, by kind; empty for a configuration without an estimate."""
    usual = Configuration(backbone=configuration.backbone)
    if (configuration.size, configuration.precision) != (usual.size, usual.precision) or configuration.last_stride != 1:
        return {}
    found = {kind: EXPECTED.get((configuration.backbone, kind, bool(configuration.compiled))) for kind in KINDS}
    return {kind: dict(zip(LEVELS, figures, strict=True)) for kind, figures in found.items() if figures is not None}


def _seconds(step: Callable[[], object], n_steps: int, device: torch.device) -> float:
    """Mean duration of one step."""

    def run() -> float:
        start = time.perf_counter()
        for _ in range(n_steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    run()
    return run() / n_steps


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB
