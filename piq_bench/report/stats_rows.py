"""The tables of a data set's statistics as text, in order, shared by all formats. Rounding happens here.

LTS and Gini coefficients are fractions with four decimals; an undefined value is "-".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from piq_bench.describe.stats import Stats, TaskStats
from piq_bench.errors import printable
from piq_bench.read.layouts.labelled import ALL_TITLES
from piq_bench.records import SPLITS

NOT_DEFINED = "-"
MAX_LABELS = 30  # rows of a task; if it has more labels, the most frequent are shown
BAR = 16  # characters of the longest bar
NAME = 28  # characters of an untrusted name


@dataclass(frozen=True)
class Section:
    """One table; its first column holds names, the others numbers.

    Attributes:
        title: title of the table.
        header: shape (n_columns,); titles of the columns.
        rows: n_rows rows of shape (n_columns,).
        bars: shape (n_rows,); a bar of "#" beside each row, or empty if the table has no bars.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[str, ...] = ()


def sections(stats: Stats) -> list[Section]:
    """All tables; the paper's Tables 2 and 3 come first."""
    found = [_images(stats), _long_tails(stats)]
    if stats.identities:
        found.append(_per_identity(stats))
    found += [_labels(stats, task) for task in stats.labels]
    if stats.groups is not None:
        found.append(_groups(stats))
    return found


def summary(stats: Stats) -> list[tuple[str, str]]:
    """The data set, its layout and its fingerprint, as pairs of name and text."""
    kind = {"folder": "folder", "table": "bare table", **ALL_TITLES}.get(stats.layout, stats.layout)
    return [
        ("data set", printable(" ".join(filter(None, (stats.name, stats.version))))),
        ("read as", kind),
        ("fingerprint", stats.fingerprint),
    ]


def fraction(value: Fraction | None) -> str:
    """An exact fraction rounded to four decimals."""
    return NOT_DEFINED if value is None else f"{float(value):.4f}"


def share_text(k: Fraction) -> str:
    """A share as a decimal if that is exact ("0.2"), otherwise as a fraction ("1/3").

    >>> share_text(Fraction(1, 5))
    '0.2'
    """
    decimal = Decimal(k.numerator) / Decimal(k.denominator)
    return format(decimal.normalize(), "f") if Fraction(decimal) == k else str(k)


def shown_labels(counts: Mapping[str, Sequence[int]]) -> list[str]:
    """The labels of a task that get a row: all in their order, or the most frequent ones if there are many."""
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
    total = (
        "total",
        sums[0],
        stats.identities,
        *sums[2:],
    )  # counts each person once, though people are in query and gallery
    return Section("Images and identities", ("", *header), tuple(tuple(map(str, row)) for row in (*rows, total)))


def _long_tails(stats: Stats) -> Section:
    rows = []
    for k in stats.ks:
        if stats.identities:
            rows.append((f"identities, LTS_{share_text(k)}", *(fraction(stats.splits[name].lts[k]) for name in SPLITS)))
        for task, by_split in stats.labels.items():
            name = f"{printable(task, NAME - 10)}, LTS_{share_text(k)}"
            rows.append((name, *(fraction(by_split[split].lts[k]) for split in SPLITS)))
    return Section("Long-tail score LTS_k (lower means a longer tail)", ("", *SPLITS), tuple(rows))


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
        extra.insert(0, ("(no label applies)", [split.empty for split in splits]))
    if len(shown) < len(counts):
        rest = [label for label in counts if label not in shown]
        extra.insert(0, (f"({len(rest)} more labels)", [_sum(split, rest) for split in splits]))
    rows += [(name, *map(_number, values)) for name, values in extra]
    return Section(printable(task, NAME), ("", *SPLITS), tuple(rows), (*bars, *[""] * len(extra)))


def _sum(split: TaskStats, labels: Sequence[str]) -> int:
    return sum(split.labels[label] for label in labels)


def _bars(counts: Sequence[int]) -> list[str]:
    """Bars proportional to the counts; every count above 0 has at least one mark."""
    most = max(counts, default=0)
    return ["#" * -(-BAR * count // most) if most else "" for count in counts]


def _groups(stats: Stats) -> Section:
    groups = stats.groups
    assert groups is not None  # noqa: S101  (the caller checked; for the type checker)
    grouping = groups.grouping
    rows = [
        ("query and gallery images", groups.images),
        ("groups of two or more", groups.groups),
        ("images in these groups", groups.grouped_images),
        ("images in the largest group", groups.largest),
        ("groups with both query and gallery images", groups.crossing),
        ("groups with several identities", groups.several_identities),
        ("groups with several sources", groups.several_sources),
    ]
    made = f"{grouping.hash}, at most {grouping.threshold} bits, {grouping.mode}"
    title = f"Near-duplicates ({made if grouping.threshold is not None else 'groups given with the data set'})"
    return Section(title, ("", "count"), tuple((name, _number(value)) for name, value in rows))


def _number(value: int | None) -> str:
    return NOT_DEFINED if value is None else str(value)
