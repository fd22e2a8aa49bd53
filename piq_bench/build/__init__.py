"""Builds a data set: cuts portraits out of videos, labels them by hand, and splits them."""
