"""One step of training: augments a batch of 8-bit pixels, computes the losses and updates the weights.

Everything between pixels and weights happens on the device. With several processes, each computes its share of every
batch, while losses are those of the whole batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from piq_bench.errors import BadUsage, LimitExceeded, Problem, printable
from piq_bench.records import Task
from reference_model.augment import Drawn, augmented
from reference_model.batch_norm import share_statistics
from reference_model.checkpoint import Checkpoint
from reference_model.config import Configuration
from reference_model.flip import flip_targets, flipped_labels
from reference_model.heads import PortraitModel, build_model
from reference_model.objective import Cost, Objective, parameter_groups
from reference_model.predict import autocast
from reference_model.processes import n_processes

NO_COMPILER = ("C++ compiler found", "find C compiler", "triton installation")  # in messages of torch and Triton


class Trainer:
    """A model in training: weights, losses and optimiser on a device.

    Args:
        configuration: configuration of the run.
        vocabulary: all tasks of the benchmark.
        n_classes: number of classes of each task to learn, in the vocabulary's order.
        device: device to compute on.

    Attributes:
        configuration: configuration of the run, in which `compiled` is true or false.
        tasks: the tasks that the model learns, in the vocabulary's order.
    """

    def __init__(
        self,
        configuration: Configuration,
        vocabulary: Sequence[Task],
        n_classes: Mapping[str, int],
        device: torch.device,
    ) -> None:
        self.configuration = configuration = on_device(configuration, device)
        self.device = device
        self.tasks = [task for task in vocabulary if task.name in n_classes]
        self.model = build_model(configuration, vocabulary, n_classes).to(device)
        self.objective = Objective(configuration, self.tasks).to(device)
        torch.backends.cudnn.benchmark = True  # pays off, since all batches have one shape
        self.costing: nn.Module = Costing(self.model, self.objective)
        if n_processes() > 1:
            self.costing = parallel(self.costing, channels_last=configuration.channels_last)
        self.optimiser = torch.optim.Adam(
            parameter_groups(self.model, self.objective, configuration.weight_decay), fused=True
        )
        self.flipped: dict[int, Tensor] = {}
        if configuration.augmentation.flip:
            labels = {place: flipped_labels(task) for place, task in enumerate(self.tasks) if task.labels}
            sided = {place: other for place, other in labels.items() if (other != np.arange(other.size)).any()}
            self.flipped = {place: torch.from_numpy(other).to(device) for place, other in sided.items()}

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the steps to come; that of the tasks' learned weights is a multiple of it."""
        model, *task_weights = self.optimiser.param_groups
        model["lr"] = rate
        for group in task_weights:
            group["lr"] = rate * self.configuration.task_weights.rate

    def step(self, pixels: Tensor, targets: Sequence[Tensor], drawn: Drawn) -> Cost:
        """Take one step on a batch, of which this process has n images; nothing waits for the device.

        Args:
            pixels: shape (n, height, width, 3), uint8.
            targets: shape (n,) or (n, n_labels) for each task.
            drawn: random changes of the images.
        """
        if not self.model.training:  # train() visits a thousand modules
            self.model.train()
        self.optimiser.zero_grad()  # first: a CUDA graph writes its gradients where those of the last step are
        images = augmented(pixels, drawn, self.configuration.augmentation)
        if not self.configuration.channels_last:
            images = images.contiguous()
        answered = [
            flip_targets(target, drawn.flip, self.flipped[place]) if place in self.flipped else target
            for place, target in enumerate(targets)
        ]
        cost: Cost = self.costing(images, answered)
        torch.autograd.backward(cost.total)
        self.optimiser.step()
        return Cost(*(part.detach() for part in cost))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Load the state of a checkpoint of the same configuration."""
        self.model.load_state_dict(checkpoint.model)
        self.objective.load_state_dict(checkpoint.objective)
        self.optimiser.load_state_dict(dict(checkpoint.optimiser))


def on_device(configuration: Configuration, device: torch.device) -> Configuration:
    """Decide whether to compile the backbone where the configuration leaves that open: on a GPU."""
    if configuration.compiled is not None:
        return configuration
    return replace(configuration, compiled=device.type == "cuda")


class Costing(nn.Module):
    """Model and losses as one module, whose weights several processes share, the learned weights of tasks included."""

    def __init__(self, model: PortraitModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, images: Tensor, targets: Sequence[Tensor]) -> Cost:
        """Losses of the whole batch, of which this process has the images of shape (n, 3, height, width)."""
        with autocast(images.device, self.objective.configuration):
            answers = self.model(images)
        cost: Cost = self.objective(answers, targets)
        return cost


def parallel(costing: nn.Module, *, channels_last: bool) -> DistributedDataParallel:
    """Wrap a module so that all processes share its weights and the statistics of its batch normalisation.

    Raises:
        BadUsage: if a layer's statistics cannot be shared.
    """
    share_statistics(costing)
    # It would cut the compiled backbone where a bucket of gradients is full, and refuses layers that write a gradient
    # of their own, as this batch normalisation does.
    torch._dynamo.config.optimize_ddp = False
    for parameter in costing.parameters():
        if parameter.ndim == 4 and channels_last:  # 1 x 1 convolutions too, whose strides `contiguous` leaves alone
            shape = torch.empty_like(parameter.data, memory_format=torch.channels_last)
            parameter.data = shape.copy_(parameter.data)
    known = signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # of older torch
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(costing, **options)


@contextmanager
def memory(batch_size: int, option: str) -> Iterator[None]:
    """Turn a lack of memory, the host's or the device's, into a refusal that says what helps.

    Args:
        batch_size: batch size in use.
        option: command-line option that sets it.

    Raises:
        LimitExceeded: if memory did not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _lacks_memory(error):
            raise
        reason = printable((str(error) or "no memory").splitlines()[0], 160)
        found = f"does not suffice for batches of {batch_size}: {reason}"
        remedy = f"a smaller one, such as {option}={max(2, batch_size // 2)}; nothing that was written is lost"
        raise LimitExceeded("memory", [Problem("out-of-memory", "device", found, remedy)]) from None


@contextmanager
def compiler() -> Iterator[None]:
    """Turn the lack of a compiler for a compiled backbone into a refusal that says what helps.

    Raises:
        BadUsage: if torch finds no compiler.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in NO_COMPILER):
            raise
        found = f"torch cannot compile here: {printable(str(error).splitlines()[0], 160)}"
        remedy = "a C and C++ compiler, such as gcc; or --set compiled=false --set graphs=false"
        raise BadUsage("configuration", [Problem("no-compiler", "compiled", found, remedy)]) from None


def _lacks_memory(error: Exception) -> bool:
    """Whether numpy, torch or a CUDA library ran out of memory; errors of CUDA libraries have no type of their own."""
    known = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    return known or any(sign in str(error) for sign in ("allocate memory", "out of memory", "ALLOC_FAILED"))
