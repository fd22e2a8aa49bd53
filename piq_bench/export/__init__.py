"""Exports for other programs: bundles for challenge hosts, descriptions of data sets, results."""
