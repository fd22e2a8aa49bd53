"""Computes the learning rate of an epoch, which all its steps use.

The base rate and the number of epochs are the paper's (section 6). The warm-up and the epochs after which the rate
falls follow Bag of Tricks, which the paper refers to (Luo et al., Bag of Tricks and a Strong Baseline for Deep Person
Re-identification, 2019).
"""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

Epoch = Annotated[int, Field(ge=0, le=1_000_000)]


@dataclass(frozen=True)
class Schedule:
    """The learning rate as a function of the epoch.

    Attributes:
        n_epochs: number of epochs.
        base_rate: rate between the warm-up and the first milestone.
        n_warm_up: number of epochs in which the rate rises in equal steps to the base rate; 0 for none.
        milestones: the last epoch before each fall.
        factor: factor on the rate at each fall.
    """

    n_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    base_rate: Annotated[float, Field(ge=0, le=10)] = 3.5e-4
    n_warm_up: Epoch = 10
    milestones: tuple[Epoch, ...] = (30, 60, 90)
    factor: Annotated[float, Field(ge=0, le=1)] = 0.1


PAPER = Schedule()


def learning_rate(epoch: int, schedule: Schedule = PAPER) -> float:
    """The rate of one epoch.

    Args:
        epoch: number of the epoch, from 1.
        schedule: the schedule.

    Raises:
        ValueError: if the schedule has no such epoch.

    >>> [f"{learning_rate(epoch):.2g}" for epoch in (1, 10, 30, 31, 100)]
    ['3.5e-05', '0.00035', '0.00035', '3.5e-05', '3.5e-07']
    """
    if not 1 <= epoch <= schedule.n_epochs:
        raise ValueError(f"epoch {epoch}: the schedule has epochs 1 to {schedule.n_epochs}")
    n_falls = sum(epoch > milestone for milestone in schedule.milestones)
    warm = epoch / schedule.n_warm_up if epoch < schedule.n_warm_up else 1.0
    return schedule.base_rate * warm * schedule.factor**n_falls


def scaled(schedule: Schedule, n_epochs: int) -> Schedule:
    """Stretch a schedule to another number of epochs; boundaries are rounded, so a short run may have no warm-up.

    >>> scaled(PAPER, 10)
    Schedule(n_epochs=10, base_rate=0.00035, n_warm_up=1, milestones=(3, 6, 9), factor=0.1)
    """

    def moved(epoch: int) -> int:
        return round(epoch * n_epochs / schedule.n_epochs)

    milestones = tuple(moved(milestone) for milestone in schedule.milestones)
    return replace(schedule, n_epochs=n_epochs, n_warm_up=moved(schedule.n_warm_up), milestones=milestones)
