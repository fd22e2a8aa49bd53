"""Describes a data set by figures: images, identities, labels, long tails, near-duplicates and findings.

`describe(benchmark)` is for a data set what `score` is for a submission: the one place where its parts meet. The
figures are those of Tables 2 and 3 of the paper; LTS stays an exact fraction until a report rounds it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from piq_bench.describe.findings import find_findings, mixed_groups, text_codes
from piq_bench.describe.image_files import check_files
from piq_bench.errors import Problem
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.metrics.longtail import gini, lts
from piq_bench.records import (
    NO_GROUP,
    NO_IDENTITY,
    NOT_ANNOTATED,
    SPLITS,
    Benchmark,
    BoolArray,
    Finding,
    Grouping,
    Groups,
    Task,
)

DEFAULT_KS = (Fraction(1, 5),)  # k of the paper's Table 3


@dataclass(frozen=True)
class SplitStats:
    """Figures of one split.

    Attributes:
        images: number of images.
        identities: identities with at least one image in this split.
        unlabelled: images without an identity that are neither junk nor distractors.
        junk, distractor: images marked as junk and as distractors (Market-1501).
        lts: long-tail score of the images per identity, by k; None if no image has an identity.
        gini: Gini coefficient of the images per identity; None if no image has an identity.
        sizes: images per identity, largest first.
    """

    images: int
    identities: int
    unlabelled: int
    junk: int
    distractor: int
    lts: Mapping[Fraction, Fraction | None]
    gini: Fraction | None
    sizes: tuple[int, ...]

    @property
    def labelled(self) -> int:
        """Images with an identity."""
        return sum(self.sizes)

    @property
    def largest(self) -> int | None:
        """Images of the most frequent identity."""
        return self.sizes[0] if self.sizes else None

    @property
    def smallest(self) -> int | None:
        """Images of the least frequent identity."""
        return self.sizes[-1] if self.sizes else None


@dataclass(frozen=True)
class TaskStats:
    """Figures of one classification task in one split; junk is not counted.

    Attributes:
        labels: images per label, in the vocabulary's order; with several labels, an image counts for each of them.
        annotated: images annotated for the task, including those annotated with no label.
        not_annotated: images not annotated for the task.
        empty: images annotated with no label; None for a single-label task.
        lts: long-tail score of the images per label, by k; None if no image has a label.
    """

    labels: Mapping[str, int]
    annotated: int
    not_annotated: int
    empty: int | None
    lts: Mapping[Fraction, Fraction | None]


@dataclass(frozen=True)
class GroupStats:
    """Figures of the near-duplicate groups of query and gallery images.

    Attributes:
        grouping: parameters of the grouping.
        groups: groups of at least two images.
        grouped_images: images in these groups.
        largest: images in the largest group; 0 if there is no group.
        images: query and gallery images.
        crossing: groups with both query and gallery images, to which exclusion applies.
        several_identities: groups with images of more than one identity.
        several_sources: groups with images of more than one source; None where sources are not known.
    """

    grouping: Grouping
    groups: int
    grouped_images: int
    largest: int
    images: int
    crossing: int
    several_identities: int
    several_sources: int | None


@dataclass(frozen=True)
class Stats:
    """Figures of a data set.

    Attributes:
        name, version, fingerprint, layout: those of the benchmark.
        ks: the values of k for which LTS is computed.
        identities: identities in the whole data set.
        tasks: the classification tasks of the vocabulary.
        splits: figures by name of the split, for all three splits.
        labels: figures by name of the task and name of the split, for all three splits.
        groups: figures of near-duplicate groups; None if the data set has none.
        findings: errors first, then warnings, then notes.
    """

    name: str
    version: str
    fingerprint: str
    layout: str
    ks: tuple[Fraction, ...]
    identities: int
    tasks: tuple[Task, ...]
    splits: Mapping[str, SplitStats]
    labels: Mapping[str, Mapping[str, TaskStats]]
    groups: GroupStats | None
    findings: tuple[Finding, ...]


def describe(
    benchmark: Benchmark,
    *,
    ks: Sequence[Fraction] = DEFAULT_KS,
    integrity: Sequence[Problem] = (),
    notes: Sequence[Problem] = (),
    files: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Stats:
    """Computes the figures and the findings of a data set.

    Args:
        benchmark: the data set.
        ks: the values of k for LTS, each in (0, 1].
        integrity: broken rules between rows, from `inspect_dataset`; reported as errors.
        notes: files and columns that reading ignored, from `inspect_dataset`.
        files: whether to check the image files too, which takes long for many images.
        advance: called with the number of image files checked since the last call.
    """
    findings = find_findings(benchmark, integrity, notes)
    if files:
        findings += check_files(benchmark, advance=advance)
    return Stats(
        name=benchmark.name,
        version=benchmark.version,
        fingerprint=fingerprint(benchmark),
        layout=benchmark.layout,
        ks=tuple(ks),
        identities=len(benchmark.identities),
        tasks=benchmark.classification_tasks,
        splits={name: _split_stats(benchmark, benchmark.split == i, ks) for i, name in enumerate(SPLITS)},
        labels={
            task.name: {name: _task_stats(benchmark, task, benchmark.split == i, ks) for i, name in enumerate(SPLITS)}
            for task in benchmark.classification_tasks
        },
        groups=None if benchmark.groups is None else _group_stats(benchmark, benchmark.groups),
        findings=tuple(sorted(findings, key=lambda finding: finding.rank)),
    )


@dataclass(frozen=True)
class PersonImages:
    """Images per person of a split, in total and by source.

    Attributes:
        sizes: shape (n_people,); images of each person, largest first.
        sources: names of the sources, the one with the most images first; a single "" where sources are not known.
        counts: for each source, pairs of a person (index into `sizes`) and the number of that person's images from it.
    """

    sizes: tuple[int, ...]
    sources: tuple[str, ...]
    counts: tuple[tuple[tuple[int, int], ...], ...]


def images_by_source(benchmark: Benchmark, split: str) -> PersonImages:
    """Counts the images of each person of a split by source, as in the paper's Figure 7."""
    rows = np.flatnonzero((benchmark.split == SPLITS.index(split)) & (benchmark.identity != NO_IDENTITY))
    identity = benchmark.identity[rows]
    names, source = np.array([""], dtype=object), np.zeros(rows.size, dtype=np.int64)
    if benchmark.source is not None and rows.size:
        texts, source = np.unique(benchmark.source[rows].astype(np.str_), return_inverse=True)
        names, source = texts.astype(object), source.reshape(-1).astype(np.int64)
    images = np.bincount(identity, minlength=len(benchmark.identities))
    people = np.argsort(-images, kind="stable")[: int((images > 0).sum())]  # with equal counts in order of names
    place = np.zeros(images.size, dtype=np.int64)
    place[people] = np.arange(people.size)
    per_source = np.bincount(source, minlength=names.size)
    order = np.argsort(-per_source, kind="stable")
    rank = np.argsort(order, kind="stable")
    pairs, n_images = np.unique(rank[source] * max(1, people.size) + place[identity], return_counts=True)
    counts: list[list[tuple[int, int]]] = [[] for _ in range(names.size)]
    for pair, number in zip(pairs.tolist(), n_images.tolist(), strict=True):
        counts[pair // people.size].append((pair % people.size, number))
    return PersonImages(
        sizes=tuple(images[people].tolist()),
        sources=tuple(str(name) for name in names[order]),
        counts=tuple(map(tuple, counts)),
    )


def _split_stats(benchmark: Benchmark, here: BoolArray, ks: Sequence[Fraction]) -> SplitStats:
    identity = benchmark.identity[here & (benchmark.identity != NO_IDENTITY)]
    counts = np.bincount(identity, minlength=len(benchmark.identities)).tolist()
    sizes = tuple(sorted((count for count in counts if count), reverse=True))
    unnamed = here & (benchmark.identity == NO_IDENTITY)
    return SplitStats(
        images=int(here.sum()),
        identities=len(sizes),
        unlabelled=int((unnamed & ~benchmark.junk & ~benchmark.distractor).sum()),
        junk=int((here & benchmark.junk).sum()),
        distractor=int((here & benchmark.distractor).sum()),
        lts={k: lts(sizes, k) for k in ks},
        gini=gini(sizes),
        sizes=sizes,
    )


def _task_stats(benchmark: Benchmark, task: Task, here: BoolArray, ks: Sequence[Fraction]) -> TaskStats:
    labels = benchmark.labels[task.name][here & ~benchmark.junk]
    if task.multi_label:
        annotated = labels[labels[:, 0] != NOT_ANNOTATED]
        counts = [int(count) for count in annotated.sum(axis=0)]
    else:
        annotated = labels[labels != NOT_ANNOTATED]
        counts = [int(count) for count in np.bincount(annotated, minlength=len(task.labels))]
    return TaskStats(
        labels=dict(zip(task.labels, counts, strict=True)),
        annotated=len(annotated),
        not_annotated=len(labels) - len(annotated),
        empty=int((annotated.sum(axis=1) == 0).sum()) if task.multi_label else None,
        lts={k: lts(counts, k) for k in ks},
    )


def _group_stats(benchmark: Benchmark, groups: Groups) -> GroupStats:
    rows = np.flatnonzero(groups.group != NO_GROUP)
    group = groups.group[rows]
    _, sizes = np.unique(group, return_counts=True)
    source = benchmark.source
    return GroupStats(
        grouping=groups.grouping,
        groups=int(sizes.size),
        grouped_images=int(rows.size),
        largest=int(sizes.max(initial=0)),
        images=int(benchmark.test_rows.size),
        crossing=int(mixed_groups(group, benchmark.split[rows]).size),
        several_identities=int(mixed_groups(group, benchmark.identity[rows]).size),
        several_sources=None if source is None else int(mixed_groups(group, text_codes(source[rows])).size),
    )
