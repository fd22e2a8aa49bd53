"""Embeddings to the tie-aware ranks of every query's positives."""
