"""Draws the synthetic benchmark from a seed."""
