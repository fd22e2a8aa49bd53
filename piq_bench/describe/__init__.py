"""A data set alone: statistics, findings and the state of its image files."""
