"""What is done to prompts before a pipeline reads them."""

from typing import Any

import torch

from universal_diffusion.pipelines import call_defaults

# What tokenizers that know no limit give for one.
_NO_LIMIT = 1_000_000


def notices_of(pipeline: Any, **prompts: str | None) -> tuple[str, ...]:
    """Return a sentence for each prompt, by its field, of which a pipeline reads only the beginning.

    Like everywhere in the field, the rest is left out. Where several encoders read it, the one that reads farthest
    counts.
    """
    tokenizer, limit = _farthest(pipeline)
    if tokenizer is None or limit >= _NO_LIMIT:
        return ()
    counts = {name: _count(tokenizer, prompt, limit) for name, prompt in prompts.items() if prompt}
    return tuple(
        f"{name}: of its {count} tokens the first {limit} were read; this model reads no further"
        for name, count in counts.items()
        if count > limit
    )


def skip_layers(pipeline: Any, prompts: list[str], skipped: int) -> torch.Tensor | None:
    """Return the prompts as CLIP has them ``skipped`` layers before its end, ``[prompts, tokens, width]``.

    This is what Stable Diffusion's own pipelines do for ``clip_skip``, with a part of CLIP that is no longer where they
    look for it. None for pipelines that do without that part: those with a second encoder.
    """
    if hasattr(pipeline, "text_encoder_2"):
        return None
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    texts = [pipeline.maybe_convert_prompt(prompt, tokenizer) for prompt in prompts]
    tokens = tokenizer(
        texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    device = pipeline._execution_device
    masked = getattr(encoder.config, "use_attention_mask", False)
    mask = tokens.attention_mask.to(device) if masked else None
    with torch.no_grad():
        states = encoder(tokens.input_ids.to(device), attention_mask=mask, output_hidden_states=True).hidden_states
        norm = getattr(encoder, "text_model", encoder).final_layer_norm
        return norm(states[-(skipped + 1)]).to(encoder.dtype)  # type: ignore[no-any-return]


def _count(tokenizer: Any, prompt: str, limit: int) -> int:
    # No tokenizer makes more tokens than the text has bytes, and the two that stand around it.
    most = len(prompt.encode()) + 2
    return len(tokenizer(prompt, verbose=False).input_ids) if most > limit else most


def _farthest(pipeline: Any) -> tuple[Any, int]:
    found = [(part, _limit(pipeline, part)) for name, part in _parts(pipeline) if name.startswith("tokenizer")]
    return max(found, key=lambda each: each[1], default=(None, 0))


def _parts(pipeline: Any) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in pipeline.components.items() if part is not None]


def _limit(pipeline: Any, tokenizer: Any) -> int:
    """Return the most tokens that are read: CLIP's own limit, or what the call says for other encoders."""
    usual = call_defaults(pipeline).get("max_sequence_length")
    if usual is None or "CLIP" in type(tokenizer).__name__:
        return int(tokenizer.model_max_length)
    return int(usual)
