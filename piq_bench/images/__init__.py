"""Everything that opens a picture file."""
