"""The plugin as the core sees it: what importing it costs, and what it answers."""

import subprocess
import sys

import universal_vision


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_plugin_imports_no_machine_learning() -> None:
    heavy = "('torch', 'transformers', 'tokenizers', 'safetensors', 'numpy', 'PIL', 'jinja2')"
    code = f"import sys, universal_vision; print([name for name in {heavy} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_what_is_preloaded_touches_no_accelerator_and_starts_no_thread() -> None:
    code = (
        "import importlib, universal_vision\n"
        "names = {name for backend in universal_vision.register_backends() for name in backend.preload}\n"
        "for name in names: importlib.import_module(name)\n"
        "import threading, torch\n"
        "print(torch.cuda.is_initialized(), threading.active_count())"
    )
    assert run_python(code) == "False 1"


def test_the_backends_are_registered() -> None:
    names = [backend.name for backend in universal_vision.register_backends()]
    assert names == ["vision", "vision-regions", "vision-captions", "vision-chat"]


def test_one_nursery_serves_all_backends() -> None:
    assert len({backend.preload for backend in universal_vision.register_backends()}) == 1
