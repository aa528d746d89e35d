"""Loading: what is wrong with a file is said in words, llama.cpp's log is ours, and progress is told."""

import logging
import os
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import llama_cpp
import pytest

from clients import using
from tiny.folder import info_of
from tiny.gguf import make_gguf_llama
from tiny.writing import load
from universal_core import LoadFailed, ModelNotFound, Progress
from universal_gguf.generation.model import GenerationModel
from universal_gguf.library import Weights
from universal_gguf.log import collect_errors, interrupted
from universal_gguf.options import GenerationOptions

Damage = Callable[[bytes], bytes]

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def _nested(data: bytes) -> bytes:
    """Return a file whose first value is an array of arrays of arrays."""
    value = struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 50
    return data[:16] + struct.pack("<Q", 1) + struct.pack("<Q", 1) + b"a" + value


DAMAGES: dict[str, tuple[Damage, str]] = {
    "empty": (lambda data: b"", "empty|ends|GGUF"),
    "of zeros": (lambda data: bytes(len(data)), "GGUF"),
    "a page of a web site": (lambda data: b"<!DOCTYPE html><html><body>404</body></html>", "HTML|web page|GGUF"),
    "a pointer of Git LFS": (lambda data: POINTER, "LFS|pointer"),
    "cut off in its header": (lambda data: data[:2000], "ends|truncated|cut|complete"),
    "cut off in its weights": (lambda data: data[: len(data) // 2], "ends|truncated|cut|complete|bytes"),
    "of another version": (lambda data: data[:4] + struct.pack("<I", 99) + data[8:], "99"),
    "of 4 billion tensors": (lambda data: data[:8] + struct.pack("<Q", 2**32) + data[16:], "4294967296|tensors"),
    "of 4 billion values": (
        lambda data: data[:16] + struct.pack("<Q", 2**32) + data[24:],
        "4294967296|entries|metadata",
    ),
    "of nested arrays": (_nested, "nested|array"),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, gguf_file: Any) -> dict[str, Path]:
    """Return a file with each kind of damage, in a folder of its own."""
    data, files = gguf_file("llama").read_bytes(), {}
    for name, (damage, _) in DAMAGES.items():
        files[name] = tmp_path_factory.mktemp("damaged") / "model.gguf"
        files[name].write_bytes(damage(data))
    return files


@pytest.mark.parametrize("name", DAMAGES)
def test_a_file_that_is_damaged_is_refused_in_words(name: str, damaged: dict[str, Path]) -> None:
    with pytest.raises(LoadFailed, match=DAMAGES[name][1]):
        load(damaged[name])


def test_a_server_that_is_given_damaged_files_says_so_and_lives(damaged: dict[str, Path], gguf_file: Any) -> None:
    async def use(client: httpx.AsyncClient) -> None:
        for name, file in damaged.items():
            answer = await client.post("/v1/completions", json={"model": str(file), "prompt": "x", "max_tokens": 1})
            assert 400 <= answer.status_code < 600, name
            error = answer.json()["error"]
            assert error["code"] != "worker_died", name
            assert len(error["message"]) > 20, name
        body = {"model": str(gguf_file("llama")), "prompt": "hello", "max_tokens": 2}
        assert (await client.post("/v1/completions", json=body)).status_code == 200

    using(use)


def test_a_missing_part_is_named(tmp_path: Path, gguf_file: Any) -> None:
    first = gguf_file("split")
    for file in sorted(first.parent.glob("*.gguf")):
        if "00002" not in file.name:
            os.link(file, tmp_path / file.name)
    with pytest.raises(ModelNotFound, match="of its 3 parts these are missing: 2"):
        load(tmp_path / first.name)


def test_a_tensor_that_is_missing_is_told_in_llama_cpps_words(tmp_path: Path) -> None:
    file = make_gguf_llama(tmp_path / "model.gguf")
    data = file.read_bytes()
    file.write_bytes(data.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_zz.weight"))
    with pytest.raises(LoadFailed, match=r"could not load .*blk.1.ffn_up.weight"):
        load(file)


def test_an_architecture_that_llama_cpp_does_not_know_is_named(tmp_path: Path) -> None:
    file = make_gguf_llama(tmp_path / "model.gguf")
    data = file.read_bytes()
    file.write_bytes(data.replace(b"llama", b"lamma"))
    with pytest.raises(LoadFailed, match="lamma"):
        load(file)


def test_a_context_that_cannot_be_made_says_what_might_fit(gguf_file: Any) -> None:
    options = {"cache_type_v": "q4_0", "flash_attn": "off"}
    with pytest.raises(LoadFailed, match="smaller cache type"):
        load(gguf_file("llama"), **options)


@pytest.mark.parametrize("option", ["/nowhere/at/all.jinja", "chat"])
def test_a_template_that_is_not_there_is_refused(option: str, gguf_file: Any) -> None:
    with pytest.raises(LoadFailed, match="neither a template nor a readable file"):
        load(gguf_file("llama"), chat_template=option)


def test_progress_grows_up_to_the_end(gguf_file: Any) -> None:
    told: list[Progress] = []
    options = GenerationOptions(device="cpu", n_ctx=256)
    with closing(GenerationModel(info_of(gguf_file("llama").parent), options, told.append)):
        fractions = [progress.fraction for progress in told]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1
        assert len(fractions) > 3
        assert {progress.stage for progress in told} == {"loading"}


def test_llama_cpps_log_is_ours_at_its_level(gguf_file: Any, caplog: Any, capfd: Any) -> None:
    with caplog.at_level(logging.DEBUG, "llama.cpp"), closing(load(gguf_file("llama"))):
        pass
    records = [record for record in caplog.records if record.name == "llama.cpp"]
    assert len(records) > 20
    assert any(record.levelno == logging.INFO and "llama_model_loader" in record.message for record in records)
    assert all("\n" not in record.message.strip() for record in records if record.levelno == logging.INFO)
    assert capfd.readouterr() == ("", "")


def test_nothing_goes_to_stderr_when_a_load_fails(damaged: dict[str, Path], capfd: Any) -> None:
    file = damaged["cut off in its weights"]
    with pytest.raises(LoadFailed, match=r"model\.gguf"):
        Weights([str(file)], GenerationOptions(device="cpu"), 0, lambda progress: None)
    assert capfd.readouterr() == ("", "")


def test_a_step_that_is_ended_on_purpose_is_no_error_in_the_log(caplog: Any) -> None:
    errors = collect_errors()
    with caplog.at_level(logging.DEBUG, "llama.cpp"):
        for on_purpose in (True, False):
            (interrupted.set if on_purpose else interrupted.clear)()
            parameters = llama_cpp.llama_model_default_params()
            llama_cpp.llama_model_load_from_file(b"/nowhere.gguf", parameters)
            level = logging.DEBUG if on_purpose else logging.ERROR
            assert max(record.levelno for record in caplog.records if "nowhere" in record.message) == level
            caplog.clear()
    assert errors
