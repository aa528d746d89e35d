"""Chat models that see."""
