"""Batch normalisation with the statistics of the whole batch, also where several processes have a part of it each.

Training with several processes is then training with one: mean, variance, gradients and running statistics are those of
all images together. torch.nn.SyncBatchNorm does the same on GPUs alone; this works on a CPU too, where it is tested.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from piq_bench.errors import BadUsage, Problem
from reference_model.processes import is_one_of_several, of_each


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation of shape (n_images, channels); see `BatchNorm2d`."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; input and output have the same shape."""
        return _normalise(self, x)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that does not count batches, which would be a kernel per layer; it keeps the buffer's key."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n_images, channels, height, width), in and out."""
        return _normalise(self, x)


def share_statistics(model: nn.Module) -> None:
    """Make the batch normalisation of another library's layers that of this module.

    Raises:
        BadUsage: if the model has a kind of batch normalisation for which nothing of this kind is known.
    """
    kinds: dict[type, type] = {nn.BatchNorm1d: BatchNorm1d, nn.BatchNorm2d: BatchNorm2d}
    for module in model.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, BatchNorm1d | BatchNorm2d):
            found = f"has layers {type(module).__name__}, whose statistics cannot be those of several processes"
            raise BadUsage("configuration", [Problem("not-shared", "backbone", found, "one process, without torchrun")])


def _normalise(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    mean, variance, momentum = layer.running_mean, layer.running_var, layer.momentum or 0.0
    if not (layer.training and is_one_of_several()):
        return functional.batch_norm(x, mean, variance, layer.weight, layer.bias, layer.training, momentum, layer.eps)
    with torch.no_grad():
        batch_mean, batch_variance, count = _statistics(x)
        if mean is not None and variance is not None:
            mean.lerp_(batch_mean.to(mean.dtype), momentum)
            variance.lerp_((batch_variance * count / (count - 1)).to(variance.dtype), momentum)
    apply: Callable[..., Tensor] = _Normalised.apply
    return apply(x, layer.weight, layer.bias, batch_mean, batch_variance, count, layer.eps)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all processes, and the number of values they are of.

    Processes may have different numbers of values. The variance is that of all values around their own mean, found from
    the processes' means and variances: Chan, Golub, LeVeque, Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances, 1979. A sum of squares would lose its digits in 32 bits.
    """
    x = _precise(x)
    variance, mean = torch.var_mean(x, _axes(x), correction=0)
    own = torch.cat([mean, variance, mean.new_full((1,), x.numel() // x.shape[1])])
    table, channels = of_each(own), x.shape[1]
    means, variances, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    count = counts.sum()
    share = counts / count
    mean = (share * means).sum(dim=0)
    return mean, (share * (variances + (means - mean).square())).sum(dim=0), count


class _Normalised(torch.autograd.Function):
    """Normalises by statistics of all processes, which depend on the input: the gradient takes part in that."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        epsilon: float,
    ) -> Tensor:
        """Shape (n_images, channels, ...), in and out."""
        ctx.save_for_backward(x, weight, mean, (variance + epsilon).rsqrt(), count)
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=epsilon)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of input, weight and bias; those of weight and bias are of this process's images alone."""
        x, weight, mean, inverse, count = ctx.saved_tensors
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        given = _precise(gradient)
        unit = (_precise(x) - mean.view(shape)) * inverse.view(shape)
        of_bias, of_weight = given.sum(_axes(x)), (given * unit).sum(_axes(x))
        sums = torch.cat([of_bias, of_weight])
        distributed.all_reduce(sums)
        along_one, along_unit = (sums / count).view(2, *shape[:1], -1, *shape[2:])
        of_x = (weight * inverse).view(shape) * (given - along_one - unit * along_unit)
        return of_x.to(x.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None, None, None


def _axes(x: Tensor) -> list[int]:
    """All axes but that of the channels."""
    return [0, *range(2, x.ndim)]


def _precise(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 if it is that already."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
