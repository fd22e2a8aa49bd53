"""Formats scores, statistics and comparisons, one module per format; the only place that rounds numbers."""
