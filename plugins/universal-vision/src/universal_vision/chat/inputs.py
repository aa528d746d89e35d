"""What a model that sees is given for each step: as generate() of transformers gives it, a sequence at a time."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.generation.utils import MULTIMODAL_INPUTS_TO_DROP_OUTSIDE_PREFILL as FOR_PROMPTS

from universal_core.conversation import Answer, Row, Sampler, Sequence
from universal_text.causal import Inputs

# What has a column for every token of the prompt.
_BY_TOKEN = ("token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids", "cross_attention_mask")


class PicturePrompt(list[int]):
    """The tokens of a prompt with its pictures: ``given`` is what the model reads beside them, by argument."""

    def __init__(self, tokens: list[int], given: dict[str, Any]) -> None:
        super().__init__(tokens)
        self.given = given


class SeeingSequence(Sequence):
    """An answer to a prompt that may have pictures, which is read at once then: pictures cannot be cut."""

    def __init__(self, prompt: list[int], sampler: Sampler, answer: Answer, *, limit: int, ends: Any) -> None:
        super().__init__(prompt, sampler, answer, limit=limit, ends=ends)
        self.given = prompt.given if isinstance(prompt, PicturePrompt) else {}

    def portion(self, most: int) -> int:
        """Return how many tokens to hand out next, where there is room for ``most``."""
        return self.unread if self.given else super().portion(most)


@dataclass(slots=True)
class Reading:
    """What is known of a sequence: the tokens of its prompt and its answer, and the arguments that grow with them."""

    tokens: Tensor
    prompt: int
    arguments: dict[str, Any]


class SeeingInputs(Inputs):
    """Goes the way of generate(), so that every architecture gets what its own methods make of the prompt.

    These methods give positions (M-RoPE has three for each token), let the arguments of a prompt grow by a token, and
    choose what a step needs of them. The positions of a sequence stand in its own state, for models keep only the
    last prompt's (``rope_deltas``). Two of the methods have private names: the tests of parity tell whether a new
    version of transformers still has them.
    """

    def begin(self, sequence: Sequence) -> Reading:
        """Return the state of a sequence of which nothing has been read."""
        tokens = self._tensor(sequence.tokens)
        given: dict[str, Any] = {}
        if isinstance(sequence, SeeingSequence):
            given, sequence.given = sequence.given, {}
        arguments = {**super().begin(sequence), **{name: self._placed(value) for name, value in given.items()}}
        if "position_ids" in self._parameters:
            # Without padding the mask is of use here alone: generate() drops it then, too.
            known = {**arguments, "attention_mask": torch.ones_like(tokens)}
            arguments["position_ids"] = self._model._prepare_position_ids_for_generation(tokens, known)
        return Reading(tokens, tokens.shape[1], arguments)

    def of(self, row: Row) -> dict[str, Any]:
        """Return the arguments for a row, whose tokens count as read already."""
        reading: Reading = row.sequence.state
        end = row.sequence.read
        if end <= reading.prompt:
            return self._of_prompt(reading, end - len(row.tokens), end)
        reading.tokens = torch.cat([reading.tokens, self._tensor(row.tokens)], dim=1)
        reading.arguments = self._model._update_model_kwargs_for_generation(
            {}, reading.arguments, is_encoder_decoder=False
        )
        return self._chosen(reading.tokens, reading.arguments, next_sequence_length=len(row.tokens))

    def _of_prompt(self, reading: Reading, start: int, end: int) -> dict[str, Any]:
        arguments = dict(reading.arguments)
        if "position_ids" in arguments:
            arguments["position_ids"] = arguments["position_ids"][..., start:end]
        arguments |= {name: arguments[name][:, :end] for name in _BY_TOKEN if name in arguments}
        if end == reading.prompt:
            for name in FOR_PROMPTS:
                reading.arguments.pop(name, None)
        return self._chosen(reading.tokens[:, start:end], arguments, is_first_iteration=True)

    def _chosen(self, tokens: Tensor, arguments: dict[str, Any], **step: Any) -> dict[str, Any]:
        chosen: dict[str, Any] = self._model.prepare_inputs_for_generation(tokens, **step, **arguments)
        return chosen

    def _placed(self, value: Any) -> Any:
        """Return an argument on the model's device; numbers with a point in the format of its weights."""
        if not isinstance(value, Tensor):
            return value
        return value.to(self._model.device, self._model.dtype if value.is_floating_point() else None)
