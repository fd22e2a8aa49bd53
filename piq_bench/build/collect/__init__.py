"""Cuts portraits out of videos: tracks, decoding, shots, crops, and a data set that an interrupted run resumes."""
