"""A baseline submission that needs no training."""
