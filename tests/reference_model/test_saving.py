"""Checkpoints are written while training goes on; a write that fails stops the run, and none is lost at its end."""

from collections.abc import Iterator
from threading import Event
from typing import Any, TypeAlias

import pytest

from piq_bench.errors import LimitExceeded, Problem

torch = pytest.importorskip("torch")
checkpoints = pytest.importorskip("reference_model.checkpoint")
config = pytest.importorskip("reference_model.config")
saving = pytest.importorskip("reference_model.saving")

Checkpoint: TypeAlias = Any  # types are checked without torch


class Writer:
    """Writes nothing before it is told to, and then keeps what it was given or fails."""

    def __init__(self) -> None:
        self.go = Event()
        self.written: list[Checkpoint] = []
        self.refusal: LimitExceeded | None = None

    def __call__(self, checkpoint: Checkpoint) -> None:
        assert self.go.wait(20)
        if self.refusal is not None:
            raise self.refusal
        self.written.append(checkpoint)


@pytest.fixture
def writer() -> Iterator[Writer]:
    made = Writer()
    yield made
    made.go.set()


def state(weight: Any, log: list[dict[str, int]]) -> Checkpoint:  # noqa: ANN401
    model = torch.nn.Linear(2, 1).state_dict() | {"weight": weight}
    optimiser = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"params": [0], "lr": 0.1}]}
    return checkpoints.Checkpoint(config.PRESETS["fss"], (), {}, "", len(log), model, {}, optimiser, {}, log)


def test_training_goes_on_while_a_checkpoint_is_written_of_what_was_before(writer: Writer) -> None:
    weight, log = torch.ones(2), [{"epoch": 1}]
    with saving.Saver() as saver:
        saver.save(state(weight, log), writer)  # returns, although the writer waits
        weight.mul_(2)
        log.append({"epoch": 2})
        saver.check()
        assert not writer.written
        writer.go.set()
        saver.save(state(weight, log), writer)
    first, second = writer.written
    assert (first.model["weight"].tolist(), second.model["weight"].tolist()) == ([1, 1], [2, 2])
    assert (len(first.log), len(second.log)) == (1, 2)
    assert first.optimiser["state"][0]["step"] == 3
    assert first.optimiser["param_groups"] == [{"params": [0], "lr": 0.1}]
    assert isinstance(first.model, dict)


def test_a_state_keeps_the_versions_that_a_module_gives_it() -> None:
    layer = torch.nn.BatchNorm1d(2)
    kept = saving.held(layer.state_dict())
    assert kept._metadata == layer.state_dict()._metadata
    layer.weight.data.zero_()
    assert kept["weight"].tolist() == [1, 1]


@pytest.mark.parametrize("where", ["at a check", "at the next save", "at the end"])
def test_a_write_that_fails_stops_the_run(where: str, writer: Writer) -> None:
    writer.refusal = LimitExceeded("run", [Problem("unwritable", "file", "No space left", "make room")])
    writer.go.set()

    def train() -> None:
        with saving.Saver() as saver:
            saver.save(state(torch.ones(2), []), writer)
            if where == "at a check":
                saver.pending.exception(20)
                saver.check()
                pytest.fail("went on")
            if where == "at the next save":
                saver.save(state(torch.ones(2), []), writer)
                pytest.fail("went on")

    with pytest.raises(LimitExceeded, match="No space left"):
        train()


def test_a_run_that_is_interrupted_first_finishes_its_write(writer: Writer) -> None:
    def train() -> None:
        with saving.Saver() as saver:
            saver.save(state(torch.ones(2), []), writer)
            writer.go.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert len(writer.written) == 1
