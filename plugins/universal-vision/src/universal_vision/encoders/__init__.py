"""Models that turn an image into labels, scores or a vector."""
