"""What every printed form of a data set's figures shows, in order, as text. Rounding happens here.

LTS and Gini are printed with four decimals, as fractions; a cell without a value is "-".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from piq_bench.describe.stats import Stats, TaskStats
from piq_bench.errors import printable
from piq_bench.records import SPLITS

NOT_DEFINED = "-"
MAX_LABELS = 30  # a task with more shows the most frequent
BAR = 16
NAME = 28


@dataclass(frozen=True)
class Section:
    """One table: a title, names of columns, and rows of as many cells; the first column is text, the others numbers.

    Attributes:
        title: what the table shows.
        header: shape (n_columns,).
        rows: each of shape (n_columns,).
        bars: shape (n_rows,), a bar of "#" beside each row; empty where the table has none.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[str, ...] = ()


def sections(stats: Stats) -> list[Section]:
    """All tables, the paper's Tables 2 and 3 first."""
    found = [_images(stats), _long_tails(stats)]
    if stats.identities:
        found.append(_per_identity(stats))
    found += [_labels(stats, task) for task in stats.labels]
    if stats.groups is not None:
        found.append(_groups(stats))
    return found


def summary(stats: Stats) -> list[tuple[str, str]]:
    """What was described, as pairs of name and text."""
    kind = {"folder": "folder", "market1501": "Market-1501 style folder", "table": "bare table"}[stats.layout]
    return [
        ("data set", printable(" ".join(filter(None, (stats.name, stats.version))))),
        ("read as", kind),
        ("fingerprint", stats.fingerprint),
    ]


def fraction(value: Fraction | None) -> str:
    """An exact number with four decimals."""
    return NOT_DEFINED if value is None else f"{float(value):.4f}"


def share_text(k: Fraction) -> str:
    """A share as decimal text where it has one: "0.2"; else as a fraction.

    >>> share_text(Fraction(1, 5))
    '0.2'
    """
    decimal = Decimal(k.numerator) / Decimal(k.denominator)
    return format(decimal.normalize(), "f") if Fraction(decimal) == k else str(k)


def shown_labels(counts: Mapping[str, Sequence[int]]) -> list[str]:
    """The labels of a task that get a row: all in their order, or the most frequent where there are many."""
    if len(counts) <= MAX_LABELS:
        return list(counts)
    return sorted(counts, key=lambda label: (-sum(counts[label]), label))[:MAX_LABELS]


def _images(stats: Stats) -> Section:
    with_junk = any(split.junk or split.distractor for split in stats.splits.values())
    header = ("images", "identities", "labelled", "unlabelled") + (("junk", "distractor") if with_junk else ())
    rows = []
    for name, split in stats.splits.items():
        cells = (split.images, split.identities, split.labelled, split.unlabelled)
        rows.append((name, *cells, *((split.junk, split.distractor) if with_junk else ())))
    sums = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    total = ("total", sums[0], stats.identities, *sums[2:])  # people of query and gallery are the same
    return Section("Images and identities", ("", *header), tuple(tuple(map(str, row)) for row in (*rows, total)))


def _long_tails(stats: Stats) -> Section:
    rows = []
    for k in stats.ks:
        if stats.identities:
            rows.append((f"identities, LTS_{share_text(k)}", *(fraction(stats.splits[name].lts[k]) for name in SPLITS)))
        for task, by_split in stats.labels.items():
            name = f"{printable(task, NAME - 10)}, LTS_{share_text(k)}"
            rows.append((name, *(fraction(by_split[split].lts[k]) for split in SPLITS)))
    return Section("Long tails (lower is longer)", ("", *SPLITS), tuple(rows))


def _per_identity(stats: Stats) -> Section:
    splits = [stats.splits[name] for name in SPLITS]
    rows = (
        ("largest", *(_number(split.largest) for split in splits)),
        ("smallest", *(_number(split.smallest) for split in splits)),
        ("Gini coefficient", *(fraction(split.gini) for split in splits)),
    )
    return Section("Images per identity", ("", *SPLITS), rows)


def _labels(stats: Stats, task: str) -> Section:
    splits = [stats.labels[task][name] for name in SPLITS]
    counts = {label: tuple(split.labels[label] for split in splits) for label in splits[0].labels}
    shown = shown_labels(counts)
    rows = [(printable(label, NAME), *map(str, counts[label])) for label in shown]
    bars = _bars([sum(counts[label]) for label in shown])
    extra: list[tuple[str, Sequence[int | None]]] = [("(not annotated)", [split.not_annotated for split in splits])]
    if splits[0].empty is not None:
        extra.insert(0, ("(none of them)", [split.empty for split in splits]))
    if len(shown) < len(counts):
        rest = [label for label in counts if label not in shown]
        extra.insert(0, (f"({len(rest)} more labels)", [_sum(split, rest) for split in splits]))
    rows += [(name, *map(_number, values)) for name, values in extra]
    return Section(printable(task, NAME), ("", *SPLITS), tuple(rows), (*bars, *[""] * len(extra)))


def _sum(split: TaskStats, labels: Sequence[str]) -> int:
    return sum(split.labels[label] for label in labels)


def _bars(counts: Sequence[int]) -> list[str]:
    """Proportional to the largest; whatever is there shows at least one mark."""
    most = max(counts, default=0)
    return ["#" * -(-BAR * count // most) if most else "" for count in counts]


def _groups(stats: Stats) -> Section:
    groups = stats.groups
    assert groups is not None  # noqa: S101  (the caller asked; for the type checker)
    grouping = groups.grouping
    rows = [
        ("query and gallery images", groups.images),
        ("groups of two or more", groups.groups),
        ("images in them", groups.grouped_images),
        ("images in the largest", groups.largest),
        ("groups with query and gallery", groups.crossing),
        ("groups of several identities", groups.several_identities),
        ("groups of several sources", groups.several_sources),
    ]
    title = f"Near-duplicates ({grouping.hash}, at most {grouping.threshold} bits, {grouping.mode})"
    return Section(title, ("", "count"), tuple((name, _number(value)) for name, value in rows))


def _number(value: int | None) -> str:
    return NOT_DEFINED if value is None else str(value)
