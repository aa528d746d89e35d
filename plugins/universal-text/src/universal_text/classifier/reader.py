"""From texts and pairs of texts to rows of tokens, with what cannot be read found before any work."""

from collections.abc import Sequence
from typing import Any, Literal

from universal_core import BadRequest, ClassifyRequest, ContextLengthExceeded, RerankRequest
from universal_text.classifier.network import Network, Row
from universal_text.classifier.questions import questions_for

Text = str | tuple[str, str]
Cut = Literal["longest_first", "only_first"]

# What transformers' pipeline asks a model that nobody asked anything else.
TEMPLATE = "This example is {}."


class Reader:
    """Reads the requests of one model; texts that are too long are cut, as sentence-transformers and pipelines do."""

    def __init__(self, network: Network, prompt: str) -> None:
        """``prompt`` is put before every query that documents are ranked for; raises LoadFailed."""
        self._network = network
        self._prompt = prompt
        self._questions = questions_for(network, prompt)

    def ranking(self, request: RerankRequest) -> list[Row] | BadRequest:
        """Return a row for each document, after the query; the longer of the two is cut first."""
        if self._questions:
            return self._questions.rows(request)
        query = self._prompt + request.query
        return self._checked(self._rows([(query, document) for document in request.documents]), "documents")

    def texts(self, request: ClassifyRequest) -> list[Row] | BadRequest:
        """Return a row for each input, or for each label of the request with each input."""
        if not request.labels:
            return self._checked(self._rows(request.input), "input")
        template = request.hypothesis_template or TEMPLATE
        sentences = [template.replace("{}", label) for label in request.labels]
        fault = self._fault_of_sentences(sentences)
        if fault is not None:
            return fault
        pair = next((at for at, item in enumerate(request.input) if not isinstance(item, str)), None)
        if pair is not None:
            return BadRequest(f"input[{pair}]: a pair of texts cannot have candidate_labels", param=f"input[{pair}]")
        texts = [item for item in request.input if isinstance(item, str)]
        return self._rows([(text, sentence) for text in texts for sentence in sentences], "only_first")

    def _fault_of_sentences(self, sentences: Sequence[str]) -> BadRequest | None:
        """Return what is wrong with the first label whose sentence leaves no room for a text beside it."""
        longest, tokenizer = self._network.longest, self._network.tokenizer
        if longest is None:
            return None
        room = longest - tokenizer.num_special_tokens_to_add(pair=True)
        lengths = [len(ids) for ids in tokenizer(list(sentences), add_special_tokens=False)["input_ids"]]
        at = next((at for at, length in enumerate(lengths) if length >= room), None)
        if at is None:
            return None
        return ContextLengthExceeded(
            f"candidate_labels[{at}]: with the template it has {lengths[at]} tokens, and this model reads {room} of a "
            "text and a label together; use a shorter one",
            param=f"candidate_labels[{at}]",
        )

    def _checked(self, rows: list[Row], name: str) -> list[Row] | BadRequest:
        empty = next((at for at, row in enumerate(rows) if not row.ids), None)
        if empty is None:
            return rows
        return BadRequest(f"{name}[{empty}]: has no tokens, so there is nothing to judge", param=f"{name}[{empty}]")

    def _rows(self, items: Sequence[Text], cut: Cut = "longest_first") -> list[Row]:
        """Return a row for each text or pair, in order: single texts are tokenized together, and pairs are."""
        found: dict[int, Row] = {}
        for kind in (str, tuple):
            places = [place for place, item in enumerate(items) if isinstance(item, kind)]
            found.update(zip(places, self._tokenized([items[place] for place in places], cut), strict=True))
        return [found[place] for place in range(len(items))]

    def _tokenized(self, items: Sequence[Text], cut: Cut) -> list[Row]:
        if not items:
            return []
        network = self._network
        firsts = [item if isinstance(item, str) else item[0] for item in items]
        seconds = [item[1] for item in items if not isinstance(item, str)] or None
        limits: dict[str, Any] = {"truncation": cut, "max_length": network.longest} if network.longest else {}
        encoded = network.tokenizer(
            firsts,
            seconds,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=network.has_types,
            **limits,
        )
        types = encoded["token_type_ids"] if network.has_types else [None] * len(items)
        return [Row(ids, kinds) for ids, kinds in zip(encoded["input_ids"], types, strict=True)]
