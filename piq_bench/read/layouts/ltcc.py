"""LTCC, long-term re-identification with changes of clothes.

Names such as `000_1_c11_015833.png` are identity (000 is a person), outfit within the person, camera and more. The
column `clothes` is identity and outfit. By default the standard rule holds: same identity and same camera. For the
cloth-changing setting add `--exclude identity+clothes`, for the same-clothes setting `--exclude identity+~clothes`.
Source: Qian et al., Long-term cloth-changing person re-identification, ACCV 2020; sizes from published loaders.
"""

import re

from piq_bench.read.layouts.layout import Layout, Names, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

NAME = re.compile(r"(?P<identity>\d{1,6})_(?P<outfit>\d{1,4})_(?P<camera>c\d{1,3})_[^/]{1,200}\.png", re.ASCII)


def _columns(names: Names) -> Names:
    identity = names["identity"]
    return {"identity": identity, "camera": names["camera"], "clothes": f"{identity}-{names['outfit']}"}


LTCC = Layout(
    name="ltcc",
    title="LTCC",
    example="000_1_c11_015833.png",
    parts=(Part("train", TRAIN, NAME), Part("query", QUERY, NAME), Part("test", GALLERY, NAME)),
    rules=CandidateRules(exclude=(SAME_CAMERA,)),
    columns=_columns,
    editions=({TRAIN: (9576, 77), QUERY: (493, 75), GALLERY: (7050, 75)},),
    remark="for changed clothes add --exclude identity+clothes, for the same identity+~clothes",
)
