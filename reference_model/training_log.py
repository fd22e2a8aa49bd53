"""The files of a run beside its checkpoint: `config.json`, and `log.csv` with a row per epoch."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from piq_bench.errors import BadUsage, LimitExceeded
from piq_bench.write.files import write_text
from reference_model.checkpoint import unwritable
from reference_model.config import Configuration, to_json

CONFIG = "config.json"
LOG = "log.csv"


def write_config(folder: Path, configuration: Configuration) -> None:
    """Write `config.json`; the folder is made if it does not exist.

    Raises:
        LimitExceeded: if it cannot be written.
    """
    _write(folder / CONFIG, json.dumps(to_json(configuration), indent=2) + "\n")


def write_log(folder: Path, log: Sequence[Mapping[str, Any]]) -> None:
    """Write `log.csv`: columns in the order of their first appearance, empty where an epoch has no such number.

    Raises:
        LimitExceeded: if it cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in log for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    _write(folder / LOG, stream.getvalue())


def epoch_line(row: Mapping[str, Any], n_epochs: int) -> str:
    """One row of the log as a line for a person to read."""
    parts = [f"epoch {row['epoch']}/{n_epochs}", f"rate {row['rate']:.2g}", f"{row['images_per_second']:,.0f} images/s"]
    parts += [f"loss {row['loss']:.3f}", *(f"{key[5:]} {row[key]:.3f}" for key in row if key.startswith("loss."))]
    scores = {key[6:]: value for key, value in row.items() if key.startswith("score.") and value is not None}
    if scores:
        parts += ["held out:", *(f"{name} {value:.3f}" for name, value in scores.items())]
    return "  ".join(parts)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except (OSError, BadUsage, LimitExceeded) as error:
        raise unwritable(path, error) from None
