"""Finds what is odd about a data set: broken rules (errors), likely mistakes (warnings) and facts to know (notes).

Each finding has a stable code. Findings are only reported; `read_benchmark` is what refuses data sets with errors.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import Problem, first_few
from piq_bench.read.identity_names import look_alike, look_missing
from piq_bench.read.rules import unused_columns
from piq_bench.records import (
    NO_GROUP,
    NO_IDENTITY,
    NOT_ANNOTATED,
    QUERY,
    TRAIN,
    Benchmark,
    BoolArray,
    Finding,
    IntArray,
    Severity,
    Task,
)
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.ragged import Ragged

TINY_LABEL = 10  # with fewer test images, one image changes the label's F1 by several points
GIANT_SHARE = 100  # a giant group has more than 1 in 100 test images ...
GIANT_IMAGES = 50  # ... and more than this many: chains, or a static camera, rather than a run of frames
FEW_ANNOTATED = 2  # if less than 1 in 2 test images is annotated, missing labels are a warning, else a note


def find_findings(
    benchmark: Benchmark, integrity: Sequence[Problem] = (), notes: Sequence[Problem] = ()
) -> list[Finding]:
    """Finds all that can be found without image files.

    Args:
        benchmark: the data set.
        integrity: broken rules between rows, from `inspect_dataset`; reported as errors.
        notes: files and columns that reading ignored, from `inspect_dataset`.
    """
    findings = [Finding(problem.code, "error", f"{problem.found} -> {problem.remedy}") for problem in integrity]
    findings += [Finding(problem.code, "note", f"{problem.where}: {problem.found}") for problem in notes]
    findings += _empty_splits(benchmark)
    if benchmark.retrieval_task is not None:
        findings += _single_image_identities(benchmark)
        findings += _queries_without_positive(benchmark)
        findings += _nobody_queries(benchmark)
        findings += _identity_names(benchmark)
        findings += _unused_columns(benchmark)
    findings += _missing_labels(benchmark)
    for task in benchmark.classification_tasks:
        findings += _rare_labels(benchmark, task)
    findings += _groups(benchmark)
    return findings


def mixed_groups(group: IntArray, values: IntArray) -> IntArray:
    """Numbers of the groups whose members have more than one value, ascending.

    Args:
        group: shape (n,); group of each member.
        values: shape (n,); value of each member, negative where not known. Unknown values are ignored.
    """
    width = int(values.max(initial=0)) + 1
    pairs = np.unique((group * width + values)[values >= 0])  # each group with each of its values once
    numbers, counts = np.unique(pairs // width, return_counts=True)
    return np.asarray(numbers[counts > 1], dtype=np.int64)


def text_codes(values: NDArray[np.object_]) -> IntArray:
    """Shape (n,); numbers that are equal for equal texts, -1 for empty texts."""
    codes = {"": -1}
    return np.fromiter((codes.setdefault(value, len(codes)) for value in values), np.int64, count=values.size)


def _empty_splits(benchmark: Benchmark) -> list[Finding]:
    findings = []
    if not benchmark.test_rows.size:
        severity: Severity = "note" if benchmark.layout == "table" else "warning"
        findings.append(Finding("no-test-images", severity, "all images are in train, none is left to score on"))
    elif benchmark.retrieval_task is not None and not (benchmark.split == QUERY).any():
        findings.append(Finding("no-queries", "warning", "the data set has a retrieval task but no query image"))
    return findings


def _single_image_identities(benchmark: Benchmark) -> list[Finding]:
    findings = []
    for name, here in (("train", benchmark.split == TRAIN), ("query and gallery", benchmark.split != TRAIN)):
        identity = benchmark.identity[here & (benchmark.identity != NO_IDENTITY)]
        numbers, counts = np.unique(identity, return_counts=True)
        single = [benchmark.identities[number] for number in numbers[counts == 1]]
        if single:
            text = f"{name}: {len(single)} of {numbers.size} identities have only one image: {_first_few(single)}"
            findings.append(Finding("single-image-identity", "note", text))
    return findings


def _queries_without_positive(benchmark: Benchmark) -> list[Finding]:
    """Queries that cannot be scored, as exclusion leaves them no positive, and identities without other queries."""
    candidates = find_candidates(benchmark)
    width = candidates.gallery.size + 1
    positive = _pairs(candidates.positives, width)
    remaining = positive[~np.isin(positive, _pairs(candidates.duplicates, width))]
    n_positives = np.bincount(remaining // width, minlength=candidates.query.size)
    lost = candidates.query[n_positives == 0]
    findings = []
    if lost.size:
        rules = ", ".join(map(str, benchmark.exclude))
        after = f" after exclusion ({rules})" if rules else ""
        text = (
            f"{lost.size} of {candidates.query.size} queries have no positive{after} and are not scored:"
            f" {_first_few(list(benchmark.images[lost]))}"
        )
        findings.append(Finding("query-without-positive", "warning", text))
    people = np.setdiff1d(benchmark.identity[lost], candidates.query_identity[n_positives > 0])
    if people.size:
        names = [benchmark.identities[number] for number in people]
        text = (
            f"{people.size} identities have no query that can be scored and do not count in the macro mean:"
            f" {_first_few(names)}"
        )
        findings.append(Finding("identity-without-query", "warning", text))
    return findings


def _nobody_queries(benchmark: Benchmark) -> list[Finding]:
    """Query and training images whose identity is declared to be junk or a distractor, although they need one."""
    findings = []
    effects = (("query", QUERY, "they are no queries"), ("train", TRAIN, "they count as unlabelled"))
    for name, key, mask in (
        ("distractor", "distractors", benchmark.distractor),
        ("junk", "junk", benchmark.junk),
    ):
        for split, code, effect in effects:
            rows = np.flatnonzero((benchmark.split == code) & mask)
            if rows.size:
                text = (
                    f"{rows.size} {split} images have an identity that is declared as {name}, so {effect}:"
                    f" {_first_few(list(benchmark.images[rows]))};"
                    f" if they show people to recognise, change {key} under [retrieval] in benchmark.toml"
                )
                findings.append(Finding(f"{name}-in-{split}", "warning", text))
    return findings


def _identity_names(benchmark: Benchmark) -> list[Finding]:
    findings = []
    missing = look_missing(benchmark.identities, benchmark.persons)
    if missing:
        text = (
            f"{len(missing)} identities look like missing values but count as people: {_first_few(missing)};"
            " declare them as junk, distractors or persons under [retrieval] in benchmark.toml"
        )
        findings.append(Finding("identity-looks-missing", "warning", text))
    alike = [" = ".join(names) for names in look_alike(benchmark.identities)]
    if alike:
        text = (
            f"{len(alike)} sets of identities differ in spelling alone but count as different people:"
            f" {_first_few(alike)}; if they are the same person, correct the labels"
        )
        findings.append(Finding("identities-alike", "warning", text))
    return findings


def _unused_columns(benchmark: Benchmark) -> list[Finding]:
    severity: Severity = "note" if benchmark.rules_declared else "warning"
    return [
        Finding(
            "unused-rule-column",
            severity,
            f"no exclusion rule uses the column {name!r}:"
            f" gallery images with the same {name} as the query stay candidates",
        )
        for name in unused_columns(benchmark)
    ]


def _pairs(lists: Ragged, width: int) -> IntArray:
    """One number, owner * width + value, for each value of each list."""
    owner = np.repeat(np.arange(len(lists)), np.diff(lists.start))
    return np.asarray(owner * width + lists.values, dtype=np.int64)


def _missing_labels(benchmark: Benchmark) -> list[Finding]:
    """Tasks for which all, most or some test images are not annotated."""
    n_test = benchmark.test_rows.size
    some, most, unlabelled = [], [], []
    for task in benchmark.classification_tasks:
        count = n_test - int(_annotated(benchmark, task)[benchmark.test_rows].sum())
        if count == n_test:
            unlabelled.append(task.name)
        elif FEW_ANNOTATED * (n_test - count) < n_test:
            most.append(f"{task.name} {count}")
        elif count:
            some.append(f"{task.name} {count}")
    findings = []
    if n_test and unlabelled:
        text = f"no test image is annotated for {', '.join(unlabelled)}; no score is possible"
        findings.append(Finding("task-without-labels", "warning", text))
    if most:
        text = f"most of the {n_test} test images are not annotated; labels missing: {', '.join(most)}"
        findings.append(Finding("missing-labels", "warning", text))
    if some:
        text = f"some of the {n_test} test images are not annotated; labels missing: {', '.join(some)}"
        findings.append(Finding("missing-labels", "note", text))
    return findings


def _annotated(benchmark: Benchmark, task: Task) -> BoolArray:
    labels = benchmark.labels[task.name]
    return np.asarray((labels[:, 0] if task.multi_label else labels) != NOT_ANNOTATED)


def _rare_labels(benchmark: Benchmark, task: Task) -> list[Finding]:
    labels, annotated = benchmark.labels[task.name], _annotated(benchmark, task)
    train, test = benchmark.split == TRAIN, benchmark.split != TRAIN
    findings = []
    for name, here in (("train", train & annotated), ("query and gallery", test & annotated)):
        if here.any():
            unused = [label for label, count in zip(task.labels, _counts(labels, here, task), strict=True) if not count]
            if unused:
                n_unused = f"{len(unused)} of {len(task.labels)} labels"
                text = f"{task.name}: {n_unused} have no image in {name}: {_first_few(unused)}"
                findings.append(Finding("unused-label", "warning", text))
    tiny = [
        f"{label} ({count})"
        for label, count in zip(task.labels, _counts(labels, test & annotated, task), strict=True)
        if 0 < count < TINY_LABEL
    ]
    if tiny:
        text = f"{task.name}: labels with fewer than {TINY_LABEL} test images (number in brackets): {_first_few(tiny)}"
        findings.append(Finding("tiny-label", "warning", text))
    return findings


def _counts(labels: IntArray, here: BoolArray, task: Task) -> list[int]:
    counts = labels[here].sum(axis=0) if task.multi_label else np.bincount(labels[here], minlength=len(task.labels))
    return [int(count) for count in counts]


def _groups(benchmark: Benchmark) -> list[Finding]:
    groups = benchmark.groups
    n_test = benchmark.test_rows.size
    if groups is None:
        if benchmark.retrieval_task is None or benchmark.layout == "table" or not n_test:
            return []
        text = "near-duplicates are not grouped, so retrieval excludes none; run `piq groups` to group them"
        return [Finding("no-groups", "note", text)]
    rows = np.flatnonzero(groups.group != NO_GROUP)
    group = groups.group[rows]
    numbers, sizes = np.unique(group, return_counts=True)
    giant = (sizes > GIANT_IMAGES) & (sizes * GIANT_SHARE > n_test)
    findings = []
    if giant.any():
        shown = [f"{benchmark.images[n]} ({size})" for n, size in zip(numbers[giant], sizes[giant], strict=True)]
        threshold = groups.grouping.threshold
        why = "" if threshold is None else f" the threshold of {threshold} may be too high;"
        text = (
            f"{len(shown)} near-duplicate groups each hold more than {GIANT_IMAGES} images and more than 1% of the test"
            f" set;{why} first image and size of each: {_first_few(shown)}"
        )
        findings.append(Finding("giant-group", "warning", text))
    if benchmark.source is not None:
        mixed = mixed_groups(group, text_codes(benchmark.source[rows]))
        if mixed.size:
            first = _first_few(list(benchmark.images[mixed]))
            text = f"{mixed.size} near-duplicate groups hold images of several sources; first image of each: {first}"
            findings.append(Finding("group-spans-sources", "warning", text))
    mixed = mixed_groups(group, benchmark.identity[rows])
    if mixed.size:
        first = _first_few(list(benchmark.images[mixed]))
        text = f"{mixed.size} near-duplicate groups hold images of several identities; first image of each: {first}"
        findings.append(Finding("group-spans-identities", "warning", text))
    return findings


def _first_few(names: Sequence[str]) -> str:
    return first_few(names, len(names))
