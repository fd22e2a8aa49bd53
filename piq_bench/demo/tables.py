"""Formats the files of a synthetic data set: the vocabulary in benchmark.toml and the labels in annotations.csv."""

from collections.abc import Iterable

from piq_bench.demo.film import ARMS, BODIES, EXPRESSIONS, Frame, annotation_row
from piq_bench.demo.people import AGES, GENDERS, HEIGHTS, PHYSIQUES

LICENCE = "CC0-1.0"
COLUMNS = (
    "image",
    "split",
    "identity",
    "gender",
    "age",
    "physique",
    "height",
    "body",
    "arm",
    "expression",
    "source",
    "sequence",
)
TASKS = (
    ("gender", "appearance", GENDERS),
    ("age", "appearance", AGES),
    ("physique", "appearance", PHYSIQUES),
    ("height", "appearance", HEIGHTS),
    ("body", "posture", BODIES),
    ("arm", "posture", ARMS),
    ("expression", "emotion", EXPRESSIONS),
)
MULTI_LABEL = "expression"


def benchmark_toml(name: str, remark: str) -> str:
    """The text of benchmark.toml: Portrait250K's tasks with default names; `remark` says where the data come from."""
    blocks = [
        f'# {remark}\nschema = "piq-bench/benchmark/1"\nname = "{name}"\nversion = "1"\nlicence = "{LICENCE}"\n',
        '[grouping]\nhash = "phash"\nthreshold = 6\nmode = "components"\n',
        '[retrieval]\nexclude = [["group"]]\n',
        '[tasks.reid]\naspect = "reid"\nkind = "retrieval"\n',
    ]
    for task, aspect, labels in TASKS:
        quoted = ", ".join(f'"{label}"' for label in labels)
        multi_label = "multi_label = true\n" if task == MULTI_LABEL else ""
        blocks.append(f'[tasks.{task}]\naspect = "{aspect}"\nlabels = [{quoted}]\n{multi_label}')
    return "\n".join(blocks)


def annotations_csv(frames: Iterable[Frame]) -> str:
    """The text of annotations.csv; no value holds a comma or a quote."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(annotation_row(frame).values()) for frame in frames]
    return "\n".join(lines) + "\n"
