"""All rows of a step in one forward pass of an unmodified model."""
