"""Where stages meet: a submission's score, its tallies and intervals, comparisons, and what lies behind a score."""
