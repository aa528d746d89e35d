"""The plugin as the core sees it: what importing it costs, and what its workers begin with."""

import subprocess
import sys

import pytest

import universal_audio
from universal_audio.listen_claim import RECOGNITION, WHISPER
from universal_core import Backend


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_plugin_imports_no_machine_learning() -> None:
    heavy = (
        "('torch', 'transformers', 'tokenizers', 'numpy', 'av', 'ctranslate2', 'faster_whisper', 'kokoro', 'misaki')"
    )
    code = f"import sys, universal_audio; print([name for name in {heavy} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_backends_have_names_of_their_own() -> None:
    names = [backend.name for backend in universal_audio.register_backends()]
    assert {"whisper", "speech-recognition"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("backend", [WHISPER, RECOGNITION], ids=lambda backend: backend.name)
def test_what_is_preloaded_starts_no_thread(backend: Backend) -> None:
    code = (
        "import importlib, threading\n"
        f"for name in {backend.preload!r}: importlib.import_module(name)\n"
        "print(threading.active_count())"
    )
    assert run_python(code) == "1"


def test_a_transcription_server_needs_no_torch() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {WHISPER.preload!r}: importlib.import_module(name)\n"
        "import faster_whisper.vad\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    assert run_python(code) == "False False"
