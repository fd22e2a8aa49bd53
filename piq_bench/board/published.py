"""The results of the paper's Table 4 on Portrait250K, a data set that was never released.

Boards show them in a table of their own and never rank them with entries. The scores of the aspects are not printed in
the paper; they follow from the printed columns by its equation (2).
"""

from dataclasses import dataclass

from piq_bench.metrics.piq import aspect_scores, reid_score
from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.report.rows import percent

SOURCE = "Fan, Dou, Li, Wang, Portrait Interpretation and a Benchmark, 2022 (arXiv 2207.13315), Table 4"
HEADING = "Published results on another data set"
NOTE = (
    "The paper's models on Portrait250K, which was never released, in per cent as printed; the aspects are computed "
    "from the other columns. The entries above were scored on other data and cannot be compared with these results. "
    "Rows carry the names of our presets that implement them."
)
DESIGN = ("model", "metric learning", "weights of losses", "batches")
TASKS = tuple(task.name for task in DEFAULT_TASKS if task.labels)
ASPECTS = tuple(dict.fromkeys(task.aspect for task in DEFAULT_TASKS))
NUMBERS = ("PIQ", *ASPECTS, "macro mAP", "macro Rank-1", *(f"{task} F1" for task in TASKS))


@dataclass(frozen=True)
class Published:
    """One row of the table, as printed: fractions with three decimals.

    Attributes:
        name: preset of our reference model that implements this row.
        macro_map, macro_rank1: re-id.
        f1: macro F1 of each task, in the order of TASKS.
        piq: PIQ; within 0.001 of what equation (2) gives for the rounded columns.
        design: the design choices of the row, in the order of DESIGN.
    """

    name: str
    macro_map: float
    macro_rank1: float
    f1: tuple[float, ...]
    piq: float
    design: tuple[str, str, str, str]

    @property
    def aspects(self) -> dict[str, float]:
        """Score of each aspect, from the printed columns."""
        scores = dict(zip(TASKS, self.f1, strict=True))
        scores |= {task.name: reid_score(self.macro_rank1, self.macro_map) for task in DEFAULT_TASKS if not task.labels}
        found = aspect_scores(DEFAULT_TASKS, scores)
        return {aspect: value for aspect, value in found.items() if value is not None}

    @property
    def texts(self) -> tuple[str, ...]:
        """The row in per cent, in the order of NUMBERS: one decimal as in the paper, two for the aspects."""
        aspects = map(percent, self.aspects.values())
        piq, *others = (f"{100.0 * value:.1f}" for value in (self.piq, self.macro_map, self.macro_rank1, *self.f1))
        return (piq, *aspects, *others)


# fmt: off
ROWS = (
    Published("single-task", 0.424, 0.603, (0.885, 0.717, 0.287, 0.615, 0.527, 0.634, 0.202), 0.480,
              ("a model per task", "none", "-", "random")),
    Published("sim-mtl", 0.314, 0.509, (0.847, 0.722, 0.472, 0.708, 0.624, 0.596, 0.183), 0.473,
              ("Sim-MTL, HRNet-W32", "none", "equal", "random")),
    Published("fss", 0.367, 0.541, (0.831, 0.718, 0.471, 0.692, 0.618, 0.598, 0.176), 0.479,
              ("FSS, HRNet-W32", "none", "equal", "random")),
    Published("fss-triplet", 0.342, 0.525, (0.852, 0.688, 0.430, 0.680, 0.581, 0.559, 0.164), 0.457,
              ("FSS, HRNet-W32", "triplet", "equal", "random")),
    Published("fss-br", 0.359, 0.538, (0.837, 0.740, 0.478, 0.699, 0.617, 0.600, 0.174), 0.480,
              ("FSS, HRNet-W32", "BR", "equal", "random")),
    Published("fss-br-uncertainty", 0.351, 0.536, (0.823, 0.685, 0.444, 0.650, 0.561, 0.530, 0.340), 0.495,
              ("FSS, HRNet-W32", "BR", "uncertainty", "random")),
    Published("sim-mtl-pk", 0.310, 0.514, (0.861, 0.474, 0.279, 0.525, 0.448, 0.412, 0.181), 0.389,
              ("Sim-MTL, HRNet-W32", "none", "equal", "P-K")),
    Published("sim-mtl-shuffle", 0.248, 0.448, (0.832, 0.678, 0.424, 0.635, 0.568, 0.545, 0.152), 0.425,
              ("Sim-MTL, HRNet-W32", "none", "equal", "shuffle")),
    Published("sim-mtl-r50", 0.265, 0.447, (0.811, 0.715, 0.472, 0.700, 0.600, 0.584, 0.189), 0.453,
              ("Sim-MTL, ResNet-50", "none", "equal", "random")),
)
# fmt: on
