"""``universal run``: a chat in the terminal."""
