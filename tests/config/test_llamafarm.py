"""A LlamaFarm project file serves as configuration."""

from pathlib import Path

import pytest

from clients import posted
from universal_core.config import Config, ConfigError, load

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


REAL = """
version: v1
name: assistant
namespace: default
components: {defaults: {parser: {type: PDFParser}}}
prompts: [{name: default, messages: [{role: system, content: Be kind.}]}]
rag: {databases: [{name: main, type: ChromaStore, config: {embedding_model: nomic-embed-text}}]}
datasets: []
mcp: {servers: [{name: files, transport: stdio, command: npx}]}
runtime:
  models:
    - name: default
      description: Answers most questions
      provider: universal
      model: unsloth/Qwen3-4B-GGUF:Q4_K_M
      base_url: http://127.0.0.1:11540/v1
      api_key: ${env:KEY}
      instructor_mode: tools
      prompt_format: unstructured
      tool_call_strategy: native_api
      prompts: [default]
      mcp_servers: []
      default: true
      keep_loaded: true
      model_api_parameters: {temperature: 0.7, max_tokens: 2048}
      extra_body: {n_ctx: 4096, n_batch: 512, cache_type_k: q8_0}
      transformers: null
      encoder_config: {max_length: 512}
    - name: org/name
      provider: ollama
      model: gemma3:1b
"""


def test_what_concerns_llamafarm_alone_is_left_to_it(tmp_path: Path) -> None:
    config = read(tmp_path, REAL)
    assert config.models.default == "default"
    assert config.model.keys() == {"default", "org/name"}
    entry = config.model["default"]
    assert entry.options == {"n_ctx": 4096, "n_batch": 512, "cache_type_k": "q8_0"}
    assert (entry.pinned, entry.defaults) == (True, {})
    assert config.model["org/name"].model == "gemma3:1b"


@pytest.mark.parametrize("models", ["", "[]", "{}"])
def test_a_project_without_models_is_one_too(tmp_path: Path, models: str) -> None:
    assert read(tmp_path, f"runtime:\n  models: {models}\n").model == {}


def test_models_may_stand_below_their_names(tmp_path: Path) -> None:
    config = read(tmp_path, "runtime: {models: {fast: {model: a/b, provider: universal}, 'x/y': {model: c}}}")
    assert {name: entry.model for name, entry in config.model.items()} == {"fast": "a/b", "x/y": "c"}


def read(folder: Path, text: str) -> Config:
    file = folder / "llamafarm.yaml"
    file.write_text(text)
    return load(str(file), {}).config


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
        ("runtime: {models: [{name: a, model: b}, {name: a, model: c}]}", "two of runtime.models have the name a"),
        (
            "runtime: {models: [{model: m, transformers: {device: cpu}, extra_body: {device: mps}}]}",
            "device of m is 'cpu' and, in extra_body, 'mps'; write it once",
        ),
        ("runtime: [", "llamafarm.yaml: "),
        ("", "llamafarm.yaml: "),
    ],
)
def test_another_yaml_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "llamafarm.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(str(file), {})


def test_an_option_that_the_backend_lacks_is_refused_with_those_that_it_has(tmp_path: Path) -> None:
    config = read(tmp_path, "runtime: {models: [{name: a, model: echo/a, diffusion: {default_steps: 4}}]}")
    response = posted("/v1/completions", {"model": "a", "prompt": "hi"}, config)
    assert response.status_code == 400
    assert "options of backend echo: Object contains unknown field default_steps" in response.text
    assert "ballast, delay, load_seconds, slots" in response.text
