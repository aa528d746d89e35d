"""The model of the ``vision`` backend: requests in, labels and vectors out."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from universal_core import (
    BadRequest,
    ClassifyImageRequest,
    EmbedImageRequest,
    EmbedRequest,
    EmbedResult,
    MatchLabelsRequest,
    ModelInfo,
    PredictionsResult,
    TaskNotSupported,
    Usage,
)
from universal_core.pytorch import taken_memory
from universal_vision.batches import Batches, together
from universal_vision.encoders.labels import ranked
from universal_vision.encoders.matching import TEMPLATE, Kept
from universal_vision.encoders.network import open_network
from universal_vision.encoders.options import EncoderOptions
from universal_vision.encoders.running import Forward, Row, Work

Part = TypeVar("Part")
Item = TypeVar("Item")

# A text of a few words is about this part of the work that a picture is.
_TEXTS_PER_PICTURE = 16
_TEXTS_KEPT = 8192


class EncoderModel:
    """Classifies pictures, matches them with labels, or turns them and texts into vectors."""

    def __init__(self, info: ModelInfo, options: EncoderOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        self._network = open_network(info, options)
        most = options.most(self._network.run.device.type)
        self._batches: Batches[Work, Row] = Batches(
            self._network.run, budget=most * _TEXTS_PER_PICTURE, ahead=3 * most, cost=_cost
        )
        self._kept = Kept(_TEXTS_KEPT)

    async def classify_image(self, request: ClassifyImageRequest) -> PredictionsResult:
        """Return the likeliest of the model's own labels for each picture; raises BadRequest for what is none."""
        classifier = _need(self._network.classifier)
        rows = await self._pictures(classifier.logits, _named("images", request.images))
        found = tuple(classifier.labels.predictions(row.values, request.top_k) for row in rows)
        return PredictionsResult(images=found, usage=_usage(rows))

    async def match_labels(self, request: MatchLabelsRequest) -> PredictionsResult:
        """Return how well each label fits each picture; raises BadRequest."""
        template = _checked(TEMPLATE if request.hypothesis_template is None else request.hypothesis_template)
        texts = [template.replace("{}", label) for label in request.labels]
        pictures, labels = await together(
            [
                self._pictures(self._network.embed, _named("images", request.images)),
                self._texts(_named("candidate_labels", texts)),
            ]
        )
        scores = _need(self._network.matcher).scores(_stacked(pictures), _stacked(labels))
        found = tuple(ranked(row, request.labels.__getitem__, len(request.labels)) for row in scores)
        return PredictionsResult(images=found, usage=_usage([*pictures, *labels]))

    async def embed_image(self, request: EmbedImageRequest) -> EmbedResult:
        """Return the vector of each picture and text; raises BadRequest for texts that the model cannot read."""
        given = _named("input", request.input)
        pictures, texts = await together(
            [
                self._pictures(
                    self._network.embed, [(param, item) for param, item in given if isinstance(item, bytes)]
                ),
                self._texts([(param, item) for param, item in given if isinstance(item, str)]),
            ]
        )
        some, others = iter(pictures), iter(texts)
        rows = [next(some if isinstance(item, bytes) else others) for item in request.input]
        return _embedded(rows, request)

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Return the vector of each text; raises BadRequest."""
        given = [(param, _text(item, param)) for param, item in _named("input", request.input)]
        return _embedded(await self._texts(given), request)

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._network.run.device)

    def close(self) -> None:
        """End the model's threads."""
        self._batches.close()

    async def _pictures(self, forward: Forward, given: Sequence[tuple[str, bytes]]) -> list[Row]:
        reader = self._network.pictures

        def read(picture: tuple[str, bytes]) -> Work:
            param, data = picture
            inputs = reader.read(data, param)
            return Work(forward, inputs, reader.patches(inputs))

        return await self._batches.answer(read, given)

    async def _texts(self, given: Sequence[tuple[str, str]]) -> list[Row]:
        """Return a row for each text; a text that was asked for lately is not computed again."""
        found = {text: row for _, text in given if (row := self._kept.find(text))}
        new: dict[str, str] = {}
        for param, text in given:
            if text not in found:
                new.setdefault(text, param)
        for text, row in zip(new, await self._new_texts(new), strict=True):
            found[text] = row
            self._kept.keep(text, row)
        return [found[text] for _, text in given]

    async def _new_texts(self, params: dict[str, str]) -> list[Row]:
        """Return a row for each text, of which the parameter is given."""
        if not params:
            return []
        words = self._network.words
        if words is None:
            param = next(iter(params.values()))
            raise BadRequest(f"{param}: expected a picture, got a text, and this model reads no words", param=param)
        work = await self._batches.read(lambda: words.read(list(params), list(params.values())))
        return await self._batches.compute(work)


def _named(name: str, items: Iterable[Item]) -> list[tuple[str, Item]]:
    """Return the items of a list, each with what it is called in a message to the client."""
    return [(f"{name}[{place}]", item) for place, item in enumerate(items)]


def _need(part: Part | None) -> Part:
    if part is None:
        raise TaskNotSupported("this model has no such task")
    return part


def _checked(template: str) -> str:
    if "{}" not in template:
        message = f"hypothesis_template: expected a text with {{}} where a label goes, got {template!r}"
        raise BadRequest(message, param="hypothesis_template")
    return template


def _text(item: str | tuple[int, ...], param: str) -> str:
    if isinstance(item, str):
        return item
    raise BadRequest(f"{param}: expected a text, got tokens, which this model does not take", param=param)


def _cost(work: Work) -> int:
    return 1 if "input_ids" in work.inputs else _TEXTS_PER_PICTURE


def _stacked(rows: Sequence[Row]) -> Tensor:
    return torch.stack([row.values for row in rows])


def _usage(rows: Sequence[Row]) -> Usage:
    return Usage(prompt_tokens=sum(row.tokens for row in rows))


def _embedded(rows: Sequence[Row], request: EmbedRequest | EmbedImageRequest) -> EmbedResult:
    """Cut and normalize the vectors as the request asks for it."""
    vectors = _stacked(rows)
    size = vectors.shape[1]
    if request.dimensions is not None and not 1 <= request.dimensions <= size:
        message = f"dimensions: expected 1 to {size} for this model, got {request.dimensions}"
        raise BadRequest(message, param="dimensions")
    vectors = vectors[:, : request.dimensions]
    if request.normalize:
        vectors = normalize(vectors, dim=-1)
    return EmbedResult(vectors=vectors.numpy().astype("<f4").tobytes(), dimensions=vectors.shape[1], usage=_usage(rows))
