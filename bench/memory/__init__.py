"""What models take beside what was estimated for them: a real size, random weights, a real worker process."""
