"""The feature space split: which part of the backbone's feature each task reads. Integers only, no arrays.

The feature is cut as the paper's section 5 says. Aspects read disjoint parts. Attributes of appearance read disjoint
pieces of one part, and re-identification reads that whole part with some dimensions of its own. Tasks of posture share
some dimensions and keep others. Every attribute gets dimensions in proportion to its number of labels. How many, and
how many are shared, the paper does not say: `split_features` takes as many as fit. In its layout every task reads one
contiguous slice:

    [ gender | age | physique | height | re-id only ][ body | shared | arm ][ expression ]

Other vocabularies are split as follows:

* No re-identification: the attributes take what they can; dimensions that rounding leaves at the end are unused.
* Re-identification without attributes of appearance: it has its own dimensions only.
* An aspect of another name: its tasks read disjoint slices, side by side.
* Three or more tasks of posture: neighbours share dimensions, and a task between two shares half as much with each. A
  task that is too small to share does not.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise

from piq_bench.errors import BadUsage, Problem, first_few, printable, quoted
from piq_bench.records import RETRIEVAL, Task

SOURCE = "feature space split"  # what a refusal is about
REID_ASPECT = "appearance"  # aspect whose attributes read parts of re-identification's slice
SHARED_ASPECT = "posture"  # aspect whose tasks share dimensions with their neighbours
GRANULARITY = 16  # slices begin at its multiples: 32 bytes in 16 bits, a size that suits matrix units
OVERLAP = 0.5  # share of the smaller of two neighbours that both read
LEAST_UNASSIGNED = 0.25  # least share of re-identification's slice that no attribute reads


@dataclass(frozen=True)
class Slice:
    """Dimensions from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @property
    def width(self) -> int:
        """Number of dimensions."""
        return self.stop - self.start


@dataclass(frozen=True)
class Split:
    """Which dimensions of the feature each task reads.

    Attributes:
        dimension: D, length of the feature.
        slices: slice of each task, in the order of the vocabulary.
        reid: name of the retrieval task; None if there is none.
    """

    dimension: int
    slices: Mapping[str, Slice]
    reid: str | None = None

    @property
    def shared(self) -> tuple[Slice, ...]:
        """Runs of dimensions that more than one attribute reads."""
        return self._runs(lambda n_attributes: n_attributes > 1)

    @property
    def unassigned(self) -> tuple[Slice, ...]:
        """Runs of dimensions that no attribute reads: re-identification alone does, or nothing where it is missing."""
        return self._runs(lambda n_attributes: n_attributes == 0)

    def table(self) -> list[tuple[str, int, int]]:
        """Name, start and stop of every slice, then of shared and unassigned runs, for printing.

        Empty where every task reads the whole feature.
        """
        if all(part == Slice(0, self.dimension) for part in self.slices.values()):
            return []
        rows = [(name, part.start, part.stop) for name, part in self.slices.items()]
        rows += [("(shared)", part.start, part.stop) for part in self.shared]
        return rows + [("(unassigned)", part.start, part.stop) for part in self.unassigned]

    def edges(self) -> dict[str, list[int]]:
        """Start and stop of each task's slice, as plain values."""
        return {name: [part.start, part.stop] for name, part in self.slices.items()}

    def readers(self) -> list[frozenset[str]]:
        """Shape (dimension,): the tasks that read each dimension."""
        return [
            frozenset(name for name, part in self.slices.items() if part.start <= place < part.stop)
            for place in range(self.dimension)
        ]

    def _runs(self, wanted: Callable[[int], bool]) -> tuple[Slice, ...]:
        runs = []
        start = 0
        for is_wanted, run in groupby(wanted(len(names - {self.reid})) for names in self.readers()):
            stop = start + sum(1 for _ in run)
            if is_wanted:
                runs.append(Slice(start, stop))
            start = stop
        return tuple(runs)


def split_features(
    dimension: int,
    tasks: Sequence[Task],
    *,
    dims_per_label: int | None = None,
    granularity: int = GRANULARITY,
    overlap: float = OVERLAP,
    least_unassigned: float = LEAST_UNASSIGNED,
) -> Split:
    """Cut a feature for a vocabulary, with as many dimensions per label as fit.

    Args:
        dimension: D, length of the feature.
        tasks: the benchmark's vocabulary.
        dims_per_label: None for the largest multiple of `granularity` that leaves re-identification enough.
        granularity: slices begin at its multiples.
        overlap: share of the smaller of two neighbours that both read; at least one granule is shared and one is not,
            where both have two.
        least_unassigned: share of the features of re-identification that no attribute reads; where there is no
            attribute beside it, share of D. Ignored where `dims_per_label` is given.

    Raises:
        BadUsage: if the feature is too short for the labels.
    """
    reid, beside, aspects = _blocks(tasks)
    n_beside = sum(len(task.labels) for task in beside)
    widths: Sequence[int] = range(dimension // granularity * granularity, 0, -granularity)
    if dims_per_label is not None:
        widths, least_unassigned = [dims_per_label], 0.0
    for wide in widths:  # dimensions per label
        common = [_in_common(block, wide, granularity, overlap) for block in aspects]
        rest = dimension - wide * sum(len(task.labels) for task in tasks) + sum(map(sum, common))
        part = wide * n_beside + rest if beside else dimension
        if wide > 0 and rest >= 0 and (reid is None or rest >= max(1, least_unassigned * part)):
            break
    else:
        raise BadUsage(SOURCE, [_too_short(dimension, tasks, widths[-1] if widths else granularity)])
    slices, stop = _side_by_side(beside, [0] * len(beside), wide, 0)
    if reid is not None:
        stop += rest
        slices[reid.name] = Slice(0, stop)
    for block, dims in zip(aspects, common, strict=True):
        placed, stop = _side_by_side(block, dims, wide, stop)
        slices |= placed
    return Split(dimension, {task.name: slices[task.name] for task in tasks}, reid.name if reid else None)


def given_split(dimension: int, tasks: Sequence[Task], slices: Mapping[str, Sequence[int]]) -> Split:
    """Check a split given as a table, for another reading of the paper, such as equal thirds for the aspects.

    Widths need not be proportional to the labels, and tasks of posture need not share; all other rules hold.

    Args:
        dimension: D, length of the feature.
        tasks: the benchmark's vocabulary.
        slices: start and stop of each task's slice.

    Raises:
        BadUsage: listing every task without a proper slice, or everything that reads what it must not.
    """
    problems = _malformed(dimension, tasks, slices)
    if not problems:
        reid = _blocks(tasks)[0]
        parts = {task.name: Slice(*slices[task.name]) for task in tasks}
        split = Split(dimension, parts, reid.name if reid else None)
        problems = _misplaced(split, tasks)
    if problems:
        raise BadUsage(SOURCE, problems)
    return split


def whole(dimension: int, tasks: Sequence[Task]) -> Split:
    """No split: every task reads the whole feature, as in the paper's Sim-MTL and single-task models."""
    reid = _blocks(tasks)[0]
    return Split(dimension, {task.name: Slice(0, dimension) for task in tasks}, reid.name if reid else None)


def _blocks(tasks: Sequence[Task]) -> tuple[Task | None, list[Task], list[list[Task]]]:
    """Re-identification, the attributes inside its features, and the tasks of each other aspect in file order."""
    reid = next((task for task in tasks if task.kind == RETRIEVAL), None)
    inside = {REID_ASPECT, reid.aspect} if reid else set()
    aspects: dict[str, list[Task]] = {}
    for task in tasks:
        if task is not reid and task.aspect not in inside:
            aspects.setdefault(task.aspect, []).append(task)
    beside = [task for task in tasks if task is not reid and task.aspect in inside]
    return reid, beside, list(aspects.values())


def _in_common(block: Sequence[Task], wide: int, granularity: int, overlap: float) -> list[int]:
    """Shape (n_tasks,): dimensions that each task of an aspect has in common with the next; the last has none."""
    if block[0].aspect != SHARED_ASPECT:
        return [0] * len(block)
    sides = [wide * len(task.labels) for task in block]  # what a task has for one neighbour
    sides[1:-1] = [width // 2 // granularity * granularity for width in sides[1:-1]]
    wanted = [(less, round(overlap * less / granularity) * granularity) for less in map(min, pairwise(sides))]
    return [*(max(0, min(max(granularity, want), less - granularity)) for less, want in wanted), 0]


def _side_by_side(block: Sequence[Task], common: Sequence[int], wide: int, start: int) -> tuple[dict[str, Slice], int]:
    """Slices of an aspect's tasks, and where the last one stops."""
    slices = {}
    stop = start
    for task, dims in zip(block, common, strict=True):
        stop = start + wide * len(task.labels)
        slices[task.name] = Slice(start, stop)
        start = stop - dims
    return slices, stop


def _too_short(dimension: int, tasks: Sequence[Task], wide: int) -> Problem:
    counts = ", ".join(f"{task.name} {len(task.labels)}" for task in tasks if task.kind != RETRIEVAL)
    found = f"D = {dimension} does not suffice for {wide} dimensions per label; labels: {counts or 'none'}"
    return Problem("too-short", "feature", found, "a longer feature, fewer dimensions per label or a finer granularity")


def _malformed(dimension: int, tasks: Sequence[Task], slices: Mapping[str, Sequence[int]]) -> list[Problem]:
    """Tasks without a slice, slices of no task, and what is no slice of this feature."""
    names = [task.name for task in tasks]
    missing = [name for name in names if name not in slices]
    unknown = [name for name in slices if name not in names]
    problems = []
    if missing:
        found = f"no slice for {first_few(missing, len(missing))}"
        problems.append(Problem("missing-task", "slices", found, "one slice for every task", len(missing)))
    if unknown:
        found = f"no such task: {first_few(unknown, len(unknown))}"
        problems.append(Problem("unknown-task", "slices", found, f"the tasks are {', '.join(names)}", len(unknown)))
    for name, value in slices.items():
        if not _is_slice(value, dimension):
            remedy = f"whole numbers, 0 <= start < stop <= D = {dimension}"
            problems.append(Problem("not-a-slice", printable(name), f"start and stop are {quoted(value)}", remedy))
    return problems


def _is_slice(value: object, dimension: int) -> bool:
    if not (isinstance(value, list | tuple) and [type(edge) for edge in value] == [int, int]):
        return False
    return bool(0 <= value[0] < value[1] <= dimension)


def _misplaced(split: Split, tasks: Sequence[Task]) -> list[Problem]:
    """Problems of tasks that read dimensions they must not read, or have none of their own."""
    reid, beside, _ = _blocks(tasks)
    counts = Counter(split.readers())
    attributes = {task.name for task in tasks if task is not reid}
    problems = []
    for one, other in combinations(tasks, 2):
        inside = reid in (one, other) and (one in beside or other in beside)
        neighbours = one.aspect == other.aspect == SHARED_ASPECT and one not in beside
        n_common = _n_dims(counts, {one.name, other.name})
        if n_common and not inside and not neighbours:
            found = f"{n_common} dimensions in common"
            problems.append(Problem("overlap", f"{one.name}, {other.name}", found, "these tasks read disjoint slices"))
    for task in tasks:
        n_outside = _n_dims(counts, {task.name}, {reid.name}) if reid and task in beside else 0
        if reid and n_outside:
            remedy = f"the slice lies inside that of {reid.name}"
            problems.append(Problem("outside", task.name, f"{n_outside} dimensions outside of {reid.name}", remedy))
        if not _n_dims(counts, {task.name}, attributes - {task.name}):
            remedy = "every task reads some dimensions that no other attribute reads"
            problems.append(Problem("nothing-own", task.name, "no dimension of its own", remedy))
    if reid and counts[frozenset()]:
        found = f"no task reads {counts[frozenset()]} of D = {split.dimension} dimensions"
        problems.append(Problem("gap", "feature", found, f"{reid.name} takes what no attribute reads"))
    return problems


def _n_dims(counts: Mapping[frozenset[str], int], readers: Set[str], others: Set[str] = frozenset()) -> int:
    """Dimensions that all of `readers` and none of `others` read."""
    return sum(n for names, n in counts.items() if readers <= names and not others & names)
