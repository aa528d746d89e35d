"""Every family writes what transformers' own processor and model write, and in a batch what it writes alone."""

import re
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, DonutProcessor

from tiny.captioning import PICTURES, QUESTION, ask, at_once_and_alone, describe, load, question, text_of
from tiny.folder import info_of
from universal_vision.captions.pix2struct import letters
from universal_vision.captions.writer import Prepared
from universal_vision.processors import load_processor

Folder = Callable[[str], Path]
PROMPT = "a photo of"

CAPTIONERS = {
    "blip": "BlipForConditionalGeneration",
    "blip2": "Blip2ForConditionalGeneration",
    "blip2_t5": "Blip2ForConditionalGeneration",
    "git": "GitForCausalLM",
    "instructblip": "InstructBlipForConditionalGeneration",
    "pix2struct": "Pix2StructForConditionalGeneration",
}
ANSWERERS = {
    "blip_vqa": ("BlipForQuestionAnswering", QUESTION),
    "blip2": ("Blip2ForConditionalGeneration", f"Question: {QUESTION} Answer:"),
    "blip2_t5": ("Blip2ForConditionalGeneration", f"Question: {QUESTION} Answer:"),
    "instructblip": ("InstructBlipForConditionalGeneration", QUESTION),
}
WITHOUT_PROMPT = {"instructblip": "A short image description:", "blip2_t5": ""}


@cache
def parts(path: Path, name: str) -> tuple[Any, Any]:
    """Return the library's processor and model."""
    return load_processor(info_of(path)), getattr(transformers, name).from_pretrained(path).eval()


def library(path: Path, name: str, image: Image.Image, text: str | None, *, given: bool = True) -> str:
    """Return what the library writes, without the prompt where it is not ``given`` back as a part of it."""
    processor, model = parts(path, name)
    inputs = processor(images=image, return_tensors="pt", **({} if text is None else {"text": text}))
    tokens = model.generate(**inputs, max_new_tokens=8)[0]
    if not given:
        # Without words the library puts the mark of a beginning behind the queries by itself.
        tokens = tokens[inputs["input_ids"].shape[1] if text else model.config.num_query_tokens + 1 :]
    return str(processor.decode(tokens, skip_special_tokens=True)).strip()


# GIT's processor takes no beginnings: that is tested below.
@pytest.mark.parametrize(
    ("name", "prompt"),
    [(name, prompt) for name in CAPTIONERS for prompt in (None, PROMPT) if (name, prompt) != ("git", PROMPT)],
)
def test_a_caption_is_what_the_library_writes(folder: Folder, name: str, prompt: str | None) -> None:
    path = folder(f"captions.{name}")
    answers = ask(path, *(describe(image, prompt) for image in PICTURES))
    text = prompt or WITHOUT_PROMPT.get(name)
    goes_on = name in ("blip2", "instructblip")
    expected = [library(path, CAPTIONERS[name], image, text, given=not goes_on) for image in PICTURES]
    assert [text_of(answer) for answer in answers] == expected
    assert len(set(expected)) > 1, "the picture matters"


@pytest.mark.parametrize("name", ANSWERERS)
def test_an_answer_is_what_the_library_writes(folder: Folder, name: str) -> None:
    path = folder(f"captions.{name}")
    answers = ask(path, *(question(image) for image in PICTURES))
    model, text = ANSWERERS[name]
    goes_on = name in ("blip2", "instructblip")
    expected = [library(path, model, image, text, given=not goes_on) for image in PICTURES]
    assert [text_of(answer) for answer in answers] == expected
    assert len(set(expected)) > 1, "the picture matters"


def test_a_git_goes_on_from_words_as_in_the_librarys_example(folder: Folder) -> None:
    path = folder("captions.git")
    processor, model = parts(path, "GitForCausalLM")

    def library(image: Image.Image, words: str) -> tuple[str, str]:
        """Return the caption that begins with the words, and the answer that comes after them."""
        ids = [processor.tokenizer.cls_token_id, *processor.tokenizer(words, add_special_tokens=False).input_ids]
        pixels = processor(images=image, return_tensors="pt").pixel_values
        tokens = model.generate(pixel_values=pixels, input_ids=torch.tensor([ids]), max_new_tokens=8)[0]
        texts = [processor.decode(found, skip_special_tokens=True).strip() for found in (tokens, tokens[len(ids) :])]
        return texts[0], texts[1]

    captions = ask(path, *(describe(image, PROMPT) for image in PICTURES))
    answers = ask(path, *(question(image) for image in PICTURES))
    assert [text_of(answer) for answer in captions] == [library(image, PROMPT)[0] for image in PICTURES]
    assert [text_of(answer) for answer in answers] == [library(image, QUESTION)[1] for image in PICTURES]


def test_a_pix2struct_reads_its_question_off_the_picture(folder: Folder) -> None:
    path = folder("captions.pix2struct_vqa")
    processor, model = parts(path, "Pix2StructForConditionalGeneration")

    def library(image: Image.Image) -> str:
        images = processor.image_processor
        written = images.render_header(numpy.asarray(image).transpose(2, 0, 1), QUESTION, **letters())
        inputs = images(
            written, is_vqa=False, max_patches=2048, input_data_format="channels_first", return_tensors="pt"
        )
        return str(processor.decode(model.generate(**inputs, max_new_tokens=8)[0], skip_special_tokens=True)).strip()

    answers = ask(path, *(question(image) for image in PICTURES))
    assert [text_of(answer) for answer in answers] == [library(image) for image in PICTURES]
    (other,) = ask(path, question(PICTURES[0], "how many are there"))
    assert other.usage != answers[0].usage or other.answer != answers[0].answer


def test_an_encoder_with_a_decoder_goes_on_from_the_prompt(folder: Folder) -> None:
    path = folder("captions.vision_encoder_decoder")
    images, tokenizer = AutoImageProcessor.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    model = transformers.VisionEncoderDecoderModel.from_pretrained(path).eval()

    def library(image: Image.Image, prompt: str | None) -> str:
        begun = {"decoder_input_ids": tokenizer(prompt, return_tensors="pt").input_ids} if prompt else {}
        pixels = images(image, return_tensors="pt").pixel_values
        tokens = model.generate(pixel_values=pixels, max_new_tokens=8, **begun)[0]
        return str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    for prompt in (None, PROMPT):
        answers = ask(path, *(describe(image, prompt) for image in PICTURES))
        assert [text_of(answer) for answer in answers] == [library(image, prompt) for image in PICTURES]


@pytest.mark.parametrize("prompt", [None, "<s_receipt><s_name>"], ids=["plain", "prompt"])
def test_a_donut_reads_fields(folder: Folder, prompt: str | None) -> None:
    path = folder("captions.donut")
    processor = DonutProcessor.from_pretrained(path)
    model = transformers.VisionEncoderDecoderModel.from_pretrained(path).eval()

    def library(image: Image.Image) -> tuple[str, Any]:
        ids = processor.tokenizer(prompt or "<s_receipt>", add_special_tokens=False, return_tensors="pt").input_ids
        pixels = processor(images=image, return_tensors="pt").pixel_values
        tokens = model.generate(pixel_values=pixels, decoder_input_ids=ids, max_new_tokens=24)[0]
        text = processor.decode(tokens).replace(processor.tokenizer.eos_token, "").replace("<pad>", "")
        text = re.sub(r"<.*?>", "", text, count=1).strip()
        return text, processor.token2json(text) if "<s_" in text else None

    answers = ask(path, *(describe(image, prompt, max_length=24) for image in PICTURES))
    assert [(answer.caption, answer.parsed) for answer in answers] == [library(image) for image in PICTURES]


def test_fields_of_a_document_are_told_as_data(folder: Folder) -> None:
    with closing(load(folder("captions.donut"))) as model:
        text = "<s_name>tea</s_name><s_total>3<sep/>4</s_total>"
        assert model._writer.parse(Prepared(inputs={}, max_length=8), text) == {"name": "tea", "total": ["3", "4"]}
        assert model._writer.parse(Prepared(inputs={}, max_length=8), "words alone") is None


def test_a_vilt_picks_the_likeliest_answer_with_its_probability(folder: Folder) -> None:
    path = folder("captions.vilt")
    processor, model = parts(path, "ViltForQuestionAnswering")
    answers = ask(path, *(question(image) for image in PICTURES))
    for image, answer in zip(PICTURES, answers, strict=True):
        scores = model(**processor(images=image, text=QUESTION, return_tensors="pt")).logits[0].detach().sigmoid()
        assert answer.answer == model.config.id2label[int(scores.argmax())]
        assert answer.score == pytest.approx(float(scores.max()), abs=1e-5)


@pytest.mark.parametrize("beams", [None, 3], ids=["greedy", "beams"])
@pytest.mark.parametrize("name", [*CAPTIONERS, "florence2", "vision_encoder_decoder"])
def test_several_captions_in_one_batch_are_those_of_one_by_one(folder: Folder, name: str, beams: int | None) -> None:
    path = folder(f"captions.{name}")
    prompts = (None, "<OD>") if name == "florence2" else (None, PROMPT)
    requests = [describe(image, prompt) for prompt in prompts for image in PICTURES[:3]]
    at_once, alone = at_once_and_alone(path, *requests, num_beams=beams)
    assert at_once == alone


@pytest.mark.parametrize("name", [*ANSWERERS, "git", "pix2struct_vqa", "florence2"])
def test_questions_of_different_lengths_at_once_are_answered_as_one_by_one(folder: Folder, name: str) -> None:
    path = folder(f"captions.{name}")
    texts = (QUESTION, "what is it", "how many of the red are there")
    requests = [question(image, text) for text in texts for image in PICTURES[:3]]
    at_once, alone = at_once_and_alone(path, *requests)
    assert at_once == alone
