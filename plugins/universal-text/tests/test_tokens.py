"""Tokens of texts and conversations, and back: what the tokenizer itself says."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tiny.answers import chat_request, gather
from tiny.causal import make_llama
from tiny.embedding import load
from tiny.encoders import POSITIONS, make_sentence_transformer
from tiny.templates import TEMPLATES
from universal_core import BadRequest, DetokenizeRequest, LoadFailed, TokenizeRequest, Tool
from universal_text.encoder.model import EncoderModel

TEXTS = ["hello world", "", " spaces  and\ttabs\n", "Grüße 😀 <|im_end|> the end", "a" * 2000]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[EncoderModel, Any]:
    """Return an encoder with its tokenizer."""
    path = make_sentence_transformer(tmp_path_factory.mktemp("encoder"))
    return load(path), AutoTokenizer.from_pretrained(path)


@pytest.fixture
def causal(folder: Any, llama: Any) -> tuple[Any, Any]:
    """Return a causal model with its tokenizer."""
    return llama, AutoTokenizer.from_pretrained(folder("llama"))


def asked(model: Any, request: TokenizeRequest | DetokenizeRequest) -> Any:
    """Return a model's answer, whichever kind of method gives it."""
    found = model.tokenize(request) if isinstance(request, TokenizeRequest) else model.detokenize(request)
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_the_tokens_are_the_tokenizers_own_and_lead_back(
    kind: str, text: str, special: bool, request: pytest.FixtureRequest
) -> None:
    model, tokenizer = request.getfixturevalue(kind)
    expected = tokenizer(text, add_special_tokens=special)["input_ids"]
    found = asked(model, TokenizeRequest(text=text, add_special=special))
    assert (list(found.tokens), found.pieces) == (expected, ())
    back = asked(model, DetokenizeRequest(tokens=found.tokens))
    assert back.text == tokenizer.decode(expected, clean_up_tokenization_spaces=False)


def test_a_text_beyond_what_is_embedded_is_tokenized_whole(encoder: Any) -> None:
    assert len(asked(encoder[0], TokenizeRequest(text="cat " * 500)).tokens) == 502 > POSITIONS


def test_pieces_are_the_texts_of_the_tokens(causal: Any, encoder: Any) -> None:
    found = asked(causal[0], TokenizeRequest(text="hello 😀", pieces=True))
    assert len(found.pieces) == len(found.tokens)
    assert "".join(found.pieces).startswith("hello \N{REPLACEMENT CHARACTER}")
    assert asked(encoder[0], TokenizeRequest(text="cat", pieces=True)).pieces == ("[CLS]", "cat", "[SEP]")


@pytest.mark.parametrize("token", [-1, 10**9])
@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_a_token_that_the_model_does_not_know_is_refused(kind: str, token: int, request: pytest.FixtureRequest) -> None:
    with pytest.raises(BadRequest, match=f"token {token} is not one of the model's") as caught:
        asked(request.getfixturevalue(kind)[0], DetokenizeRequest(tokens=(5, token)))
    assert caught.value.param == "tokens"


@pytest.mark.parametrize("arguments", [{}, {"add_generation_prompt": False}, {"continue_final_message": True}])
def test_a_conversation_has_the_tokens_of_its_template(arguments: dict[str, Any], causal: Any) -> None:
    model, tokenizer = causal
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "the"}]
    settings = {"add_generation_prompt": not arguments, **arguments}
    expected = tokenizer.apply_chat_template(turns, **settings)["input_ids"]
    request = TokenizeRequest(messages=chat_request("hi", "the").messages, chat_template_kwargs=arguments)
    assert list(asked(model, request).tokens) == expected


def test_a_conversation_has_as_many_tokens_as_a_chat_reads(causal: Any) -> None:
    model, _ = causal
    chat = chat_request("hello", "world", "the end", max_tokens=1)
    usage = asyncio.run(gather(model.chat(chat))).usage
    assert usage.prompt_tokens == len(asked(model, TokenizeRequest(messages=chat.messages)).tokens)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_templates_of_well_known_families_are_read(name: str, tmp_path: Path, folder: Any, open_model: Any) -> None:
    model = open_model(make_llama(tmp_path, chat_template=TEMPLATES[name]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    expected = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True)
    assert list(asked(model, TokenizeRequest(messages=chat_request("hi").messages)).tokens) == expected["input_ids"]


TOOL_USE = "{{ tools[0].function.name }} {{ messages[-1].content }}"


def test_of_several_templates_the_one_for_tools_is_for_requests_with_tools(tmp_path: Path, open_model: Any) -> None:
    model = open_model(make_llama(tmp_path, chat_template={"default": "the fox", "tool_use": TOOL_USE}))
    messages = chat_request("hi").messages
    plain, tools = (
        asked(model, TokenizeRequest(messages=messages, tools=tools)).tokens for tools in ((), (Tool(name="f"),))
    )
    assert asked(model, DetokenizeRequest(tokens=plain)).text == "the fox"
    assert asked(model, DetokenizeRequest(tokens=tools)).text == "f hi"


def test_a_template_that_does_not_compile_fails_the_load(tmp_path: Path, open_model: Any) -> None:
    path = make_llama(tmp_path, chat_template="{% if %}")
    with pytest.raises(LoadFailed, match="chat template is not valid"):
        open_model(path)


def test_without_a_template_there_is_nothing_to_set(tmp_path: Path, open_model: Any) -> None:
    model = open_model(make_llama(tmp_path, chat_template=None))
    messages = chat_request("hi").messages
    plain = asked(model, TokenizeRequest(messages=messages)).tokens
    assert asked(model, DetokenizeRequest(tokens=plain)).text.endswith("User:\nhi\n\nAssistant:\n")
    with pytest.raises(BadRequest, match="no chat template that could use enable_thinking") as caught:
        asked(model, TokenizeRequest(messages=messages, chat_template_kwargs={"enable_thinking": False}))
    assert caught.value.param == "chat_template_kwargs"
