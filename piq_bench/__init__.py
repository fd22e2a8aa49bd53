"""Scores portrait interpretation: re-identification and person attributes, summed up as PIQ."""

__version__ = "0.1.0"
