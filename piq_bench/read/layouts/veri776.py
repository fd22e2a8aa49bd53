"""VeRi-776, a data set of vehicles.

Names such as `0002_c002_00030600_0.jpg` are vehicle, camera (001 to 020), frame and box. The query images are gallery
images too; the rule about identity and camera is what removes them from their own lists.
Source: Liu et al., A deep learning-based approach to progressive vehicle re-identification for urban surveillance,
ECCV 2016. Published sizes of train differ.
"""

import re

from piq_bench.read.layouts.layout import Layout, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

NAME = re.compile(r"(?P<identity>\d{4})_(?P<camera>c\d{3})_\d{8}_\d{1,6}\.jpg", re.ASCII)

VERI776 = Layout(
    name="veri776",
    title="VeRi-776",
    example="0002_c002_00030600_0.jpg",
    parts=(Part("image_train", TRAIN, NAME), Part("image_query", QUERY, NAME), Part("image_test", GALLERY, NAME)),
    rules=CandidateRules(exclude=(SAME_CAMERA,)),
    editions=(
        {TRAIN: (37778, 576), QUERY: (1678, 200), GALLERY: (11579, 200)},
        {TRAIN: (37746, 576), QUERY: (1678, 200), GALLERY: (11579, 200)},
    ),
)
