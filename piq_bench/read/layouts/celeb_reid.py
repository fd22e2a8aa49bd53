"""Celeb-reID and Celeb-reID-light: street snapshots of celebrities in changing clothes.

Names such as `12_3_0.jpg` are identity, image number and a field without meaning. There is neither a camera nor a label
of clothes, so nothing is excluded. The authors' own evaluation takes the first digit of the image number for a camera
and drops images that share it, so its numbers differ. Identities of test begin at 1 again, so those of train are read
as `train-12`.
Source: Huang et al., Beyond scalar neuron: adopting vector-neuron capsules for long-term person re-identification,
TCSVT 2019.
"""

import re

from piq_bench.read.layouts.layout import Layout, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, TRAIN

NAME = re.compile(r"(?P<identity>\d{1,6})_\d{1,6}_\d{1,6}\.jpg", re.ASCII)

CELEB_REID = Layout(
    name="celeb-reid",
    title="Celeb-reID",
    example="12_3_0.jpg",
    parts=(Part("train", TRAIN, NAME, people="train-"), Part("query", QUERY, NAME), Part("gallery", GALLERY, NAME)),
    rules=CandidateRules(exclude=()),
    editions=(
        {TRAIN: (20208, 632), QUERY: (2972, 420), GALLERY: (11006, 420)},
        {TRAIN: (9021, 490), QUERY: (887, 100), GALLERY: (934, 100)},  # Celeb-reID-light
    ),
    remark="nothing is excluded, as cameras are not known; identities of train begin with 'train-'",
)
