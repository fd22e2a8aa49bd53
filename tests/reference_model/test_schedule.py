"""The learning rate: its values in the paper's epochs, and schedules scaled to other numbers of epochs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_model.schedule import PAPER, Schedule, learning_rate, scaled

RATES = {
    1: 3.5e-5,
    2: 7e-5,
    10: 3.5e-4,
    11: 3.5e-4,
    30: 3.5e-4,
    31: 3.5e-5,
    60: 3.5e-5,
    61: 3.5e-6,
    90: 3.5e-6,
    91: 3.5e-7,
    100: 3.5e-7,
}


@pytest.mark.parametrize(("epoch", "rate"), RATES.items())
def test_rates_are_those_of_the_paper(epoch: int, rate: float) -> None:
    assert learning_rate(epoch) == pytest.approx(rate, rel=1e-15)


def test_the_rate_rises_in_equal_steps_from_the_first_epoch() -> None:
    rates = [learning_rate(epoch) for epoch in range(1, 11)]
    assert rates == pytest.approx([3.5e-5 * epoch for epoch in range(1, 11)], rel=1e-14)


@pytest.mark.parametrize("epoch", [0, 101])
def test_an_epoch_outside_the_schedule_is_refused(epoch: int) -> None:
    with pytest.raises(ValueError, match=f"^epoch {epoch}: the schedule has epochs 1 to 100$"):
        learning_rate(epoch)


def test_without_warm_up_the_first_epoch_has_the_base_rate() -> None:
    assert learning_rate(1, Schedule(n_warm_up=0)) == PAPER.base_rate


def test_a_schedule_of_the_same_length_is_unchanged() -> None:
    assert scaled(PAPER, PAPER.n_epochs) == PAPER


@given(times=st.integers(1, 5), epoch=st.integers(1, 100))
def test_a_longer_schedule_ends_each_phase_at_the_same_share(times: int, epoch: int) -> None:
    longer = scaled(PAPER, 100 * times)
    assert learning_rate(times * epoch, longer) == pytest.approx(learning_rate(epoch), rel=1e-15)


@given(st.integers(1, 99))
def test_a_short_schedule_rises_and_then_falls_and_never_exceeds_the_base_rate(n_epochs: int) -> None:
    short = scaled(PAPER, n_epochs)
    rates = [learning_rate(epoch, short) for epoch in range(1, n_epochs + 1)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) <= PAPER.base_rate
