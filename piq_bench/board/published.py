"""What the paper reports in Table 4, on Portrait250K, which nobody else has: beside ours, never ranked with it."""

from dataclasses import dataclass

SOURCE = "Fan, Dou, Li, Wang, Portrait Interpretation and a Benchmark, 2022 (arXiv 2207.13315), Table 4"
DATA_SET = "Portrait250K (never released)"


@dataclass(frozen=True)
class Published:
    """A row of the table.

    Attributes:
        name: preset of the reference model that is this row.
        piq: by the paper's equation (2) from the row's columns; within 0.001 of the printed one.
    """

    name: str
    piq: float


ROWS = (
    Published("single-task", 0.4805),
    Published("sim-mtl", 0.4729),
    Published("fss", 0.4790),
    Published("fss-triplet", 0.4575),
    Published("fss-br", 0.4799),
    Published("fss-br-uncertainty", 0.4949),
    Published("sim-mtl-pk", 0.3894),
    Published("sim-mtl-shuffle", 0.4247),
    Published("sim-mtl-r50", 0.4529),
)
