"""Somebody else's plugin, built and installed as anybody would: found, listed, explained, and chatted with."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from installed import on_path
from openai import BadRequestError, OpenAI
from server import running_server
from universal_core import ChatRequest
from universal_core.testing import BackendContract, chat_request

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "universal-markov"
TUTORIAL = ROOT / "docs" / "tutorial" / "first-plugin.md"
MODEL = "markov/hello"


@pytest.fixture(scope="module", autouse=True)
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Build the example and install it beside the core."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*command, "--no-deps", "--no-build-isolation", "--target", target, EXAMPLE], check=True)
    with on_path(target):
        yield


@pytest.fixture(scope="module")
def client(example: None) -> Iterator[OpenAI]:
    with running_server() as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        yield client


def universal(*arguments: str) -> str:
    """Run the command line and return what it printed."""
    command = [sys.executable, "-m", "universal_core", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def say(client: OpenAI, message: str, **fields: int) -> tuple[str, str]:
    """Return an answer and why it ended."""
    found = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": message}], extra_body=fields
    )
    choice = found.choices[0]
    return choice.message.content or "", choice.finish_reason


def test_the_example_stays_under_sixty_lines() -> None:
    (module,) = EXAMPLE.rglob("*.py")
    assert len(module.read_text("utf-8").splitlines()) < 60


def test_it_is_listed_as_active_with_its_task_and_hooks() -> None:
    (row,) = [line for line in universal("plugins").splitlines() if line.startswith("markov")]
    assert row.split(maxsplit=5) == [
        *("markov", "1.0.0", "universal-markov", "active", "chat"),
        "claim_model, find_model, register_backends",
    ]


def test_explain_names_its_claim_as_the_winner() -> None:
    explained = universal("explain", MODEL)
    assert "winner     markov (rank 50): it is named markov/…" in explained


def test_a_chat_begins_at_a_word_of_the_message(client: OpenAI) -> None:
    text, _ = say(client, "Tell me about a cow", seed=3)
    assert text.startswith("cow with the ")


def test_the_tutorial_shows_a_real_answer(client: OpenAI) -> None:
    page = TUTORIAL.read_text("utf-8")
    assert 'messages=[{"role": "user", "content": "Tell me about a cow"}],\n        seed=2,' in page
    assert f"\n    {say(client, 'Tell me about a cow', seed=2)[0]}\n" in page


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    answers = {say(client, "Tell me a story", seed=7) for _ in range(3)}
    assert answers == {say(client, "Tell me a story", seed=7)}
    assert len({say(client, "Tell me a story", seed=seed) for seed in range(10)}) > 1


def test_max_tokens_is_honoured_and_told_as_the_reason(client: OpenAI) -> None:
    text, reason = say(client, "cow", seed=1, max_tokens=3)
    assert (len(text.split()), reason) == (3, "length")


def test_an_answer_that_reaches_the_end_of_the_story_stops_by_itself(client: OpenAI) -> None:
    text, reason = say(client, "Jack", max_tokens=10)
    assert (text, reason) == ("Jack built.", "stop")


def test_a_stream_adds_up_to_the_whole_answer(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "cow"}], seed=5, stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(pieces) == say(client, "cow", seed=5)[0]
    assert len([piece for piece in pieces if piece]) > 1


def test_a_field_that_it_does_not_honour_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refusal:
        say(client, "cow", temperature=1)
    assert (refusal.value.param, refusal.value.code) == ("temperature", "unsupported_field")


def seeded(text: str) -> ChatRequest:
    return msgspec.structs.replace(chat_request(text, 8), seed=1)


class TestContract(BackendContract):
    model = MODEL
    samples = {"chat": (seeded("Tell me about a cow"), seeded("Tell me about a dog"))}
