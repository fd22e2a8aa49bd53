"""Submissions and all other files, written whole or not at all."""
