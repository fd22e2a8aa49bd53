"""The rows of a comparison as text, shared by all its formats. Rounds to per cent with two decimals."""

from dataclasses import dataclass

from piq_bench.report.rows import FEW_PEOPLE, FEW_PEOPLE_TEXT, NOT_DEFINED, percent
from piq_bench.scoring.compare import Comparison, Difference, Pair
from piq_bench.scoring.inversion import ALPHA

STAR = "*"  # marks a significant difference
TITLES = {"piq": "PIQ", "reid.macro_rank1": "macro Rank-1", "reid.macro_map": "macro mAP"}
LEGEND = "* significant at the 5% level: paired randomisation test, p after Holm's correction over all rows"


@dataclass(frozen=True)
class Row:
    """One metric of a pair, as text.

    Attributes:
        name: title of the metric.
        first, second: its values for both submissions.
        difference: second minus first.
        interval: interval of the difference, without correction.
        p: p-value of the difference, after Holm's correction.
        star: STAR if the difference is significant, otherwise empty.
        detectable: smallest difference that a test would find in 80% of such data sets.
    """

    name: str
    first: str
    second: str
    difference: str
    interval: str
    p: str
    star: str
    detectable: str


def pair_title(comparison: Comparison, pair: Pair) -> tuple[str, str]:
    """The names of both submissions; names that occur more than once are numbered."""
    names = [system["name"] for system in comparison.systems]
    first, second = (
        names[place] if names.count(names[place]) == 1 else f"{names[place]} ({place + 1})"
        for place in (pair.first, pair.second)
    )
    return first, second


def pair_rows(pair: Pair) -> list[Row]:
    """One row per metric of a pair."""
    return [_row(one) for one in pair.differences]


def identities_text(pair: Pair) -> str | None:
    """The numbers of people whose average precision is higher, equal or lower with the second; None without re-id."""
    if pair.identities is None:
        return None
    wins, ties, losses = pair.identities
    return f"average precision by person: the second is higher for {wins}, equal for {ties}, lower for {losses}"


def method_text(comparison: Comparison) -> str:
    """How intervals, p-values and detectable differences were computed."""
    few = any(pair.identities is not None and sum(pair.identities) < FEW_PEOPLE for pair in comparison.pairs)
    return (
        f"{100 * comparison.level:g}% intervals of the difference, each from its own test, without correction: "
        f"one leaves 0 out if its p before Holm's correction is below {100 * ALPHA:g}%; "
        f"p from {comparison.swaps} random swaps, seed {comparison.seed}; "
        f"detectable: smallest difference that would be found in 80% of such data sets, from {comparison.resamples} "
        "bootstrap resamples" + (f"; intervals: {FEW_PEOPLE_TEXT}" if few else "")
    )


def signed(value: float | None) -> str:
    """A difference as per cent, with its sign."""
    return NOT_DEFINED if value is None else f"{100.0 * value:+.2f}"


def _row(difference: Difference) -> Row:
    kind, _, name = difference.metric.partition(".")
    title = TITLES.get(difference.metric) or (f"{name} F1" if kind == "f1" else name)
    ends = difference.interval
    return Row(
        name=title,
        first=percent(difference.first),
        second=percent(difference.second),
        difference=signed(difference.difference),
        interval=NOT_DEFINED if ends is None else f"{signed(ends[0])} {signed(ends[1])}",
        p=f"{difference.p_adjusted:.4f}",
        star=STAR if difference.significant else "",
        detectable=percent(difference.detectable),
    )
