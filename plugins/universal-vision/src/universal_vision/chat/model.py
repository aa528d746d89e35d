"""A loaded chat model that sees: ``chat``, ``complete``, ``tokenize``, ``detokenize``, and words about one picture."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import AutoModelForImageTextToText

from universal_core import (
    AnswerQuestionRequest,
    AnswerQuestionResult,
    BadRequest,
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ContextLengthExceeded,
    ImagePart,
    LoadFailed,
    ModelInfo,
    Text,
    TextPart,
    Usage,
)
from universal_core.conversation import Sequence, configured_template
from universal_core.pytorch import use_threads
from universal_text.causal import WritingModel, load_model, template_of, vocabulary_of
from universal_text.loading import folder_of
from universal_vision.chat.inputs import SeeingInputs, SeeingSequence
from universal_vision.chat.options import ChatOptions
from universal_vision.chat.prompter import PicturePrompter
from universal_vision.processors import load_processor


@dataclass(frozen=True)
class Wording:
    """How a model is asked about one picture: for a caption where the request has no wish, and a question."""

    wish: str = "Describe this image."
    question: str = "{}"


# A PaliGemma was trained on these, and not on sentences.
_WORDINGS = {"paligemma": Wording("caption en", "answer en {}")}


class VisionChatModel(WritingModel):
    """Answers conversations with pictures, for many requests at once."""

    sequence: ClassVar[type[Sequence]] = SeeingSequence

    def __init__(self, info: ModelInfo, options: ChatOptions) -> None:
        use_threads(options.threads)
        processor = _processor_of(info, options)
        model = load_model(info, AutoModelForImageTextToText, options)
        vocabulary = vocabulary_of(model, processor.tokenizer)
        own = processor.chat_template or processor.tokenizer.chat_template
        template = template_of(configured_template(options.chat_template) or own, processor.tokenizer)
        prompter = PicturePrompter(vocabulary, template, processor, options.max_pixels)
        super().__init__(info, options, model, vocabulary, prompter, SeeingInputs(model))
        self._wording = _WORDINGS.get(info.config.get("model_type", ""), Wording())

    async def caption(self, request: CaptionRequest) -> CaptionResult:
        """Return what the model answers to the request's prompt, or to a wish for a description."""
        words = request.prompt or self._wording.wish
        param = "prompt" if request.prompt else "max_length"
        text, usage = await self._say(request.image, words, request.max_length, param)
        return CaptionResult(caption=text, usage=usage)

    async def answer_question(self, request: AnswerQuestionRequest) -> AnswerQuestionResult:
        """Return what the model answers to a question about a picture."""
        words = self._wording.question.format(request.question)
        text, usage = await self._say(request.image, words, request.max_length, "question")
        return AnswerQuestionResult(answer=text, usage=usage)

    async def _say(self, image: bytes, words: str, most: int, param: str) -> tuple[str, Usage]:
        """Return the likeliest answer to words about a picture; errors name the fields of these requests."""
        turn = ChatMessage(role="user", content=(ImagePart(data=image), TextPart(text=words)))
        text, usage = "", Usage()
        try:
            # A caption of a few words leaves no room for thoughts.
            request = ChatRequest(messages=(turn,), max_tokens=most, temperature=0.0, reasoning_effort="none")
            async with aclosing(self.chat(request)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        text += event.text
                    elif isinstance(event, Usage):
                        usage = event
        except BadRequest as error:
            raise _renamed(error, param) from error
        return text.strip(), usage


def _processor_of(info: ModelInfo, options: ChatOptions) -> Any:
    folder_of(info, options)
    found = load_processor(info, options.trust_remote_code)
    # Where no file says how pictures are prepared, the tokenizer comes alone.
    if not hasattr(found, "image_processor"):
        raise LoadFailed(
            f"{info.id} has no preprocessor_config.json, which says how its pictures are prepared; put the one of the "
            "model that it was made from beside its config.json"
        )
    return found


def _renamed(error: BadRequest, words: str) -> BadRequest:
    """Return an error about a conversation as one about a picture, or about words and the length of an answer."""
    place = error.param or ""
    param = words if isinstance(error, ContextLengthExceeded) else "image"
    message = error.message.replace("max_tokens", "max_length")
    return type(error)(param + message[len(place) :] if message.startswith(f"{place}:") else message, param=param)
