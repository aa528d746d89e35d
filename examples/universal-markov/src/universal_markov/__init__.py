"""A Markov chain that talks: a complete plugin for Universal Runtime."""

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

import msgspec

from universal_core import Backend, ChatRequest, Claim, Finish, MemoryEstimate, ModelInfo, ModelRef, hookimpl

API_VERSION = 1
TEXT = """This is the cock that crowed in the morn that waked the priest all shaven and shorn that
kissed the maiden all forlorn that milked the cow with the crumpled horn that tossed the dog that
worried the cat that killed the rat that ate the malt that lay in the house that Jack built."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    length: Annotated[int, msgspec.Meta(ge=1, description="Most words in an answer.")] = 40
    start: Annotated[str, msgspec.Meta(description="Word to begin with where none is known.")] = "This"


class Markov:
    def __init__(self, info: ModelInfo, options: Options) -> None:
        self.options = options
        self.followers: defaultdict[str, list[str]] = defaultdict(list)
        for word, follower in pairwise(TEXT.split()):
            self.followers[word].append(follower)

    def chat(self, request: ChatRequest) -> Iterator[str | Finish]:
        dice = random.Random(request.seed)
        known = [word for word in request.messages[-1].text.split() if word in self.followers]
        word = dice.choice(known or [self.options.start])
        for count in range(request.max_tokens or self.options.length):
            yield f" {word}" if count else word
            if word not in self.followers:
                return  # nothing follows the last word of the text: the story is over
            word = dice.choice(self.followers[word])
        yield Finish(reason="length")


@hookimpl
def register_backends() -> list[Backend]:
    return [Backend(name="markov", model="universal_markov:Markov", tasks=("chat",), options=Options)]


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    return ModelInfo(id=ref.text, ref=ref, source="markov", path=__file__) if ref.name.startswith("markov/") else None


@hookimpl
def claim_model(info: ModelInfo) -> Claim | None:
    if info.source != "markov":
        return None
    memory = MemoryEstimate(working=30_000_000)
    return Claim(backend="markov", tasks=("chat",), reason="it is named markov/…", memory=memory, fields=("seed",))
