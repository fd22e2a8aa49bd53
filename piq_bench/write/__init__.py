"""Writes submissions and all other files atomically."""
