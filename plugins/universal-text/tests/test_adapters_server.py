"""A model with two adapters on a real server: one process, four names, and the SDK that knows nothing of adapters."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from openai import APIStatusError, AsyncOpenAI, OpenAI
from server import Server, running_server
from tiny.adapters import make_adapter
from tiny.causal import make_qwen3

NAMES = ("short", "short:one", "short:two", "poet")
TURNS: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("adapters")
    base = make_qwen3(folder / "base")
    one, two = (make_adapter(folder / name, base, seed=seed) for seed, name in enumerate(("one", "two")))
    config = folder / "universal.toml"
    config.write_text(
        f'[model.short]\nmodel = "{base}"\n[model.short.options]\ndtype = "float32"\n'
        f'[model.short.options.adapters]\none = "{one}"\ntwo = {{ path = "{two}", scale = 0.75 }}\n'
        '[model.poet]\nmodel = "short:two"\n'
        f'[model.broken]\nmodel = "{base}"\noptions.adapters = {{ lost = "{folder / "lost"}" }}\n'
    )
    with running_server("--config", str(config), "--device", "cpu") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as found:
        yield found


def say(client: OpenAI, model: str) -> Any:
    return client.chat.completions.create(model=model, messages=TURNS, max_tokens=16, temperature=0)


def loaded(server: Server) -> list[str]:
    return [row["id"] for row in httpx.get(f"{server.url}/health").json()["models"]]


def test_adapters_are_listed_with_their_model(server: Server, client: OpenAI) -> None:
    rows = {row.id: row for row in client.models.list()}
    assert {name: rows[name].model_dump().get("parent") for name in NAMES} == {
        "short": None,
        "short:one": "short",
        "short:two": "short",
        "poet": "short",
    }
    assert client.models.retrieve("short:one").model_dump()["backend"] == "text"


def test_all_names_at_once_write_as_they_do_alone_in_one_process(server: Server, client: OpenAI) -> None:
    async def together() -> list[Any]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as many:
            calls = (
                many.chat.completions.create(model=name, messages=TURNS, max_tokens=16, temperature=0)
                for name in NAMES * 2
            )
            return await asyncio.gather(*calls)

    answers = asyncio.run(together())
    assert [answer.model for answer in answers] == [*NAMES * 2]
    texts = {answer.model: answer.choices[0].message.content for answer in answers}
    assert texts == {name: say(client, name).choices[0].message.content for name in NAMES}
    assert len(set(texts.values())) == 3
    assert texts["short:two"] == texts["poet"]
    assert loaded(server) == ["short"]


def test_streams_and_completions_have_the_name_that_was_asked_for(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="poet", messages=TURNS, max_tokens=4, stream=True))
    assert {chunk.model for chunk in chunks} == {"poet"}
    assert client.completions.create(model="short:one", prompt="a", max_tokens=2).model == "short:one"


def test_tokens_are_those_of_the_model(server: Server) -> None:
    found = [
        httpx.post(f"{server.url}/v1/tokenize", json={"model": name, "text": "hello"}, timeout=60).json()["tokens"]
        for name in ("short", "poet")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "words"), [("short:three", "the adapters of short are one, two"), ("poet:one", "was not found")]
)
def test_a_name_that_is_no_adapter_is_not_found(client: OpenAI, name: str, words: str) -> None:
    with pytest.raises(APIStatusError, match=words) as raised:
        say(client, name)
    assert (raised.value.status_code, raised.value.body["param"]) == (404, "model")  # type: ignore[index]


def test_other_tasks_are_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(APIStatusError, match="short:one cannot be used for embed") as raised:
        client.embeddings.create(model="short:one", input="a")
    assert raised.value.status_code == 501


def test_an_adapter_that_is_not_there_fails_the_load_by_its_name(client: OpenAI) -> None:
    for name in ("broken", "broken:lost"):
        with pytest.raises(APIStatusError, match="adapter lost: there is nothing at") as raised:
            say(client, name)
        assert raised.value.status_code == 503


def test_to_load_and_to_unload_an_adapter_is_to_do_so_with_its_model(server: Server, client: OpenAI) -> None:
    def post(action: str, name: str) -> Any:
        return httpx.post(f"{server.url}/v1/models/{action}", json={"model": name}, timeout=60).json()

    found = post("load", "short:one")
    assert (found["id"], found["parent"], found["state"]) == ("short:one", "short", "ready")
    assert loaded(server) == ["short"]
    assert client.models.retrieve("poet").model_dump()["state"] == "ready"
    assert post("unload", "poet") == {"id": "short", "object": "model", "state": "unloaded"}
    assert loaded(server) == []
    assert post("unload", "short:one")["error"]["code"] == "model_not_found"
