"""CUHK03-NP, the new protocol of CUHK03, as packaged in Market-1501's folders below `detected` and `labeled`.

Names such as `0003_c1_21.png` are identity, camera (the view, 1 or 2) and number. It is recognised if its folder is
called detected, labeled or labelled, or contains "cuhk03"; of a folder that holds both, pass one.
Source: Zhong et al., Re-ranking person re-identification with k-reciprocal encoding, CVPR 2017; sizes counted in its
split files.
"""

import re

from piq_bench.read.layouts.layout import Layout
from piq_bench.read.layouts.market1501 import market_parts
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

NAME = re.compile(r"(?P<identity>\d{4})_(?P<camera>c[12])_\d{1,6}\.(png|jpg)", re.ASCII)

CUHK03_NP = Layout(
    name="cuhk03-np",
    title="CUHK03-NP",
    example="0003_c1_21.png",
    parts=market_parts(NAME),
    rules=CandidateRules(exclude=(SAME_CAMERA,)),
    editions=(
        {TRAIN: (7365, 767), QUERY: (1400, 700), GALLERY: (5332, 700)},  # detected
        {TRAIN: (7368, 767), QUERY: (1400, 700), GALLERY: (5328, 700)},  # labeled
    ),
    folder_name=re.compile(r"detected|labell?ed|.*cuhk03.*", re.IGNORECASE),
)
