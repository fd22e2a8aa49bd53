"""A benchmark to what other programs take: bundles for the hosts of challenges, descriptions, results."""
