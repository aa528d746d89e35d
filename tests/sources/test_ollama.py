"""Ollama's files on this machine, named by the path of a blob or of a manifest."""

import json
from pathlib import Path

import pytest

from ollama import blob_of, store
from universal_core import ModelInfo, ModelNotFound, ModelRef
from universal_core.errors import BadRequest
from universal_core.sources.local import find_model

MODEL, PROJECTOR = b"GGUF" + b"m" * 60, b"GGUF" + b"p" * 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path.resolve() / ".ollama" / "models"


def find(path: Path) -> ModelInfo:
    found = find_model(ModelRef.parse(str(path)))
    assert found is not None
    return found


def test_a_blob_is_a_model_by_what_is_in_it(root: Path) -> None:
    store(root, "llama3/latest", MODEL, params=b"{}")
    blob = blob_of(root, MODEL)
    info = find(blob)
    assert (info.id, info.source, info.path) == (str(blob), "local file", str(blob))
    assert [(file.name, file.size) for file in info.files] == [(f"{blob.name}.gguf", 64)]
    assert info.place_of(f"{blob.name}.gguf") == blob
    with pytest.raises(ModelNotFound, match="of Ollama, one of its manifests or blobs"):
        find(blob_of(root, b"{}"))


def test_a_manifest_is_the_model_and_the_projector_that_it_names(root: Path) -> None:
    manifest = store(root, "llava/7b", MODEL, projector=PROJECTOR, template=b"{{ .Prompt }}", params=b'{"stop": ["x"]}')
    info = find(manifest)
    assert (info.id, info.source) == (str(manifest), "Ollama's manifest")
    assert {file.name: file.size for file in info.files} == {"llava-7b-Q4_K_M.gguf": 64, "mmproj-llava-7b.gguf": 24}
    assert info.path == str(blob_of(root, MODEL))
    assert info.place_of("llava-7b-Q4_K_M.gguf") == blob_of(root, MODEL)
    assert info.place_of("mmproj-llava-7b.gguf") == blob_of(root, PROJECTOR)
    assert info.on_disk is not None
    assert info.on_disk.size == 88


def test_a_manifest_is_found_by_a_path_in_the_home_folder(root: Path) -> None:
    store(root, "llama3/latest", MODEL, file_type=None)
    info = find(Path("~/.ollama/models/manifests/registry.ollama.ai/library/llama3/latest"))
    assert [file.name for file in info.files] == ["llama3-latest.gguf"]


def test_a_quantization_that_is_no_word_stays_out_of_the_name(root: Path) -> None:
    info = find(store(root, "llama3/latest", MODEL, file_type="../../x"))
    assert [file.name for file in info.files] == ["llama3-latest.gguf"]


def test_a_manifest_whose_file_is_gone_says_how_to_get_it(root: Path) -> None:
    manifest = store(root, "llama3/latest", MODEL)
    blob_of(root, MODEL).unlink()
    with pytest.raises(ModelNotFound, match="is not there: `ollama pull` fetches it"):
        find(manifest)


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "sha256:abc", "", "/etc/passwd"])
def test_a_digest_that_is_none_leads_nowhere(root: Path, digest: str) -> None:
    manifest = store(root, "llama3/latest", MODEL)
    document = json.loads(manifest.read_text())
    document["layers"][0]["digest"] = digest
    manifest.write_text(json.dumps(document))
    with pytest.raises(ModelNotFound, match="without a GGUF model"):
        find(manifest)


def test_a_manifest_with_an_adapter_says_how_to_use_it(root: Path) -> None:
    manifest = store(root, "mario/latest", MODEL, adapter=b"GGUF" + b"a")
    with pytest.raises(BadRequest, match="in the option adapters"):
        find(manifest)


@pytest.mark.parametrize("text", ["{}", "[]", '{"layers": 5}', "no json", ""])
def test_a_file_that_is_no_manifest_is_no_model(root: Path, text: str) -> None:
    path = root / "manifests" / "registry.ollama.ai" / "library" / "x" / "latest"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ModelNotFound, match="is not a model on this machine"):
        find(path)


def test_a_document_like_a_manifest_elsewhere_is_no_model(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "manifest.json"
    copy.write_text(store(root, "llama3/latest", MODEL).read_text())
    with pytest.raises(ModelNotFound, match="is not a model on this machine"):
        find(copy)
