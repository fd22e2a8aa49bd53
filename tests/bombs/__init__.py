"""Small files that would cost much to read, and the measurement of what they cost."""
