"""Entries from strangers to grades, and grades to the leaderboard."""
