"""Decoders that are asked whether a document answers a query, and judged by what they would say next."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from torch import Tensor
from transformers import AutoModelForCausalLM

from universal_core import LoadFailed, ModelInfo, RerankRequest, RerankResult, UniversalError, batched
from universal_text.batches import WAITING_TOKENS, answer_together, mask_of, padded, read_together
from universal_text.classifier.claim import judging_module
from universal_text.classifier.network import Network, Row
from universal_text.classifier.options import ClassifierOptions
from universal_text.classifier.questions import Questions, questions_for
from universal_text.classifier.scores import prompt_of, relevance_of
from universal_text.classifier.texts import Ranking, ranking_of, tokens_of
from universal_text.documents import read_document
from universal_text.loading import folder_of
from universal_text.tokenizers import ReadingModel


class Verdict(msgspec.Struct, frozen=True):
    """The tokens that say yes and no; without a no the score is what yes has."""

    true_token_id: int
    false_token_id: int | None = None
    module_input_name: str = "causal_logits"


class Judge(Network):
    """A decoder whose only number for a row is how much likelier its next token is a yes than a no."""

    pads_by_token = False

    def __init__(self, info: ModelInfo, options: ClassifierOptions, verdict: Verdict) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        super().__init__(info, options, AutoModelForCausalLM)
        self._verdict = verdict

    def _run(self, rows: Sequence[Row]) -> Sequence[Tensor]:
        """Run one batch, padded on the left: all rows are judged by the last place, and only that is computed."""
        ids = [row.ids[::-1] for row in rows]
        mask = mask_of(ids).flip(1)
        inputs = {
            "input_ids": padded(ids, self._filler).flip(1),
            "attention_mask": mask,
            "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
        }
        inputs = {name: value.to(self.device) for name, value in inputs.items() if name in self._takes}
        kept = {"logits_to_keep": 1} if "logits_to_keep" in self._takes else {}
        logits: Tensor = self._model(**inputs, **kept).logits[:, -1].float().cpu()
        scores = logits[:, self._verdict.true_token_id]
        if self._verdict.false_token_id is not None:
            scores = scores - logits[:, self._verdict.false_token_id]
        return list(scores[:, None])


class JudgingModel(ReadingModel):
    """Ranks documents with a decoder that answers yes or no; and shows its tokens."""

    def __init__(self, info: ModelInfo, options: ClassifierOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        module = judging_module(info)
        if module is None:
            raise LoadFailed(f"{info.id} has no modules.json that names a LogitScore.")
        self._judge = Judge(info, options, _verdict(Path(folder_of(info, options)) / module))
        self._relevance = relevance_of(info)
        self._questions = _questions(self._judge, info)
        super().__init__(self._judge.tokenizer, self._judge.vocabulary, self._judge.device)

    def read(self, requests: list[RerankRequest]) -> list[Ranking | UniversalError]:
        """Return the tokens of each request."""
        with self._vocabulary.reading:
            return read_together(requests, [self._questions.rows(request) for request in requests])

    @batched(cost=tokens_of, budget=WAITING_TOKENS, prepare=read)
    def rerank(self, read: list[Ranking]) -> list[RerankResult]:
        """Answer all requests together."""
        return answer_together(read, self._judge.logits, self._ranking)

    def _ranking(self, request: RerankRequest, rows: Sequence[Row], logits: Sequence[Tensor]) -> RerankResult:
        return ranking_of(rows, logits, self._relevance)


def _verdict(folder: Path) -> Verdict:
    try:
        found = msgspec.convert(read_document(folder / "config.json"), Verdict)
    except msgspec.ValidationError as error:
        raise LoadFailed(f"{folder / 'config.json'} does not say which tokens mean yes and no: {error}") from error
    if found.module_input_name != "causal_logits":
        raise LoadFailed(f"{folder / 'config.json'} judges by {found.module_input_name!r}, not by the next token.")
    return found


def _questions(judge: Judge, info: ModelInfo) -> Questions:
    found = questions_for(judge, prompt_of(info))
    task = judge.settings.get("transformer_task")
    if found is None or task != "text-generation":
        raise LoadFailed(
            f"{info.id} is not set up to be asked about a query and a document: expected the task text-generation and "
            f"messages in its sentence_bert_config.json, found {task!r} and "
            f"{list(judge.settings.get('modality_config') or ())}"
        )
    return found
