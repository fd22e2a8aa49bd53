"""Several processes, each with a part of the batch, compute what one computes with all of it."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from ranks import run_ranks

from piq_bench.records import Task

torch = pytest.importorskip("torch")
batch_norm = pytest.importorskip("reference_model.batch_norm")
config = pytest.importorskip("reference_model.config")
heads = pytest.importorskip("reference_model.heads")
objective = pytest.importorskip("reference_model.objective")
processes = pytest.importorskip("reference_model.processes")

Tensor: TypeAlias = Any  # types are checked without torch
Model: TypeAlias = Any
N = 3
TASKS = (Task("age", "a", labels=("x", "y", "z")), Task("mood", "b", labels=("u", "v"), multi_label=True))
OBJECTIVES = ("fss-br-uncertainty", "fss-triplet")
PARTS = (2, 7, 3)  # images of each process where they differ

PROGRAM = """
import sys
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

rank, folder = int(sys.argv[1]), sys.argv[2]
sys.path.insert(0, sys.argv[3])
import test_processes as tests

torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=tests.N)
torch.save(tests.computed(rank, DistributedDataParallel), f"{folder}/found{rank}")
distributed.barrier()
distributed.destroy_process_group()
"""


def computed(rank: int | None, wrapped: Any = lambda module: module) -> dict[str, Any]:  # noqa: ANN401
    """What a process finds with its part, or one process, None, with everything."""
    found: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.normal(size=(12, 4)))
    age, mood = (torch.from_numpy(rng.integers(0, most, shape)) for most, shape in ((3, 12), (2, (12, 2))))
    age[1:5] = -1  # means over the parts are not the mean over all
    mood[:6] = -1  # nor has the first process any of this task
    everything = [inputs, inputs.float(), age, mood, inputs.reshape(12, 2, 2)]
    own = [tensor if rank is None else tensor.chunk(N)[rank] for tensor in everything]
    found["rows"] = processes.over_all(own)
    for preset in OBJECTIVES:
        torch.manual_seed(0)
        model = Net().double()
        minimised = objective.Objective(config.PRESETS[preset], TASKS).double()
        parallel = wrapped(model)
        answers = parallel(own[0])
        if minimised.uncertainty is not None:
            minimised(answers, own[2:4])  # the first losses, at which s starts
            with torch.no_grad():
                minimised.uncertainty.log_loss += 0.3  # its gradient is 0 where it starts
        cost = minimised(answers, own[2:4])
        cost.total.backward()
        gradients = [parameter.grad for parameter in (*model.parameters(), *minimised.parameters())]
        learned = minimised.state_dict().values()
        found[preset] = [*(part.detach() for part in cost), *gradients, *learned, *model.buffers()]
    images = torch.from_numpy(rng.normal(3, 2, size=(12, 3, 4, 2)))
    wanted = torch.from_numpy(rng.normal(size=images.shape))
    for dtype in (torch.float64, torch.float32):
        layer = batch_norm.BatchNorm2d(3).to(dtype)
        torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
        x, y = ((part if rank is None else part.split(PARTS)[rank]).to(dtype) for part in (images, wanted))
        x = x.detach().requires_grad_()
        out = layer(x)
        (out * y).sum().backward()
        parts = [out.detach(), x.grad, layer.weight.grad, layer.bias.grad]
        found[f"norm {dtype}"] = [*parts, layer.running_mean, layer.running_var]
    return found


class Net(torch.nn.Module):  # type: ignore[name-defined]
    """Features and logits of two tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(4, 10), batch_norm.BatchNorm1d(10)

    def forward(self, x: Tensor) -> Any:  # noqa: ANN401
        found = self.norm(self.first(x))
        features, logits = [found[:, :3], found[:, 3:5]], [found[:, 5:8], found[:, 8:]]
        return heads.Answers(features, features, logits)


def test_three_processes_find_what_one_finds_with_all_images(tmp_path: Path) -> None:
    modules = ["pytest", "torch._dynamo", "torch.nn.parallel", "reference_model.objective"]
    ended = run_ranks(tmp_path, N, PROGRAM, str(tmp_path), str(Path(__file__).parent), modules=modules)
    assert [process.code for process in ended] == [0] * N, ended
    expected = computed(None)
    everyone = [torch.load(tmp_path / f"found{rank}", weights_only=True) for rank in range(N)]
    for found in everyone:
        assert all(map(torch.equal, found["rows"], expected["rows"]))
        for name in OBJECTIVES:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-11, atol=1e-11)
            assert expected[name][2].tolist() == [8, 6]
            assert all(torch.equal(*pair) for pair in zip(found[name][:3], everyone[0][name][:3], strict=True))
    for dtype, error in (("torch.float64", 1e-12), ("torch.float32", 1e-5)):
        parts = [found[f"norm {dtype}"] for found in everyone]
        whole = expected[f"norm {dtype}"]
        for place in (0, 1):
            rows = torch.cat([part[place] for part in parts])
            torch.testing.assert_close(rows, whole[place], rtol=error, atol=error)
        for place in (2, 3):  # a process has its own images' part of these, which DistributedDataParallel combines
            total = sum(part[place] for part in parts)
            torch.testing.assert_close(total, whole[place], rtol=error, atol=10 * error)
        for part in parts:
            torch.testing.assert_close(part[4:], whole[4:], rtol=error, atol=error)
            assert all(map(torch.equal, part[4:], parts[0][4:]))


def test_rows_of_one_process_alone_are_the_tensors_themselves() -> None:
    tensor = torch.ones(3)
    (found,) = processes.over_all([tensor])
    assert found is tensor
    assert (processes.n_processes(), processes.rank()) == (1, 0)
