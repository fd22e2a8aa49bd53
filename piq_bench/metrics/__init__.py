"""Pure functions of ranks, labels and counts."""
