"""Where models come from: built-in plugins that answer find_model."""
