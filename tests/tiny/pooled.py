"""Load a GGUF model that embeds or ranks from one file."""

from pathlib import Path
from typing import Any

from tiny.folder import info_of
from universal_core import RerankRequest, RerankResult
from universal_gguf.options import PooledOptions
from universal_gguf.pooled.model import PooledModel


def load(file: Path, **options: Any) -> PooledModel:
    """Return the model in a folder of its own, on the CPU with one thread unless the options say otherwise."""
    return PooledModel(info_of(file.parent), PooledOptions(**{"device": "cpu", "n_threads": 1, **options}))


def rank(model: PooledModel, query: str, *documents: str) -> RerankResult:
    """Return the result of one request alone, and raise the error that is in its place."""
    (answer,) = model.rerank([RerankRequest(query=query, documents=documents)])
    if isinstance(answer, BaseException):
        raise answer
    return answer
