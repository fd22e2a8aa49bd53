"""Ranks every query's positives, ties included, from embeddings."""
