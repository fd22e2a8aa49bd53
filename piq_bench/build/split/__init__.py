"""Divides a data set among train, query and gallery by identity."""
