"""Processors with a part for videos are loaded without torchvision, and left alone with it."""

from pathlib import Path
from typing import Any

import pytest
from transformers import processing_utils
from transformers.utils import is_torchvision_available

from tiny.folder import info_of
from tiny.media import encoded, picture
from universal_core import LoadFailed
from universal_core.pictures import read_image
from universal_vision import processors
from universal_vision.processors import AbsentVideoProcessor, load_processor

without = pytest.mark.skipif(is_torchvision_available(), reason="torchvision is installed")


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen25_vl", "qwen3_vl", "smolvlm", "internvl", "llava_onevision"])
def test_a_processor_with_a_part_for_videos_reads_pictures(name: str, folder: Any) -> None:
    processor = load_processor(info_of(folder(f"visual_chat.{name}")))
    image = read_image(encoded(picture(size=(64, 64))), "image")
    found = processor(text=[processor.image_token + "hello"], images=[[image]], return_tensors="pt")
    assert found["input_ids"].shape[1] > 3
    assert found["pixel_values"].isfinite().all()
    assert "image_processor" in repr(processor)


@without
def test_the_part_for_videos_has_the_settings_of_the_files_and_refuses_videos(folder: Any) -> None:
    part = load_processor(info_of(folder("visual_chat.qwen25_vl"))).video_processor
    assert isinstance(part, AbsentVideoProcessor)
    assert (part.merge_size, part.num_frames) == (2, None)
    assert not hasattr(part, "_secret")
    with pytest.raises(ImportError, match="torchvision"):
        part("a video")


def test_with_torchvision_the_tables_of_transformers_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"video_processor": ("somewhere", "RealVideoProcessor")}
    classes = {"video_processor": "VideoProcessorMixin"}
    monkeypatch.setattr(type(processing_utils.MODALITY_TO_AUTOPROCESSOR_MAPPING), "_MAPPING_NAMES", dict(names))
    monkeypatch.setattr(processors, "MODALITY_TO_BASE_CLASS_MAPPING", dict(classes))
    monkeypatch.setattr(processors, "is_torchvision_available", lambda: True)
    processors.do_without_videos()
    table = type(processing_utils.MODALITY_TO_AUTOPROCESSOR_MAPPING)._MAPPING_NAMES
    assert (table, processors.MODALITY_TO_BASE_CLASS_MAPPING) == (names, classes)
    monkeypatch.setattr(processors, "is_torchvision_available", lambda: False)
    processors.do_without_videos()
    assert table["video_processor"] == ("universal_vision.processors", "AbsentVideoProcessor")
    assert processors.MODALITY_TO_BASE_CLASS_MAPPING == {"video_processor": "ImageProcessingMixin"}


def test_a_processor_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(LoadFailed, match="could not be loaded"):
        load_processor(info_of(tmp_path))
