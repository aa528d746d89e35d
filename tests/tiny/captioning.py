"""Models that write about pictures, opened and asked as a worker would, and pictures to ask about."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from tiny.folder import info_of
from tiny.media import BLUE, GREEN, RED, encoded, picture
from universal_core import AnswerQuestionRequest, CaptionRequest
from universal_vision.captions.model import CaptionModel
from universal_vision.captions.options import CaptionOptions

Request = CaptionRequest | AnswerQuestionRequest

PICTURES = [
    picture(RED),
    picture(BLUE, (30, 44)),
    Image.fromarray(numpy.random.default_rng(0).integers(0, 255, (30, 40, 3), numpy.uint8)),
    picture(GREEN, (64, 20)),
]
QUESTION = "what color is it"


def describe(image: Image.Image, prompt: str | None = None, **fields: Any) -> CaptionRequest:
    """Return a wish for a description."""
    return CaptionRequest(image=encoded(image), prompt=prompt, **{"max_length": 8, **fields})


def question(image: Image.Image, text: str = QUESTION, **fields: Any) -> AnswerQuestionRequest:
    """Return a question."""
    return AnswerQuestionRequest(image=encoded(image), question=text, **{"max_length": 8, **fields})


def load(path: Path, **options: Any) -> CaptionModel:
    """Return a model on the processor."""
    return CaptionModel(info_of(path), CaptionOptions(**{"device": "cpu", **options}))


def text_of(answer: Any) -> str:
    """Return what a result says."""
    return str(getattr(answer, "caption", None) or getattr(answer, "answer", ""))


async def together(model: CaptionModel, requests: Sequence[Request]) -> list[Any]:
    """Return the answers, or the exceptions, of requests that come at once."""
    work = [model.caption(one) if isinstance(one, CaptionRequest) else model.answer_question(one) for one in requests]
    return await asyncio.gather(*work, return_exceptions=True)


def ask(path: Path, *requests: Request, **options: Any) -> list[Any]:
    """Return the answers, or the exceptions, of requests that come at once to a model just loaded."""
    with closing(load(path, **options)) as model:
        return asyncio.run(together(model, requests))


def at_once_and_alone(path: Path, *requests: Request, **options: Any) -> tuple[list[Any], list[Any]]:
    """Return the answers of requests that come at once, and of the same that come one after the other."""

    async def both(model: CaptionModel) -> tuple[list[Any], list[Any]]:
        at_once = await together(model, requests)
        return at_once, [answer for request in requests for answer in await together(model, [request])]

    with closing(load(path, **options)) as model:
        return asyncio.run(both(model))
