"""Models that think: the same thoughts and answers as from safetensors, whose tests have the same scripts."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from tiny.answers import chat_request
from tiny.gguf import make_gguf_llama, make_gguf_scripted
from tiny.thinking import ANSWER, REQUESTS, SCRIPTS, SWITCHED, THOUGHT, asked, told, whole
from tiny.writing import load
from universal_core import BadRequest, LoadFailed, ResponseFormat
from universal_gguf.generation.model import GenerationModel

Scripted = Callable[[str], GenerationModel]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """Return a function that loads the model of a script once; all are closed at the end."""
    opened: dict[str, GenerationModel] = {}
    with ExitStack() as stack:

        def find(name: str) -> GenerationModel:
            if name not in opened:
                file = tmp_path_factory.mktemp(name) / "model.gguf"
                make_gguf_scripted(file, SCRIPTS[name].pieces, chat_template=SCRIPTS[name].template)
                opened[name] = stack.enter_context(closing(load(file)))
            return opened[name]

        yield find


@pytest.mark.parametrize("name", SCRIPTS)
def test_thoughts_and_answers_are_told_apart(name: str, scripted: Scripted, ask_writer: Any) -> None:
    answers = ask_writer(scripted(name), *(asked(**fields) for fields in REQUESTS.values()))
    assert dict(zip(REQUESTS, map(told, answers), strict=True)) == dict.fromkeys(REQUESTS, whole(SCRIPTS[name]))


@pytest.mark.parametrize("name", SWITCHED)
def test_thinking_can_be_switched_off(name: str, scripted: Scripted, ask_writer: Any) -> None:
    requests = [asked(reasoning_effort="none"), asked(thinking_budget=0), asked(reasoning_effort="none", n=2)]
    for answers in ask_writer(scripted(name), *requests):
        assert all((one.reasoning, one.text, one.reason) == ("", ANSWER, "stop") for one in answers.by_index.values())
        assert answers.usage.reasoning_tokens == 0


@pytest.mark.parametrize("name", SWITCHED)
def test_a_thought_ends_with_its_budget(name: str, scripted: Scripted, ask_writer: Any) -> None:
    form = ResponseFormat(type="regex", text=r"It is so\.")
    requests = [asked(thinking_budget=2), asked(thinking_budget=2, response_format=form)]
    for answers in ask_writer(scripted(name), *requests):
        assert (answers.reasoning, answers.text, answers.reason) == ("Let me", ANSWER, "stop")


def test_tokens_of_thoughts_count_for_all_answers(scripted: Scripted, ask_writer: Any) -> None:
    (answers,) = ask_writer(scripted("qwen"), asked(n=3, temperature=1.0))
    assert [(one.reasoning, one.text) for one in answers.by_index.values()] == [(THOUGHT, ANSWER)] * 3
    assert answers.usage.reasoning_tokens == 3 * SCRIPTS["qwen"].counted


def test_only_the_answer_has_log_probabilities(scripted: Scripted, ask_writer: Any) -> None:
    (answers,) = ask_writer(scripted("qwen"), asked(logprobs=0))
    assert [entry.token for entry in answers.by_index[0].logprobs] == ["It is", " so."]


def test_guessed_tokens_keep_to_the_budget_too(tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    file = make_gguf_scripted(tmp_path / "m.gguf", SCRIPTS["opened"].pieces, chat_template=SCRIPTS["opened"].template)
    model = new_model(file, lookup_tokens=4)
    repeated = chat_request("Let me see. Let me see. Let me see.", thinking_budget=2, max_tokens=50)
    (answers,) = ask_writer(model, repeated)
    assert (answers.reasoning, answers.text) == ("Let me", ANSWER)


def test_what_a_random_model_says_after_a_thought_is_valid(tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    schema = {"type": "object", "properties": {"x": {"enum": [1, True, "a"]}}, "required": ["x"]}
    schema |= {"additionalProperties": False}
    file = make_gguf_llama(tmp_path / "m.gguf", chat_template=SCRIPTS["opened"].template)
    form = ResponseFormat(type="json_schema", schema=schema)
    fields = {"temperature": 1.0, "response_format": form, "thinking_budget": 5, "n": 6, "max_tokens": 60}
    answers = ask_writer(new_model(file), *(asked(seed=seed, **fields) for seed in range(2)))
    ended = [one for each in answers for one in each.by_index.values() if one.reason == "stop"]
    assert len(ended) > 6
    for one in ended:
        validate(json.loads(one.text), schema)
        assert one.reasoning


def test_what_a_model_cannot_do_is_refused_by_name(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    for param, value in (("reasoning_effort", "low"), ("thinking_budget", 5)):
        with pytest.raises(BadRequest) as caught:
            ask_writer(model, asked(**{param: value}))
        assert caught.value.param == param


def test_the_form_of_thoughts_can_be_chosen(tmp_path: Path, new_model: Any, ask_writer: Any) -> None:
    script = SCRIPTS["qwen"]
    file = make_gguf_scripted(tmp_path / "m.gguf", script.pieces, chat_template=script.template)
    (answers,) = ask_writer(new_model(file, reasoning_format="none"), asked())
    assert (answers.reasoning, answers.text) == ("", "".join(script.pieces))
    with pytest.raises(LoadFailed, match="reasoning_format"):
        new_model(file, reasoning_format="nonsense")
