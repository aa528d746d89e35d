"""Speech to text: recordings in, segments out."""
