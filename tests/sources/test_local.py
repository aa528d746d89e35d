"""Models named by a path, or by a name that happens to be a folder here."""

import json
import os
from pathlib import Path

import pytest

from universal_core import ModelInfo, ModelNotFound, ModelRef
from universal_core.errors import Forbidden
from universal_core.sources.local import delete_model, find_model


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


def test_each_variant_of_a_folder_here_is_a_model_of_its_own(tmp_path: Path) -> None:
    folder(tmp_path / "org" / "repo")
    assert [find(f"org/repo{variant}").id for variant in ("", ":Q4_0", ":Q8_0")] == [
        *("org/repo", "org/repo:Q4_0", "org/repo:Q8_0")
    ]


def test_a_file_is_a_gguf_model_by_what_it_begins_with(tmp_path: Path) -> None:
    plain = tmp_path.resolve() / "weights"
    plain.write_bytes(b"GGUF1234")
    info = find(str(plain))
    assert [(file.name, file.size) for file in info.files] == [("weights.gguf", 8)]
    assert info.place_of("weights.gguf") == plain
    assert info.place_of("mmproj.gguf") == tmp_path.resolve() / "mmproj.gguf"
    plain.write_bytes(b"GGU")
    with pytest.raises(ModelNotFound, match="is not a model on this machine"):
        find(str(plain))


def test_what_a_folder_takes_and_when_it_was_used_is_told_without_using_it(tmp_path: Path) -> None:
    at = folder(tmp_path / "tiny", model__safetensors=b"12345")
    (at / "again.safetensors").hardlink_to(at / "model.safetensors")
    for path in at.iterdir():
        os.utime(path, (1_600_000_000, 0))
    for _ in range(2):
        taken = find(str(at)).on_disk
        assert taken is not None
        assert (taken.size, taken.whole) == (5 + (at / "config.json").stat().st_size, True)
        assert taken.used == 1_600_000_000 or not hasattr(os, "O_NOATIME")


@pytest.mark.parametrize("kind", ["path", "name"])
def test_what_is_named_by_a_path_is_never_deleted(tmp_path: Path, kind: str) -> None:
    at = folder(tmp_path / "org" / "tiny")
    with pytest.raises(Forbidden, match="remove the files yourself"):
        delete_model(ModelRef.parse(str(at) if kind == "path" else "org/tiny"), ())
    assert (at / "config.json").exists()
    with pytest.raises(ModelNotFound):
        delete_model(ModelRef.parse("./nowhere"), ())
    delete_model(ModelRef.parse("org/other"), ())


def test_integers_that_mean_no_limit_are_read_as_floats_and_others_exactly(tmp_path: Path) -> None:
    text = f'{{"a": {10**30}, "b": [{2**63 - 1}, {-(2**63)}, {2**63}], "c": "{10**30}"}}'
    document = find(str(folder(tmp_path / "tiny", tokenizer_config__json=text.encode()))).documents
    assert document["tokenizer_config.json"] == {"a": 1e30, "b": [2**63 - 1, -(2**63), 2.0**63], "c": str(10**30)}
    assert isinstance(document["tokenizer_config.json"]["b"][2], float)
