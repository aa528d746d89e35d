"""The hub's settings as huggingface_hub knows them: variables of the environment, which workers inherit."""

import os
from pathlib import Path

from universal_core.config.sections import HubConfig

_TRUTHS = ("1", "ON", "YES", "TRUE")


def is_offline() -> bool:
    """Whether the hub must not be asked, as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUTHS


def cache_folder() -> Path:
    """Return the HuggingFace cache that every tool on this machine shares."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE)


def apply_hub(config: HubConfig) -> None:
    """Tell huggingface_hub, in this process and in every worker, where its cache is and whether it may go online.

    The library reads its environment when it is imported, so this comes before.
    """
    if config.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    old = os.environ.get("TRANSFORMERS_CACHE")
    cache = config.cache or (old if not {"HF_HOME", "HF_HUB_CACHE"} & os.environ.keys() else None)
    if cache:
        os.environ["HF_HUB_CACHE"] = str(Path(cache).expanduser())
    os.environ["UNIVERSAL_RUNTIME_HUB_TIMEOUT"] = str(config.timeout)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
