"""Every model of pictures and words is taken apart into two halves that say together what it says as a whole."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from universal_vision.encoders.matching import Matcher

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SEES = {**SMALL, "image_size": 32, "patch_size": 8}
READS = {**SMALL, "vocab_size": 100, "max_position_embeddings": 40, "pad_token_id": 0, "bos_token_id": 1}
READS["eos_token_id"] = 2
MORE: dict[str, dict[str, Any]] = {
    "AltCLIP": {"project_dim": 32, "type_vocab_size": 1},
    "Blip": {"sep_token_id": 2, "encoder_hidden_size": 32},
    "CLIP": {},
    "CLIPSeg": {},
    "ChineseCLIP": {},
    "MetaClip2": {},
    "Siglip": {},
}


def make(name: str) -> Any:
    config = getattr(transformers, f"{name}Config")
    torch.manual_seed(0)
    model: Callable[..., Any] = getattr(transformers, f"{name}Model")
    return model(config(text_config={**READS, **MORE[name]}, vision_config=SEES, projection_dim=32)).eval()


@pytest.mark.parametrize("name", MORE)
@torch.inference_mode()
def test_scores_are_those_of_the_whole_model(name: str) -> None:
    model = make(name)
    ids = torch.tensor([[1, 5, 6, 7, 2], [1, 9, 6, 8, 2], [1, 3, 4, 8, 2]])
    words = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    pixels = torch.randn(2, 3, 32, 32)
    logits = model(**words, pixel_values=pixels).logits_per_image
    matcher = Matcher(model)
    scores = matcher.scores(matcher.pictures({"pixel_values": pixels}), matcher.texts(words))
    expected = logits.sigmoid() if name == "Siglip" else logits.softmax(-1)
    assert torch.allclose(scores, expected, atol=1e-5)
