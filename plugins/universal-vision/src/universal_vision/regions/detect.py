"""Boxes around what is found: models that know kinds of things, and models that look for what words describe."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from universal_core import BadRequest, Box, ContextLengthExceeded, Detection
from universal_vision.regions.finder import Job, Size, Words

Detections = tuple[Detection, ...]


class Detector:
    """Finds things of the kinds that the model was trained on."""

    def __init__(self, processor: Any, labels: dict[int, str], threshold: float | None) -> None:
        """``labels`` are the names of the kinds by their number in the model."""
        self._processor = processor
        self._labels = labels
        self._threshold = 0.5 if threshold is None else threshold

    def words(self, job: Job) -> Words:
        """Return nothing: the kinds are the model's own."""
        return Words({})

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Detections]:
        """Return what is found in each picture, the surest first."""
        threshold = self._threshold if job.threshold is None else job.threshold
        found = self._processor.post_process_object_detection(outputs, threshold, _as_tensor(sizes))
        return [_detections(one, (name_of(self._labels, int(kind)) for kind in one["labels"])) for one in found]


class OpenDetector:
    """Finds what each of the request's labels describes, as OWL-ViT does: a text encoder reads each by itself."""

    def __init__(self, processor: Any, longest: int, threshold: float | None) -> None:
        """``longest`` is how many tokens of a label the model reads."""
        self._processor = processor
        self._longest = longest
        self._threshold = 0.1 if threshold is None else threshold

    def words(self, job: Job) -> Words:
        """Return a row of tokens for each label."""
        return rows_of(self._processor.tokenizer, labels_of(job), self._longest, to_longest=True)

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Detections]:
        """Return what is found in each picture, the surest first; a box has the label that fits it best."""
        threshold = self._threshold if job.threshold is None else job.threshold
        found = self._processor.post_process_grounded_object_detection(
            outputs, threshold=threshold, target_sizes=_as_tensor(sizes)
        )
        return [_detections(one, (job.labels[int(place)] for place in one["labels"])) for one in found]


class GroundedDetector:
    """Finds what the request's labels describe, as Grounding DINO does: it reads them all as one text."""

    def __init__(self, processor: Any, longest: int, threshold: float | None) -> None:
        """``longest`` is how many tokens of the text the model reads."""
        self._processor = processor
        self._longest = longest
        self._threshold = 0.25 if threshold is None else threshold

    def words(self, job: Job) -> Words:
        """Return the tokens of one text with all labels, and where in it each label is."""
        phrases = _phrases(labels_of(job))
        made = self._processor.tokenizer(
            "".join(phrases),
            return_token_type_ids=True,
            return_attention_mask=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = made.pop("offset_mapping")[0].tolist()
        _check_length("candidate_labels", len(offsets), self._longest)
        return Words(dict(made), tokens=len(offsets), places=_places(phrases, offsets))

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> list[Detections]:
        """Return what is found in each picture, the surest first; a box has the label with its likeliest token."""
        threshold = self._threshold if job.threshold is None else job.threshold
        found = self._processor.post_process_grounded_object_detection(
            outputs,
            words.inputs["input_ids"].expand(len(sizes), -1),
            threshold=threshold,
            target_sizes=_as_tensor(sizes),
        )
        told = zip(found, outputs.logits.sigmoid(), strict=True)
        return [_detections(one, _fitting(likely, threshold, job.labels, words.places)) for one, likely in told]


def name_of(labels: dict[int, str], kind: int) -> str:
    """Return the name of a kind, its number where the model has none for it."""
    return labels.get(kind, str(kind))


def labels_of(job: Job) -> Sequence[str]:
    """Return what a job describes. Raises BadRequest where that is nothing."""
    if not job.labels:
        raise BadRequest(
            "candidate_labels: this model looks for what you describe; send a list such as ['a cat', 'a red car']",
            param="candidate_labels",
        )
    return job.labels


def rows_of(tokenizer: Any, labels: Sequence[str], longest: int, *, to_longest: bool) -> Words:
    """Return ``input_ids`` and ``attention_mask``, ``[labels, tokens]``, padded ``to_longest`` or as far as needed.

    Raises ContextLengthExceeded for a label of more tokens than ``longest``.
    """
    padding = {"padding": "max_length", "max_length": longest} if to_longest else {"padding": True}
    made = tokenizer(list(labels), **padding)
    for place, ids in enumerate(made["input_ids"]):
        _check_length(f"candidate_labels[{place}]", len(ids), longest)
    inputs = {name: torch.tensor(made[name]) for name in ("input_ids", "attention_mask")}
    return Words(inputs, tokens=int(inputs["attention_mask"].sum()))


def _check_length(param: str, tokens: int, longest: int) -> None:
    if tokens > longest:
        raise ContextLengthExceeded(
            f"{param}: {tokens} tokens, and this model reads {longest}; send fewer words", param=param
        )


def _phrases(labels: Sequence[str]) -> list[str]:
    """Return what stands in the text for each label: full stops divide them, and the model has seen small letters."""
    phrases = [label.strip().rstrip(".").strip().lower() for label in labels]
    for place, phrase in enumerate(phrases):
        if "." in phrase:
            _refuse(place, f"a full stop divides the labels of this model; it is in {labels[place]!r}")
    return [phrase + ". " for phrase in phrases]


def _places(phrases: Sequence[str], offsets: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Return which tokens of the text are those of each phrase, from where each token begins and ends in the text."""
    places, begin = [], 0
    for number, phrase in enumerate(phrases):
        end = begin + len(phrase) - len(". ")
        places.append(tuple(at for at, (first, last) in enumerate(offsets) if begin <= first < last <= end))
        begin += len(phrase)
        if not places[-1]:
            _refuse(number, "expected words, and there are none that this model can read")
    return tuple(places)


def _refuse(place: int, words: str) -> None:
    param = f"candidate_labels[{place}]"
    raise BadRequest(f"{param}: {words}", param=param)


def _fitting(likely: Tensor, threshold: float, labels: Sequence[str], places: Sequence[Sequence[int]]) -> Iterable[str]:
    """Return the label of each box that is told, from how likely each token of the text is for each box."""
    told = likely[likely.max(dim=-1).values > threshold]
    best = torch.stack([told[:, list(tokens)].max(dim=-1).values for tokens in places]).argmax(dim=0)
    return [labels[int(place)] for place in best]


def _as_tensor(sizes: Sequence[Size]) -> Tensor:
    return torch.tensor(sizes, dtype=torch.int32)


def _detections(found: Any, labels: Iterable[str]) -> Detections:
    told = zip(found["scores"].tolist(), labels, found["boxes"].tolist(), strict=True)
    detections = [
        Detection(label=label, score=score, box=Box(xmin=box[0], ymin=box[1], xmax=box[2], ymax=box[3]))
        for score, label, box in told
    ]
    return tuple(sorted(detections, key=lambda detection: -detection.score))
