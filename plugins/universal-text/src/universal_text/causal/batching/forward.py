"""One forward pass of an unmodified model over rows that stand side by side."""

import inspect
from typing import Any

import torch
from torch import Tensor

from universal_text.causal.batching.attention import attending
from universal_text.causal.batching.step import Step


class Forward:
    """A model of transformers, which has the attention of this package."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._chooses = "logits_to_keep" in inspect.signature(model.forward).parameters

    @torch.inference_mode()
    def __call__(self, step: Step, tokens: list[int], wanted: list[int]) -> Tensor:
        """Read the tokens of all rows and return the logits after those at the places ``wanted``.

        They are ``[wanted, vocabulary]``.
        """
        device = self._model.device
        places = torch.tensor(wanted, dtype=torch.long, device=device)
        chosen = {"logits_to_keep": places} if self._chooses else {}
        with attending(step):
            out = self._model(
                input_ids=torch.tensor([tokens], device=device),
                position_ids=step.positions(device)[None],
                use_cache=False,
                **chosen,
            )
        logits: Tensor = out.logits[0]
        return logits if self._chooses else logits[places.to(logits.device)]
