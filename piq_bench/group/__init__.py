"""Images to perceptual hashes to groups of near-duplicates."""
