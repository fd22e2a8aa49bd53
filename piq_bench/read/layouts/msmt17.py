"""MSMT17 V1 and V2 (faces blurred), whose lists name the images of each split.

A line such as `0000/0000_000_01_0303morning_0015_0.jpg 0` is a path and a label; the name is identity, number, camera
(third field, 01 to 15), day, time of day and two counters. Identities begin at 0 in both train and test and 0 is a
person, so identities of train are read as `train-0000`. The images of list_val.txt, which show the same people as
list_train.txt, are not read, as in the original evaluation; some code bases add them to train.
Source: Wei et al., Person transfer GAN to bridge domain gap for person re-identification, CVPR 2018; all lines of the
lists of V1 checked. The sizes of V2 are not checked.
"""

import re

from piq_bench.read.layouts.layout import Layout, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

LINE = re.compile(
    r"(?P<image>(?P<identity>\d{4})/\d{4}_\d{3}_(?P<camera>\d{2})_\d{4}(morning|noon|afternoon)_\d{4}_\d{1,2}(_ex)?"
    r"\.jpg) \d{1,6}\s?",
    re.ASCII,
)
EXAMPLE = "0000/0000_000_01_0303morning_0015_0.jpg 0"
RULES = CandidateRules(exclude=(SAME_CAMERA,), persons=("0000",))
REMARK = "the validation images, which show people of train, are not read; identities of train begin with 'train-'"


def _parts(train: str, test: str) -> tuple[Part, ...]:
    return (
        Part(train, TRAIN, LINE, list="list_train.txt", people="train-"),
        Part(test, QUERY, LINE, list="list_query.txt"),
        Part(test, GALLERY, LINE, list="list_gallery.txt"),
    )


MSMT17_V1 = Layout(
    name="msmt17-v1",
    title="MSMT17 V1",
    example=EXAMPLE,
    parts=_parts("train", "test"),
    rules=RULES,
    editions=({TRAIN: (30248, 1041), QUERY: (11659, 3060), GALLERY: (82161, 3060)},),
    remark=REMARK,
)
MSMT17_V2 = Layout(
    name="msmt17-v2",
    title="MSMT17 V2",
    example=EXAMPLE,
    parts=_parts("mask_train_v2", "mask_test_v2"),
    rules=RULES,
    remark=REMARK,
)
