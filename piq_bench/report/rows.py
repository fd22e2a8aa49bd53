"""The rows of a score as text, in order, shared by all its formats: names, numbers and intervals.

Rounding happens here: scores are printed in per cent with two decimals, as 100 times the fractions of the score file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from piq_bench.errors import printable
from piq_bench.records import RETRIEVAL, Benchmark, Grouping
from piq_bench.scoring.records import Interval, Score

NOT_DEFINED = "-"
METRIC_NAMES = {
    "map": "mAP",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
    "rank20": "Rank-20",
    "minp": "mINP",
}
FIELD_METRICS = ("map", "rank1", "rank5", "rank10", "minp")  # what papers on re-id report, as means over queries
MACRO_METRICS = ("macro_rank1", "macro_map")  # what PIQ takes, as means over people
ATTRIBUTE_METRICS = ("accuracy", "mA", "precision", "recall", "F1", "mean AP")
ATTRIBUTE_KEYS = (  # of AttributeScore.values, in the same order; balanced accuracy is mA of a single-label task
    ("accuracy",),
    ("ma", "balanced_accuracy"),
    ("precision",),
    ("recall",),
    ("f1",),
    ("mean_average_precision",),
)
OVER_LABELS = ("ma", "balanced_accuracy", "mean_average_precision")
ATTRIBUTE_MEANS = "accuracy, precision, recall, F1: over images; mA, mean AP: over labels"
GROUP = "near-duplicates of the query"
RULES = "left out"  # name of the line with the exclusion rules
RULES_LENGTH = 10_000  # characters; a result shows all its rules
FEW_PEOPLE = 10
FEW_PEOPLE_TEXT = f"under {FEW_PEOPLE} people they are rough"


@dataclass(frozen=True)
class Row:
    """One line of the main table.

    Attributes:
        level: 0 for the headline, 1 for an aspect, 2 for a task or a re-id metric.
        name: title of the number.
        value, interval, chance, majority: the number and what it is compared with; empty where that does not apply.
        part, key: where the number is in a score: "piq" and "", or "aspects", "reid" or "f1" and its name there.
    """

    level: int
    name: str
    value: str
    interval: str
    chance: str
    majority: str
    part: str = ""
    key: str = ""


@dataclass(frozen=True)
class MetricRow:
    """One re-id metric: macro mean over identities, plain mean over queries, and both with near-duplicates kept."""

    name: str
    macro: str
    plain: str
    macro_with_duplicates: str
    plain_with_duplicates: str


@dataclass(frozen=True)
class AttributeRow:
    """The metrics of a task beside its macro F1, in the order of ATTRIBUTE_METRICS; what does not apply is empty."""

    task: str
    cells: tuple[str, ...]


def percent(value: float | None) -> str:
    """A fraction as per cent with two decimals."""
    return NOT_DEFINED if value is None else f"{100.0 * value:.2f}"


def span(ends: Interval) -> str:
    """An interval as per cent."""
    return NOT_DEFINED if ends is None else f"{percent(ends[0])} - {percent(ends[1])}"


def is_reid_alone(benchmark: Benchmark) -> bool:
    """Whether re-id is the only task, so that the field's own numbers come first."""
    return benchmark.retrieval_task is not None and not benchmark.classification_tasks


def metric_title(key: str) -> str:
    """The title of a re-id metric by its key in a score.

    >>> metric_title("map"), metric_title("macro_rank1")
    ('mAP', 'macro Rank-1')
    """
    name = key.removeprefix("macro_")
    return METRIC_NAMES[name] if name == key else f"macro {METRIC_NAMES[name]}"


def main_rows(score: Score, benchmark: Benchmark) -> list[Row]:
    """The main table: PIQ, then each aspect with its tasks; on re-id alone first what papers on re-id report."""
    ends = score.intervals
    rows = []
    if is_reid_alone(benchmark):
        rows += [_reid_row(score, key, 0) for key in FIELD_METRICS]
    rows.append(Row(0, "PIQ", percent(score.piq), span(ends.piq if ends else None), "", "", "piq"))
    for aspect, value in score.aspects.items():
        interval = span(ends.aspects[aspect] if ends else None)
        rows.append(Row(1, aspect, percent(value), interval, "", "", "aspects", aspect))
        for task in benchmark.tasks:
            if task.aspect == aspect:
                is_reid = task.kind == RETRIEVAL
                rows += (
                    [_reid_row(score, key, 2) for key in MACRO_METRICS] if is_reid else [_task_row(score, task.name)]
                )
    return rows


def metric_rows(score: Score) -> list[MetricRow]:
    """One row per re-id metric; empty if re-id was not scored."""
    if score.reid is None:
        return []
    reid = score.reid
    values = {**reid.values, **reid.further}
    included = {**(reid.without_exclusion or {}), **(reid.further_without_exclusion or {})}
    return [
        MetricRow(
            title,
            percent(values.get(f"macro_{name}")),
            percent(values.get(name)),
            percent(included.get(f"macro_{name}")),
            percent(included.get(name)),
        )
        for name, title in METRIC_NAMES.items()
    ]


def attribute_rows(score: Score) -> list[AttributeRow]:
    """One row per scored classification task."""
    rows = []
    for task, attributes in score.attributes.items():
        found = [next((key for key in keys if key in attributes.values), None) for keys in ATTRIBUTE_KEYS]
        cells = ("" if key is None else percent(attributes.values[key]) for key in found)
        rows.append(AttributeRow(task, tuple(cells)))
    return rows


def left_out_lines(score: Score) -> list[str]:
    """For each task, how many labels and images have no case and are left out of which mean."""
    titles = {key: title for keys, title in zip(ATTRIBUTE_KEYS, ATTRIBUTE_METRICS, strict=True) for key in keys}
    lines = []
    for task, attributes in score.attributes.items():
        parts = [
            f"{n} {'label' if key in OVER_LABELS else 'image'}{'' if n == 1 else 's'} ({titles[key]})"
            for key, n in attributes.left_out.items()
        ]
        if parts:
            lines.append(f"{task}: without a case, and so left out: {', '.join(parts)}")
    return lines


def summary(score: Score) -> list[tuple[str, str]]:
    """The submission, the benchmark and the scoring rules, as pairs of name and text."""
    submission, benchmark, protocol = score.submission, score.benchmark, score.protocol
    title = f"{benchmark['name']} {benchmark['version']}".strip()  # a public data set has no version
    lines = [
        ("submission", f"{submission['name']} ({submission['images']} images)"),
        ("benchmark", f"{title}, fingerprint {benchmark['fingerprint'][:12]}"),
    ]
    if score.reid is not None:
        lines += [
            ("re-id", f"{score.reid.queries} queries of {score.reid.identities} identities, {protocol.ap} AP"),
            (RULES, f"gallery images: {excluded_text(protocol.exclude)}"),
        ]
        if protocol.grouping is not None:
            lines.append(("grouping", f"near-duplicates: {grouping_text(protocol.grouping)}"))
    if score.intervals is not None:
        ends = score.intervals
        text = f"{100 * ends.level:g}%, {ends.resamples} bootstrap resamples, seed {ends.seed}"
        few = score.reid is not None and score.reid.identities < FEW_PEOPLE
        lines.append(("intervals", f"{text}; {FEW_PEOPLE_TEXT}" if few else text))
    return lines


def fact(name: str, text: str, limit: int) -> str:
    """The text of a line of `summary` made safe, and cut to a limit unless it holds the exclusion rules."""
    return printable(text, RULES_LENGTH if name == RULES else limit)


def grouping_text(grouping: Grouping) -> str:
    """How near-duplicates are found, in words.

    >>> grouping_text(Grouping())
    'phash distance of at most 6 bits, components'
    >>> grouping_text(Grouping("given", None, "given"))
    'groups given with the data set'
    """
    if grouping.threshold is None:
        return "groups given with the data set"
    return f"{grouping.hash} distance of at most {grouping.threshold} bits, {grouping.mode}"


def excluded_text(exclude: Sequence[str]) -> str:
    """The kinds of gallery images that the protocol leaves out of a query's candidates."""
    return "; ".join(map(_rule_text, exclude)) or "none"


def _rule_text(rule: str) -> str:
    """An exclusion rule in words.

    >>> _rule_text("identity+~clothes")
    'same identity, different clothes'
    """
    if rule == "group":
        return GROUP
    columns = rule.split("+")
    agree = " and ".join(column for column in columns if not column.startswith("~"))
    return ", ".join([f"same {agree}", *(f"different {column[1:]}" for column in columns if column.startswith("~"))])


def _task_row(score: Score, task: str) -> Row:
    ends: Mapping[str, Interval] = score.intervals.f1 if score.intervals else {}
    return Row(
        2,
        f"{task} F1",
        percent(score.f1.get(task)),
        span(ends.get(task)),
        percent(score.chance_f1.get(task)),
        percent(score.majority_f1.get(task)),
        "f1",
        task,
    )


def _reid_row(score: Score, key: str, level: int) -> Row:
    ends: Mapping[str, Interval] = score.intervals.reid if score.intervals else {}
    values = score.reid.values if score.reid else {}
    chance = percent(score.reid.chance.get(key)) if score.reid and key in MACRO_METRICS else ""
    return Row(level, metric_title(key), percent(values.get(key)), span(ends.get(key)), chance, "", "reid", key)
