"""What a chat model that sees writes here is what transformers' own generate() writes."""

from contextlib import closing
from typing import Any

import pytest

from tiny.chatting import Reference, answers, load, texts
from tiny.conversations import converse, see
from tiny.media import BLUE, GREEN, RED, encoded, picture
from universal_core import ImagePart

FAMILIES = (
    *("llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen25_vl", "qwen3_vl", "qwen3_5", "smolvlm"),
    *("idefics3", "internvl", "gemma3", "paligemma", "mllama"),
)
SIZES = ((64, 40), (50, 90), (33, 33))
RED_PART, GREEN_PART, BLUE_PART = (
    ImagePart(data=encoded(picture(color, size))) for color, size in zip((RED, GREEN, BLUE), SIZES, strict=True)
)
ONE = (see("what is it?", RED_PART), see(GREEN_PART, "what is it?"), see(BLUE_PART, "describe"))
SEVERAL = (
    see("compare", RED_PART, "with", GREEN_PART),
    converse(("look", RED_PART), ("yes",), ("and this?", GREEN_PART)),
    converse((RED_PART, "look"), ("a picture",), ("tell me more",)),
    see("hello there, who are you?"),
)


# What NumPy says of the way in which PaliGemma's processor copies its tokens.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_text_equals_generate_alone_and_beside_others(name: str, folder: Any) -> None:
    path = folder(f"visual_chat.{name}")
    # A PaliGemma has neither turns nor conversations without a picture.
    requests = ONE if name == "paligemma" else ONE + SEVERAL
    reference = Reference(path)
    expected = [reference.write(request) for request in requests]
    assert len({text for text, _ in expected[:3]}) == 3, "pictures must make a difference"
    with closing(load(path, slots=4, prefill_chunk=8)) as model:
        alone = [answers(model, request)[0] for request in requests]
        together = answers(model, *requests)
    assert [(answer.text, answer.usage.prompt_tokens) for answer in alone] == expected
    assert texts(together) == texts(alone)


@pytest.mark.parametrize("name", ["qwen25_vl", "qwen3_5", "gemma3", "mllama"])
def test_several_answers_go_on_from_one_reading(name: str, folder: Any) -> None:
    fields: dict[str, Any] = {"temperature": 1.0, "seed": 5, "max_tokens": 10}
    with closing(load(folder(f"visual_chat.{name}"), slots=2)) as model:
        (several,) = answers(model, see("?", RED_PART, n=3, **fields))
        (single,) = answers(model, see("?", RED_PART, **fields))
    assert len({answer.text for answer in several.by_index.values()}) == 3
    assert several.by_index[0] == single.by_index[0]
    assert several.usage.prompt_tokens == single.usage.prompt_tokens


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "mllama"])
def test_logprobs_equal_a_direct_log_softmax(name: str, folder: Any) -> None:
    import torch

    path, request = folder(f"visual_chat.{name}"), see("what is it?", RED_PART, logprobs=3)
    reference = Reference(path)
    found = reference.model.generate(
        **reference.read(request), max_new_tokens=12, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    expected = torch.cat(found.logits).log_softmax(-1)
    with closing(load(path)) as model:
        told = answers(model, request)[0].by_index[0].logprobs
    for entry, row in zip(told, expected, strict=False):
        best = row.topk(3).values.tolist()
        assert [other.logprob for other in entry.alternatives] == pytest.approx(best, abs=1e-4)
        assert entry.logprob == pytest.approx(best[0], abs=1e-4)
    assert len(told) >= len(expected) - 1


@pytest.mark.parametrize("name", ["qwen25_vl", "mllama"])
def test_penalties_take_in_a_prompt_with_pictures(name: str, folder: Any) -> None:
    path, request = folder(f"visual_chat.{name}"), see("what is it?", RED_PART, repetition_penalty=1.7)
    with closing(load(path)) as model:
        (answer,) = answers(model, request)
    if name == "qwen25_vl":
        assert answer.text == Reference(path).write(request, repetition_penalty=1.7)[0]
    assert answer.text
