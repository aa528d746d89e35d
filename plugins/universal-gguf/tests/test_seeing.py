"""Chats with pictures and recordings say what llama.cpp's own functions say, alone and beside others."""

import asyncio
import base64
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from tiny.answers import Answers, chat_request, gather
from tiny.conversations import converse, see
from tiny.gguf import make_gguf_gemma3, make_gguf_llama, make_projector
from tiny.media import BLUE, GREEN, RED, encoded, picture, recording
from tiny.projectors import (
    make_gemma3_projector,
    make_gguf_qwen2vl,
    make_qwen2vl_projector,
    make_ultravox_projector,
)
from tiny.seeing import reference
from tiny.writing import answers, load
from universal_core import (
    AudioPart,
    BadRequest,
    ChatRequest,
    ContextLengthExceeded,
    ImagePart,
    LoadFailed,
    TokenizeRequest,
    UnsupportedField,
)
from universal_gguf.generation import projector
from universal_gguf.generation.model import GenerationModel

SIZE = (140, 90)
RED_PART, GREEN_PART, BLUE_PART = (ImagePart(data=encoded(picture(color, SIZE))) for color in (RED, GREEN, BLUE))
HIGH, LOW = (AudioPart(data=recording(pitch=pitch), format="wav") for pitch in (880.0, 220.0))

MAKERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Path]]] = {
    "llava": (make_gguf_llama, make_projector),
    "qwen2vl": (make_gguf_qwen2vl, make_qwen2vl_projector),
    "gemma3": (make_gguf_gemma3, make_gemma3_projector),
    "ultravox": (make_gguf_llama, make_ultravox_projector),
}
SEEING = ("llava", "qwen2vl", "gemma3")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a model with its projector once, and returns their folder."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            model, beside = MAKERS[name]
            model(made[name] / "model.gguf")
            beside(made[name] / "mmproj-model.gguf")
        return made[name]

    return make


@pytest.fixture
def loaded(folder_of: Callable[[str], Path]) -> Iterator[Callable[..., GenerationModel]]:
    """Return a function that loads a model with its projector; all are closed after the test.

    Without flash attention: on a processor it sums up in half precision, in another order for steps of another size,
    so that random models change their minds.
    """
    with ExitStack() as stack:

        def make(name: str, **options: Any) -> GenerationModel:
            model = load(folder_of(name) / "model.gguf", **{"flash_attn": "off", **options})
            return stack.enter_context(closing(model))

        yield make


def media_of(name: str) -> tuple[Any, Any]:
    return (HIGH, LOW) if name == "ultravox" else (RED_PART, GREEN_PART)


def written(answer: Answers) -> bytes:
    return b"".join(token.data for token in answer.by_index[0].logprobs)


def texts(found: list[Answers]) -> list[str]:
    return [answer.text for answer in found]


@pytest.mark.parametrize("name", MAKERS)
def test_the_answer_is_that_of_llama_cpps_own_functions(
    name: str, folder_of: Callable[[str], Path], loaded: Callable[..., GenerationModel]
) -> None:
    one, other = media_of(name)
    requests = [
        see("what is it?", one, logprobs=0),
        see(other, "what is it?", logprobs=0),
        see("compare", one, "with", other, logprobs=0),
        converse(("look", one), ("yes",), ("and this?", other), logprobs=0),
    ]
    folder = folder_of(name)
    expected = [reference(folder / "model.gguf", folder / "mmproj-model.gguf", request) for request in requests]
    assert len(set(expected)) > 2
    model = loaded(name)
    assert [written(answers(model, request)[0]) for request in requests] == expected
    # All at once, and now with what was kept.
    assert [written(answer) for answer in answers(model, *requests)] == expected


def test_the_answer_is_that_of_llama_cpp_pythons_chat_handler(
    folder_of: Callable[[str], Path], loaded: Callable[..., GenerationModel]
) -> None:
    from llama_cpp import Llama
    from llama_cpp.llama_chat_format import MTMDChatHandler

    folder = folder_of("llava")
    handler = MTMDChatHandler(clip_model_path=str(folder / "mmproj-model.gguf"), verbose=False, use_gpu=False)
    url = "data:image/png;base64," + base64.b64encode(RED_PART.data).decode()
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    with closing(Llama(str(folder / "model.gguf"), chat_handler=handler, n_threads=1, verbose=False)) as llama:
        found: Any = llama.create_chat_completion(
            [{"role": "user", "content": content}],  # type: ignore[list-item, misc]
            max_tokens=12,
            temperature=0.0,
            repeat_penalty=1.0,
        )
    (answer,) = answers(loaded("llava"), see("what is it?", RED_PART))
    # It leaves out bytes that are no character, and writes one token more.
    assert found["choices"][0]["message"]["content"].startswith(answer.text.replace("\ufffd", ""))


@pytest.mark.parametrize("name", MAKERS)
def test_different_media_get_different_answers_and_the_same_ones_the_same(
    name: str, loaded: Callable[..., GenerationModel]
) -> None:
    one, other = media_of(name)
    model = loaded(name)
    first, second, both, again = texts(
        answers(model, see("?", one), see("?", other), see("?", one, other), see("?", one))
    )
    assert len({first, second, both}) == 3
    assert first == again


@pytest.mark.parametrize("name", SEEING)
def test_a_turn_that_follows_computes_only_what_is_new(name: str, loaded: Callable[..., GenerationModel]) -> None:
    model = loaded(name)
    (first,) = answers(model, see("look at this:", RED_PART))
    following = converse(("look at this:", RED_PART), (first.text,), ("and now?", GREEN_PART))
    (second,) = answers(model, following)
    assert second.usage.cached_tokens >= first.usage.prompt_tokens - 1
    assert second.text == answers(loaded(name), following)[0].text


@pytest.mark.parametrize("name", SEEING)
def test_another_picture_at_the_same_place_shares_only_what_comes_before_it(
    name: str, loaded: Callable[..., GenerationModel]
) -> None:
    model = loaded(name)
    answers(model, see("look:", RED_PART))
    (found,) = answers(model, see("look:", GREEN_PART))
    tokens = asyncio.run(model.tokenize(TokenizeRequest(messages=see("look:", GREEN_PART).messages))).tokens
    assert found.usage.cached_tokens == next(place for place, token in enumerate(tokens) if token < 0)
    assert found.text == answers(loaded(name), see("look:", GREEN_PART))[0].text


@pytest.mark.parametrize("name", MAKERS)
def test_streams_of_text_beside_it_say_what_they_say_alone(name: str, loaded: Callable[..., GenerationModel]) -> None:
    one, other = media_of(name)
    plain = [chat_request(f"tell me of number {number}", temperature=0.0, max_tokens=20) for number in range(3)]
    requests = [plain[0], see("what is it?", one), plain[1], see(other, "?"), plain[2]]
    alone = [answers(loaded(name), request)[0].text for request in requests]
    assert texts(answers(loaded(name), *requests)) == alone


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "options",
    [{"cache_tokens": 200, "n_ctx": 200}, {"lookup_tokens": 4}, {"draft_model": "model.gguf"}, {"slots": 1}],
    ids=str,
)
def test_what_pauses_waits_or_is_guessed_says_the_same(
    name: str, options: dict[str, Any], loaded: Callable[..., GenerationModel]
) -> None:
    one, other = media_of(name)
    requests = [see(text, medium, max_tokens=40) for text in ("aaa", "bbb bbb") for medium in (one, other)]
    assert texts(answers(loaded(name, **options), *requests)) == texts(answers(loaded(name), *requests))


@pytest.mark.parametrize("name", ["llava", "qwen2vl", "ultravox"])
def test_a_medium_that_is_larger_than_a_step_is_read_in_parts(
    name: str, loaded: Callable[..., GenerationModel]
) -> None:
    one, other = media_of(name)
    requests = [see("?", one), chat_request("hello", temperature=0.0, max_tokens=30), see(other, one, "x")]
    small = loaded(name, n_batch=8, slots=3)
    assert texts(answers(small, *requests)) == texts(answers(loaded(name), *requests))


def test_a_picture_that_must_be_read_at_once_is_refused_where_no_step_is_that_large(
    loaded: Callable[..., GenerationModel],
) -> None:
    model = loaded("gemma3", n_batch=8, slots=2)
    with pytest.raises(BadRequest, match="as 16 tokens at once, and the option n_batch allows 8") as caught:
        answers(model, see("?", RED_PART))
    assert caught.value.param == "messages[0].content[1].image_url.url"
    assert answers(model, chat_request("hello", max_tokens=3))[0].usage.completion_tokens == 3


def test_a_prompt_may_end_with_a_picture(loaded: Callable[..., GenerationModel]) -> None:
    found = []
    for n_batch in (8, 512):
        model = loaded("llava", chat_template="{{ messages[0].content }}", n_batch=n_batch, slots=2)
        first, again, other = (answers(model, see("hello", part))[0] for part in (RED_PART, RED_PART, GREEN_PART))
        # The picture is read again, because only reading gives logits.
        assert 0 < again.usage.cached_tokens < again.usage.prompt_tokens - 1
        assert first.text == again.text != other.text
        found.append(first.text)
    assert found[0] == found[1]


def test_a_template_that_does_not_show_every_picture_is_told(loaded: Callable[..., GenerationModel]) -> None:
    model = loaded("llava", chat_template="{{ messages[-1].content }}")
    with pytest.raises(BadRequest, match="shows 1 of 2 pictures") as caught:
        answers(model, converse(("look", RED_PART), ("yes",), ("and?", GREEN_PART)))
    assert caught.value.param == "messages"


def test_several_answers_to_one_picture_are_those_of_several_requests(loaded: Callable[..., GenerationModel]) -> None:
    fields: dict[str, Any] = {"temperature": 1.0, "seed": 5, "repetition_penalty": 1.3, "frequency_penalty": 0.2}
    (several,) = answers(loaded("qwen2vl"), see("?", RED_PART, n=3, **fields))
    assert len({answer.text for answer in several.by_index.values()}) == 3
    assert several.text == answers(loaded("qwen2vl"), see("?", RED_PART, **fields))[0].text


def test_a_client_that_goes_away_leaves_the_others_alone(loaded: Callable[..., GenerationModel]) -> None:
    model = loaded("qwen2vl")

    async def leave(request: ChatRequest) -> None:
        async with aclosing(model.chat(request)) as events:
            await anext(events)

    async def main() -> None:
        await asyncio.gather(*(leave(see("?", part, max_tokens=200)) for part in (RED_PART, GREEN_PART, BLUE_PART)))

    asyncio.run(main())
    request = see("what", RED_PART)
    assert answers(model, request)[0].text == answers(loaded("qwen2vl"), request)[0].text


@pytest.mark.parametrize("name", MAKERS)
def test_whatever_comes_and_goes_in_a_small_cache_everybody_is_told_the_same(
    name: str, loaded: Callable[..., GenerationModel]
) -> None:
    one, other = media_of(name)
    chance = random.Random(1)
    kinds: list[tuple[Any, ...]] = [("hello",), ("x", one), ("y", other), (one, "q", other), ("the same words", one)]
    requests = [see(*chance.choice(kinds), f"number {place}", max_tokens=chance.randint(5, 50)) for place in range(24)]
    calm = texts(answers(loaded(name), *requests))
    model = loaded(name, n_batch=20, slots=4, cache_tokens=330, n_ctx=330, lookup_tokens=2)

    async def hear(place: int) -> str | None:
        async with aclosing(model.chat(requests[place])) as events:
            if place % 4 < 3:
                return (await gather(events)).text
            for _ in range(1 + place % 3):
                await anext(events)
        return None

    async def main() -> list[str | None]:
        return await asyncio.gather(*map(hear, range(len(requests))))

    for _ in range(2):
        found = asyncio.run(main())
        assert all(text in (None, expected) for text, expected in zip(found, calm, strict=True))


def test_what_was_seen_long_ago_is_looked_at_again(
    loaded: Callable[..., GenerationModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "KEPT_BYTES", 5000)
    model = loaded("qwen2vl", slots=1)
    requests = [see("?", RED_PART), see("?", GREEN_PART), see("?", RED_PART, BLUE_PART), see("?", RED_PART)]
    found = [answers(model, request)[0].text for request in requests]
    assert found == [answers(loaded("qwen2vl"), request)[0].text for request in requests]


@pytest.mark.parametrize("name", MAKERS)
def test_counting_a_conversation_counts_what_a_chat_reads(name: str, loaded: Callable[..., GenerationModel]) -> None:
    model, request = loaded(name), see("what", media_of(name)[0])
    found = asyncio.run(model.tokenize(TokenizeRequest(messages=request.messages, pieces=True)))
    (answer,) = answers(model, request)
    assert len(found.tokens) == len(found.pieces) == answer.usage.prompt_tokens
    assert sum(token < 0 for token in found.tokens) >= 4


def test_pictures_that_leave_no_room_are_refused_with_the_numbers(loaded: Callable[..., GenerationModel]) -> None:
    model = loaded("qwen2vl", n_ctx=64)
    with pytest.raises(ContextLengthExceeded, match="context is 64 tokens") as caught:
        answers(model, see(RED_PART, GREEN_PART, BLUE_PART))
    assert caught.value.param == "messages"
    assert answers(model, see(RED_PART, max_tokens=1))[0].text


def test_a_marker_that_somebody_writes_is_a_text(loaded: Callable[..., GenerationModel]) -> None:
    model = loaded("llava")
    assert answers(model, see("<__media__>", RED_PART))[0].text
    assert answers(model, see("<__media__> <image>"))[0].text


@pytest.mark.parametrize(
    ("name", "part", "field"),
    [
        ("llava", ImagePart(data=b""), "image_url.url"),
        ("llava", ImagePart(data=b"<html>"), "image_url.url"),
        ("llava", ImagePart(data=RED_PART.data[:-40]), "image_url.url"),
        ("llava", ImagePart(data=encoded(picture(size=(2000, 2)))), "image_url.url"),
        ("llava", ImagePart(data=HIGH.data), "image_url.url"),
        ("ultravox", AudioPart(data=b"", format="wav"), "input_audio.data"),
        ("ultravox", AudioPart(data=HIGH.data[:44], format="wav"), "input_audio.data"),
        ("ultravox", AudioPart(data=HIGH.data[:20], format="wav"), "input_audio.data"),
        ("ultravox", AudioPart(data=b"\xff\xfb" + bytes(400), format="mp3"), "input_audio.data"),
        ("ultravox", AudioPart(data=b"ID3" + bytes(400), format="mp3"), "input_audio.data"),
        ("ultravox", AudioPart(data=b"RIFF\xff\xff\xff\xffWAVE" + b"\xff" * 400, format="wav"), "input_audio.data"),
        ("ultravox", AudioPart(data=b"fLaC" + b"\xff" * 400, format="flac"), "input_audio.data"),
        ("ultravox", AudioPart(data=b"fLaC" + bytes(400), format="flac"), "input_audio.data"),
        ("ultravox", AudioPart(data=RED_PART.data, format="wav"), "input_audio.data"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_field(
    name: str, part: ImagePart | AudioPart, field: str, loaded: Callable[..., GenerationModel]
) -> None:
    model = loaded(name)
    with pytest.raises(BadRequest) as caught:
        answers(model, see("?", part))
    assert caught.value.param == f"messages[0].content[1].{field}"
    assert answers(model, see("?", media_of(name)[0]))[0].text


@pytest.mark.parametrize(
    ("name", "part", "field"), [("llava", HIGH, "input_audio"), ("ultravox", RED_PART, "image_url")]
)
def test_a_projector_that_only_sees_does_not_hear(
    name: str, part: ImagePart | AudioPart, field: str, loaded: Callable[..., GenerationModel]
) -> None:
    with pytest.raises(UnsupportedField) as caught:
        answers(loaded(name), see("?", part))
    assert caught.value.param == f"messages[0].content[1].{field}"


def test_the_option_mmproj_names_another_projector_or_none(
    folder_of: Callable[[str], Path], loaded: Callable[..., GenerationModel], tmp_path: Path
) -> None:
    other = make_projector(tmp_path / "other.gguf", seed=7)
    request = see("?", RED_PART)
    texts_of = {mmproj: answers(loaded("llava", mmproj=mmproj), request)[0].text for mmproj in (None, str(other))}
    assert len(set(texts_of.values())) == 2
    with pytest.raises(UnsupportedField, match="without a projector"):
        answers(loaded("llava", mmproj="none"), request)
    with pytest.raises(LoadFailed, match="is a model of its own and no projector"):
        loaded("llava", mmproj="model.gguf")
    with pytest.raises(LoadFailed):
        loaded("llava", mmproj="nowhere.gguf")


def test_a_projector_that_does_not_fit_fails_to_load_with_the_reason(
    loaded: Callable[..., GenerationModel], tmp_path: Path
) -> None:
    wrong = make_projector(tmp_path / "wrong.gguf", embedding=128)
    with pytest.raises(LoadFailed, match=r"wrong\.gguf.*mismatch between text model"):
        loaded("llava", mmproj=str(wrong))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(wrong.read_bytes()[:-5000])
    with pytest.raises(LoadFailed, match=r"cut\.gguf"):
        loaded("llava", mmproj=str(cut))
