"""What is odd about a data set: broken rules as errors, likely slips as warnings, facts worth knowing as notes.

In comes a benchmark, out come findings, each with a stable code. Nothing here stops anybody; errors are what
`read_benchmark` refuses to score against.
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
from piq_bench.retrieve.candidates import Ragged, find_candidates

TINY_LABEL = 10  # with fewer test images, one image moves the label's F1 by several points
GIANT_SHARE = 100  # a group with more than one in so many test images ...
GIANT_IMAGES = 50  # ... and more than so many: chains, or a static camera, rather than a run of frames
FEW_ANNOTATED = 2  # less than one in so many test images annotated is worth a warning


def find_findings(
    benchmark: Benchmark, integrity: Sequence[Problem] = (), notes: Sequence[Problem] = ()
) -> list[Finding]:
    """All findings that need no image file.

    Args:
        benchmark: as read.
        integrity: broken rules between rows; become errors.
        notes: what reading passed over.
    """
    findings = [Finding(problem.code, "error", f"{problem.found} -> {problem.remedy}") for problem in integrity]
    findings += [Finding(problem.code, "note", f"{problem.where}: {problem.found}") for problem in notes]
    findings += _splits(benchmark)
    if benchmark.retrieval_task is not None:
        findings += _single_images(benchmark)
        findings += _lost_queries(benchmark)
        findings += _nobody_queries(benchmark)
        findings += _identity_names(benchmark)
        findings += _unused_columns(benchmark)
    findings += _missing_labels(benchmark)
    for task in benchmark.classification_tasks:
        findings += _labels(benchmark, task)
    findings += _groups(benchmark)
    return findings


def mixed_groups(group: IntArray, values: IntArray) -> IntArray:
    """Ascending group numbers that hold more than one different value.

    Args:
        group: shape (n,).
        values: shape (n,); negative where not known, which is no value.
    """
    width = int(values.max(initial=0)) + 1
    pairs = np.unique((group * width + values)[values >= 0])  # each group with each of its values once
    numbers, counts = np.unique(pairs // width, return_counts=True)
    return np.asarray(numbers[counts > 1], dtype=np.int64)


def text_codes(values: NDArray[np.object_]) -> IntArray:
    """Shape (n,); equal numbers for equal texts, -1 for the empty one."""
    number = {"": -1}
    return np.fromiter((number.setdefault(value, len(number)) for value in values), np.int64, count=values.size)


def _splits(benchmark: Benchmark) -> list[Finding]:
    findings = []
    if not benchmark.test_rows.size:
        severity: Severity = "note" if benchmark.layout == "table" else "warning"
        findings.append(Finding("no-test-images", severity, "every image is of train: nothing to score on"))
    elif benchmark.retrieval_task is not None and not (benchmark.split == QUERY).any():
        findings.append(Finding("no-queries", "warning", "there is a retrieval task, and no query image"))
    return findings


def _single_images(benchmark: Benchmark) -> list[Finding]:
    findings = []
    for name, here in (("train", benchmark.split == TRAIN), ("query and gallery", benchmark.split != TRAIN)):
        identity = benchmark.identity[here & (benchmark.identity != NO_IDENTITY)]
        numbers, counts = np.unique(identity, return_counts=True)
        single = [benchmark.identities[number] for number in numbers[counts == 1]]
        if single:
            text = f"{name}: {len(single)} of {numbers.size} identities have a single image: {_few(single)}"
            findings.append(Finding("single-image-identity", "note", text))
    return findings


def _lost_queries(benchmark: Benchmark) -> list[Finding]:
    """Queries that cannot be scored: every image that would be right is left out."""
    candidates = find_candidates(benchmark)
    width = candidates.gallery.size + 1
    positive = _pairs(candidates.positives, width)
    left = positive[~np.isin(positive, _pairs(candidates.duplicates, width))]
    found = np.bincount(left // width, minlength=candidates.query.size)
    lost = candidates.query[found == 0]
    findings = []
    if lost.size:
        rules = ", ".join(map(str, benchmark.exclude)) or "nothing"
        text = (
            f"{lost.size} of {candidates.query.size} queries have no positive left after exclusion ({rules}), and are"
            f" not scored: {_few(list(benchmark.images[lost]))}"
        )
        findings.append(Finding("query-without-positive", "warning", text))
    people = np.setdiff1d(benchmark.identity[lost], candidates.query_identity[found > 0])
    if people.size:
        names = [benchmark.identities[number] for number in people]
        text = f"{people.size} identities lose all their queries and leave the macro mean: {_few(names)}"
        findings.append(Finding("identity-without-query", "warning", text))
    return findings


def _nobody_queries(benchmark: Benchmark) -> list[Finding]:
    """Queries that are searched for in vain: nobody, or taken out of retrieval."""
    findings = []
    for name, mask in (("distractor", benchmark.distractor), ("junk", benchmark.junk)):
        for split, code in (("query", QUERY), ("train", TRAIN)):
            rows = np.flatnonzero((benchmark.split == code) & mask)
            if rows.size:
                text = (
                    f"{rows.size} {split} images are declared as {name} and have no identity:"
                    f" {_few(list(benchmark.images[rows]))}; if they show a person, declare others in [retrieval]"
                )
                findings.append(Finding(f"{name}-in-{split}", "warning", text))
    return findings


def _identity_names(benchmark: Benchmark) -> list[Finding]:
    findings = []
    missing = look_missing(benchmark.identities, benchmark.persons)
    if missing:
        text = f"{len(missing)} identities look like missing values and count as people: {_few(missing)}"
        findings.append(Finding("identity-looks-missing", "warning", text))
    alike = [" = ".join(names) for names in look_alike(benchmark.identities)]
    if alike:
        text = f"{len(alike)} sets of identities differ in spelling alone and count as different: {_few(alike)}"
        findings.append(Finding("identities-alike", "warning", text))
    return findings


def _unused_columns(benchmark: Benchmark) -> list[Finding]:
    text = "no exclusion rule uses the column {!r}: images that agree in it stay candidates"
    severity: Severity = "note" if benchmark.rules_declared else "warning"
    return [Finding("unused-rule-column", severity, text.format(name)) for name in unused_columns(benchmark)]


def _pairs(lists: Ragged, width: int) -> IntArray:
    owner = np.repeat(np.arange(len(lists)), np.diff(lists.start))
    return np.asarray(owner * width + lists.values, dtype=np.int64)


def _missing_labels(benchmark: Benchmark) -> list[Finding]:
    """Test images that are not annotated: every one, most or some of them."""
    n_test = benchmark.test_rows.size
    some, most, every = [], [], []
    for task in benchmark.classification_tasks:
        count = n_test - int(_annotated(benchmark, task)[benchmark.test_rows].sum())
        if count == n_test:
            every.append(task.name)
        elif FEW_ANNOTATED * (n_test - count) < n_test:
            most.append(f"{task.name} {count}")
        elif count:
            some.append(f"{task.name} {count}")
    findings = []
    if n_test and every:
        text = f"no test image is annotated for {', '.join(every)}: no score is possible"
        findings.append(Finding("task-without-labels", "warning", text))
    if most:
        text = f"most of {n_test} test images are not annotated: {', '.join(most)}"
        findings.append(Finding("missing-labels", "warning", text))
    if some:
        text = f"some of {n_test} test images are not annotated: {', '.join(some)}"
        findings.append(Finding("missing-labels", "note", text))
    return findings


def _annotated(benchmark: Benchmark, task: Task) -> BoolArray:
    labels = benchmark.labels[task.name]
    return np.asarray((labels[:, 0] if task.multi_label else labels) != NOT_ANNOTATED)


def _labels(benchmark: Benchmark, task: Task) -> list[Finding]:
    labels, annotated = benchmark.labels[task.name], _annotated(benchmark, task)
    train, test = benchmark.split == TRAIN, benchmark.split != TRAIN
    findings = []
    for name, here in (("train", train & annotated), ("query and gallery", test & annotated)):
        if here.any():
            unused = [label for label, count in zip(task.labels, _counts(labels, here, task), strict=True) if not count]
            if unused:
                text = (
                    f"{task.name}: {len(unused)} of {len(task.labels)} labels have no image in {name}: {_few(unused)}"
                )
                findings.append(Finding("unused-label", "warning", text))
    tiny = [
        f"{label} ({count})"
        for label, count in zip(task.labels, _counts(labels, test & annotated, task), strict=True)
        if 0 < count < TINY_LABEL
    ]
    if tiny:
        text = f"{task.name}: fewer than {TINY_LABEL} test images have the label {_few(tiny)}"
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
        text = "near-duplicates are not grouped, so that none is left out of retrieval; `piq groups` groups them"
        return [Finding("no-groups", "note", text)]
    rows = np.flatnonzero(groups.group != NO_GROUP)
    group = groups.group[rows]
    numbers, sizes = np.unique(group, return_counts=True)
    giant = (sizes > GIANT_IMAGES) & (sizes * GIANT_SHARE > n_test)
    findings = []
    if giant.any():
        shown = [f"{benchmark.images[n]} ({size})" for n, size in zip(numbers[giant], sizes[giant], strict=True)]
        text = (
            f"{len(shown)} near-duplicate groups hold more than 1% of the test images and more than {GIANT_IMAGES}"
            f" each; the threshold of {groups.grouping.threshold} may be too high: {_few(shown)}"
        )
        findings.append(Finding("giant-group", "warning", text))
    if benchmark.source is not None:
        mixed = mixed_groups(group, text_codes(benchmark.source[rows]))
        if mixed.size:
            first = _few(list(benchmark.images[mixed]))
            text = f"{mixed.size} near-duplicate groups hold images of several sources: {first}"
            findings.append(Finding("group-spans-sources", "warning", text))
    mixed = mixed_groups(group, benchmark.identity[rows])
    if mixed.size:
        text = f"{mixed.size} near-duplicate groups hold several identities: {_few(list(benchmark.images[mixed]))}"
        findings.append(Finding("group-spans-identities", "warning", text))
    return findings


def _few(names: Sequence[str]) -> str:
    return first_few(names, len(names))
