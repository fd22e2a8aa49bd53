"""Reads data sets and submissions from files into records."""
