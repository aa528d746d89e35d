"""What a model recommends about sampling."""

from typing import Any


def default_sampling(file: Any) -> dict[str, Any]:
    """Return the settings that generation_config.json recommends.

    Without ``do_sample`` the file says nothing about sampling, and OpenAI's defaults hold (temperature 1, nothing
    filtered); with ``"do_sample": false`` the model wants the best token always.
    """
    if not isinstance(file, dict):
        return {}
    found = {"repetition_penalty": file.get("repetition_penalty")}
    if file.get("do_sample") is True:
        found |= {name: file.get(name) for name in ("temperature", "top_p", "top_k", "min_p")}
    elif file.get("do_sample") is False:
        found["temperature"] = 0.0
    return {name: value for name, value in found.items() if value is not None}
