"""How large a context may be: the order of what decides, and the memory's cap on all of it."""

import re
from pathlib import Path

import gguf
import numpy as np
import pytest

from tiny.folder import info_of
from universal_core import LoadFailed, ModelInfo, available_memory
from universal_gguf import context
from universal_gguf.context import (
    OVERHEAD,
    Context,
    bytes_per_token,
    cells_for,
    choose_context,
    context_for,
    find_pattern,
    memory_maximum,
    names_of,
    read_patterns,
    tables,
)
from universal_gguf.header import Header, read_header

GIB = 2**30
OURS = {"*qwen*": 1000, "*qwen-72b*": 2000, "org/qwen-72b": 3000}


@pytest.mark.parametrize(
    ("asked", "trained", "names", "maximum", "size", "origin"),
    [
        (7000, 4096, ["qwen"], 100_000, 7000, "asked for"),
        (None, 4096, ["qwen"], 100_000, 4096, "the model's training context"),
        (None, None, ["a-qwen"], 100_000, 1000, "the pattern '*qwen*'"),
        (None, None, ["other"], 65_536, 65_536, "memory"),
        (None, None, ["other"], None, 2048, "nothing else is known"),
        (None, 4096, ["qwen"], None, 4096, "the model's training context"),
    ],
)
def test_the_first_that_is_known_decides(
    asked: int | None, trained: int | None, names: list[str], maximum: int | None, size: int, origin: str
) -> None:
    found = choose_context(asked=asked, trained=trained, names=names, tables=[OURS], maximum=maximum)
    assert found == Context(size=size, origin=origin, maximum=maximum)


@pytest.mark.parametrize(
    ("asked", "trained", "names"), [(9000, None, []), (None, 9000, []), (None, None, ["wide"])], ids=str
)
def test_memory_caps_whatever_was_chosen_and_the_warning_has_both_numbers(
    asked: int | None, trained: int | None, names: list[str]
) -> None:
    found = choose_context(asked=asked, trained=trained, names=names, tables=[{"wide": 9000}], maximum=4096)
    assert (found.size, found.origin, found.maximum) == (4096, "memory", 4096)
    assert found.warning is not None
    assert {"9000", "4096"} <= set(re.findall(r"\d+", found.warning))


def test_what_just_fits_is_not_warned_about() -> None:
    assert choose_context(asked=4096, trained=None, maximum=4096).warning is None


@pytest.mark.parametrize(
    ("available", "file_size", "per_token", "expected"),
    [
        (10 * GIB, 4 * GIB, 131072, 32768),  # 4 GiB are usable: 32768 tokens exactly
        (10 * GIB, 4 * GIB + 1, 131072, 16384),
        (10 * GIB, 2 * GIB, 131072, 32768),  # 49152 tokens: the power of two below
        (10 * GIB, 9 * GIB, 131072, 512),
        (0, 9 * GIB, 131072, 512),
        (GIB, 0, 10 * GIB, 512),
        (10 * GIB, 0, 0, None),
    ],
)
def test_the_memory_maximum_follows_its_formula(
    available: int, file_size: int, per_token: float, expected: int | None
) -> None:
    assert memory_maximum(available, file_size, per_token) == expected


@pytest.mark.parametrize(
    ("size", "maximum", "asked", "expected"),
    [
        (1000, None, None, 16_000),
        (100_000, None, None, 100_000),
        (4096, 16_384, None, 16_384),
        (4096, 2**20, None, 32_768),
        (4096, 512, None, 4096),
        (4096, 2**20, 8000, 8000),
        (4096, 2**20, 10, 4096),
    ],
)
def test_the_cache_has_room_for_every_slot_as_far_as_memory_goes(
    size: int, maximum: int | None, asked: int | None, expected: int
) -> None:
    assert cells_for(size, maximum, slots=16, asked=asked) == expected


def test_exact_names_come_before_wildcards_and_long_patterns_before_short_ones() -> None:
    assert find_pattern(["org/qwen-72b"], [OURS]) == ("org/qwen-72b", 3000)
    assert find_pattern(["other/qwen-72b-chat"], [OURS]) == ("*qwen-72b*", 2000)
    assert find_pattern(["Some-QWEN"], [OURS]) == ("*qwen*", 1000)
    assert find_pattern(["llama", ""], [OURS]) == (None, 0)


def test_the_users_patterns_come_before_ours() -> None:
    assert find_pattern(["org/qwen-72b"], [{"*": 5}, OURS]) == ("*", 5)
    assert find_pattern(["org/qwen-72b"], [{"llama": 5}, OURS]) == ("org/qwen-72b", 3000)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a folder with a model that does not tell its training context."""
    folder = tmp_path / "Qwen3-4B-GGUF"
    folder.mkdir()
    writer = gguf.GGUFWriter(str(folder / "m-Q8_0.gguf"), "qwen3")
    for add, value in (
        (writer.add_block_count, 4),
        (writer.add_embedding_length, 256),
        (writer.add_head_count, 8),
        (writer.add_head_count_kv, 2),
    ):
        add(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


@pytest.fixture
def header(model: Path) -> Header:
    return read_header(model / "m-Q8_0.gguf")


@pytest.fixture
def info(model: Path) -> ModelInfo:
    return info_of(model)


def with_free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(context, "free_memory", lambda device: count)


def test_a_token_takes_its_cache_and_the_overhead(header: Header) -> None:
    assert bytes_per_token(header) == 4 * 2 * (32 + 32) * 2 * OVERHEAD
    assert bytes_per_token(header, "q8_0", "q8_0") == 4 * 2 * (32 + 32) * 34 / 32 * OVERHEAD


def test_a_file_in_a_folder_of_the_users_decides_and_the_option_before_it(
    info: ModelInfo, header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 100 * GIB)
    monkeypatch.delenv("UNIVERSAL_CONFIG_FOLDER", raising=False)
    assert context_for(info, header, file_size=1000).size == 32768
    (tmp_path / "model_context_defaults.yaml").write_text('"*qwen3-4b*": 1111\n')
    monkeypatch.setenv("UNIVERSAL_CONFIG_FOLDER", str(tmp_path))
    assert context_for(info, header, file_size=1000) == Context(
        size=1111, origin="the pattern '*qwen3-4b*'", maximum=2**26
    )
    (tmp_path / "own.yaml").write_text('"*qwen3-4b*": 2222\n')
    assert context_for(info, header, file_size=1000, defaults=str(tmp_path / "own.yaml")).size == 2222


def test_memory_caps_the_context_of_a_model(info: ModelInfo, header: Header, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 10 * 2**20)
    found = context_for(info, header, asked=50_000, file_size=1000)
    assert found.size == memory_maximum(10 * 2**20, 1000, bytes_per_token(header)) == 4096
    assert found.warning is not None
    smaller = context_for(info, header, asked=50_000, file_size=1000, cache_type_k="q4_0", cache_type_v="q4_0")
    assert smaller.size == 16384


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", "expected lines like"),
        ("a: many\n", "expected lines like"),
        ("a: 0\n", "the context of 'a' is 0"),
        ("*a: 5\n", "expected lines like"),
        ("a: [", "expected lines like"),
    ],
)
def test_a_file_of_another_form_is_refused_by_its_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(LoadFailed, match=words) as raised:
        tables(str(path))
    assert str(path) in raised.value.message


def test_an_empty_file_has_no_patterns_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("# nothing yet\n")
    assert read_patterns(tmp_path / "own.yaml") == {}
    with pytest.raises(LoadFailed, match=r"none\.yaml cannot be read"):
        tables(str(tmp_path / "none.yaml"))


def test_our_own_patterns_can_be_read_and_are_wildcards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNIVERSAL_CONFIG_FOLDER", raising=False)
    (ours,) = tables()
    assert len(ours) > 20
    assert find_pattern(["TheBloke/Llama-2-7B-Chat-GGUF"], [ours]) == ("*llama-2-*", 4096)
    assert find_pattern(["bartowski/Phi-3-mini-128k-instruct"], [ours]) == ("*phi-3*-128k-*", 131072)


def test_a_model_is_called_by_several_names(info: ModelInfo, header: Header) -> None:
    assert "Qwen3-4B-GGUF" in names_of(info, header)


def test_free_memory_is_that_of_the_machine_where_llama_cpp_knows_no_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "has_accelerator", lambda: False)
    monkeypatch.setattr(context, "available_memory", lambda device: {"cpu": 5, "cuda": 7}[device])
    assert context.free_memory("cuda") == 5
    monkeypatch.setattr(context, "has_accelerator", lambda: True)
    assert context.free_memory("cuda") == 7
    assert available_memory("cpu") > 0
