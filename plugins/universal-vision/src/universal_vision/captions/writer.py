"""What all models that write about a picture have in common: from pictures and words to tensors, and back."""

from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, ClassVar

import msgspec
import torch
from PIL import Image
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from universal_core import BadRequest, ContextLengthExceeded, TaskNotSupported, Usage
from universal_core.pytorch import use_threads
from universal_vision.loading import Inputs, Loaded


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the model takes it: tensors of one row each.

    Of the tokens that come out, the first ``given`` are not written by the model; with ``shown`` they are told
    nevertheless. ``read`` counts the tokens that go in, without those that ``Writer.eyes`` makes of the picture.
    """

    inputs: Inputs
    max_length: int
    given: int = 1
    shown: bool = False
    read: int = 0
    task: str | None = None
    size: tuple[int, int] = (0, 0)

    @property
    def group(self) -> Hashable:
        """Requests of equal shapes need no padding together, which would change what some of the models write."""
        return self.max_length, tuple((name, tensor.shape) for name, tensor in sorted(self.inputs.items()))


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a model wrote: words, what they say as data, and how sure it is, where it tells."""

    text: str
    usage: Usage
    parsed: Any = None
    score: float | None = None


class Writer:
    """A loaded model of one family; each does one or both of the ``for_`` methods.

    ``processor`` is the library's, for pictures and words together.
    """

    question_prompt: ClassVar[str] = "{question}"
    """What a question is put into."""

    def __init__(self, loaded: Loaded, processor: Any, num_beams: int | None) -> None:
        self.model, self.device, _, self._threads = loaded
        self._joined = loaded.joined
        self.processor = processor
        self._beams = {"num_beams": num_beams} if num_beams else {}
        self._seen = 0
        self._processing = Lock()
        if self.eyes is not None:
            self.eyes.register_forward_hook(self._count)
        if settings := getattr(self.hand, "generation_config", None):
            # Each request has a length of its own, and the library would log each time which of the two holds.
            settings.max_length = None

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return what makes the model describe a picture. Raises BadRequest, ContextLengthExceeded."""
        raise TaskNotSupported("this model answers questions about pictures, and describes none")

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return what makes the model answer a question about a picture. Raises BadRequest, ContextLengthExceeded."""
        raise TaskNotSupported("this model describes pictures, and answers no questions about them")

    @torch.inference_mode()
    def write(self, batch: Sequence[Prepared], left: Callable[[], bool]) -> list[Written]:
        """Return what the model writes for requests of one group; stops early once ``left`` says so."""
        tokens = self.model.generate(
            **self.stacked(batch),
            max_new_tokens=batch[0].max_length,
            do_sample=False,
            stopping_criteria=StoppingCriteriaList([_Between(left, self._threads)]),
            **self._beams,
        )
        return [self._told(prepared, row) for prepared, row in zip(batch, tokens.tolist(), strict=True)]

    @property
    def eyes(self) -> Any:
        """The part of the model that turns a picture into tokens which stand in no ``input_ids``, None for none."""
        return None

    @property
    def hand(self) -> Any:
        """The part of the model that writes."""
        return self.model

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end a text."""
        told = self.hand.generation_config.eos_token_id
        return frozenset(told if isinstance(told, list | tuple) else () if told is None else (told,))

    @property
    def padding(self) -> int | None:
        """The token that fills up rows which ended before others."""
        told: int | None = self.hand.generation_config.pad_token_id
        return told

    def text_of(self, prepared: Prepared, tokens: list[int]) -> str:
        """Return tokens as text."""
        return str(self.processor.decode(tokens, skip_special_tokens=True)).strip()

    def parse(self, prepared: Prepared, text: str) -> Any:
        """Return what a text says as data, None for words."""
        return None

    def read(self, image: Image.Image, text: str | None = None, param: str = "prompt") -> Inputs:
        """Return what the processor makes of a picture and a text. Raises BadRequest for its mark in the text."""
        mark = getattr(self.processor, "image_token", None)
        if mark is not None and text is not None and str(mark) in text:
            raise BadRequest(f"{param}: {mark} stands for the picture, and cannot be part of the text", param=param)
        words = {} if text is None else {"text": text}
        # Tokenizers fail ("Already borrowed") where one thread sets their padding while another uses them.
        with self._processing:
            return dict(self.processor(images=image, **words, return_tensors="pt"))

    def stacked(self, batch: Sequence[Prepared]) -> Inputs:
        """Return the inputs of all requests in one, as the model takes them."""
        return self._joined([one.inputs for one in batch])

    def used(self, prepared: Prepared, written: int) -> Usage:
        """Return the tokens that went in, those of the picture among them where they can be counted, and came out."""
        return Usage(prompt_tokens=prepared.read + self._seen, completion_tokens=written)

    def _told(self, prepared: Prepared, row: list[int]) -> Written:
        given, written = row[: prepared.given], self._without_rest(row[prepared.given :])
        text = self.text_of(prepared, [*given, *written] if prepared.shown else written)
        return Written(text=text, parsed=self.parse(prepared, text), usage=self.used(prepared, len(written)))

    def _without_rest(self, tokens: list[int]) -> list[int]:
        """Return the tokens up to the first that ends a text, which counts, and without what fills up the row."""
        ends, padding = self.ends, self.padding
        last = next((place for place, token in enumerate(tokens, 1) if token in ends), len(tokens))
        while last and tokens[last - 1] == padding and padding not in ends:
            last -= 1
        return tokens[:last]

    def _count(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._seen = int(output[0].shape[1])


class _Between(StoppingCriteria):
    """What is done between two tokens: all rows end once nobody waits for any of them, and threads follow the cores."""

    def __init__(self, left: Callable[[], bool], threads: int | None) -> None:
        self._left = left
        self._threads = threads

    def __call__(self, input_ids: Tensor, _scores: Any, **_: Any) -> Tensor:
        use_threads(self._threads)
        return torch.full((input_ids.shape[0],), self._left(), device=input_ids.device, dtype=torch.bool)


def check_read(tokens: int, positions: int | None, param: str) -> None:
    """Raise ContextLengthExceeded where a model has fewer positions than a text has tokens; None has no limit."""
    if positions is not None and tokens > positions:
        raise ContextLengthExceeded(
            f"{param}: this model reads at most {positions} tokens, and there are {tokens}, those of the picture "
            "included where it counts them; shorten it",
            param=param,
        )


def check_room(before: int, max_length: int, positions: int | None, param: str = "prompt") -> None:
    """Raise ContextLengthExceeded where what is written would not fit behind ``before`` tokens; None has no limit.

    The error names ``param`` where it leaves no room at all, else ``max_length``.
    """
    if positions is None or before + max_length <= positions:
        return
    used = f"this model has room for {positions} tokens, of which {before} are used before it writes"
    if before >= positions:
        raise ContextLengthExceeded(f"{param}: {used}; shorten it", param=param)
    raise ContextLengthExceeded(
        f"max_length: {used}; ask for at most {positions - before}, not {max_length}", param="max_length"
    )


def positions_of(config: Any) -> int | None:
    """Return how many tokens a language model has positions for, None where it knows no limit."""
    told = getattr(config, "max_position_embeddings", None)
    return told if isinstance(told, int) and told > 0 else None
