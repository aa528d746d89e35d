"""Answers as OpenAI writes them: the official client's types read them, whole and in chunks."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import pytest
from openai.types import Completion as OpenAICompletion
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion as OpenAIChatCompletion
from openai.types.chat import ChatCompletionChunk

from universal_core.messages import (
    EmbedResult,
    Finish,
    Message,
    Reasoning,
    Text,
    TokenAlternative,
    TokenLogprob,
    ToolCall,
    Truncated,
    Usage,
)
from universal_core.openai.chat_answers import ChatChunks, ChatCompletion
from universal_core.openai.completion_answers import (
    Completion,
    CompletionChunks,
    CompletionLogprobs,
    choices_of,
    ranked,
)
from universal_core.openai.embeddings import Embeddings
from universal_core.openai.generation import Stamp, UsageBody

STAMP = Stamp.new("chatcmpl", "org/m")
TOKEN = TokenLogprob(
    token="é",
    data="é".encode(),
    logprob=-0.5,
    alternatives=(
        TokenAlternative(token="é", data="é".encode(), logprob=-0.5),
        TokenAlternative(token="�", data=b"\xc3", logprob=-2),
    ),
)
USAGE = Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=2)
CALLS: list[Message] = [
    ToolCall(position=0, id="call_1", name="first"),
    ToolCall(position=0, arguments='{"a":'),
    ToolCall(position=1, id="call_2", name="second"),
    ToolCall(position=0, arguments=" 1}"),
    ToolCall(position=1, arguments="{}"),
    Finish(reason="tool_calls"),
]


def whole(events: Sequence[Message], n: int = 1, *, logprobs: bool = False) -> OpenAIChatCompletion:
    """Return what the official client makes of an answer."""
    wire = json.loads(msgspec.json.encode(ChatCompletion.of(STAMP, events, n, logprobs=logprobs)))
    return OpenAIChatCompletion.model_validate(wire, strict=True)


def sent(batches: Sequence[Sequence[Message]], n: int = 1, *, usage: bool = False, logprobs: bool = False) -> bytes:
    async def main() -> bytes:
        chunks = ChatChunks(STAMP, n, usage=usage, logprobs=logprobs)

        async def frames() -> AsyncGenerator[bytes]:
            for batch in batches:
                yield chunks.write(batch)

        return b"".join([frame async for frame in chunks.around(frames())])

    return asyncio.run(main())


def chunked(*batches: Sequence[Message], **options: Any) -> list[ChatCompletionChunk]:
    """Return what the official client makes of a stream."""
    *events, done, rest = sent(batches, **options).split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [
        ChatCompletionChunk.model_validate(json.loads(event.removeprefix(b"data: ")), strict=True) for event in events
    ]


def test_an_answer_has_its_text_its_end_and_its_usage() -> None:
    found = whole([Text(text="hel"), Text(text="lo"), Finish(reason="length"), USAGE])
    assert (found.id, found.object, found.model, found.created) == (STAMP.id, "chat.completion", "org/m", STAMP.created)
    assert STAMP.id.startswith("chatcmpl-")
    (choice,) = found.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "hello", "length")
    assert (choice.message.tool_calls, choice.logprobs) == (None, None)
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (7, 3, 10)
    assert found.usage.prompt_tokens_details is not None
    assert found.usage.prompt_tokens_details.cached_tokens == 2


def test_several_answers_are_told_apart_however_their_events_mix() -> None:
    events = [
        Text(text="a", index=1),
        Text(text="b"),
        Finish(reason="stop", index=1),
        Text(text="c"),
        Finish(reason="length"),
    ]
    found = whole(events, 2)
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in found.choices] == [
        (0, "bc", "length"),
        (1, "a", "stop"),
    ]


def test_calls_of_tools_are_put_together_from_their_pieces() -> None:
    (choice,) = whole(CALLS).choices
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    calls = [
        (call.id, call.type, call.function.name, call.function.arguments) for call in choice.message.tool_calls or []
    ]  # type: ignore[union-attr]
    assert calls == [("call_1", "function", "first", '{"a": 1}'), ("call_2", "function", "second", "{}")]


def test_thinking_is_apart_from_the_answer() -> None:
    (choice,) = whole([Reasoning(text="hm"), Reasoning(text="m"), Text(text="yes"), Finish(reason="stop")]).choices
    message = choice.message
    assert (message.content, message.reasoning_content, message.reasoning) == ("yes", "hmm", "hmm")  # type: ignore[attr-defined]


def test_thoughts_are_counted_among_the_tokens_of_the_answer() -> None:
    usage = whole([Text(text="x"), Usage(prompt_tokens=1, completion_tokens=9, reasoning_tokens=7)]).usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens) == (9, 7)


def test_turns_that_were_left_out_are_told_of_in_the_answer_and_in_the_first_chunk() -> None:
    events = [Truncated(messages=3), Text(text="x"), Finish(reason="stop")]
    assert whole(events).truncation == {"dropped_messages": 3}  # type: ignore[attr-defined]
    first, *others = chunked(events[:1], events[1:], n=2)
    assert first.truncation == {"dropped_messages": 3}  # type: ignore[attr-defined]
    assert not any("truncation" in (chunk.model_extra or {}) for chunk in others)
    assert "truncation" not in (whole(events[1:]).model_extra or {})


def test_an_answer_without_text_is_empty_and_not_absent() -> None:
    assert whole([Finish(reason="stop")]).choices[0].message.content == ""


def test_logprobs_are_those_of_the_official_shape() -> None:
    (choice,) = whole([Text(text="é", logprobs=(TOKEN,)), Finish(reason="stop")], logprobs=True).choices
    assert choice.logprobs is not None
    (token,) = choice.logprobs.content or []
    assert (token.token, token.logprob, token.bytes) == ("é", -0.5, [0xC3, 0xA9])
    assert [(other.token, other.bytes) for other in token.top_logprobs] == [("é", [0xC3, 0xA9]), ("�", [0xC3])]
    assert whole([Text(text="é", logprobs=(TOKEN,))]).choices[0].logprobs is None


def test_a_model_that_counted_nothing_has_no_usage() -> None:
    assert whole([Text(text="x")]).usage is None


def test_a_stream_is_a_role_then_pieces_then_an_end() -> None:
    chunks = chunked([Text(text="hel")], [Text(text="lo"), Finish(reason="stop"), USAGE])
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [(delta.role, delta.content) for delta in deltas] == [
        ("assistant", ""),
        (None, "hel"),
        (None, "lo"),
        (None, None),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert {(chunk.id, chunk.object, chunk.model) for chunk in chunks} == {(STAMP.id, "chat.completion.chunk", "org/m")}
    assert b'"usage"' not in sent([[Text(text="x"), USAGE]])


def test_usage_comes_last_and_alone_where_it_is_asked_for() -> None:
    chunks = chunked([Text(text="x"), Finish(reason="stop"), USAGE], usage=True)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 10
    assert all(chunk.usage is None for chunk in chunks[:-1])
    first = json.loads(sent([[Text(text="x")]], usage=True).split(b"\n\n")[0].removeprefix(b"data: "))
    assert first["usage"] is None


def test_every_answer_of_a_stream_has_its_role() -> None:
    chunks = chunked([Text(text="b", index=1)], n=2)
    assert [(chunk.choices[0].index, chunk.choices[0].delta.role) for chunk in chunks[:2]] == [
        (0, "assistant"),
        (1, "assistant"),
    ]


def test_a_stream_of_nothing_still_has_its_roles_and_its_end() -> None:
    assert [chunk.choices[0].delta.role for chunk in chunked()] == ["assistant"]


def test_calls_of_tools_come_in_pieces_that_clients_put_together() -> None:
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunked(CALLS):
        for piece in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(piece.index, {"name": "", "arguments": ""})
            assert piece.function is not None
            if piece.id:
                assert piece.type == "function"
                call["id"] = piece.id
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    assert calls == {
        0: {"id": "call_1", "name": "first", "arguments": '{"a": 1}'},
        1: {"id": "call_2", "name": "second", "arguments": "{}"},
    }


def test_thinking_and_logprobs_are_streamed_in_the_official_shape() -> None:
    chunks = chunked([Reasoning(text="hm"), Text(text="é", logprobs=(TOKEN,))], logprobs=True)
    delta = chunks[1].choices[0].delta
    assert (delta.reasoning_content, delta.reasoning) == ("hm", "hm")  # type: ignore[attr-defined]
    logprobs = chunks[2].choices[0].logprobs
    assert logprobs is not None
    assert [token.token for token in logprobs.content or []] == ["é"]


def test_completions_are_read_by_the_official_client() -> None:
    chunks = CompletionChunks(STAMP, 3, usage=True, logprobs=True)
    written = chunks.write(
        [Text(text="aé", logprobs=(TOKEN, TOKEN)), Text(text="b", logprobs=(TOKEN,)), Finish(reason="stop")]
    )
    *events, _ = written.split(b"\n\n")
    # The client reads chunks without checking them: its type has no null finish_reason, which OpenAI itself sends.
    found = [OpenAICompletion.construct(**json.loads(event.removeprefix(b"data: "))) for event in events]
    assert [(item.choices[0].index, item.choices[0].text, item.choices[0].finish_reason) for item in found] == [
        (3, "aé", None),
        (3, "b", None),
        (3, "", "stop"),
    ]
    offsets = [item.choices[0].logprobs.text_offset for item in found[:2] if item.choices[0].logprobs]
    assert offsets == [[0, 1], [2]]


def test_logprobs_of_completions_are_lists_side_by_side() -> None:
    found, end = CompletionLogprobs.of([Text(text="éé", logprobs=(TOKEN, TOKEN))], 4)
    assert (found.tokens, found.token_logprobs, found.text_offset, end) == (["é", "é"], [-0.5, -0.5], [4, 5], 6)
    assert found.top_logprobs == [{"é": -0.5, "bytes:\\xc3": -2}] * 2


def part(data: bytes, logprob: float | None = -1.0) -> TokenLogprob:
    return TokenLogprob(token=data.decode(errors="replace"), data=data, logprob=logprob)


def test_a_part_of_a_character_is_told_as_bytes_and_begins_where_the_character_does() -> None:
    parts = [part(data) for data in (b"a", b"\xf0\x9f", b"\x98\x80", b"b")]
    found, end = CompletionLogprobs.of([Text(text="a😀b", logprobs=tuple(parts))])
    assert found.tokens == ["a", "bytes:\\xf0\\x9f", "bytes:\\x98\\x80", "b"]
    assert (found.text_offset, end) == ([0, 1, 1, 2], 3)


def test_the_first_token_of_a_prompt_has_no_logprob_and_one_before_its_text_no_place() -> None:
    events = [Text(text="", logprobs=(part(b"<s>", None),)), Text(text="hi!", logprobs=(part(b"hi"), part(b"!")))]
    found, _ = CompletionLogprobs.of(events)
    assert (found.token_logprobs, found.text_offset) == ([None, -1, -1], [0, 0, 2])
    assert found.top_logprobs == [None, {"hi": -1}, {"!": -1}]


def test_the_best_answers_are_those_with_the_highest_logprob_per_token() -> None:
    def told(index: int, *logprobs: float) -> Text:
        tokens = tuple(part(b"x", value) for value in logprobs)
        return Text(text="x" * len(tokens), index=index, logprobs=tokens)

    events = [told(0, -1.0), told(1, -3.0), told(2, -0.5, -0.7), told(1, -0.2), Finish(reason="length", index=2), USAGE]
    assert ranked(events, 4, echo=False) == [2, 0, 1, 3]
    choices = choices_of(events, 6, [2, 0], logprobs=False)
    assert [(one.index, one.text, one.finish_reason, one.logprobs) for one in choices] == [
        (6, "xx", "length", None),
        (7, "x", "stop", None),
    ]
    prompt = Usage(prompt_tokens=1)
    assert ranked([told(0, -9.0, -1.0), told(1, -9.0, -0.5, -0.5), prompt], 2, echo=True) == [1, 0]


def test_a_whole_completion_is_read_by_the_official_client() -> None:
    answer = Completion.of(Stamp.new("cmpl", "m"), [])
    answer.usage = UsageBody.of([USAGE, USAGE])
    found = OpenAICompletion.model_validate(json.loads(msgspec.json.encode(answer)))
    assert found.id.startswith("cmpl-")
    assert found.object == "text_completion"
    assert found.usage is not None
    assert found.usage.total_tokens == 20


@pytest.mark.parametrize("text", [True, False])
def test_embeddings_are_read_by_the_official_client(text: bool) -> None:
    result = EmbedResult.of([[1.0, -2.5], [0.0, 3.0]], 9)
    found = json.loads(msgspec.json.encode(Embeddings.of("m", result, text=text)))
    if text:
        assert [row["embedding"] for row in found["data"]] == ["AACAPwAAIMA=", "AAAAAAAAQEA="]
        return
    parsed = CreateEmbeddingResponse.model_validate(found, strict=True)
    assert [(row.index, row.embedding) for row in parsed.data] == [(0, [1.0, -2.5]), (1, [0.0, 3.0])]
    assert (parsed.usage.prompt_tokens, parsed.usage.total_tokens, parsed.model, parsed.object) == (9, 9, "m", "list")
