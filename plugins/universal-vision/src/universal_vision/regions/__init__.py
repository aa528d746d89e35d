"""Models that say where things are in an image: boxes, masks, depths."""
