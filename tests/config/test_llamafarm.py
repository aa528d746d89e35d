"""A LlamaFarm project file serves as configuration."""

from pathlib import Path

import pytest

from universal_core.config import ConfigError, load

PROJECT = """
version: v1
name: my-project
namespace: default
prompts:
  - role: system
    content: irrelevant here
runtime:
  default_model: fast
  models:
    - name: fast
      provider: universal
      model: unsloth/Qwen3-4B-GGUF:Q4_K_M
      extra_body:
        n_ctx: 8192
    - name: embedder
      model: nomic-ai/nomic-embed-text-v1.5
      base_url: http://127.0.0.1:11540
      transformers: {device: cpu, dtype: float32, trust_remote_code: true, model_type: embedding}
    - model: stabilityai/sdxl-turbo
      diffusion: {default_steps: 4, default_guidance: 0.0, default_size: 512x512, scheduler: euler}
"""


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_its_models_become_ours(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"llamafarm.{suffix}"
    file.write_text(PROJECT)
    config = load(str(file), {}).config
    assert config.models.default == "fast"
    assert config.model["fast"].model == "unsloth/Qwen3-4B-GGUF:Q4_K_M"
    assert config.model["fast"].options == {"n_ctx": 8192}
    embedder = {"device": "cpu", "dtype": "float32", "trust_remote_code": True}
    assert config.model["embedder"].options == embedder
    picture = {"default_steps": 4, "default_guidance": 0.0, "default_size": "512x512", "scheduler": "euler"}
    assert config.model["stabilityai/sdxl-turbo"].options == picture


def test_variables_and_flags_count_more_than_it(tmp_path: Path) -> None:
    file = tmp_path / "llamafarm.yaml"
    file.write_text(PROJECT)
    loaded = load(str(file), {"UNIVERSAL_RUNTIME_PORT": "1"}, {"models.default": "embedder"})
    assert (loaded.config.server.port, loaded.config.models.default) == (1, "embedder")
    assert loaded.origins["model.fast"] == str(file)


def test_the_kind_of_a_model_is_the_task_that_its_backend_must_offer(tmp_path: Path) -> None:
    file = tmp_path / "llamafarm.yaml"
    file.write_text(PROJECT)
    config = load(str(file), {}).config
    assert (config.model["embedder"].tasks, config.model["fast"].tasks) == (("embed",), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("runtime: {models: [{model: m, transformers: {model_type: smell}}]}", "'smell' of m is not one of"),
        ("name: no-runtime", "runtime"),
        ("runtime: {models: [{name: nameless}]}", "model"),
        ("runtime: [", "llamafarm.yaml: "),
        ("", "llamafarm.yaml: "),
    ],
)
def test_another_yaml_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "llamafarm.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(str(file), {})
