"""The records of a score: what a submission reached, with intervals, by which rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from piq_bench.records import FloatArray, Grouping, IntArray

Interval = tuple[float, float] | None
"""Lower and upper end of an interval; None where the value is undefined in every resample."""


@dataclass(frozen=True)
class LabelScore:
    """The score of one label of a task.

    Attributes:
        precision, recall: None where their denominator is 0.
        f1: in [0, 1].
        support: images that have the label.
        predicted: images for which the label is predicted.
        hits: images of both kinds.
    """

    precision: float | None
    recall: float | None
    f1: float
    support: int
    predicted: int
    hits: int


@dataclass(frozen=True)
class AttributeScore:
    """What is reported of a classification task beside its macro F1, none of it in the digest of a score.

    Attributes:
        values: by name of metric; None where it has no case. Of a single-label task: accuracy and balanced_accuracy. Of
            a multi-label task: ma, and accuracy, precision, recall and f1 of each image's set of labels. Of a task that
            was submitted as floats, also mean_average_precision.
        left_out: by name of metric, how many labels or images have no case and are left out of its mean, if any.
        average_precision: by label, of a task submitted as floats; None where no image has the label.
    """

    values: Mapping[str, float | None]
    left_out: Mapping[str, int]
    average_precision: Mapping[str, float | None]


@dataclass(frozen=True, eq=False)
class QueryScores:
    """The scores of each re-id query, with its near-duplicates excluded. Arrays have shape (n_queries,) unless stated.

    Attributes:
        row: row of the query in the benchmark, ascending; only query images with an identity.
        identity: index into `benchmark.identities`.
        average_precision: NaN where no positive is left.
        with_duplicates: average precision without the exclusion of near-duplicates; None where there are no groups.
        first_run: shape (n_queries, 3); for the run of equal similarity that holds the first positive, its positives,
            its candidates, and the candidates ranked before it; CMC depends on nothing else. 0 where no positive is
            left.
        first_run_with_duplicates: `first_run` without the exclusion of near-duplicates; None where there are no groups.
    """

    row: IntArray
    identity: IntArray
    average_precision: FloatArray
    with_duplicates: FloatArray | None
    first_run: IntArray
    first_run_with_duplicates: IntArray | None


@dataclass(frozen=True)
class ReidScore:
    """Scores of retrieval, with and without the exclusion of near-duplicates.

    Attributes:
        values: by name of metric: macro_map, macro_rank1, ..., map, rank1, ...; None where no query could be scored.
        without_exclusion: like `values`, but near-duplicates are not excluded; None where there are no groups.
        chance: macro_map and macro_rank1 of a constant embedding.
        queries: number of query images scored.
        queries_skipped: number of query images with an identity but no positive left.
        identities: number of identities in the macro mean.
        identities_skipped: names of the identities of which no query could be scored.
        queries_unlabelled: number of query images without an identity, which are not re-id queries.
        by_query: scores of each query, for detailed reports; not part of the score file.
        by_identity: mean average precision of each identity in the macro mean.
        further: like `values`, for metrics that are reported beside the score: macro_rank20, rank20.
        further_without_exclusion: like `without_exclusion`, for these metrics.
    """

    values: Mapping[str, float | None]
    without_exclusion: Mapping[str, float | None] | None
    chance: Mapping[str, float | None]
    queries: int
    queries_skipped: int
    identities: int
    identities_skipped: tuple[str, ...]
    queries_unlabelled: int
    by_query: QueryScores | None = field(default=None, compare=False, repr=False)
    by_identity: Mapping[str, float] = field(default_factory=dict)
    further: Mapping[str, float | None] = field(default_factory=dict)
    further_without_exclusion: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Intervals:
    """Bootstrap intervals; resampled are identities and, for unlabelled images, near-duplicate groups.

    Attributes:
        level: coverage of the intervals, in (0, 1).
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.
        piq: interval of PIQ.
        aspects, reid, f1: intervals by name of aspect, retrieval metric and classification task.
        method: name of the method; None for the percentile intervals of earlier versions, whose files do not name it.
    """

    level: float
    resamples: int
    seed: int
    piq: Interval
    aspects: Mapping[str, Interval]
    reid: Mapping[str, Interval]
    f1: Mapping[str, Interval]
    method: str | None = None


@dataclass(frozen=True)
class Protocol:
    """Every choice, apart from the data, that can change a score.

    Attributes:
        version: version of the protocol.
        ap: name of the definition of average precision.
        grouping: how near-duplicates were grouped; None where there are no groups.
        exclude: names of the rules that exclude candidates.
        unlabelled: role of gallery images without an identity.
    """

    version: int
    ap: str
    grouping: Grouping | None
    exclude: tuple[str, ...]
    unlabelled: str = "distractor"


@dataclass(frozen=True)
class Score:
    """A submission's result.

    Attributes:
        piq: the PIQ score; None for a partial submission.
        aspects: score by aspect; None where one of its tasks was not submitted.
        reid: retrieval scores; None where the benchmark or the submission has no re-id.
        f1: macro F1 by submitted task; None where no label occurs.
        labels: scores by task and label.
        confusion: by single-label task, image counts by true label (outer) and predicted label (inner).
        chance_f1, majority_f1: macro F1 by task of random guessing and of always predicting the most frequent label.
        intervals: confidence intervals; None where no resamples were requested.
        notes: sentences that a reader needs to interpret the numbers.
        submission, benchmark: which submission was scored against which benchmark, as in the score file.
        protocol: the choices that the score depends on.
        engine: retrieval engine that computed the score.
        file: SHA-256 and size of the file as received.
        attributes: by submitted task, what is reported beside its macro F1.
        earlier_intervals: the intervals of earlier versions, which digests that they published cover.
    """

    piq: float | None
    aspects: Mapping[str, float | None]
    reid: ReidScore | None
    f1: Mapping[str, float | None]
    labels: Mapping[str, Mapping[str, LabelScore]]
    confusion: Mapping[str, tuple[tuple[int, ...], ...]]
    chance_f1: Mapping[str, float | None]
    majority_f1: Mapping[str, float | None]
    intervals: Intervals | None
    notes: tuple[str, ...]
    submission: Mapping[str, str | int | None]
    benchmark: Mapping[str, str]
    protocol: Protocol
    engine: str
    file: Mapping[str, str | int]
    attributes: Mapping[str, AttributeScore] = field(default_factory=dict)
    earlier_intervals: Intervals | None = field(default=None, compare=False, repr=False)
