"""DeepChange, seventeen cameras over many months.

A list of each split has lines such as `P3_C12_20200410_09_001_12.jpg,57`: a name, whose first fields are identity,
camera, day and hour, and the tracklet. As in the original evaluation, a query's own tracklet is excluded and other
images of the same camera stay candidates; add `--exclude identity+camera` for the standard rule. There are no labels of
clothes; some code bases take the day for them, which `--exclude identity+day` does. The images of `val-set-query` and
`val-set-gallery`, a second test set with people of its own, are not read.
Source: Xu and Zhu, DeepChange: a long-term person re-identification benchmark with clothes change, ICCV 2023; sizes
from memory of published loaders.
"""

import re

from piq_bench.read.layouts.layout import Layout, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, TRAIN, Rule

LINE = re.compile(
    r"(?P<image>(?P<identity>P\d{1,6})_(?P<camera>C\d{1,4})_(?P<day>[^_,/\s]{1,32})_[^_,/\s]{1,32}_[^_,/\s]{1,64}_[^_,/\s]{1,64})"
    r",\s?(?P<tracklet>\d{1,12})\s?",
    re.ASCII,
)


def _part(folder: str, split: int) -> Part:
    return Part(folder, split, LINE, list=f"{folder}-bbox.txt")


DEEPCHANGE = Layout(
    name="deepchange",
    title="DeepChange",
    example="P3_C12_20200410_09_001_12.jpg,57",
    parts=(_part("train-set", TRAIN), _part("test-set-query", QUERY), _part("test-set-gallery", GALLERY)),
    rules=CandidateRules(exclude=(Rule(("identity", "tracklet")),)),
    editions=({TRAIN: (75083, 450), QUERY: (17527, 521), GALLERY: (62956, 521)},),
    remark="a query's own tracklet is excluded, its camera is not; the validation images are not read",
)
