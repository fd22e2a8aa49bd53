"""One file per format; the only place that rounds."""
