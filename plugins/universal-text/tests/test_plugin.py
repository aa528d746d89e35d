"""The plugin as the core sees it: what importing it costs, and what it answers."""

import subprocess
import sys

import universal_text
from universal_core import ModelRef
from universal_text.claims import BACKEND
from universal_text.starter_model import FOLDER


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_plugin_imports_no_machine_learning() -> None:
    heavy = "('torch', 'transformers', 'tokenizers', 'safetensors', 'numpy', 'jinja2')"
    code = f"import sys, universal_text; print([name for name in {heavy} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_what_is_preloaded_touches_no_accelerator_and_starts_no_thread() -> None:
    code = (
        "import importlib, os, universal_text.claims as claims\n"
        "for name in claims.BACKEND.preload: importlib.import_module(name)\n"
        "import threading, torch\n"
        "print(torch.cuda.is_initialized(), threading.active_count())"
    )
    assert run_python(code) == "False 1"


def test_the_backends_are_registered() -> None:
    names = [backend.name for backend in universal_text.register_backends()]
    assert names == [BACKEND.name, "text-embeddings", "text-classification", "token-classification", "text-ranking"]


def test_one_nursery_serves_all_backends() -> None:
    assert len({backend.preload for backend in universal_text.register_backends()}) == 1


def test_other_models_are_not_ours_to_find() -> None:
    assert universal_text.find_model(ModelRef.parse("somebody/else")) is None


def test_the_starter_model_is_found_listed_and_claimed() -> None:
    found = universal_text.find_model(ModelRef.parse("universal/starter"))
    assert found is not None
    assert found.path == str(FOLDER)
    assert [info.id for info in universal_text.list_models()] == ["universal/starter"]
    (claim,) = universal_text.claim_model(found)
    assert "chat" in claim.tasks
