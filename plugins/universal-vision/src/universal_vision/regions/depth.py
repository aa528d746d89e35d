"""How far away each pixel of a picture is."""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from universal_vision.regions.finder import Job, Size, Words

Depths = NDArray[numpy.float32]


class DepthEstimator:
    """Estimates a depth for each pixel, in the model's unit."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def words(self, job: Job) -> Words:
        """Return nothing: there is nothing to describe."""
        return Words({})

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Depths]:
        """Return the depths of each picture, as many as it has pixels."""
        # By place: the sizes have one name in most processors, and another in that of ZoeDepth.
        found = self._processor.post_process_depth_estimation(outputs, list(sizes))
        return [one["predicted_depth"].cpu().numpy().astype(numpy.float32) for one in found]
