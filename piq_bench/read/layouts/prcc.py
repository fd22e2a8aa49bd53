"""PRCC: each person is seen by cameras A and B in one outfit and by camera C in another.

Images lie in one folder per person below `rgb/train`, where names begin with the camera's letter, and below
`rgb/test/A`, `B` and `C`. The gallery is A. The queries of layout `prcc` are C (other clothes), those of `prcc-same` B
(same clothes); `prcc` is recognised by itself, `prcc-same` must be asked for with `piq import prcc-same`. Nothing is
excluded, as queries and gallery never share a camera. The column `clothes` is identity and outfit.
All images of A are the gallery, as in published code for changes of clothes; the original protocol draws one image per
person ten times. The images of `rgb/val`, which show people of train, are not read.
Source: Yang et al., Person re-identification by contour sketch under moderate clothing change, TPAMI 2019; sizes from
published loaders.
"""

import re

from piq_bench.read.layouts.layout import Layout, Names, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, TRAIN

TRAIN_NAME = re.compile(r"(?P<identity>\d{1,6})/(?P<camera>[ABC])[^/]{1,200}\.(?:jpg|jpeg|png)", re.ASCII)
TEST_NAME = re.compile(r"(?P<identity>\d{1,6})/[^/]{1,200}\.(?:jpg|jpeg|png)", re.ASCII)
REMARK = "all images of camera A are the gallery; queries are {}; the validation images are not read"


def _columns(names: Names) -> Names:
    outfit = "AB" if names["camera"] in "AB" else "C"
    return {**names, "clothes": f"{names['identity']}-{outfit}"}


def _layout(name: str, title: str, camera: str, n_queries: int, remark: str) -> Layout:
    return Layout(
        name=name,
        title=title,
        example="001/A_cropped_rgb001.jpg",
        parts=(
            Part("rgb/train", TRAIN, TRAIN_NAME, by_person=True),
            Part(f"rgb/test/{camera}", QUERY, TEST_NAME, by_person=True, given={"camera": camera}),
            Part("rgb/test/A", GALLERY, TEST_NAME, by_person=True, given={"camera": "A"}),
        ),
        rules=CandidateRules(exclude=()),
        columns=_columns,
        editions=({TRAIN: (17896, 150), QUERY: (n_queries, 71), GALLERY: (3384, 71)},),
        automatic=name == "prcc",
        remark=REMARK.format(remark),
    )


PRCC = _layout("prcc", "PRCC, other clothes", "C", 3543, "those of camera C, in other clothes")
PRCC_SAME = _layout("prcc-same", "PRCC, same clothes", "B", 3873, "those of camera B, in the same clothes")
