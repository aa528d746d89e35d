"""Runs rows of tokens through a classifier of transformers, many rows at once."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from universal_core import ModelInfo
from universal_core.pytorch import use_threads
from universal_text.batches import allowance_on, cut_batches, mask_of, padded
from universal_text.classifier.options import ClassifierOptions
from universal_text.documents import read_settings
from universal_text.limits import longest_of, vocabulary_of
from universal_text.loading import folder_of, load_pretrained
from universal_text.packing import Unsupported, pack
from universal_text.tokenizers import load_tokenizer

log = logging.getLogger(__name__)

# XLNet reads its answer off the last place, which must be a token: only rows of one length go together.
_WITHOUT_PADDING = frozenset({"xlnet"})


class Row(NamedTuple):
    """One input: its token ids, and which of its texts each of them is of, where the model is told."""

    ids: list[int]
    types: list[int] | None = None


class Network:
    """A classifier with its tokenizer; ``labels`` are what its numbers stand for, in their order.

    ``settings`` are those that sentence-transformers keeps beside it, ``longest`` the most tokens of an input.
    """

    # By its padding's token a decoder finds the last of a row; one that has none takes a row at a time.
    pads_by_token = True

    def __init__(self, info: ModelInfo, options: ClassifierOptions, auto_class: Any) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        self._threads = options.threads
        use_threads(self._threads)
        folder = folder_of(info, options)
        self._model = load_pretrained(info, auto_class, options)
        self._model.config.use_cache = False
        self.device: torch.device = self._model.device
        self.config = self._model.config
        self.settings = read_settings(Path(folder))
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(
            folder, lower_case=self.settings.get("do_lower_case", False), trust_remote_code=options.trust_remote_code
        )
        self.longest = longest_of(
            self._model, self.tokenizer, asked=options.max_length, told=self.settings.get("max_seq_length")
        )
        self.vocabulary = vocabulary_of(self._model)
        self.labels = [
            str(self.config.id2label.get(place, f"LABEL_{place}")) for place in range(self.config.num_labels)
        ]
        self._takes = inspect.signature(self._model.forward).parameters
        self.has_types = "token_type_ids" in self._takes and "token_type_ids" in self.tokenizer.model_input_names
        padding = getattr(self.config.get_text_config(), "pad_token_id", None)
        self._filler: int = padding or 0
        self._budget = 1 if padding is None and self.pads_by_token else options.batch_tokens
        pads = "attention_mask" in self._takes and self.config.model_type not in _WITHOUT_PADDING
        self._allowance = allowance_on(self.device, options.batch_tokens) if pads else 0
        if pads:
            self._pack(options.batch_tokens)

    def _pack(self, budget: int) -> None:
        """Let the model read its texts without their padding, where it can."""
        try:
            pack(self._model, nullcontext)
        except Unsupported as reason:
            log.info("%s reads its texts padded: %s", self.config.model_type, reason)
        else:
            log.info("%s reads its texts side by side, without padding", self.config.model_type)
            self._allowance = budget

    @torch.inference_mode()
    def logits(self, rows: Sequence[Row]) -> list[Tensor]:
        """Return what the model says of each row, in their order, in float32 on the CPU.

        It is (labels), or (tokens, labels) of a model that classifies tokens.
        """
        found: dict[int, Tensor] = {}
        for places in self._batches(rows):
            together = self._run([rows[place] for place in places])
            found.update(zip(places, together, strict=True))
        return [found[place] for place in range(len(rows))]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Yield the places of rows that go through the model together."""
        groups: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(self._group(row), []).append(place)
        for group in groups.values():
            for batch in cut_batches([len(rows[place].ids) for place in group], self._budget, self._allowance):
                yield [group[place] for place in batch]

    def _group(self, row: Row) -> int:
        """Return what rows of a batch must have in common: BART and its kin want their ends in equal number."""
        return row.ids.count(self.config.eos_token_id) if self.config.is_encoder_decoder else 0

    def _run(self, rows: Sequence[Row]) -> Sequence[Tensor]:
        use_threads(self._threads)
        ids = [row.ids for row in rows]
        inputs = {"input_ids": padded(ids, self._filler), "attention_mask": mask_of(ids)}
        if self.has_types:
            inputs["token_type_ids"] = padded([row.types or [0] * len(row.ids) for row in rows], 0)
        inputs = {name: value.to(self.device) for name, value in inputs.items() if name in self._takes}
        logits: Tensor = self._model(**inputs).logits.float().cpu()
        return logits.unbind()
