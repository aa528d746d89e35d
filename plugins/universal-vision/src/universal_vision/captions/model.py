"""The model that writes about pictures: requests in, words out."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from universal_core import AnswerQuestionRequest, AnswerQuestionResult, CaptionRequest, CaptionResult, ModelInfo
from universal_core.pictures import read_image
from universal_core.pytorch import taken_memory
from universal_vision.batches import Batches
from universal_vision.captions.families import open_writer
from universal_vision.captions.options import CaptionOptions
from universal_vision.captions.writer import Prepared, Written

Request = CaptionRequest | AnswerQuestionRequest


class CaptionModel:
    """Describes pictures and answers questions about them, those of several requests together."""

    def __init__(self, info: ModelInfo, options: CaptionOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        self._writer = open_writer(info, options)
        self._question = options.question_prompt or self._writer.question_prompt
        self._batches: Batches[_Ready, Written] = Batches(
            self._write, budget=options.batch_size, ahead=options.slots, group=_Ready.group
        )

    async def caption(self, request: CaptionRequest) -> CaptionResult:
        """Describe a picture. Raises BadRequest for a picture or a prompt that cannot be read."""
        written = await self._answer(request)
        return CaptionResult(caption=written.text, parsed=written.parsed, usage=written.usage)

    async def answer_question(self, request: AnswerQuestionRequest) -> AnswerQuestionResult:
        """Answer a question about a picture. Raises BadRequest for a picture or a question that cannot be read."""
        written = await self._answer(request)
        return AnswerQuestionResult(answer=written.text, score=written.score, usage=written.usage)

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._writer.device)

    def close(self) -> None:
        """End the threads."""
        self._batches.close()

    async def _answer(self, request: Request) -> Written:
        client = _Client()
        try:
            (written,) = await self._batches.answer(lambda raw: _Ready(self._prepared(raw), client), [request])
        finally:
            client.left = True
        return written

    def _prepared(self, request: Request) -> Prepared:
        image = read_image(request.image, "image")
        if isinstance(request, CaptionRequest):
            return self._writer.for_caption(image, request.prompt or None, request.max_length)
        question = self._question.replace("{question}", request.question)
        return self._writer.for_question(image, question, request.max_length)

    def _write(self, batch: Sequence["_Ready"]) -> list[Written]:
        clients = [ready.client for ready in batch]
        return self._writer.write([ready.prepared for ready in batch], lambda: all(client.left for client in clients))


@dataclass
class _Client:
    """Who waits for an answer."""

    left: bool = False


@dataclass(frozen=True)
class _Ready:
    """A request made ready, and who waits for it."""

    prepared: Prepared
    client: _Client

    def group(self) -> Hashable:
        """Return what requests that are written together have in common."""
        return self.prepared.group
