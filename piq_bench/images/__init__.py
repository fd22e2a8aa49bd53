"""Finds, opens, decodes and shrinks the image files of a data set."""
