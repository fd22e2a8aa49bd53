"""Imports torch where it is installed, in the process from which `gpu` forks one process for each part."""

from contextlib import suppress

with suppress(ImportError, OSError):
    import torch  # noqa: F401
