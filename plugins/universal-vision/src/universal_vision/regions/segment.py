"""Masks of the parts of a picture: by kind, by thing, or of what words describe."""

import math
from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from universal_core import UnsupportedField
from universal_vision.regions.detect import labels_of, name_of, rows_of
from universal_vision.regions.finder import Job, Size, Words

TELL_APART = ("post_process_panoptic_segmentation", "post_process_instance_segmentation")
"""The methods of image processors that tell things apart, as transformers' pipeline prefers them."""

# What transformers' pipeline takes: how sure a pixel of a mask is, and how much of a mask no other covers.
_SURE_PIXEL, _UNCOVERED = 0.5, 0.5

# Masks are computed for every pixel from as many numbers as there are kinds or things. What would take more than this
# is computed for fewer pixels and enlarged.
_MOST_BYTES = 2**30


class Part(NamedTuple):
    """A part of a picture: the pixels of a map, of the picture's shape or smaller, that have a number."""

    label: str
    score: float | None
    map: NDArray[Any]
    number: int


Parts = tuple[Part, ...]


class KindSegmenter:
    """Gives each pixel a kind."""

    def __init__(self, processor: Any, labels: dict[int, str]) -> None:
        """``labels`` are the names of the kinds by their number in the model."""
        self._processor = processor
        self._labels = labels

    def words(self, job: Job) -> Words:
        """Return nothing: the kinds are the model's own. Raises UnsupportedField for a threshold."""
        if job.threshold is not None:
            raise UnsupportedField(
                "threshold: this model gives every pixel a label and has no scores; leave it out", param="threshold"
            )
        return Words({})

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Parts]:
        """Return a part for each kind that a pixel has, in the order of the model's kinds, without scores."""
        layers = outputs.logits.shape[1]
        targets = [bounded(size, layers) for size in sizes]
        maps = self._processor.post_process_semantic_segmentation(outputs, target_sizes=targets)
        return [tuple(self._parts(one)) for one in maps]

    def _parts(self, found: Tensor) -> Iterable[Part]:
        map = _compact(found)
        # To count is several times as fast as to sort, which is how numpy and PyTorch find out what is there.
        for kind in found.flatten().bincount().nonzero().flatten().tolist():
            # Some models have a number for what is no kind.
            if kind in self._labels:
                yield Part(self._labels[kind], None, map, kind)


class ThingSegmenter:
    """Tells things apart, those of the same kind too."""

    def __init__(
        self, processor: Any, labels: dict[int, str], threshold: float | None, words: Words | None = None
    ) -> None:
        """``words`` is what a model is told of its task."""
        self._labels = labels
        self._threshold = 0.9 if threshold is None else threshold
        self._words = words or Words({})
        # As in transformers' pipeline: things and what lies around them if the processor can, else things alone.
        self._process = next(getattr(processor, name) for name in TELL_APART if hasattr(processor, name))
        # Said, because most processors log a warning where it is not; things of these kinds would become one part.
        fusing = "label_ids_to_fuse" in signature(self._process).parameters
        self._settings: dict[str, Any] = {"label_ids_to_fuse": set()} if fusing else {}

    def words(self, job: Job) -> Words:
        """Return what the model is told of its task; the kinds are its own."""
        return self._words

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Parts]:
        """Return the parts of each picture, in the order of transformers."""
        masks = outputs.pred_masks if "pred_masks" in outputs else outputs.masks_queries_logits
        found = self._process(
            outputs,
            threshold=self._threshold if job.threshold is None else job.threshold,
            mask_threshold=_SURE_PIXEL,
            overlap_mask_area_threshold=_UNCOVERED,
            target_sizes=[bounded(size, masks.shape[1]) for size in sizes],
            **self._settings,
        )
        return [tuple(self._parts(one)) for one in found]

    def _parts(self, found: dict[str, Any]) -> Iterable[Part]:
        numbers = _compact(found["segmentation"])
        for part in found["segments_info"]:
            yield Part(name_of(self._labels, part["label_id"]), part["score"], numbers, part["id"])


class WordSegmenter:
    """Makes a mask of what each of the request's labels describes, as CLIPSeg does."""

    def __init__(self, tokenizer: Any, longest: int, threshold: float | None) -> None:
        """``longest`` is how many tokens of a label the model reads."""
        self._tokenizer = tokenizer
        self._longest = longest
        self._threshold = 0.5 if threshold is None else threshold

    def words(self, job: Job) -> Words:
        """Return a row of tokens for each label, which the model reads beside a copy of the picture."""
        return rows_of(self._tokenizer, labels_of(job), self._longest, to_longest=False)._replace(
            copies=len(job.labels)
        )

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Parts]:
        """Return a part for each label that some pixels are likely to be; its score is their mean likelihood."""
        threshold = self._threshold if job.threshold is None else job.threshold
        likely = outputs.logits.sigmoid()
        rows = likely.reshape(len(sizes), len(job.labels), *likely.shape[-2:])
        return [
            tuple(self._parts(one, bounded(size, len(job.labels)), job.labels, threshold))
            for one, size in zip(rows, sizes, strict=True)
        ]

    def _parts(self, likely: Any, size: Size, labels: Sequence[str], threshold: float) -> Iterable[Part]:
        resized = interpolate(likely[None], size=size, mode="bilinear", align_corners=False)[0]
        for label, one in zip(labels, resized, strict=True):
            there = one > threshold
            if there.any():
                yield Part(label, float(one[there].mean()), there.cpu().numpy(), 1)


def task_words(tokenizer: Any, longest: int) -> Words:
    """Return the words by which a OneFormer is told to find things and what lies around them."""
    made = tokenizer(
        "the task is panoptic", padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
    )
    return Words({"task_inputs": made["input_ids"] * made["attention_mask"]})


def _compact(map: Tensor) -> NDArray[numpy.int16]:
    """Return the numbers of a map in a quarter of the memory; there are no more than some thousands of them."""
    return map.to(torch.int16).cpu().numpy()


def bounded(size: Size, layers: int) -> Size:
    """Return the height and width in which so many layers of numbers fit into memory, of the shape of a picture."""
    height, width = size
    scale = min(1.0, math.sqrt(_MOST_BYTES / (height * width * layers * torch.float32.itemsize)))
    return max(1, int(height * scale)), max(1, int(width * scale))
