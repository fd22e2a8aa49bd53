"""Writes checkpoints in the background, so that training goes on meanwhile.

Training waits until the state is copied, and before that for the last write if it still goes on. An error
of a write stops the run within `train.CHECK_EVERY` steps. However a run ends, it first waits for its last write.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Any

from torch import Tensor

from reference_model.checkpoint import Checkpoint


class Saver:
    """Writes one checkpoint after the other, in a thread of its own."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.pending: Future[None] | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last write; if it failed, its error is raised."""
        self.thread.shutdown()
        self.check()

    def save(self, checkpoint: Checkpoint, write: Callable[[Checkpoint], None]) -> None:
        """Copy a state that training will change and write the copy in the background.

        Args:
            checkpoint: the state of the run.
            write: function that writes it.

        Raises:
            LimitExceeded: if the checkpoint before could not be written.
        """
        if self.pending is not None:
            self.pending.result()
        parts = {name: held(getattr(checkpoint, name)) for name in ("model", "objective", "optimiser")}
        self.pending = self.thread.submit(write, replace(checkpoint, log=list(checkpoint.log), **parts))

    def check(self) -> None:
        """Raise the error of a write that has failed."""
        if self.pending is not None and self.pending.done():
            self.pending.result()


def held(value: Any) -> Any:  # noqa: ANN401
    """A copy of nested state dicts with their tensors in main memory, which nobody else changes."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        fresh: Any = copy(value)  # with the version numbers that a module's state dict carries
        for key, part in value.items():
            fresh[key] = held(part)
        return fresh
    return type(value)(map(held, value)) if isinstance(value, list | tuple) else value
