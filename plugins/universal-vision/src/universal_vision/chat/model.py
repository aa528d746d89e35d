"""A loaded chat model that sees: ``chat``, ``complete``, ``tokenize``, ``detokenize``, and words about one picture."""

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
    ImagePart,
    LoadFailed,
    ModelInfo,
    Text,
    TextPart,
    Usage,
)
from universal_core.conversation import ChatTemplate, Sequence
from universal_core.pytorch import use_threads
from universal_text.causal import WritingModel, vocabulary_of
from universal_text.loading import folder_of, load_pretrained
from universal_vision.chat.inputs import SeeingInputs, SeeingSequence
from universal_vision.chat.options import ChatOptions
from universal_vision.chat.prompter import PicturePrompter
from universal_vision.processors import load_processor

WISH = "Describe this image."
"""What a chat model is asked for a caption, where the request has no wish of its own."""


class VisionChatModel(WritingModel):
    """Answers conversations with pictures, for many requests at once."""

    sequence: ClassVar[type[Sequence]] = SeeingSequence

    def __init__(self, info: ModelInfo, options: ChatOptions) -> None:
        use_threads(options.threads)
        processor = _processor_of(info, options)
        model = load_pretrained(info, AutoModelForImageTextToText, options, **_wanted(options))
        vocabulary = vocabulary_of(model, processor.tokenizer)
        prompter = PicturePrompter(vocabulary, _template_of(processor), processor, options.max_pixels)
        super().__init__(info, options, model, vocabulary, prompter, SeeingInputs(model))

    async def caption(self, request: CaptionRequest) -> CaptionResult:
        """Return what the model answers to the request's prompt, or to WISH."""
        text, usage = await self._say(request.image, request.prompt or WISH, request.max_length, "prompt")
        return CaptionResult(caption=text, usage=usage)

    async def answer_question(self, request: AnswerQuestionRequest) -> AnswerQuestionResult:
        """Return what the model answers to a question about a picture."""
        text, usage = await self._say(request.image, request.question, request.max_length, "question")
        return AnswerQuestionResult(answer=text, usage=usage)

    async def _say(self, image: bytes, words: str, most: int, param: str) -> tuple[str, Usage]:
        """Return the likeliest answer to words about a picture; errors name the fields of these requests."""
        turn = ChatMessage(role="user", content=(ImagePart(data=image), TextPart(text=words)))
        text, usage = "", Usage()
        try:
            async for event in self.chat(ChatRequest(messages=(turn,), max_tokens=most, temperature=0.0)):
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


def _wanted(options: ChatOptions) -> dict[str, Any]:
    wanted = {"attn_implementation": options.attention, "device_map": options.device_map}
    return {name: value for name, value in wanted.items() if value}


def _template_of(processor: Any) -> ChatTemplate | None:
    source = processor.chat_template or processor.tokenizer.chat_template
    return ChatTemplate(source, tokens=processor.tokenizer.special_tokens_map) if source else None


def _renamed(error: BadRequest, words: str) -> BadRequest:
    """Return an error about a conversation as one about a picture and words."""
    param = "image" if (error.param or "").endswith("image_url.url") else words
    return type(error)(str(error).replace(error.param or param, param), param=param)
