"""Models on disk as other programs keep them, and quantizations one by one: claimed, listed, loaded and deleted."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from caching import cache_repository, set_used
from ollama import blob_of, store
from server import Server, running_server
from tiny.folder import info_of
from tiny.gguf import make_gguf_llama, make_projector, quantize, split
from tiny.media import RED, encoded, picture
from universal_core import Claim
from universal_gguf import claim_model

NAMES = ("Q8_0", "Q4_K_M", "mmproj")


class Disk:
    """Files of a tiny model, and the places where other programs would keep them."""

    def __init__(self, root: Path) -> None:
        self.home = root
        plain = make_gguf_llama(root / "files" / "plain.gguf")
        self.files = {
            "plain": plain,
            "Q8_0": quantize(plain, root / "files" / "m-Q8_0.gguf", "Q8_0"),
            "Q4_K_M": quantize(plain, root / "files" / "m-Q4_K_M.gguf", "Q4_K_M"),
            "mmproj": make_projector(root / "projectors" / "mmproj.gguf"),
        }
        self.cache = root / "hub"
        cache_repository(self.cache, "org/m-GGUF", {self.files[name].name: self.read(name) for name in NAMES})
        self.copy(root / ".lmstudio" / "models" / "pub" / "repo-GGUF", *NAMES)
        self.beside = self.copy(root / "beside", "plain", "mmproj")
        ollama = root / ".ollama" / "models"
        unused = {"template": b"{{ .Prompt }}", "params": b'{"stop": ["S"]}'}
        self.manifest = store(ollama, "llama3/latest", self.read("Q8_0"), file_type="Q8_0", **unused)
        self.seeing = store(ollama, "llava/7b", self.read("plain"), projector=self.read("mmproj"))
        self.blob = blob_of(ollama, self.read("Q8_0"))

    def read(self, name: str) -> bytes:
        return self.files[name].read_bytes()

    def copy(self, folder: Path, *names: str) -> Path:
        folder.mkdir(parents=True)
        for name in names:
            (folder / self.files[name].name).write_bytes(self.read(name))
        return folder


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    root = tmp_path_factory.mktemp("disk")
    (root / "files").mkdir()
    (root / "projectors").mkdir()
    return Disk(root)


@pytest.fixture(scope="module")
def server(disk: Disk) -> Iterator[Server]:
    configuration = disk.home / "universal.toml"
    configuration.write_text(f"[model.mine]\nmodel = {json.dumps(str(disk.manifest))}\n")
    flags = ("--device", "cpu", "--config", str(configuration), "--models-dir", "~/.lmstudio/models")
    with running_server(*flags, env={"HOME": str(disk.home), "HF_HUB_CACHE": str(disk.cache)}) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as found:
        yield found


def say(client: httpx.Client, model: object, content: Any = "Say something.") -> str:
    body = {"model": str(model), "messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 12}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def rows_of(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in client.get("/v1/models").json()["data"]}


def claim(folder: Path) -> Claim:
    found = claim_model(info_of(folder))
    assert found is not None
    return found


def test_a_claim_names_all_quantizations_that_are_there_with_their_files(disk: Disk, tmp_path: Path) -> None:
    folder = disk.copy(tmp_path / "copy", *NAMES)
    parts = [path.name for path in split(disk.files["plain"], folder, 3)]
    found = {variant.name: list(variant.files) for variant in claim(folder).variants}
    assert found == {"Q4_K_M": ["m-Q4_K_M.gguf"], "Q8_0": ["m-Q8_0.gguf"], "plain": parts}
    (folder / parts[1]).unlink()
    assert [variant.name for variant in claim(folder).variants] == ["Q4_K_M", "Q8_0"]


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="only Linux reads without a trace")
def test_a_look_at_a_header_does_not_count_as_a_use(disk: Disk, tmp_path: Path) -> None:
    folder = disk.copy(tmp_path / "copy", "Q8_0")
    set_used(folder, 1_600_000_000)
    claim(folder)
    assert (folder / "m-Q8_0.gguf").stat().st_atime == 1_600_000_000


def test_ollamas_blob_and_manifest_answer_as_the_file_under_its_usual_name(client: httpx.Client, disk: Disk) -> None:
    expected = say(client, disk.files["Q8_0"])
    assert [say(client, model) for model in (disk.blob, disk.manifest, "mine")] == [expected] * 3
    row = client.get(f"/v1/models/{disk.manifest}").json()
    assert (row["backend"], row["quantizations"], row["size_bytes"]) == ("gguf", ["Q8_0"], len(disk.read("Q8_0")))


def test_the_projector_of_ollamas_manifest_sees(client: httpx.Client, disk: Disk) -> None:
    url = "data:image/png;base64," + base64.b64encode(encoded(picture(RED, (140, 90)))).decode()
    content = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
    said = [say(client, model, content) for model in (disk.seeing, disk.beside)]
    assert said[0] == said[1] != ""


def test_lm_studios_folder_is_served_by_publisher_and_repository(client: httpx.Client, disk: Disk) -> None:
    row = rows_of(client)["pub/repo-GGUF"]
    assert (row["state"], row["quantizations"]) == ("cached", ["Q4_K_M", "Q8_0"])
    path = disk.home / ".lmstudio" / "models" / "pub" / "repo-GGUF" / "m-Q8_0.gguf"
    names = ("pub/repo-GGUF", "pub/repo-GGUF:Q8_0", "pub/repo-GGUF/m-Q8_0", path)
    said = [say(client, name) for name in names]
    assert said == [say(client, disk.files[name]) for name in ("Q4_K_M", "Q8_0", "Q8_0", "Q8_0")]
    response = client.post("/v1/models/load", json={"model": "pub/repo-GGUF:Q2_K"})
    assert response.status_code == 404
    assert "it has Q4_K_M, Q8_0" in response.json()["error"]["message"]


def test_one_quantization_of_a_repository_is_deleted_and_the_other_still_answers(
    client: httpx.Client, disk: Disk
) -> None:
    assert rows_of(client)["org/m-GGUF"]["quantizations"] == ["Q4_K_M", "Q8_0"]
    before = say(client, "org/m-GGUF:Q8_0")
    answer = client.delete("/v1/models/org/m-GGUF:q4_k_m").json()
    assert answer["freed_bytes"] == len(disk.read("Q4_K_M"))
    row = rows_of(client)["org/m-GGUF"]
    assert (row["quantizations"], row["size_bytes"]) == (["Q8_0"], len(disk.read("Q8_0")) + len(disk.read("mmproj")))
    assert say(client, "org/m-GGUF:Q8_0") == before
    response = client.delete("/v1/models/org/m-GGUF:Q4_K_M")
    assert response.status_code == 404
    assert "it has Q8_0" in response.json()["error"]["message"]
    assert client.delete("/v1/models/org/m-GGUF:Q8_0").status_code == 200
    assert not list(disk.cache.glob("models--*"))
