"""The tasks of a model, put together by its kind."""

from typing import Any

from universal_core import ModelInfo
from universal_vision.loading import load_image_processor, load_tokenizer
from universal_vision.processors import load_processor
from universal_vision.regions.depth import DepthEstimator
from universal_vision.regions.detect import Detector, GroundedDetector, OpenDetector
from universal_vision.regions.finder import Finder
from universal_vision.regions.kinds import Kind
from universal_vision.regions.options import RegionOptions
from universal_vision.regions.segment import TELL_APART, KindSegmenter, ThingSegmenter, WordSegmenter, task_words

Finders = dict[str, Finder[Any]]

_READ_ALL_LABELS_AS_ONE_TEXT = ("grounding-dino", "mm-grounding-dino")


def load_finders(info: ModelInfo, kind: Kind, config: Any, options: RegionOptions) -> tuple[Any, Finders]:
    """Return the model's image processor and its tasks by name. Raises LoadFailed."""
    if kind.open:
        processor = load_processor(info, options.trust_remote_code)
        return processor.image_processor, {kind.tasks[0]: _open_finder(processor, kind, config, options)}
    if config.model_type == "oneformer":
        return _oneformer(info, config, options)
    images = load_image_processor(info, options)
    return images, {task: _closed_finder(task, images, config, options) for task in kind.tasks}


def _open_finder(processor: Any, kind: Kind, config: Any, options: RegionOptions) -> Finder[Any]:
    if config.model_type in _READ_ALL_LABELS_AS_ONE_TEXT:
        return GroundedDetector(processor, config.max_text_len, options.threshold)
    longest = config.text_config.max_position_embeddings
    if "segment" in kind.tasks:
        return WordSegmenter(processor.tokenizer, longest, options.threshold)
    return OpenDetector(processor, longest, options.threshold)


def _closed_finder(task: str, images: Any, config: Any, options: RegionOptions) -> Finder[Any]:
    if task == "detect":
        return Detector(images, config.id2label, options.threshold)
    if task == "estimate_depth":
        return DepthEstimator(images)
    if any(hasattr(images, name) for name in TELL_APART):
        return ThingSegmenter(images, config.id2label, options.threshold)
    return KindSegmenter(images, config.id2label)


def _oneformer(info: ModelInfo, config: Any, options: RegionOptions) -> tuple[Any, Finders]:
    # The names of the kinds, for training, are on the hub and nowhere else; the configuration has them too.
    images = load_image_processor(info, options, class_info_file=None)
    words = task_words(load_tokenizer(info, options), config.task_seq_len)
    return images, {"segment": ThingSegmenter(images, config.id2label, options.threshold, words)}
