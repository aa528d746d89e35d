"""Writes into the log which models come and go: the core's own answer to that news."""

import logging

from universal_core.hookspecs import hookimpl
from universal_core.models import Claim, ModelInfo

log = logging.getLogger(__name__)


@hookimpl
def model_loaded(info: ModelInfo, claim: Claim, seconds: float) -> None:
    """Log that a model is ready."""
    log.info("%s is ready: backend %s, loaded in %.1f s", info.id, claim.backend, seconds)


@hookimpl
def model_unloaded(info: ModelInfo, claim: Claim, reason: str) -> None:
    """Log that a model has gone."""
    log.info("%s is unloaded: %s", info.id, reason)
