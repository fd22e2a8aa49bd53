"""Scores portrait interpretation: re-identification and person attributes, combined into PIQ.

In a notebook: `score` predictions against a benchmark from `read_benchmark` or `make_benchmark`; `evaluate` features or
distances of re-id without any files. In a training loop: collect batches with `ScoreCollector`.

Data flows one way, and imports with it; each rule has one home:

    records, errors      what passes between stages; what a user got wrong
    metrics, write       numbers from ranks and labels; files, written whole or not at all
    cluster              the workers of a Dask scheduler, and tasks whose results count once
    images, group        everything that opens an image file; hashes and near-duplicate groups
    read                 what a file may look like, and who is a candidate (rules)
    retrieve             which gallery images a query is compared with, what similarity is, one file per engine
    describe, scoring    a data set alone; a submission's score, its intervals, comparisons
    report               one file per format; the only place that rounds
    board, export        leaderboard entries; bundles for hosts of challenges
    demo, baseline       the synthetic benchmark; a submission without learning
    api, evaluation,
    collector, cli       what users call
"""

__version__ = "0.1.0"

TYPE_CHECKING = (
    False  # not from `typing`: to import it takes long enough to be met by Ctrl-C, which nothing answers yet
)
if TYPE_CHECKING:
    from piq_bench.api import make_benchmark, score
    from piq_bench.collector import ScoreCollector
    from piq_bench.evaluation import evaluate
    from piq_bench.read.dataset import read_benchmark
    from piq_bench.records import Task
    from piq_bench.report.result import Result

__all__ = ["Result", "ScoreCollector", "Task", "evaluate", "make_benchmark", "read_benchmark", "score"]

_HOMES = {
    "Result": "piq_bench.report.result",
    "ScoreCollector": "piq_bench.collector",
    "Task": "piq_bench.records",
    "evaluate": "piq_bench.evaluation",
    "make_benchmark": "piq_bench.api",
    "read_benchmark": "piq_bench.read.dataset",
    "score": "piq_bench.api",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that commands start at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, imported or not, and what every module has."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
