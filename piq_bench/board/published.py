"""The results of the paper's Table 4 on Portrait250K, a data set that was never released.

Boards show them in a table of their own and never rank them with entries.
"""

from dataclasses import dataclass

SOURCE = "Fan, Dou, Li, Wang, Portrait Interpretation and a Benchmark, 2022 (arXiv 2207.13315), Table 4"
HEADING = "Published results on another data set"
NOTE = (
    "PIQ of the paper's models on Portrait250K, which was never released, in per cent. The entries above were scored "
    "on other data and cannot be compared with these results. Rows carry the names of our presets that implement them."
)
DESIGN = ("model", "metric learning", "weights of losses", "batches")


@dataclass(frozen=True)
class Published:
    """One row of the table.

    Attributes:
        name: preset of our reference model that implements this row.
        piq: PIQ in [0, 1], from the row's other columns by the paper's equation (2); within 0.001 of the printed value.
        design: the design choices of the row, in the order of DESIGN.
    """

    name: str
    piq: float
    design: tuple[str, str, str, str]


ROWS = (
    Published("single-task", 0.4805, ("a model per task", "none", "-", "random")),
    Published("sim-mtl", 0.4729, ("Sim-MTL, HRNet-W32", "none", "equal", "random")),
    Published("fss", 0.4790, ("FSS, HRNet-W32", "none", "equal", "random")),
    Published("fss-triplet", 0.4575, ("FSS, HRNet-W32", "triplet", "equal", "random")),
    Published("fss-br", 0.4799, ("FSS, HRNet-W32", "BR", "equal", "random")),
    Published("fss-br-uncertainty", 0.4949, ("FSS, HRNet-W32", "BR", "uncertainty", "random")),
    Published("sim-mtl-pk", 0.3894, ("Sim-MTL, HRNet-W32", "none", "equal", "P-K")),
    Published("sim-mtl-shuffle", 0.4247, ("Sim-MTL, HRNet-W32", "none", "equal", "shuffle")),
    Published("sim-mtl-r50", 0.4529, ("Sim-MTL, ResNet-50", "none", "equal", "random")),
)
