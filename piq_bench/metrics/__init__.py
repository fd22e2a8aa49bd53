"""Pure functions from ranks, labels and counts to numbers."""
