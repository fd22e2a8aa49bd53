"""VC-Clothes, a synthetic data set with changes of clothes.

Names such as `0001-01-01-00.jpg` are identity, camera (1 to 4), outfit within the person and number. The column
`clothes` is identity and outfit. All cameras are read; published results for "same clothes" use cameras 2 and 3 only,
those for "cloth-changing" cameras 3 and 4 only, by the same rule.
Source: Wan et al., When person re-identification meets changing clothes, CVPR workshops 2020; sizes from memory of
published loaders.
"""

import re

from piq_bench.read.layouts.layout import Layout, Names, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

NAME = re.compile(r"(?P<identity>\d{1,6})-(?P<camera>\d{1,3})-(?P<outfit>\d{1,4})-\d{1,6}\.jpg", re.ASCII)


def _columns(names: Names) -> Names:
    identity = names["identity"]
    return {"identity": identity, "camera": names["camera"], "clothes": f"{identity}-{names['outfit']}"}


VC_CLOTHES = Layout(
    name="vc-clothes",
    title="VC-Clothes",
    example="0001-01-01-00.jpg",
    parts=(Part("train", TRAIN, NAME), Part("query", QUERY, NAME), Part("gallery", GALLERY, NAME)),
    rules=CandidateRules(exclude=(SAME_CAMERA,)),
    columns=_columns,
    editions=({TRAIN: (9449, 256), QUERY: (1020, 256), GALLERY: (8591, 256)},),
)
