"""A GGUF model with two adapters on a real server: a quantization and an adapter in one name, one process for all."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import Server, running_server
from tiny.adapters import make_adapter, make_gguf_adapter
from tiny.causal import make_qwen3
from tiny.gguf import make_gguf_from_transformers

TURNS = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one quantization of a model."""
    folder = tmp_path_factory.mktemp("gguf")
    source = make_qwen3(folder / "source")
    make_gguf_from_transformers(folder / "model" / "qwen3-F32.gguf", source)
    for seed, name in enumerate(("one", "two")):
        make_gguf_adapter(folder / name / "adapter.gguf", make_adapter(folder / f"peft-{name}", source, seed=seed))
    return folder / "model"


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = tmp_path_factory.mktemp("config") / "universal.toml"
    options = "n_ctx = 256, n_threads = 1"
    one, two = (model.parent / name for name in ("one", "two"))
    config.write_text(
        f'[model."{model}:F32"]\noptions = {{ {options}, adapters = {{ one = "{one}", two = "{two}" }} }}\n'
        f'[model.poet]\nmodel = "{model}:F32:two"\n'
        f'[model.wrong]\nmodel = "{model}"\noptions.adapters = {{ Q4_K_M = "{one}" }}\n'
    )
    with running_server("--config", str(config), "--device", "cpu") as found:
        yield found


async def ask_all(server: Server, names: list[str]) -> list[Any]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        bodies = [{"model": name, "messages": TURNS, "max_tokens": 12, "temperature": 0} for name in names]
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for body in bodies))
        return [answer.json() for answer in answers]


def test_all_names_at_once_write_as_they_do_alone_in_one_process(server: Server, model: Path) -> None:
    names = [f"{model}:F32", f"{model}:F32:one", f"{model}:F32:two", "poet"]
    together = asyncio.run(ask_all(server, names))
    alone = [asyncio.run(ask_all(server, [name]))[0] for name in names]
    texts = [answer["choices"][0]["message"]["content"] for answer in together]
    assert texts == [answer["choices"][0]["message"]["content"] for answer in alone]
    assert [answer["model"] for answer in together] == names
    assert len(set(texts)) == 3
    assert texts[2] == texts[3]
    assert httpx.get(f"{server.url}/health").json()["loaded_models"] == [f"{model}:F32"]


def test_what_is_neither_an_adapter_nor_a_quantization_is_told_with_both(server: Server, model: Path) -> None:
    (plain,) = asyncio.run(ask_all(server, [f"{model}:F32:three"]))
    assert plain["error"]["code"] == "model_not_found"
    assert "the adapters of" in plain["error"]["message"]


def test_an_adapter_that_is_called_like_a_quantization_is_refused(server: Server) -> None:
    (answer,) = asyncio.run(ask_all(server, ["wrong"]))
    assert "an adapter cannot be called Q4_K_M, which is a quantization" in answer["error"]["message"]
    assert answer["error"]["param"] == "model"
