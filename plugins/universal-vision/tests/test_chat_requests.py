"""Chats with pictures from the request to the last event: what is honoured, what is refused, and by which name."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from tiny.answers import completion, gather
from tiny.chatting import Reference, answers, load, texts
from tiny.conversations import converse, see
from tiny.media import BLUE, GREEN, RED, encoded, picture, recording
from tiny.visual_chat import chat_template, make_llava
from universal_core import (
    AnswerQuestionRequest,
    AudioPart,
    BadRequest,
    CaptionRequest,
    ChatRequest,
    ContextLengthExceeded,
    DetokenizeRequest,
    ImagePart,
    LoadFailed,
    TokenizeRequest,
    Tool,
    UnsupportedField,
)
from universal_vision.chat.model import VisionChatModel
from universal_vision.chat.pictures import Given, seen

RED_PART, GREEN_PART, BLUE_PART = (ImagePart(data=encoded(picture(color, (64, 48)))) for color in (RED, GREEN, BLUE))
PLACE = "messages[0].content[1].image_url.url"
Load = Callable[..., VisionChatModel]


@pytest.fixture
def loaded(folder: Any) -> Iterator[Load]:
    """Return a function that loads a tiny model by name; all are closed after the test."""
    with ExitStack() as stack:

        def make(name: str | Path = "llava", **options: Any) -> VisionChatModel:
            path = name if isinstance(name, Path) else folder(f"visual_chat.{name}")
            model = load(path, **options)
            stack.callback(model.close)
            return model

        yield make


def refused(model: VisionChatModel, request: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        answers(model, request)
    assert answers(model, see("?", RED_PART, max_tokens=2))[0].usage.completion_tokens, "the model goes on"
    return caught.value


@pytest.mark.parametrize("name", ["llava", "qwen3_vl"])
def test_many_requests_at_once_equal_their_solo_runs(name: str, loaded: Load) -> None:
    parts = (RED_PART, GREEN_PART, BLUE_PART)
    requests = [
        see(f"number {place}", *parts[place % 3 :], temperature=0.9 * (place % 2), seed=place, max_tokens=4 + place % 7)
        for place in range(12)
    ]
    requests += [see("and words alone, of which there are some", max_tokens=9), completion("hello world", max_tokens=7)]
    model = loaded(name, slots=5, prefill_chunk=8)
    assert texts(answers(model, *requests)) == [answers(model, request)[0].text for request in requests]


def test_seeds_repeat_and_differ(loaded: Load) -> None:
    model = loaded()
    first, again, other = texts(answers(model, *(see("?", RED_PART, temperature=1.0, seed=seed) for seed in (1, 1, 2))))
    assert first == again != other


def test_stop_strings_end_an_answer(loaded: Load) -> None:
    model = loaded()
    whole = answers(model, see("?", RED_PART))[0].text
    (cut,) = answers(model, see("?", RED_PART, stop=(whole[4:6],)))
    assert (cut.text, cut.reason) == (whole[: whole.index(whole[4:6])], "stop")


def test_a_client_that_goes_away_leaves_the_others_alone(loaded: Load) -> None:
    model = loaded("qwen25_vl")

    async def leave(request: ChatRequest) -> None:
        async with aclosing(model.chat(request)) as events:
            await anext(events)

    async def main() -> None:
        await asyncio.gather(*(leave(see("?", part, max_tokens=500)) for part in (RED_PART, GREEN_PART, BLUE_PART)))

    asyncio.run(main())
    request = see("what", RED_PART)
    assert answers(model, request)[0].text == answers(loaded("qwen25_vl"), request)[0].text


@pytest.mark.parametrize("name", ["qwen2_vl", "smolvlm"])
def test_low_detail_shrinks_a_picture_and_high_detail_does_not(name: str, loaded: Load, folder: Any) -> None:
    large = encoded(picture(RED, (1600, 200)))
    reference = Reference(folder(f"visual_chat.{name}"))
    expected = [
        reference.write(see("?", ImagePart(data=data)))
        for data in (large, encoded(picture(RED, (1600, 200)).resize((512, 64), 3)))
    ]
    model = loaded(name)
    found = answers(model, *(see("?", ImagePart(data=large, detail=detail)) for detail in ("high", "auto", "low")))
    assert [(one.text, one.usage.prompt_tokens) for one in found] == [expected[0], expected[0], expected[1]]


def test_pictures_are_shrunk_as_far_as_asked_and_never_enlarged() -> None:
    wide, small = (ImagePart(data=encoded(picture(size=size)), detail="low") for size in ((2048, 16), (300, 20)))
    assert seen(Given(wide, "image"), None).size == (512, 4)
    assert seen(Given(small, "image"), None).size == (300, 20)
    assert seen(Given(small, "image"), 60).size == (30, 2)
    assert seen(Given(ImagePart(data=wide.data), "image"), None).size == (2048, 16)


def test_max_pixels_bounds_what_a_picture_costs(loaded: Load) -> None:
    request = see("?", ImagePart(data=encoded(picture(size=(280, 280)))))
    (whole,) = answers(loaded("qwen2_vl"), request)
    (small,) = answers(loaded("qwen2_vl", max_pixels=56 * 56), request)
    assert small.usage.prompt_tokens < whole.usage.prompt_tokens


def test_counting_a_conversation_counts_what_a_chat_reads(loaded: Load) -> None:
    model, request = loaded("smolvlm"), see("what", RED_PART)
    found = asyncio.run(model.tokenize(TokenizeRequest(messages=request.messages, pieces=True)))
    assert len(found.tokens) == len(found.pieces) == answers(model, request)[0].usage.prompt_tokens
    assert found.pieces.count("<image>") > 4


def test_pictures_that_leave_no_room_are_refused_with_the_numbers(loaded: Load) -> None:
    error = refused(loaded("llava", n_ctx=60), see("?", RED_PART, GREEN_PART, BLUE_PART))
    assert isinstance(error, ContextLengthExceeded)
    assert "context is 60 tokens" in error.message
    assert error.param == "messages"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("llava", "<image>"),
        ("qwen25_vl", "<|image_pad|> and <|video_pad|>"),
        ("gemma3", "<start_of_image><image_soft_token>"),
        ("internvl", "<IMG_CONTEXT><video>"),
        ("smolvlm", "<image><image>"),
        ("mllama", "<|image|>"),
    ],
)
def test_the_place_of_a_picture_that_somebody_writes_is_a_text(name: str, words: str, loaded: Load) -> None:
    model = loaded(name)
    written = [see(f"draw {words}", max_tokens=6), see(words, RED_PART, words, max_tokens=6), see("look", RED_PART)]
    assert len({answer.text for answer in answers(model, *written)}) > 1
    (answer,) = answers(model, completion(f"say {words}", max_tokens=6))
    assert answer.usage.completion_tokens
    tokens = asyncio.run(model.tokenize(TokenizeRequest(messages=written[0].messages, pieces=True)))
    assert not set(tokens.pieces) & set(words.replace("><", "> <").split())


def test_a_place_put_together_from_several_parts_is_refused(loaded: Load) -> None:
    error = refused(loaded(), see("<ima", "ge>", RED_PART))
    assert "have <image>, which stands for a picture" in error.message
    assert error.param == "messages"
    assert "which stands for a picture" in refused(loaded(), see("<ima", "ge>")).message


def test_a_template_that_does_not_show_every_picture_is_told(loaded: Load, tmp_path: Path) -> None:
    only_users = chat_template("{% if message.role == 'user' %}<image>{% endif %}")
    model = loaded(make_llava(tmp_path, template=only_users))
    error = refused(model, converse(("look",), (RED_PART, "yes"), ("and?", GREEN_PART)))
    assert "shows 1 of 2 pictures" in error.message
    assert error.param == "messages"


def test_a_model_without_a_template_reads_pictures_before_words(loaded: Load, tmp_path: Path) -> None:
    path = make_llava(tmp_path, template=None)
    model = loaded(path)
    request = see("what is it?", RED_PART)
    (answer,) = answers(model, request)
    assert (answer.text, answer.usage.prompt_tokens) == Reference(path).write(request)
    longer = converse(("look", RED_PART), ("yes",), ("and?", GREEN_PART))
    assert answers(model, longer)[0].usage.prompt_tokens > 2 * 16
    assert refused(model, see("?", RED_PART, chat_template_kwargs={"x": 1})).param == "chat_template_kwargs"
    told = see("what is it?", RED_PART, tools=(Tool(name="get_weather"),))
    assert "get_weather" in model._prompter.write_chat(told)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", RED_PART.data[:-40], encoded(picture(size=(2000, 2)))],
    ids=["nothing", "no picture", "cut off", "a line"],
)
def test_a_picture_that_cannot_be_read_is_refused_by_its_place(data: bytes, loaded: Load) -> None:
    assert refused(loaded(), see("?", ImagePart(data=data))).param == PLACE


def test_a_model_that_sees_does_not_hear(loaded: Load) -> None:
    error = refused(loaded(), see("?", AudioPart(data=recording(), format="wav")))
    assert isinstance(error, UnsupportedField)
    assert error.param == "messages[0].content[1].input_audio"


def test_a_caption_is_the_answer_to_a_wish(loaded: Load) -> None:
    model = loaded()
    chats = [see(RED_PART, words, max_tokens=9) for words in ("Describe this image.", "in one word")]
    wanted = answers(model, *chats)
    for prompt, want in zip((None, "in one word"), wanted, strict=True):
        found = asyncio.run(model.caption(CaptionRequest(image=RED_PART.data, max_length=9, prompt=prompt)))
        assert (found.caption, found.usage) == (want.text.strip(), want.usage)


def test_a_question_is_asked_about_a_picture(loaded: Load) -> None:
    model = loaded()
    (want,) = answers(model, see(GREEN_PART, "what is it?", max_tokens=9))
    request = AnswerQuestionRequest(image=GREEN_PART.data, question="what is it?", max_length=9)
    found = asyncio.run(model.answer_question(request))
    assert (found.answer, found.usage) == (want.text.strip(), want.usage)


def test_errors_of_captions_and_questions_name_their_own_fields(loaded: Load) -> None:
    model = loaded(n_ctx=64)

    def refusal(call: Any) -> BadRequest:
        with pytest.raises(BadRequest) as caught:
            asyncio.run(call)
        return caught.value

    bad = refusal(model.caption(CaptionRequest(image=b"none")))
    assert bad.param == "image"
    assert bad.message.startswith("image: expected a picture")
    long = refusal(model.answer_question(AnswerQuestionRequest(image=RED_PART.data, question="why? " * 99)))
    assert isinstance(long, ContextLengthExceeded)
    assert long.param == "question"
    assert "max_length asks for 50 more" in long.message
    assert refusal(model.caption(CaptionRequest(image=RED_PART.data, prompt="why? " * 99))).param == "prompt"
    assert refusal(model.caption(CaptionRequest(image=RED_PART.data, max_length=99))).param == "max_length"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_paligemma_is_asked_in_the_words_that_it_was_trained_on(loaded: Load) -> None:
    model = loaded("paligemma")
    wanted = answers(model, see(RED_PART, "caption en", max_tokens=9), see(RED_PART, "answer en why {}?", max_tokens=9))
    caption = asyncio.run(model.caption(CaptionRequest(image=RED_PART.data, max_length=9)))
    question = AnswerQuestionRequest(image=RED_PART.data, question="why {}?", max_length=9)
    answer = asyncio.run(model.answer_question(question))
    assert [caption.caption, answer.answer] == [text.strip() for text in texts(wanted)]


def test_a_question_that_nobody_waits_for_is_given_up(loaded: Load) -> None:
    model = loaded(slots=1)

    async def main() -> None:
        asked = asyncio.ensure_future(
            model.caption(CaptionRequest(image=RED_PART.data, max_length=900, prompt="on and on"))
        )
        other = asyncio.ensure_future(gather(model.chat(see("?", GREEN_PART, max_tokens=2, logit_bias={2: -100.0}))))
        await asyncio.sleep(0)
        asked.cancel()
        assert (await other).usage.completion_tokens == 2
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(main())


def test_tokens_that_a_model_reads_and_never_writes_cannot_be_biased(loaded: Load) -> None:
    model = loaded("mllama")
    prompt = asyncio.run(model.tokenize(TokenizeRequest(messages=see("?", RED_PART).messages))).tokens
    place = max(prompt)
    assert refused(model, see("?", RED_PART, logit_bias={place: 1.0})).param == "logit_bias"
    assert asyncio.run(model.detokenize(DetokenizeRequest(tokens=(place,)))).text == "<|image|>"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_options_of_text_models_are_honoured(attention: str, loaded: Load) -> None:
    (usual,) = answers(loaded(), see("?", RED_PART))
    model = loaded(attention=attention, slots=1, prefill_chunk=3, n_ctx=100)
    assert model.context == 100
    assert texts(answers(model, see("?", RED_PART), see("?", RED_PART))) == [usual.text] * 2


def test_what_a_model_lacks_is_said_when_it_is_loaded(loaded: Load, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="nonsense"):
        loaded(attention="nonsense")
    path = make_llava(tmp_path)
    for file in ("preprocessor_config.json", "processor_config.json"):
        (path / file).unlink(missing_ok=True)
    with pytest.raises(LoadFailed, match=r"preprocessor_config\.json"):
        loaded(path)


def test_code_of_a_model_runs_only_where_it_is_trusted(loaded: Load, tmp_path: Path) -> None:
    file = make_llava(tmp_path) / "config.json"
    own = {"model_type": "brand_new", "auto_map": {"AutoModelForImageTextToText": "modeling_new.New"}}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    with pytest.raises(LoadFailed, match="trust_remote_code"):
        loaded(tmp_path)
