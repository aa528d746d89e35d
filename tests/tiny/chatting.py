"""Load a chat model that sees, ask it many things at once, and ask transformers the same."""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

from tiny.answers import Answers, gather
from tiny.folder import info_of
from universal_core import ChatRequest, CompletionRequest, TextPart
from universal_vision.chat.model import VisionChatModel
from universal_vision.chat.options import ChatOptions
from universal_vision.processors import load_processor

EXACT = {"device": "cpu", "dtype": "float32", "threads": 1}


def load(path: Path, **options: Any) -> VisionChatModel:
    """Return the model in a folder, in single precision on the CPU unless the options say otherwise."""
    return VisionChatModel(info_of(path), ChatOptions(**{**EXACT, **options}))


async def ask_all(model: VisionChatModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Run the requests at the same time and return what each was answered."""
    streams = [model.chat(one) if isinstance(one, ChatRequest) else model.complete(one) for one in requests]
    return await asyncio.gather(*map(gather, streams))


def answers(model: VisionChatModel, *requests: ChatRequest | CompletionRequest) -> list[Answers]:
    """Do the same from plain functions."""
    return asyncio.run(ask_all(model, *requests))


def texts(found: list[Answers]) -> list[str]:
    """Return the first answer to each request."""
    return [answer.text for answer in found]


class Reference:
    """A processor and a model of transformers, called as their documentation says."""

    def __init__(self, path: Path) -> None:
        import torch
        from transformers import AutoModelForImageTextToText

        self.processor = load_processor(info_of(path))
        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).eval()

    def read(self, request: ChatRequest) -> Any:
        """Return the inputs of the model for a conversation."""
        from PIL import Image

        turns: list[Any] = [
            {
                "role": message.role,
                "content": [
                    {"type": "text", "text": part.text}
                    if isinstance(part, TextPart)
                    else {"type": "image", "image": Image.open(BytesIO(part.data)).convert("RGB")}
                    for part in message.content
                ],
            }
            for message in request.messages
        ]
        if self.processor.chat_template or self.processor.tokenizer.chat_template:
            return self.processor.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
        images = [part["image"] for turn in turns for part in turn["content"] if "image" in part]
        text = self.processor.image_token * len(images) + request.messages[0].text
        found = self.processor(text=[text], images=[images], return_tensors="pt")
        found.pop("labels", None)
        return found

    def write(self, request: ChatRequest, most: int = 12, **settings: Any) -> tuple[str, int]:
        """Return the text of generate(), and how many tokens it read."""
        inputs = self.read(request)
        found = self.model.generate(**inputs, **{"max_new_tokens": most, "do_sample": False, **settings})
        count = inputs["input_ids"].shape[1]
        return self.processor.tokenizer.decode(found[0, count:], skip_special_tokens=True), count
