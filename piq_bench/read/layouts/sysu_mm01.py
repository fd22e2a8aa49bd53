"""SYSU-MM01: people seen in visible light by cameras 1, 2, 4 and 5 and in infrared by cameras 3 and 6.

Images lie in `cam1` to `cam6`, one folder per person; `exp/train_id.txt`, `val_id.txt` and `test_id.txt` list the
identities of each split. People of train and val are the training set, as usual. Infrared images of test people are the
queries, visible ones the gallery (the setting "all-search"). Cameras 2 and 3 stand in the same place, so a query of
camera 3 has no gallery image of camera 2 among its candidates, whoever it shows: column `place`, rule ["place"].
All visible images are the gallery. Published results draw one ("single-shot") or ten images per person and camera for
it, ten times, and count ranks of CMC over people, so their numbers differ.
Source: Wu et al., RGB-infrared cross-modality person re-identification, ICCV 2017; number of queries counted in its
split files.
"""

import re

from piq_bench.read.layouts.layout import Layout, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, TRAIN, Rule

NAME = re.compile(r"(?P<identity>\d{4})/\d{1,6}\.jpg", re.ASCII)
VISIBLE = (1, 2, 4, 5)
INFRARED = (3, 6)
PLACE = {3: 2}  # every other camera has a place of its own


def _parts(cameras: tuple[int, ...], split: int, *lists: str) -> tuple[Part, ...]:
    return tuple(
        Part(
            f"cam{camera}",
            split,
            NAME,
            by_person=True,
            given={"camera": str(camera), "place": str(PLACE.get(camera, camera))},
            people_in=lists,
        )
        for camera in cameras
    )


SYSU_MM01 = Layout(
    name="sysu-mm01",
    title="SYSU-MM01, all-search",
    example="0006/0001.jpg",
    parts=(
        *_parts((*VISIBLE, *INFRARED), TRAIN, "exp/train_id.txt", "exp/val_id.txt"),
        *_parts(INFRARED, QUERY, "exp/test_id.txt"),
        *_parts(VISIBLE, GALLERY, "exp/test_id.txt"),
    ),
    rules=CandidateRules(exclude=(Rule(("place",)),)),
    editions=({QUERY: (3803, 96)},),
    remark="all visible images of test people are the gallery; published results draw one or ten per person and camera",
)
