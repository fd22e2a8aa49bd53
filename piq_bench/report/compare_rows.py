"""What every printed form of a comparison shows, as text. Rounding happens here: per cent with two decimals."""

from dataclasses import dataclass

from piq_bench.report.rows import NOT_DEFINED, percent
from piq_bench.scoring.compare import Comparison, Difference, Pair

STAR = "*"  # beside a difference that is significant
TITLES = {"piq": "PIQ", "reid.macro_rank1": "macro Rank-1", "reid.macro_map": "macro mAP"}
LEGEND = "* significant at 5%: paired randomisation test, Holm's correction over all rows"


@dataclass(frozen=True)
class Row:
    """One metric of a pair."""

    name: str
    first: str
    second: str
    difference: str
    interval: str
    p: str
    star: str
    detectable: str


def pair_title(comparison: Comparison, pair: Pair) -> tuple[str, str]:
    """Names of both; numbered where several submissions have the same name."""
    names = [system["name"] for system in comparison.systems]
    first, second = (
        names[place] if names.count(names[place]) == 1 else f"{names[place]} ({place + 1})"
        for place in (pair.first, pair.second)
    )
    return first, second


def pair_rows(pair: Pair) -> list[Row]:
    """Every metric of a pair."""
    return [_row(one) for one in pair.differences]


def identities_text(pair: Pair) -> str | None:
    """For how many people the second is better."""
    if pair.identities is None:
        return None
    wins, ties, losses = pair.identities
    return f"average precision by person: {wins} higher, {ties} the same, {losses} lower"


def method_text(comparison: Comparison) -> str:
    """How it was computed."""
    return (
        f"{100 * comparison.level:g}% intervals of the difference from {comparison.resamples} resamples, p from "
        f"{comparison.swaps} swaps, seed {comparison.seed}; seen from: would be found in 80% of such data sets"
    )


def signed(value: float | None) -> str:
    """A difference in per cent, with its sign."""
    return NOT_DEFINED if value is None else f"{100.0 * value:+.2f}"


def _row(one: Difference) -> Row:
    kind, _, name = one.metric.partition(".")
    title = TITLES.get(one.metric) or (f"{name} F1" if kind == "f1" else name)
    ends = NOT_DEFINED if one.interval is None else f"{signed(one.interval[0])} {signed(one.interval[1])}"
    return Row(
        name=title,
        first=percent(one.first),
        second=percent(one.second),
        difference=signed(one.difference),
        interval=ends,
        p=f"{one.p_adjusted:.4f}",
        star=STAR if one.significant else "",
        detectable=percent(one.detectable),
    )
