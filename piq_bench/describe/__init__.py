"""Describes a data set alone: statistics, findings and checks of its image files."""
