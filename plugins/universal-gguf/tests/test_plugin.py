"""The plugin as the core sees it: what importing it costs, and what it answers."""

import subprocess
import sys

import msgspec
import pytest

import universal_gguf
from universal_core import Backend
from universal_gguf.header import CACHE_TYPES
from universal_gguf.options import GenerationOptions

BACKENDS = list(universal_gguf.register_backends())


def test_importing_the_plugin_imports_no_machine_learning() -> None:
    heavy = "('numpy', 'llama_cpp', 'llguidance', 'yaml', 'gguf', 'torch', 'transformers')"
    code = f"import sys, universal_gguf; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert shown == "[]"


def test_both_backends_are_registered() -> None:
    assert [backend.name for backend in BACKENDS] == ["gguf", "gguf-embeddings"]
    assert {backend.engine for backend in BACKENDS} == {"llama.cpp"}


def test_one_nursery_serves_both_backends() -> None:
    assert len({backend.preload for backend in BACKENDS}) == 1


def test_the_cache_has_every_number_format_whose_size_is_known() -> None:
    for name in CACHE_TYPES:
        assert msgspec.convert({"cache_type_k": name, "cache_type_v": name}, GenerationOptions).cache_type_k == name
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"cache_type_k": "q2_k"}, GenerationOptions)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_every_option_says_what_it_is(backend: Backend) -> None:
    for field in msgspec.structs.fields(backend.options):
        metas = getattr(field.type, "__metadata__", ())
        assert any(meta.description for meta in metas), f"{field.name} has no description"


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize(
    "options",
    [
        {"device": "tpu"},
        {"n_ctx": 0},
        {"n_gpu_layers": -2},
        {"flash_attn": True},
        {"split_mode": "rows"},
        {"tensor_split": [-1.0]},
        {"unknown": 1},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(backend: Backend, options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, backend.options)
