"""Hashes images and groups near-duplicates by their perceptual hashes."""
