"""What a model's name means, and what a claim can ask of a ModelInfo."""

import pytest

from universal_core.models import MemoryEstimate, ModelFile, ModelInfo, ModelRef, Progress


@pytest.mark.parametrize(
    ("text", "name", "variant", "revision"),
    [
        ("gpt2", "gpt2", None, None),
        ("org/repo", "org/repo", None, None),
        ("org/repo:Q4_K_M", "org/repo", "Q4_K_M", None),
        ("org/repo@v1.0", "org/repo", None, "v1.0"),
        ("org/repo@refs/pr/3", "org/repo", None, "refs/pr/3"),
        ("org/repo@v1.0:q8_0", "org/repo", "q8_0", "v1.0"),
        ("org/repo:", "org/repo:", None, None),
        ("  org/repo  ", "org/repo", None, None),
        ("/models/tiny", "/models/tiny", None, None),
        ("/models/tiny.gguf:Q4_0", "/models/tiny.gguf", "Q4_0", None),
        ("/models/a:b/tiny", "/models/a:b/tiny", None, None),
        ("/models/user@host/tiny", "/models/user@host/tiny", None, None),
        ("./tiny@2", "./tiny@2", None, None),
        ("~/tiny", "~/tiny", None, None),
        (r"C:\models\tiny", r"C:\models\tiny", None, None),
        ("C:/models/tiny.gguf", "C:/models/tiny.gguf", None, None),
        (r"C:\models\tiny.gguf:Q4_0", r"C:\models\tiny.gguf", "Q4_0", None),
    ],
)
def test_a_name_is_taken_apart(text: str, name: str, variant: str | None, revision: str | None) -> None:
    ref = ModelRef.parse(text)
    assert (ref.name, ref.variant, ref.revision) == (name, variant, revision)
    assert ref.text == text


@pytest.mark.parametrize("text", ["/models/tiny", "./tiny", "../tiny", "~/tiny", r"C:\tiny", "c:/tiny", r"\\host\tiny"])
def test_a_path_is_told_from_a_name(text: str) -> None:
    assert ModelRef.parse(text).is_path


@pytest.mark.parametrize("text", ["tiny", "org/repo", "org/repo:Q4_0", "org/.repo", "alias"])
def test_a_name_is_no_path(text: str) -> None:
    assert not ModelRef.parse(text).is_path


def info(**fields: object) -> ModelInfo:
    return ModelInfo(id="m", ref=ModelRef.parse("m"), source="test", **fields)  # type: ignore[arg-type]


def test_architectures_are_those_of_the_configuration() -> None:
    assert info(documents={"config.json": {"architectures": ["A", "B"]}}).architectures == ("A", "B")


@pytest.mark.parametrize("config", [None, [], {}, {"architectures": None}, {"architectures": [1, None]}])
def test_a_strange_configuration_has_no_architectures(config: object) -> None:
    assert info(documents={"config.json": config}).architectures == ()


def test_files_are_matched_by_patterns_and_their_sizes_added_up() -> None:
    files = (ModelFile("a.safetensors", 3), ModelFile("deep/b.safetensors", 4), ModelFile("c.bin", 100))
    found = info(files=files)
    assert [file.name for file in found.matching("*.safetensors")] == ["a.safetensors", "deep/b.safetensors"]
    assert found.size_of("*.safetensors", "a.*") == 7
    assert found.size_of("*.onnx") == 0


def test_an_estimate_is_weights_and_working_memory_together() -> None:
    assert MemoryEstimate(weights=5, working=2).total == 7


def test_progress_reads_as_a_stage_with_its_share() -> None:
    assert str(Progress("loading")) == "loading"
    assert str(Progress("downloading", 0.254)) == "downloading 25%"
