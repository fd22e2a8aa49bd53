"""What the paper reports in Table 4, on Portrait250K, which nobody else has: beside ours, never ranked with it."""

from dataclasses import dataclass

SOURCE = "Fan, Dou, Li, Wang, Portrait Interpretation and a Benchmark, 2022 (arXiv 2207.13315), Table 4"
DATA_SET = "Portrait250K (never released)"


DESIGN = ("model", "metric learning", "weights of losses", "batches")


@dataclass(frozen=True)
class Published:
    """A row of the table.

    Attributes:
        name: preset of the reference model that is this row.
        piq: by the paper's equation (2) from the row's columns; within 0.001 of the printed one.
        design: what the row tries out, in the order of DESIGN.
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
