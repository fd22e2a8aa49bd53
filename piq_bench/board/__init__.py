"""Reads, grades and ranks submitted entries, and writes the leaderboard."""
