"""Florence-2: its tasks, what it says as data, and prompts that it would misunderstand."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from transformers import Florence2ForConditionalGeneration

from tiny.captioning import PICTURES, ask, describe, load, question
from tiny.folder import info_of
from universal_core import BadRequest, LoadFailed
from universal_vision.captions.claim import claim
from universal_vision.captions.writer import Prepared
from universal_vision.processors import load_processor

Folder = Callable[[str], Path]

ALONE = ("<OCR>", "<OCR_WITH_REGION>", "<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>", "<OD>")
ALONE = (*ALONE, "<DENSE_REGION_CAPTION>", "<REGION_PROPOSAL>")
WITH_TEXT = (
    *("<CAPTION_TO_PHRASE_GROUNDING>", "<REFERRING_EXPRESSION_SEGMENTATION>", "<REGION_TO_SEGMENTATION>"),
    *("<OPEN_VOCABULARY_DETECTION>", "<REGION_TO_CATEGORY>", "<REGION_TO_DESCRIPTION>", "<REGION_TO_OCR>"),
)
REGION = "<loc_100><loc_200><loc_300><loc_400>"


@pytest.fixture
def florence(folder: Folder) -> Path:
    return folder("captions.florence2")


def library(path: Path, prompt: str, beams: int = 3) -> tuple[str, Any]:
    """Return the library's text without its marks, and what it reads out of it, of the first picture."""
    processor, model = load_processor(info_of(path)), Florence2ForConditionalGeneration.from_pretrained(path).eval()
    inputs = processor(text=prompt, images=PICTURES[0], return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=24, num_beams=beams, do_sample=False)
    (text,) = processor.batch_decode(tokens, skip_special_tokens=False)
    task = prompt.partition(">")[0] + ">"
    parsed = processor.post_process_generation(text, task=task, image_size=PICTURES[0].size)
    for mark in ("<s>", "</s>", "<pad>"):
        text = text.replace(mark, "")
    return text.strip(), parsed


@pytest.mark.parametrize("task", [*ALONE, *WITH_TEXT])
def test_each_task_says_what_the_library_says_as_words_and_as_data(florence: Path, task: str) -> None:
    prompt = task + (REGION if task.startswith("<REGION_TO") else "a cat") * (task in WITH_TEXT)
    (answer,) = ask(florence, describe(PICTURES[0], prompt, max_length=24))
    assert (answer.caption, answer.parsed) == library(florence, prompt)
    assert msgspec.json.decode(msgspec.json.encode(answer.parsed)) == answer.parsed


def test_without_a_prompt_it_writes_a_caption(florence: Path) -> None:
    plain, asked = ask(florence, describe(PICTURES[0]), describe(PICTURES[0], "<CAPTION>"))
    assert plain == asked
    assert plain.parsed.keys() == {"<CAPTION>"}


def test_places_are_pixels_of_the_picture(florence: Path) -> None:
    with closing(load(florence)) as model:
        writer = model._writer
        prepared = Prepared(inputs={}, max_length=8, task="<OD>", size=(200, 100))
        parsed = writer.parse(prepared, f"a cat{REGION}a dog{REGION}")
    box = [20, 20, 60, 40]
    assert parsed == {"<OD>": {"bboxes": [box, box], "labels": ["a cat", "a dog"]}}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("<FLY>", "<FLY> is no task"),
        ("<OD> a cat", "<OD> stands alone"),
        ("<CAPTION_TO_PHRASE_GROUNDING>", "needs a text"),
        ("find it <OD>", "must stand at the beginning"),
        ("<OPEN_VOCABULARY_DETECTION>a cat <OD>", "must stand at the beginning"),
    ],
)
def test_a_task_that_it_cannot_do_is_refused_with_those_that_it_can(florence: Path, prompt: str, words: str) -> None:
    (error,) = ask(florence, describe(PICTURES[0], prompt))
    assert isinstance(error, BadRequest)
    assert error.param == "prompt"
    assert words in error.message
    assert all(task in error.message for task in (*ALONE, *WITH_TEXT))


def test_a_question_goes_to_it_as_it_is(florence: Path) -> None:
    free, asked, marked = ask(
        florence,
        question(PICTURES[0], "what is it"),
        describe(PICTURES[0], "what is it"),
        question(PICTURES[0], "<OD>"),
    )
    assert free.answer == asked.caption
    assert asked.parsed is None
    assert isinstance(marked, BadRequest)
    assert marked.param == "question"


def test_beams_are_three_unless_the_options_say_otherwise(florence: Path) -> None:
    texts = {
        beams: ask(florence, describe(PICTURES[2], "<OD>", max_length=24), num_beams=beams)[0].caption
        for beams in (None, 1, 3)
    }
    assert texts[None] == texts[3] != texts[1]


def test_one_of_microsofts_layout_is_refused_with_what_to_use_before_anything_is_downloaded(florence: Path) -> None:
    info = info_of(florence)
    config = {**info.config, "vision_config": {"model_type": "davit"}}
    original = msgspec.structs.replace(info, documents={**info.documents, "config.json": config})
    offer = claim(original)
    assert offer is not None
    assert offer.files == ("config.json",)
    assert "will be refused: the same weights" in offer.reason
    with pytest.raises(LoadFailed, match="florence-community/Florence-2-base"):
        load_original(original)


def load_original(info: Any) -> None:
    from universal_vision.captions.model import CaptionModel
    from universal_vision.captions.options import CaptionOptions

    CaptionModel(info, CaptionOptions(device="cpu"))
