"""Text to speech: texts cut into sentences, spoken by a model, and encoded as they come."""
