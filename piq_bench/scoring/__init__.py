"""Computes a submission's score, its tallies and intervals, comparisons, and the details behind a score."""
