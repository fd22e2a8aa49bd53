"""A secret of this user on this machine, with which a file can be marked as one's own.

It lies in the user's folder for settings of programs. Where there is none that can be written, a new secret is drawn
for this process, so that what an earlier process marked is not believed.
"""

import os
import secrets
from pathlib import Path

import click

FILE = "secret"
N_BYTES = 32


def user_secret() -> bytes:
    """The secret, which is drawn and stored on the first call."""
    folder = Path(click.get_app_dir("piq-bench"))
    if not folder.is_absolute():  # without a home, a path may begin with "~"
        return secrets.token_bytes(N_BYTES)
    try:
        found = _read(folder / FILE)
        if found is None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _store(folder / FILE)
            found = _read(folder / FILE)
    except OSError:
        found = None
    return found or secrets.token_bytes(N_BYTES)


def _read(path: Path) -> bytes | None:
    """The stored secret; None if there is none, or the file is not one that this module writes."""
    if not path.is_file() or path.stat().st_size != N_BYTES:
        return None
    return path.read_bytes()


def _store(path: Path) -> None:
    """Store a new secret, for this user alone, unless the file exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(N_BYTES))
