"""Requests of many clients: what is put together, who leaves, what is counted and what is refused."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
import torch

from tiny.captioning import PICTURES, QUESTION, ask, describe, load, question, together
from tiny.folder import info_of
from tiny.media import encoded
from universal_core import BadRequest, CaptionRequest, ContextLengthExceeded, LoadFailed, TaskNotSupported
from universal_vision.captions.model import CaptionModel
from universal_vision.captions.options import CaptionOptions

Folder = Callable[[str], Path]


def widths(model: CaptionModel, part: Any) -> list[int]:
    """Return a list that will have the number of rows of each call of a part of the model."""
    seen: list[int] = []
    part.register_forward_hook(lambda module, args, kwargs, output: seen.append(output[0].shape[0]), with_kwargs=True)
    return seen


def test_requests_that_wait_are_written_together_up_to_the_batch_size(folder: Folder) -> None:
    with closing(load(folder("captions.blip"), batch_size=3)) as model:
        seen = widths(model, model._writer.eyes)
        asyncio.run(together(model, [describe(PICTURES[0])] * 7))
    assert max(seen) == 3
    assert sum(seen) == 7
    assert len(seen) <= 4


def test_only_requests_of_one_length_and_one_shape_are_written_together(folder: Folder) -> None:
    requests = [describe(PICTURES[0]), describe(PICTURES[1], max_length=3), describe(PICTURES[2], "a photo")] * 2
    with closing(load(folder("captions.blip"))) as model:
        seen = widths(model, model._writer.eyes)
        answers = asyncio.run(together(model, requests))
    assert max(seen) <= 2
    assert sum(seen) == 6
    assert [answer.usage.completion_tokens for answer in answers[1::3]] == [3, 3]


class Pace:
    """Stops a model after its third token until it is told to go on, and counts its steps."""

    def __init__(self, part: Any) -> None:
        self.steps = 0
        self.reached, self.go_on = Event(), Event()
        part.register_forward_hook(self._step)

    def _step(self, *_: Any) -> None:
        self.steps += 1
        if self.steps == 3:
            self.reached.set()
            assert self.go_on.wait(30)


@pytest.mark.parametrize("beams", [None, 3], ids=["greedy", "beams"])
def test_writing_stops_when_all_who_wait_have_left(folder: Folder, beams: int | None) -> None:
    async def leave(model: CaptionModel, pace: Pace) -> list[Any]:
        waiting = [asyncio.create_task(model.caption(describe(image, max_length=60))) for image in PICTURES[2:]]
        await asyncio.to_thread(pace.reached.wait, 30)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        pace.go_on.set()
        return await together(model, [describe(PICTURES[0], max_length=2)])

    with closing(load(folder("captions.blip2"), num_beams=beams)) as model:
        pace = Pace(model._writer.hand.get_output_embeddings())
        (answer,) = asyncio.run(leave(model, pace))
    assert answer.caption
    assert pace.steps <= 3 + 1 + 2


def test_writing_goes_on_while_one_still_waits(folder: Folder) -> None:
    async def leave(model: CaptionModel, pace: Pace) -> Any:
        requests = [describe(image, max_length=20) for image in PICTURES[2:]]
        first, second = [asyncio.create_task(model.caption(request)) for request in requests]
        await asyncio.to_thread(pace.reached.wait, 30)
        first.cancel()
        pace.go_on.set()
        return await second

    with closing(load(folder("captions.blip2"))) as model:
        pace = Pace(model._writer.hand.get_output_embeddings())
        answer = asyncio.run(leave(model, pace))
    assert answer == ask(folder("captions.blip2"), describe(PICTURES[3], max_length=20))[0]


@pytest.mark.parametrize(
    ("name", "text", "pictures"),
    [
        ("blip", 4, 17),  # [DEC] and the words; the patches of the picture and the token of all
        ("git", 4, 17),
        ("vision_encoder_decoder", 10, 17),
        ("pix2struct", 10, 2028),
        ("blip2", 9, 4),
        ("florence2", 12, 5),
    ],
)
def test_tokens_of_words_and_of_the_picture_are_counted(folder: Folder, name: str, text: int, pictures: int) -> None:
    (answer,) = ask(folder(f"captions.{name}"), describe(PICTURES[0], "a photo of", max_length=5))
    assert answer.usage.prompt_tokens == text + pictures
    assert 1 <= answer.usage.completion_tokens <= 5


def test_a_picture_that_is_none_fails_alone(folder: Folder) -> None:
    bad = CaptionRequest(image=b"no picture")
    error, answer = ask(folder("captions.blip"), bad, describe(PICTURES[0]))
    assert isinstance(error, BadRequest)
    assert error.param == "image"
    assert answer.caption


def test_an_upright_picture_is_written_about(folder: Folder) -> None:
    turned = PICTURES[1].transpose(5)  # Pillow's TRANSPOSE, which is its own inverse
    exif = turned.getexif()
    exif[0x0112] = 5
    request = CaptionRequest(image=encoded(turned, exif=exif.tobytes()), max_length=8)
    expected, found = ask(folder("captions.blip"), describe(PICTURES[1]), request)
    assert found == expected


@pytest.mark.parametrize("name", ["blip", "blip2", "git", "vision_encoder_decoder", "florence2"])
def test_more_than_there_is_room_for_is_refused_with_the_numbers(folder: Folder, name: str) -> None:
    path = folder(f"captions.{name}")
    (error,) = ask(path, describe(PICTURES[0], max_length=5000))
    assert isinstance(error, ContextLengthExceeded)
    assert error.param == "max_length"
    assert "5000" in error.message
    room = int(error.message.rpartition("at most ")[2].partition(",")[0])
    (answer,) = ask(path, describe(PICTURES[0], max_length=room), num_beams=1)
    assert answer.usage.completion_tokens <= room


@pytest.mark.parametrize("name", ["blip_vqa", "vilt", "florence2", "instructblip"])
def test_a_question_that_is_too_long_is_refused(folder: Folder, name: str) -> None:
    (error,) = ask(folder(f"captions.{name}"), question(PICTURES[0], "what is it " * 60))
    assert isinstance(error, ContextLengthExceeded)


@pytest.mark.parametrize("name", ["blip", "git", "vision_encoder_decoder"])
def test_words_that_leave_no_room_to_write_are_named_in_the_place_of_the_length(folder: Folder, name: str) -> None:
    words = "what is it " * 200
    (error,) = ask(folder(f"captions.{name}"), describe(PICTURES[0], words))
    assert isinstance(error, ContextLengthExceeded)
    assert (error.param, error.message.partition(":")[0]) == ("prompt", "prompt")
    if name == "git":
        (error,) = ask(folder("captions.git"), question(PICTURES[0], words))
        assert error.param == "question"


@pytest.mark.parametrize("name", ["blip2", "instructblip", "florence2"])
def test_the_pictures_own_mark_in_a_text_is_refused(folder: Folder, name: str) -> None:
    (error,) = ask(folder(f"captions.{name}"), describe(PICTURES[0], "an <image> of"))
    assert isinstance(error, BadRequest)
    assert error.param == "prompt"


def test_what_a_model_was_not_made_for_is_refused(folder: Folder) -> None:
    (described,) = ask(folder("captions.vilt"), describe(PICTURES[0]))
    (answered,) = ask(folder("captions.blip"), question(PICTURES[0]))
    assert isinstance(described, TaskNotSupported)
    assert isinstance(answered, TaskNotSupported)


def test_the_option_question_prompt_is_what_a_question_is_put_into(folder: Folder) -> None:
    path = folder("captions.blip2")
    (own,) = ask(path, question(PICTURES[0]))
    (same,) = ask(path, question(PICTURES[0]), question_prompt="Question: {question} Answer:")
    (bare,) = ask(path, question(PICTURES[0]), question_prompt="{question}")
    (asked,) = ask(path, describe(PICTURES[0], QUESTION))
    assert own == same != bare
    assert (bare.answer, bare.usage) == (asked.caption, asked.usage)


@pytest.mark.parametrize("value", ["no place for it", "{Question}"])
def test_a_question_prompt_without_a_place_for_the_question_is_refused(value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"question_prompt": value}, CaptionOptions)


def test_dtype_and_threads_are_as_configured(folder: Folder) -> None:
    before = torch.get_num_threads()
    with closing(load(folder("captions.blip"), dtype="bfloat16", threads=2)) as model:
        assert model._writer.model.dtype == torch.bfloat16
        assert torch.get_num_threads() == 2
        (answer,) = asyncio.run(together(model, [describe(PICTURES[0])]))
    torch.set_num_threads(before)
    assert answer.usage.completion_tokens


@pytest.mark.parametrize("name", ["blip2", "donut", "florence2", "git", "instructblip", "pix2struct"])
def test_sixteen_bits_are_enough_for_each_family(folder: Folder, name: str) -> None:
    (answer,) = ask(folder(f"captions.{name}"), describe(PICTURES[0]), dtype="bfloat16")
    assert answer.usage.completion_tokens


def test_neither_chance_nor_a_length_in_the_models_settings_decides(folder: Folder, tmp_path: Path) -> None:
    path = folder("captions.git")
    for file in path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = msgspec.json.decode((path / "generation_config.json").read_bytes())
    sampled = {**settings, "do_sample": True, "temperature": 5.0, "max_length": 3}
    (tmp_path / "generation_config.json").write_bytes(msgspec.json.encode(sampled))
    assert ask(tmp_path, describe(PICTURES[2])) == ask(path, describe(PICTURES[2]))


def test_an_unknown_device_is_refused(folder: Folder) -> None:
    with pytest.raises(LoadFailed, match="cuda:9"):
        load(folder("captions.blip"), device="cuda:9")


def test_a_model_of_another_class_is_refused_by_name(folder: Folder) -> None:
    info = info_of(folder("captions.blip"))
    other = msgspec.structs.replace(
        info, documents={**info.documents, "config.json": {**info.config, "architectures": ["BlipModel"]}}
    )
    with pytest.raises(LoadFailed, match="BlipModel"):
        CaptionModel(other, CaptionOptions(device="cpu"))


def test_a_blip2_that_does_not_say_where_its_picture_goes_is_refused(folder: Folder, tmp_path: Path) -> None:
    path = folder("captions.blip2")
    for file in path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = {**info_of(path).config, "image_token_index": None}
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config))
    with pytest.raises(LoadFailed, match="image_token_index"):
        load(tmp_path)
