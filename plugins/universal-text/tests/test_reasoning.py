"""Models that think: the same thoughts and answers as from GGUF, whose tests have the same scripts and requests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from tiny.answers import completion
from tiny.causal import make_qwen3, make_scripted
from tiny.templates import QWEN
from tiny.thinking import ANSWER, REQUESTS, SCRIPTS, SWITCHED, THOUGHT, asked, told, whole
from universal_core import BadRequest, LoadFailed, ResponseFormat
from universal_text.causal.model import CausalModel


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes the model of a script once."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            script = SCRIPTS[name]
            made[name] = make_scripted(tmp_path_factory.mktemp(name), script.pieces, chat_template=script.template)
        return made[name]

    return make


@pytest.mark.parametrize("name", SCRIPTS)
def test_thoughts_and_answers_are_told_apart(name: str, scripted: Any, open_model: Any, ask: Any) -> None:
    answers = ask(open_model(scripted(name)), *(asked(**fields) for fields in REQUESTS.values()))
    assert dict(zip(REQUESTS, map(told, answers), strict=True)) == dict.fromkeys(REQUESTS, whole(SCRIPTS[name]))


@pytest.mark.parametrize("name", SWITCHED)
def test_thinking_can_be_switched_off(name: str, scripted: Any, open_model: Any, ask: Any) -> None:
    requests = [asked(reasoning_effort="none"), asked(thinking_budget=0), asked(reasoning_effort="none", n=2)]
    for answers in ask(open_model(scripted(name)), *requests):
        assert all((one.reasoning, one.text, one.reason) == ("", ANSWER, "stop") for one in answers.by_index.values())
        assert answers.usage.reasoning_tokens == 0


@pytest.mark.parametrize("name", SWITCHED)
def test_a_thought_ends_with_its_budget(name: str, scripted: Any, open_model: Any, ask: Any) -> None:
    form = ResponseFormat(type="regex", text=r"It is so\.")
    requests = [asked(thinking_budget=2), asked(thinking_budget=2, response_format=form)]
    for answers in ask(open_model(scripted(name)), *requests):
        assert (answers.reasoning, answers.text, answers.reason) == ("Let me", ANSWER, "stop")


def test_tokens_of_thoughts_count_for_all_answers(scripted: Any, open_model: Any, ask: Any) -> None:
    (answers,) = ask(open_model(scripted("qwen")), asked(n=3, temperature=1.0))
    assert [(one.reasoning, one.text) for one in answers.by_index.values()] == [(THOUGHT, ANSWER)] * 3
    assert answers.usage.reasoning_tokens == 3 * SCRIPTS["qwen"].counted
    assert answers.usage.completion_tokens == 3 * (len(SCRIPTS["qwen"].pieces) + 1)


def test_only_the_answer_has_log_probabilities(scripted: Any, open_model: Any, ask: Any) -> None:
    (answers,) = ask(open_model(scripted("qwen")), asked(logprobs=0))
    assert [entry.token for entry in answers.by_index[0].logprobs] == ["It is", " so."]


def test_a_turn_that_is_cut_off_while_it_thinks_has_no_answer(scripted: Any, open_model: Any, ask: Any) -> None:
    for name, count in (("qwen", 3), ("opened", 2), ("harmony", 2), ("granite", 4)):
        (answers,) = ask(open_model(scripted(name)), asked(max_tokens=count))
        assert (answers.text, answers.reason) == ("", "length")
        assert THOUGHT.startswith(answers.reasoning)
        assert answers.usage.reasoning_tokens == count


@pytest.mark.parametrize("template", [QWEN, SCRIPTS["opened"].template], ids=["may", "must"])
def test_what_a_random_model_says_after_a_thought_is_valid(
    template: str, tmp_path: Path, open_model: Any, ask: Any
) -> None:
    schema = {"type": "object", "properties": {"x": {"enum": [1, True, "a"]}}, "required": ["x"]}
    schema |= {"additionalProperties": False}
    model = open_model(make_qwen3(tmp_path, chat_template=template))
    form = ResponseFormat(type="json_schema", schema=schema)
    fields = {"temperature": 1.0, "response_format": form, "thinking_budget": 5, "n": 6, "max_tokens": 60}
    answers = ask(model, *(asked(seed=seed, **fields) for seed in range(2)))
    ended = [one for each in answers for one in each.by_index.values() if one.reason == "stop"]
    assert len(ended) > 6
    for one in ended:
        validate(json.loads(one.text), schema)
    if template is not QWEN:
        assert all(one.reasoning for one in ended)


def test_what_a_model_cannot_do_is_refused_by_name(folder: Any, open_model: Any, ask: Any) -> None:
    model: CausalModel = open_model(folder("llama"))
    for param, value in (("reasoning_effort", "low"), ("thinking_budget", 5)):
        with pytest.raises(BadRequest) as caught:
            ask(model, asked(**{param: value}))
        assert caught.value.param == param
    assert ask(model, asked(reasoning_effort="none", max_tokens=3))[0].usage.completion_tokens


def test_the_form_of_thoughts_can_be_chosen(scripted: Any, open_model: Any, ask: Any) -> None:
    (answers,) = ask(open_model(scripted("qwen"), reasoning_format="none"), asked())
    assert (answers.reasoning, answers.text) == ("", "".join(SCRIPTS["qwen"].pieces))
    with pytest.raises(LoadFailed, match="reasoning_format"):
        open_model(scripted("qwen"), reasoning_format="nonsense")


def test_text_that_is_completed_is_not_taken_apart(scripted: Any, open_model: Any, ask: Any) -> None:
    (answers,) = ask(open_model(scripted("qwen")), completion("<|im_start|>assistant\n"))
    assert (answers.reasoning, answers.text) == ("", "".join(SCRIPTS["qwen"].pieces))
