"""Models that write about an image and are no chat models."""
