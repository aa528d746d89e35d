"""Models in the folder that models.dir names: a folder of one's own, and LM Studio's."""

import json
from pathlib import Path

import pytest

from universal_core import ModelInfo, ModelRef
from universal_core.config import Config, ModelsConfig, apply_models, load
from universal_core.errors import Forbidden
from universal_core.plugins import Plugins
from universal_core.sources.folders import delete_model, find_model, list_models

CONFIG = json.dumps({"architectures": ["TinyForCausalLM"]}).encode()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("UNIVERSAL_MODELS_FOLDER", str(folder))
    return folder


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONFIG if name.endswith(".json") else b"x" * 10)


def find(text: str) -> ModelInfo:
    found = find_model(ModelRef.parse(text))
    assert found is not None
    return found


def listed() -> list[str]:
    return [info.id for info in list_models()]


def test_folders_are_called_by_their_paths_up_to_three_deep(root: Path) -> None:
    write(root, "mine/config.json", "org/mine/config.json", "a/b/c/model_index.json", "a/b/d/e/config.json")
    write(root, "mine/unet/config.json", "empty/readme.txt", ".hidden/config.json", "notes.txt")
    assert listed() == ["a/b/c", "mine", "org/mine"]
    for name in listed():
        info = find(name)
        assert (info.id, info.path) == (name, str(root / name))
    assert find("mine").architectures == ("TinyForCausalLM",)
    assert find("mine").source == "models.dir folder"
    assert [file.name for file in find("mine").files] == ["config.json", "unet/config.json"]


def test_what_is_listed_says_what_it_takes(root: Path) -> None:
    write(root, "mine/config.json", "mine/model.safetensors")
    (info,) = list_models()
    assert info.on_disk is not None
    assert (info.on_disk.size, info.on_disk.whole) == (len(CONFIG) + 10, True)


def test_lone_files_are_called_by_their_names_with_or_without_ending(root: Path) -> None:
    write(root, "one-Q4_K_M.gguf", "two.safetensors", "org/three-Q8_0.gguf")
    write(root, *(f"split-0000{number}-of-00002.gguf" for number in (1, 2)))
    assert listed() == ["one-Q4_K_M", "org", "split-00001-of-00002", "two"]
    for name in ("one-Q4_K_M", "one-Q4_K_M.gguf", "two", "two.safetensors", "org/three-Q8_0", "org/three-Q8_0.gguf"):
        info = find(name)
        assert (info.id, info.source, len(info.files)) == (name, "models.dir file", 1)
        assert Path(info.path or "").is_file()


def test_lm_studios_folder_serves_publisher_and_repository(root: Path) -> None:
    write(root, *(f"unsloth/Qwen3-4B-GGUF/Qwen3-4B-{kind}.gguf" for kind in ("Q4_K_M", "Q8_0")))
    write(root, "ggml-org/gemma-3-GGUF/gemma-3-Q4_K_M.gguf", "ggml-org/gemma-3-GGUF/mmproj-gemma-3.gguf")
    assert listed() == ["ggml-org/gemma-3-GGUF", "unsloth/Qwen3-4B-GGUF"]
    info = find("unsloth/Qwen3-4B-GGUF:Q8_0")
    assert (info.id, info.ref.variant) == ("unsloth/Qwen3-4B-GGUF:Q8_0", "Q8_0")
    assert info.path == str(root / "unsloth" / "Qwen3-4B-GGUF")
    assert len(info.files) == 2
    assert find("unsloth/Qwen3-4B-GGUF/Qwen3-4B-Q8_0.gguf").id.endswith("Q8_0.gguf")


def test_a_name_with_a_colon_or_an_at_is_found_whole(root: Path) -> None:
    write(root, "llama:7b/config.json", "at@home/config.json")
    assert find("llama:7b").path == str(root / "llama:7b")
    assert find("at@home").path == str(root / "at@home")


def test_a_revision_is_another_sources(root: Path) -> None:
    write(root, "org/mine/config.json")
    assert find_model(ModelRef.parse("org/mine@main")) is None


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "org/../../secret", "..", ".", "", "/", "org//mine", "./mine", "~/secret", "a/../mine"),
        *(
            "..\\secret",
            "org\\..\\..\\secret",
            ".hidden",
            "C:/secret",
            "C:secret",
            "\\secret",
            "%2e%2e/secret",
            "mine/",
        ),
    ],
)
def test_no_name_leads_out_of_the_folder(root: Path, name: str) -> None:
    write(root, "mine/config.json", ".hidden/config.json", "org/mine/config.json")
    write(root.parent, "secret/config.json")
    assert find_model(ModelRef.parse(name)) is None
    assert find_model(ModelRef.parse(str(root.parent / "secret"))) is None


def test_a_link_that_somebody_has_put_there_is_a_model_like_others(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "config.json")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert listed() == ["linked"]
    assert find("linked").path == str(tmp_path / "elsewhere")


def test_nothing_in_it_is_deleted(root: Path) -> None:
    write(root, "mine/config.json")
    with pytest.raises(Forbidden, match=r"mine is in the folder models\.dir"):
        delete_model(ModelRef.parse("mine"), ())
    assert listed() == ["mine"]
    delete_model(ModelRef.parse("other"), ())


def test_a_folder_that_is_not_there_has_no_models(root: Path) -> None:
    root.rmdir()
    assert listed() == []
    assert find_model(ModelRef.parse("mine")) is None


def test_the_folder_comes_from_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "models/mine/config.json")
    monkeypatch.setenv("UNIVERSAL_MODELS_FOLDER", "elsewhere")
    loaded = load(environment={"UNIVERSAL_RUNTIME_MODELS_DIR": "~/models"}).config
    assert loaded == Config(models=ModelsConfig(dir="~/models"))
    apply_models(loaded.models)
    assert listed() == ["mine"]
    apply_models(ModelsConfig())
    assert listed() == []


def test_the_folder_is_asked_before_the_huggingface_cache(root: Path, tmp_path: Path) -> None:
    from caching import cache_repository

    write(root, "org/mine/config.json")
    cache_repository(tmp_path / "hub", "org/mine", {"config.json": CONFIG, "model.safetensors": b"w"})
    plugins = Plugins()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        found = plugins.find(ModelRef.parse("org/mine"))
        at_revision = plugins.find(ModelRef.parse("org/mine@main"))
    assert found is not None
    assert found.source == "models.dir folder"
    assert at_revision is not None
    assert at_revision.source == "HuggingFace cache"
