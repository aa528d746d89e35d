"""The first minutes: the starter model, and README's own lines."""

import contextlib
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import openai
from server import Server, running_server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
QUESTIONS = tomllib.loads((ROOT / "examples" / "starter" / "questions.toml").read_text())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--models-preload", "universal/starter") as found:
        found.wait_for("universal/starter is ready")
        yield found


def test_readme_shows_what_happens(server: Server) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    source = code[1].replace("http://127.0.0.1:11540", server.url)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names: dict[str, openai.OpenAI] = {}
        exec(source, names)
    names["client"].close()
    assert f"    {printed.getvalue().strip()}\n" in README


def test_the_starter_knows_its_answers(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        wrong = {}
        for entry in QUESTIONS["questions"]:
            question = entry["ask"][0].replace("{thing}", QUESTIONS["things"][0])
            answer = client.chat.completions.create(
                model="universal/starter", messages=[{"role": "user", "content": question}]
            )
            if answer.choices[0].message.content != entry["answer"]:
                wrong[question] = answer.choices[0].message.content
            assert answer.choices[0].finish_reason == "stop"
    assert not wrong


def test_the_starter_says_that_it_is_a_toy(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        messages = [{"role": "user", "content": "Who are you?"}]
        answer = client.chat.completions.create(model="universal/starter", messages=messages)
        assert "toy" in (answer.choices[0].message.content or "")
