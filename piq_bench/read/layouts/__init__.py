"""Readers of public data sets in the files that their authors give out, one module per data set."""
