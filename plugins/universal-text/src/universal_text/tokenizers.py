"""Tokenizers of models that read texts, and what all such models do."""

import torch
from tokenizers.normalizers import Lowercase, Normalizer
from tokenizers.normalizers import Sequence as Normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from universal_core import DetokenizeRequest, DetokenizeResult, LoadFailed, TokenizeRequest, TokenizeResult
from universal_core.pytorch import taken_memory
from universal_text.causal.vocabulary import TokenizerVocabulary


def load_tokenizer(folder: str, *, lower_case: bool, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """Return the tokenizer in a folder; raises LoadFailed where there is none."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise LoadFailed(f"The tokenizer in {folder} cannot be loaded: {error}") from error
    if lower_case:
        backend = tokenizer.backend_tokenizer
        before: list[Normalizer] = [Lowercase()]
        backend.normalizer = Normalizers([*before, backend.normalizer] if backend.normalizer else before)
    return tokenizer


class ReadingModel:
    """A model that reads texts and writes none: it shows its tokens, and how much of its device it takes."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, device: torch.device) -> None:
        """``vocabulary`` is the number of token ids that the model knows."""
        self._vocabulary = TokenizerVocabulary(tokenizer, vocabulary, frozenset())
        self._device = device

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._device)

    def tokenize(self, request: TokenizeRequest) -> TokenizeResult:
        """Return the tokens of a text; all of them, also where other tasks would read only the first."""
        tokens = self._vocabulary.encode(request.text or "", special=request.add_special)
        return self._vocabulary.tokenized(tokens, pieces=request.pieces)

    def detokenize(self, request: DetokenizeRequest) -> DetokenizeResult:
        """Return the text of tokens."""
        return self._vocabulary.detokenized(request.tokens)
