"""Models named by a path, or by a name that happens to be a folder here."""

import json
from pathlib import Path

import pytest

from universal_core import ModelInfo, ModelNotFound, ModelRef
from universal_core.sources.local import find_model


def folder(at: Path, **files: bytes) -> Path:
    at.mkdir(parents=True)
    (at / "config.json").write_text(json.dumps({"architectures": ["TinyForCausalLM"]}))
    for name, data in files.items():
        (at / name.replace("__", ".")).write_bytes(data)
    return at


def find(text: str) -> ModelInfo:
    found = find_model(ModelRef.parse(text))
    assert found is not None
    return found


def test_a_folder_is_a_model_with_its_files_and_documents(tmp_path: Path) -> None:
    at = folder(tmp_path / "tiny", model__safetensors=b"12345", __hidden=b"x")
    (at / "sub").mkdir()
    (at / "sub" / "part.bin").write_bytes(b"1")
    (at / ".cache").mkdir()
    (at / ".cache" / "junk").write_bytes(b"1")
    info = find(str(at))
    assert (info.id, info.source, info.path) == (str(at), "local folder", str(at))
    assert [file.name for file in info.files] == ["config.json", "model.safetensors", "sub/part.bin"]
    assert info.size_of("*.safetensors") == 5
    assert info.architectures == ("TinyForCausalLM",)


def test_a_file_is_a_model_of_one_file(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    info = find(str(file))
    assert (info.source, info.path) == ("local file", str(file))
    assert [(item.name, item.size) for item in info.files] == [("tiny.gguf", 4)]


def test_a_relative_path_and_a_path_in_the_home_folder_are_found(tmp_path: Path) -> None:
    folder(tmp_path / "tiny")
    assert find("./tiny").path == find("~/tiny").path == str(tmp_path / "tiny")


def test_a_name_that_is_a_model_folder_here_is_that_folder(tmp_path: Path) -> None:
    folder(tmp_path / "org" / "repo")
    info = find("org/repo")
    assert (info.id, info.path) == ("org/repo", str(tmp_path / "org" / "repo"))


def test_a_name_that_is_some_other_folder_here_is_left_to_other_sources(tmp_path: Path) -> None:
    (tmp_path / "org" / "repo").mkdir(parents=True)
    assert find_model(ModelRef.parse("org/repo")) is None
    assert find_model(ModelRef.parse("nothing/here")) is None


def test_a_path_that_is_no_model_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(
            ModelNotFound, match=r"expected a \.gguf or \.safetensors file, or a folder with config\.json"
        ):
            find(str(path))


def test_a_variant_picks_nothing_at_this_stage_but_is_kept(tmp_path: Path) -> None:
    at = folder(tmp_path / "tiny")
    info = find(f"{at}:Q4_0")
    assert (info.path, info.ref.variant) == (str(at), "Q4_0")


def test_a_path_with_a_colon_in_its_last_part_is_found(tmp_path: Path) -> None:
    at = folder(tmp_path / "llama:7b")
    assert find(str(at)).path == str(at)


def test_documents_that_are_no_json_are_left_out(tmp_path: Path) -> None:
    at = folder(tmp_path / "tiny", modules__json=b"{broken", generation_config__json=b'{"a": 1}')
    assert find(str(at)).documents == {
        "config.json": {"architectures": ["TinyForCausalLM"]},
        "generation_config.json": {"a": 1},
    }


def test_a_link_to_nowhere_in_a_folder_is_no_file_of_the_model(tmp_path: Path) -> None:
    at = folder(tmp_path / "tiny")
    (at / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    assert [file.name for file in find(str(at)).files] == ["config.json"]
