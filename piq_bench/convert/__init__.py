"""Turns the feature files of other tools into submissions."""
