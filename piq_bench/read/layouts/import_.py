"""Writes a public data set down as a folder of this project, which scores with the same numbers and digest.

Rules, identities and labels can then be read and changed. Images stay where they are. The folder is read back before it
is kept, and must have the fingerprint of the original.
"""

import shutil
from pathlib import Path

from piq_bench.errors import BadUsage, Problem, quoted
from piq_bench.group.stored import parameters_file
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import Inspection, inspect_dataset
from piq_bench.read.validate import MAX_PATH, text_fault
from piq_bench.read.vocabulary import FILE
from piq_bench.write.benchmark import benchmark_toml, write_annotations
from piq_bench.write.files import new_folder

OWN = ("folder", "table")


def import_dataset(path: Path, out: Path, layout: str | None = None, taxonomy: str | None = None) -> Inspection:
    """Read a public data set and write it to a new folder.

    Args:
        path: the public data set.
        out: the folder to write, whole or not at all.
        layout: name of the layout of the data set; None to recognise it.
        taxonomy: as for `read_benchmark`.

    Raises:
        BadDataset: if it cannot be read.
        BadUsage: if it is no public data set, `out` is not free, or the path of the images cannot be written down.
    """
    inspection = inspect_dataset(path, layout=layout, taxonomy=taxonomy)
    benchmark, rows, rules = inspection.benchmark, inspection.rows, inspection.rules
    if benchmark.layout in OWN or benchmark.root is None:
        problem = Problem("own-layout", path.name, "is no public data set", "it is read as it is; nothing to import")
        raise BadUsage(str(path), [problem])
    images_root = (benchmark.root / benchmark.images_folder).resolve().as_posix()
    if (fault := text_fault(images_root, MAX_PATH)) is not None:
        raise BadUsage(str(path), [Problem("image-path", "PATH", f"is {quoted(images_root)}: {fault}", "rename it")])
    names = (*rows.identities, "")  # NO_IDENTITY is -1: the last element
    with new_folder(out) as folder:
        toml = benchmark_toml(
            benchmark,
            remark=f"imported from {benchmark.layout}",
            images_root=images_root,
            exclude=rules.exclude or (),
            junk=rules.junk or (),
            distractors=rules.distractors or (),
        )
        (folder / FILE).write_text(toml, encoding="utf-8", newline="\n")
        identity = [names[index] for index in rows.identity]
        write_annotations(
            folder / "annotations.csv", benchmark, identity, {n: t.tolist() for n, t in rows.texts.items()}
        )
        if benchmark.groups is not None:
            for name in ("groups.csv", parameters_file(Path("groups.csv")).name, "groups.parquet"):
                if (benchmark.root / name).exists():
                    shutil.copyfile(benchmark.root / name, folder / name)
        written = inspect_dataset(folder).benchmark
        if fingerprint(written) != fingerprint(benchmark):
            raise AssertionError(f"{quoted(out)} would not be the same data set as {quoted(path)}")
    return inspection
